package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/delivery"
)

// An indexer takes lines as VictoriaLogs does, once it is up.
type indexer struct {
	mu   sync.Mutex
	up   bool
	seen map[int]bool
	// refuses is the index of an entry that it calls wrong; 0: none.
	refuses int
}

func (x *indexer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	z, err := gzip.NewReader(r.Body)
	var b []byte
	if err == nil {
		b, err = io.ReadAll(z)
	}
	if err != nil || r.Header.Get("Authorization") != "Bearer hush-hush" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if !x.up {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	for line := range strings.Lines(string(b)) {
		var e struct{ Index int }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if x.refuses > 0 && e.Index == x.refuses {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		x.seen[e.Index] = true
	}
}

func (x *indexer) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.seen)
}

func (x *indexer) open() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.up = true
}

// TestDelivery_OverKillsAndOutages: the program itself delivers every entry to a
// receiver that comes late and goes away, though it is killed in between.
func TestDelivery_OverKillsAndOutages(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	x := &indexer{seen: map[int]bool{}}
	srv := httptest.NewServer(x)
	defer srv.Close()
	file, operations := filepath.Join(dir, "ringfence.yaml"), freePort(t)
	text := fmt.Sprintf("gate: https://gate.localhost:%[1]d\nlisten: 127.0.0.1:%[1]d\nhttp_listen: \"\"\noperations: 127.0.0.1:%[2]d\ndata: state\ntls: {mode: local}\naccess_log:\n  deliver:\n  - {name: siem, to: victorialogs, url: '%[3]s', token_file: token}\n",
		freePort(t), operations, srv.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := program("check", "--config", file).CombinedOutput(); err == nil || !strings.Contains(string(out), "delivery to siem") {
		t.Errorf("check without the token: %v, %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "init", "--email", "ada@example.com", "--config", file)
	var log lockedBuffer
	get := func(path string) (int, string) {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", operations, path))
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	serve := func() *exec.Cmd {
		gw := program("serve", "--config", file)
		gw.Stdout, gw.Stderr = &log, &log
		if err := gw.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, 40*time.Second, "the gateway is ready", func() bool { s, _ := get("/readyz"); return s == http.StatusOK })
		return gw
	}
	end := func(gw *exec.Cmd, s syscall.Signal) {
		_ = gw.Process.Signal(s)
		_ = gw.Wait() // killed, or checked by the log below
	}
	gw := serve()
	eventually(t, 40*time.Second, "it has failed, and says so", func() bool {
		_, m := get("/metrics")
		return strings.Contains(m, `ringfence_delivery_healthy{destination="siem",kind="victorialogs"} 0`) && !strings.Contains(m, `ringfence_delivery_lag_entries{destination="siem",kind="victorialogs"} 0`)
	})
	if s, _ := get("/readyz"); s != http.StatusOK {
		t.Errorf("a receiver that is down makes the gateway unready: %d", s)
	}
	end(gw, syscall.SIGKILL)
	x.open()
	gw = serve()
	eventually(t, 40*time.Second, "entries come", func() bool { return x.count() > 0 })
	end(gw, syscall.SIGKILL)
	gw = serve()
	defer func() { end(gw, syscall.SIGTERM) }()
	eventually(t, 40*time.Second, "all is delivered", func() bool {
		_, b := get("/readyz")
		var body struct {
			Entries int `json:"log_entries"`
		}
		return json.Unmarshal([]byte(b), &body) == nil && body.Entries > 0 && x.count() >= body.Entries
	})
	x.mu.Lock()
	for i := range len(x.seen) {
		if !x.seen[i] {
			t.Errorf("entry %d is missing among %d", i, len(x.seen))
		}
	}
	x.mu.Unlock()
	if strings.Contains(log.String(), "hush-hush") {
		t.Error("the operational log holds the token")
	}
}

func TestDeliveryFaults(t *testing.T) {
	now := time.Now()
	got := deliveryFaults([]delivery.State{
		{Name: "well"}, {Name: "young", Fault: "down", Since: now.Add(-30 * time.Second)},
		{Name: "old", Fault: "down", Since: now.Add(-2 * time.Minute), Lag: 7}, {Name: "stopped", Fault: "forked", Stopped: true, Since: now}, {Name: "refusing", Refused: 3},
	}, now)
	if len(got) != 3 || !strings.Contains(got["old"], "7 entries behind: down") || !strings.Contains(got["stopped"], "forked") || !strings.Contains(got["refusing"], "delivery/refusing.refused") {
		t.Errorf("%v", got)
	}
}
