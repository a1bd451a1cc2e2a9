package studio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
	"github.com/ringfence/ringfence/rego/regotest"
)

// asChild makes this test binary serve one job.
const asChild = "RINGFENCE_TEST_AS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	LowerPriority()
	if err := Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func children(t testing.TB, l Limits) *Runner {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Limits: l, Command: func() *exec.Cmd {
		cmd := exec.Command(exe)
		cmd.Env = []string{asChild + "=1"}
		return cmd
	}})
}

var someone = &policy.Input{Version: policy.ContractVersion, Subject: policy.Subject{Account: "a1", Credential: policy.CredentialSession},
	Request: policy.Request{Method: "GET", Path: []string{"a"}, TimeNS: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).UnixNano()}}

// TestHostile gives every attempt to the jobs that run drafts: each is refused,
// ends by a limit, or does no harm, and the next job finds nothing changed.
func TestHostile(t *testing.T) {
	attempts := regotest.Modules()
	for name, body := range regotest.Hostile {
		attempts["body "+name] = regotest.Denying(body)
	}
	if testing.Short() {
		t.Skip("takes a minute")
	}
	l := Limits{Time: 2 * time.Second, Memory: 256 << 20}
	t.Run("attempts", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(attempts)) {
			set := map[string]string{"all/hostile.rego": attempts[name]}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				hostile(t, children(t, l), set)
			})
		}
	})
	r := children(t, l)
	if _, err := r.Load(t.Context(), map[string]string{"all/good.rego": regotest.Denying(`input.request.method == "TRACE"`)}, time.Second); err != nil {
		t.Errorf("afterwards a good set is refused: %v", err)
	}
}

func hostile(t *testing.T, r *Runner, set map[string]string) {
	for job, run := range map[string]func() error{
		"load": func() error { _, err := r.Load(t.Context(), set, 500*time.Millisecond); return err },
		"try":  func() error { _, err := r.Try(t.Context(), TryRequest{set, someone}); return err },
	} {
		began := time.Now()
		err := run()
		took := time.Since(began)
		t.Logf("%s after %v: %.200v", job, took.Round(time.Millisecond), err)
		if took > r.cfg.Limits.Time+4*time.Second {
			t.Errorf("%s was not stopped: it took %v", job, took)
		}
		if err == nil {
			continue
		}
		_, limited := errors.AsType[*LimitError](err)
		_, failed := errors.AsType[*FailedError](err)
		_, refused := errors.AsType[*rego.CompileError](err)
		if !limited && !failed && !refused {
			t.Errorf("%s ended in an unknown way: %v", job, err)
		}
	}
}

// TestLimits shows each limit by its name.
func TestLimits(t *testing.T) {
	m := regotest.Modules()
	for name, c := range map[string]struct {
		limits Limits
		module string
		what   string
	}{
		"time":   {Limits{Time: time.Second}, regotest.Head + "test_slow if {\n\t" + regotest.Hostile["three nested loops"] + "\n}\n", "time"},
		"memory": {Limits{Memory: 32 << 20}, regotest.Head + "test_large if {\n\tx := [[a, b, c] | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); c := a + b]\n\tcount(x) > 0\n}\n", "memory"},
		"depth":  {Limits{}, m["parentheses"], "depth"},
		"answer": {Limits{}, m["faults without end"], ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := "all/x.rego"
			if c.what == "time" || c.what == "memory" {
				file = "all/x_test.rego"
			}
			_, err := children(t, c.limits).Test(t.Context(), map[string]string{file: c.module})
			l, ok := errors.AsType[*LimitError](err)
			if c.what != "" && (!ok || l.What != c.what) {
				t.Errorf("got %v, want the limit %s", err, c.what)
			}
			if err == nil {
				t.Error("nothing was refused")
			}
		})
	}
}
