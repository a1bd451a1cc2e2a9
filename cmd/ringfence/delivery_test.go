package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDelivery_Commands: what a receiver refuses is listed, left alone until
// somebody says what becomes of it, and that is in the log.
func TestDelivery_Commands(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	x := &indexer{seen: map[int]bool{}, up: true, refuses: 1}
	srv := httptest.NewServer(x)
	defer srv.Close()
	file := filepath.Join(dir, "ringfence.yaml")
	text := fmt.Sprintf("gate: https://gate.localhost:%[1]d\nlisten: 127.0.0.1:%[1]d\nhttp_listen: \"\"\noperations: 127.0.0.1:%[2]d\ndata: state\ntls: {mode: local}\naccess_log:\n  deliver:\n  - {name: siem, to: victorialogs, url: '%[3]s', token_file: token}\n",
		freePort(t), freePort(t), srv.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "init", "--email", "ada@example.com", "--config", file)
	run := func(args ...string) (string, error) {
		out, err := program(append(args, "--config", file)...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("delivery", "status", "--json"); err != nil || !strings.Contains(out, `"name":"siem","kind":"victorialogs","next":0`) || !strings.Contains(out, `"began":false`) {
		t.Errorf("before the first start: %v, %s", err, out)
	}
	var log lockedBuffer
	gw := program("serve", "--config", file)
	gw.Stdout, gw.Stderr = &log, &log
	if err := gw.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = gw.Process.Signal(syscall.SIGTERM)
		_ = gw.Wait()
	}()
	refused := func() string { out, _ := run("delivery", "refused", "siem"); return out }
	eventually(t, 40*time.Second, "an entry is refused", func() bool { return strings.HasPrefix(refused(), "1\t") })
	for _, wrong := range [][]string{{"retry", "siem"}, {"retry", "siem", "7"}, {"skip", "siem", "one"}, {"skip", "other", "--all"}, {"reset", "siem", "--to", "soon"}, {"refused", "../siem"}} {
		if out, err := run(append([]string{"delivery"}, wrong...)...); err == nil {
			t.Errorf("%v: %s", wrong, out)
		}
	}
	x.mu.Lock()
	x.refuses = 0
	x.mu.Unlock()
	if out, err := run("delivery", "retry", "siem", "1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, 20*time.Second, "it was sent again", func() bool { return refused() == "" })
	x.mu.Lock()
	if !x.seen[1] {
		t.Error("the entry did not come")
	}
	x.mu.Unlock()
	if out, err := run("log", "query", "--action", "delivery.retry", "--json"); err != nil || !strings.Contains(out, `"object":"delivery:siem"`) || !strings.Contains(out, `"entries":"1"`) {
		t.Errorf("recorded: %v, %s", err, out)
	}
	if out, err := program("delivery", "schema", "postgres", "--table", "audit.entries").CombinedOutput(); err != nil || !strings.Contains(string(out), `CREATE TABLE IF NOT EXISTS "audit"."entries"`) {
		t.Errorf("schema: %v, %s", err, out)
	}
}
