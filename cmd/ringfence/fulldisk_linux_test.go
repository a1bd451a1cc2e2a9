package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDiskFull_Program fills the disk of the access log under the running
// program: requests get 503, readiness says why, and before that how full it
// is; an administrator's sign-in and commands go on, wrong passwords do not; with room all is as before, nothing is
// lost, and a reading that cannot be recorded is refused until asked for twice.
func TestDiskFull_Program(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	logDir := filepath.Join(dir, "log")
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", logDir, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skip("mounting a small file system:", err)
	}
	t.Cleanup(func() { unix.Unmount(logDir, unix.MNT_DETACH) })
	p := startDemo(t, "--data", dir)
	file, gate := filepath.Join(dir, demoConfig), strings.TrimPrefix(p.ready.Gate, "https://gate.localhost:")
	ops := func(path string) (int, string) {
		res, err := http.Get(strings.TrimSuffix(p.ready.Operations, "/") + path)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	// Only the local authority vouches for the gate, and here it is not the point.
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	ask := func(host, path string, form url.Values) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:"+gate+path, nil)
		if form != nil {
			r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL.String(), strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", strings.Repeat("agent ", 150))
		r.Host = host + ":" + gate
		res, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.Header.Get("Retry-After") + string(b)
	}
	eventually(t, 60*time.Second, "the gateway is ready", func() bool { s, _ := ops("/readyz"); return s == http.StatusOK })
	eventually(t, 10*time.Second, "spares", func() bool { _, m := ops("/metrics"); return strings.Contains(m, "ringfence_log_spare_segments 2") })
	if s, _ := ask("nobody.localhost", "/", nil); s != http.StatusMisdirectedRequest {
		t.Fatalf("before: %d", s)
	}
	ballast := filepath.Join(logDir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	status, body := 0, ""
	for n := 0; n < 20000 && status != http.StatusServiceUnavailable; n++ {
		status, body = ask("nobody.localhost", "/"+strings.Repeat("x", 1000), nil)
	}
	if status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "5") {
		t.Fatalf("on a full disk: %d %.200s", status, body)
	}
	if s, b := ops("/readyz"); s != http.StatusServiceUnavailable || !strings.Contains(b, "no room for another segment") {
		t.Errorf("readiness: %d %s", s, b)
	}
	eventually(t, 20*time.Second, "the alarm", func() bool { _, b := ops("/readyz"); return strings.Contains(b, `"access_log_disk":"critical`) })
	wrong := url.Values{"email": {"ines@harbour.example"}, "password": {"not hers"}}
	status = 0
	for n := 0; n < 20 && status != http.StatusServiceUnavailable; n++ {
		status, body = ask("gate.localhost", "/login", wrong)
	}
	if status != http.StatusServiceUnavailable {
		t.Errorf("wrong passwords go on: %d %.300s", status, body)
	}
	p.signIn(t, "ada@harbour.example", 0)
	if got := ringfence(t, "log", "query", "--action", "disk", "--config", file); !strings.Contains(got, "disk") {
		t.Errorf("the alarm's entry: %s", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "room", func() bool { s, _ := ops("/readyz"); return s == http.StatusOK })
	if s, _ := ask("nobody.localhost", "/", nil); s != http.StatusMisdirectedRequest {
		t.Errorf("afterwards: %d", s)
	}
	p.stop(t)
	ringfence(t, "log", "verify", "--config", file)

	// A folder that cannot be written.
	if err := unix.Mount("", logDir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=24m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	refused := program("log", "query", "--limit", "3", "--config", file)
	if b, err := refused.CombinedOutput(); err == nil || !strings.Contains(string(b), "unrecorded") {
		t.Errorf("a reading that cannot be recorded: %v %s", err, b)
	}
	read := program("log", "query", "--limit", "3", "--unrecorded", "--config", file)
	if b, err := read.CombinedOutput(); err != nil || !strings.Contains(string(b), "This reading is not recorded") || strings.Count(string(b), "\n") != 4 {
		t.Errorf("asked for all the same: %v %s", err, b)
	}
}
