package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestKilled_LosesNoAcknowledgedRequest kills the gateway under load, again
// and again, and finds an entry of every request that was answered. The log
// verifies after each restart.
func TestKilled_LosesNoAcknowledgedRequest(t *testing.T) {
	rounds := 5
	if required() && !testing.Short() {
		rounds = 20
	}
	data := t.TempDir()
	acknowledged := map[string]bool{}
	var b *browser
	listen := "127.0.0.1:0" // the first start picks a port, the others keep it: sessions belong to the gate's URL
	for round := range rounds {
		p := startDemo(t, "--data", data, "--listen", listen)
		listen = "127.0.0.1:" + mustURL(t, p.ready.Gate).Port()
		ringfence(t, "log", "verify", "--data", data)
		if b == nil {
			b = p.signIn(t, "kim@northwind.example", 0)
		}
		b.p, b.client.Transport = p, p.transport(t)
		if pg := b.get(p.cluster(t, "claims") + "/"); pg.status != http.StatusOK {
			t.Fatalf("round %d: the session did not survive the restart: %d at %s", round, pg.status, pg.url)
		}
		for id := range loadAndKill(t, p, b, round) {
			acknowledged[id] = true
		}
	}
	p := startDemo(t, "--data", data)
	ringfence(t, "log", "verify", "--data", data)
	recorded := map[string]bool{}
	for _, row := range p.entries(t, "--type", "request", "--limit", "10000000") {
		recorded[row["request_id"].(string)] = true
	}
	lost := 0
	for id := range acknowledged {
		if !recorded[id] {
			lost++
		}
	}
	if lost > 0 || len(acknowledged) < rounds*10 {
		t.Errorf("%d of %d acknowledged requests have no entry", lost, len(acknowledged))
	}
	t.Logf("%d kills, %d acknowledged requests, %d lost", rounds, len(acknowledged), lost)
}

// loadAndKill sends requests from eight clients, kills the gateway in their
// midst, and returns the ids of the requests that were answered.
func loadAndKill(t *testing.T, p *process, b *browser, round int) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	ids := map[string]bool{}
	enough := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				pg, err := b.try(http.MethodGet, fmt.Sprintf("%s/work/%d/%d/%d", p.cluster(t, "claims"), round, worker, i), nil)
				if err != nil {
					return // killed
				}
				if pg.status != http.StatusOK {
					t.Errorf("request under load: %d %s", pg.status, pg.body)
					return
				}
				mu.Lock()
				ids[pg.header.Get("X-Ringfence-Request-Id")] = true
				n := len(ids)
				mu.Unlock()
				if n > 20+round*7 {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	select {
	case <-enough:
	case <-p.done:
		t.Errorf("ringfence ended by itself:\n%s", p.output)
	}
	p.kill()
	wg.Wait()
	if ids[""] {
		t.Fatal("an answer has no request id")
	}
	return ids
}

// TestTampering_IsFound changes one byte of the stored log at many places.
func TestTampering_IsFound(t *testing.T) {
	slow(t)
	data := t.TempDir()
	p := startDemo(t, "--data", data)
	b := p.signIn(t, "kim@northwind.example", 0)
	for i := range 5 {
		b.get(fmt.Sprintf("%s/item/%d", p.cluster(t, "claims"), i))
	}
	p.stop(t)
	ringfence(t, "log", "verify", "--data", data)
	segments, err := filepath.Glob(filepath.Join(data, "log", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatal("no log files", err)
	}
	needle := []byte("/item/3")
	found := false
	for _, s := range segments {
		whole, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		if i := bytes.Index(whole, needle); i >= 0 {
			found = true
			whole[i+len(needle)-1] = '4'
			if err := os.WriteFile(s, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !found {
		t.Fatal("the entry is not in the log's files")
	}
	out, err := program("log", "verify", "--data", data).CombinedOutput()
	if err == nil {
		t.Errorf("verify passed a changed log:\n%s", out)
	}
	t.Logf("verify says: %s", out)
}
