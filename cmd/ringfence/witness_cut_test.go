package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/sample"
)

// serveAgain makes a demo's data, serves it with a changed configuration as
// 'ringfence serve' does, and has this process be the sample systems.
func serveAgain(t *testing.T, change func(data, config string) string) *process {
	t.Helper()
	dir := t.TempDir()
	p := startDemo(t, "--data", dir)
	p.stop(t)
	file := filepath.Join(dir, demoConfig)
	directory := ringfence(t, "export", "--config", file)
	for _, s := range sample.Systems {
		m := regexp.MustCompile(`(?s)- name: ` + s.Name + `\n.*?upstreams: \[http://([0-9.:]+)\]`).FindStringSubmatch(directory)
		if m == nil {
			t.Fatalf("where is %s?\n%s", s.Name, directory)
		}
		l, err := net.Listen("tcp", m[1])
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: s.Handler()}
		t.Cleanup(func() { srv.Close() })
		go srv.Serve(l)
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(change(dir, string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	q := &process{cmd: program("serve", "--config", file), ready: p.ready, output: &lockedBuffer{}, done: make(chan struct{})}
	q.cmd.Stdout, q.cmd.Stderr = q.output, q.output
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = q.cmd.Wait() // its exit status is asked for where it matters
		close(q.done)
	}()
	t.Cleanup(func() {
		q.stop(t)
		if t.Failed() {
			t.Logf("output of ringfence serve:\n%s", q.output)
		}
	})
	eventually(t, 30*time.Second, "it serves", func() bool { return q.readyz() == http.StatusOK })
	return q
}

func (p *process) readyz() int {
	res, err := http.Get(strings.TrimSuffix(p.ready.Operations, "/") + "/readyz")
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// TestWitnessGap_CutsOpenRequests: when the witness is gone for longer than
// max_gap, the running program ends what is open on clusters and refuses what
// is new, and says so in the log; once the witness is back it serves again.
func TestWitnessGap_CutsOpenRequests(t *testing.T) {
	t.Parallel()
	slow(t)
	const gap = 5 * time.Second
	w := filepath.Join(t.TempDir(), "w")
	key := strings.TrimSpace(ringfence(t, "witness", "init", w, "--name", "w.localhost/1"))
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	watch := func() (stop func()) {
		cmd := program("witness", "serve", w, "--plain", "--listen", address)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 10*time.Second, "the witness answers", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		return func() {
			_ = cmd.Process.Kill() // as a power cut would
			_ = cmd.Wait()
		}
	}
	var gone func()
	p := serveAgain(t, func(data, config string) string {
		ringfence(t, "witness", "trust", w, filepath.Join(data, "log", "log.pub"))
		gone = watch()
		return strings.Replace(config, "access_log:\n", fmt.Sprintf("access_log:\n  max_gap: %s\n  witnesses:\n    - name: audit\n      url: http://%s\n      key: %s\n", gap, address, key), 1)
	})
	t.Cleanup(func() { gone() })
	const kim = "kim@northwind.example"
	b := p.signIn(t, kim, 0)
	o := p.open(t, b, kim, "claims")
	since := time.Now()
	gone()
	notBefore := since.Add(gap - 2*witnessEvery(gap)) // the last round that counted was no earlier
	// The log's own time to notice, and a second for a busy machine.
	o.cutBy(t, p, since, since.Add(gap+guardEvery+time.Second))
	ended := p.entries(t, "--account", kim, "--type", "outcome")
	cut := 0
	for _, e := range ended {
		if e["ended"] != unwitnessedReason {
			continue
		}
		cut++
		if at, err := time.Parse(time.RFC3339Nano, e["time"].(string)); err != nil || at.Before(notBefore) {
			t.Errorf("%s was cut at %v, before %v", e["path"], e["time"], notBefore)
		}
	}
	if cut != 3 {
		t.Errorf("%d of three outcomes say why: %v", cut, ended)
	}
	if pg := b.get(p.cluster(t, "claims") + "/"); pg.status != http.StatusServiceUnavailable {
		t.Errorf("a new request: %d", pg.status)
	}
	if s := p.readyz(); s != http.StatusServiceUnavailable {
		t.Errorf("ready: %d", s)
	}
	if pg := b.get(p.ready.Gate + "/"); pg.status != http.StatusOK {
		t.Errorf("the gate meanwhile: %d", pg.status)
	}
	gone = watch()
	eventually(t, 20*time.Second, "it serves again", func() bool { return b.get(p.cluster(t, "claims")+"/").status == http.StatusOK })
	want := []string{actionWitnessBack, actionWitnessLost, actionWitnessResumed, actionWitnessStopped}
	eventually(t, 5*time.Second, "the log says so", func() bool {
		var told []string
		for _, e := range p.entries(t, "--type", "log") {
			if a, _ := e["action"].(string); strings.HasPrefix(a, "witness.") {
				told = append(told, a)
			}
		}
		slices.Sort(told)
		return slices.Equal(told, want)
	})
}
