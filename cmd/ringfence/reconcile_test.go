package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReconcile_Nginx works through the gateway on a real nginx, goes round the
// gateway once, and compares nginx's own log with ours: it finds that request
// and, once a line is taken out, that entry. One of the two clusters is relaxed.
func TestReconcile_Nginx(t *testing.T) {
	t.Parallel()
	slow(t)
	nginx := need(t, "nginx", "nginx-light")
	dir := t.TempDir()
	port := freePort(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events {}
http {
	log_format entry '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_ringfence_entry"';
	log_format entry_json escape=json '{"method":"$request_method","uri":"$request_uri","status":"$status","http_x_ringfence_entry":"$http_x_ringfence_entry"}';
	access_log %[1]s/access.log entry; access_log %[1]s/access.json entry_json;
	client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen 127.0.0.1:%[2]d; location / { default_type text/plain; return 200 $uri; } location /gone { return 404; } }
}`, dir, port)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(nginx, "-p", dir, "-c", file, "-e", "stderr")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("nginx does not listen")
		}
	}

	p := startDemo(t)
	b := p.signIn(t, "kim@northwind.example", 0)
	base := p.addCluster(t, "docs", "http://"+addr, "/healthz")
	text := ringfence(t, "export", "--data", p.ready.Data)
	relaxed := filepath.Join(dir, "relaxed.yaml")
	if err := os.WriteFile(relaxed, []byte(strings.Replace(text, "hosts: [docs.localhost]", "hosts: [docs.localhost]\n    log_mode: relaxed", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	get := func(path string, status int) {
		t.Helper()
		if pg := b.get(base + path); pg.status != status || !strings.Contains(pg.header.Get("X-Ringfence-Entry"), "#") {
			t.Fatalf("%s: %d, entry %q", path, pg.status, pg.header.Get("X-Ringfence-Entry"))
		}
	}
	for i := range 10 {
		get(fmt.Sprintf("/doc/%d?page=2", i), 200)
	}
	get("/gone", 404)
	ringfence(t, "apply", "-f", relaxed, "--data", p.ready.Data)
	for i := range 10 {
		get(fmt.Sprintf("/fast/%d", i), 200)
	}
	modes := map[string]int{}
	for _, e := range p.entries(t, "--cluster", "docs", "--type", "request", "--effect", "allow", "--limit", "500") {
		modes[fmt.Sprint(e["mode"])]++
	}
	if modes["strict"] < 11 || modes["relaxed"] != 10 {
		t.Errorf("modes of the entries: %v", modes)
	}
	compare := func(args ...string) (string, int) {
		cmd := program(append([]string{"log", "reconcile", "--data", p.ready.Data}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	text1 := filepath.Join(dir, "access.log")
	if out, code := compare(text1); code != 0 || !strings.Contains(out, "Everything fits") {
		t.Fatalf("before: %d\n%s", code, out)
	}
	res, err := http.Get("http://" + addr + "/doc/secret") // round the gateway
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	get("/doc/last", 200)
	for _, name := range []string{"access.log", "access.json"} {
		if out, code := compare(filepath.Join(dir, name)); code != 1 || strings.Count(out, "no entry  ") != 1 || !strings.Contains(out, "/doc/secret") {
			t.Errorf("%s with a request round the gateway: %d\n%s", name, code, out)
		}
	}
	lines, err := os.ReadFile(text1)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.DeleteFunc(strings.SplitAfter(string(lines), "\n"), func(l string) bool { return strings.Contains(l, "/doc/5?") || strings.Contains(l, "/doc/secret") })
	cut := filepath.Join(dir, "cut.log")
	if err := os.WriteFile(cut, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := compare(cut, "--json")
	var f struct {
		Kind, Path string
		Index      uint64
	}
	first, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(first), &f); err != nil || code != 1 || f.Kind != "no_request" || f.Path != "/doc/5" || f.Index == 0 {
		t.Errorf("with a line taken out: %d %v\n%s", code, err, out)
	}
	if n := len(p.entries(t, "--action", "log.reconcile")); n != 4 {
		t.Errorf("%d readings are recorded, want 4", n)
	}
}
