package main

import (
	"bytes"
	"context"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/policy"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/rego/regotest"
)

// publishUnchecked puts a set into a deployment's store as nobody should: past
// every check of the commands and the console.
func publishUnchecked(t testing.TB, data, module string) {
	t.Helper()
	d, err := openDeployment(t.Context(), &target{data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	}()
	modules := map[string]string{"all/hostile.rego": module}
	found := &change.Checked{Of: policy.Revision(modules), Revision: "unchecked"}
	if _, err := d.changes(found).PublishAlone(context.WithoutCancel(t.Context()), operator, modules, found, "Unchecked", "a test"); err != nil {
		t.Fatal(err)
	}
}

// readiness is what the operations listener says, with policies that it refuses.
func (p *process) readiness(t testing.TB) string {
	t.Helper()
	res, err := http.Get(p.ready.Operations + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostilePolicies_NoTremor: while one hostile set after another is to come
// into force, people at work are served as fast as without, the set in force
// stays, and a start with such a set is refused rather than the end of the process.
func TestHostilePolicies_NoTremor(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	data := filepath.Join(t.TempDir(), "data")
	p := startDemo(t, "--data", data)
	b := p.signIn(t, "kim@northwind.example", 0)
	target := p.cluster(t, "claims") + "/echo"
	b.get(target) // takes the session over to the cluster's host
	b.accept = "application/json"

	modules := regotest.Modules()
	for name, body := range regotest.Hostile {
		modules[name] = regotest.Denying(body)
	}
	// Those that a child can only be stopped at, and not before it has begun.
	attempts := []string{"parentheses", "memory", "lists of lists", "patched", "every in every", "a chain of rules", "values of values", "three nested loops", "pairs"}

	const worst = 5.0
	var calm, attacked []time.Duration
	refused := 0
	for i := 0; i < len(attempts); i += 3 {
		calm = append(calm, traffic(t, b, target)...)
		done := make(chan int, 1)
		go func() {
			n := 0
			for _, name := range attempts[i:min(i+3, len(attempts))] {
				publishUnchecked(t, data, modules[name])
				n++
			}
			done <- n
		}()
		attacked = append(attacked, traffic(t, b, target)...)
		refused += <-done
	}
	eventually(t, 2*time.Minute, "the last set is refused", func() bool { return strings.Contains(p.readiness(t), "trial") })
	ratio := float64(percentile(attacked, 99)) / float64(percentile(calm, 99))
	t.Logf("p50 %v and %v, p99 %v and %v without and with %d hostile sets: ratio %.2f",
		percentile(calm, 50), percentile(attacked, 50), percentile(calm, 99), percentile(attacked, 99), refused, ratio)
	if ratio > worst {
		t.Errorf("hostile sets make the 99th percentile %.1f times as long, want at most %.0f", ratio, worst)
	}
	if pg := b.get(target); pg.status != 200 {
		t.Errorf("afterwards: status %d", pg.status)
	}
	p.stop(t)

	publishUnchecked(t, data, modules["parentheses"])
	again := program("demo", "--listen", "127.0.0.1:0", "--data", data)
	out, err := again.CombinedOutput()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "more depth than a trial may have") {
		t.Errorf("a start with a hostile set: %v\n%s", err, out)
	}
}
