package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

// addCluster puts a system of the test behind the gateway and assigns it to kim.
func (p *process) addCluster(t testing.TB, name, upstream, healthPath string) string {
	t.Helper()
	today := time.Now().UTC()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	text := fmt.Sprintf(`version: 1
clusters:
  - name: %[1]s
    title: %[1]s
    classification: internal
    owner: {name: Ines Moreau, email: ines.moreau@harbour.example}
    hosts: [%[1]s.localhost]
    routes:
      - {name: app, path: /, upstreams: ["%[2]s"], health_path: %[3]q}
engagements:
  - name: programs-%[1]s
    vendor: northwind
    title: Programs
    starts: %[4]s
    ends: %[5]s
    clusters: [%[1]s]
assignments:
  - {account: kim@northwind.example, cluster: %[1]s, engagement: programs-%[1]s, starts: %[4]s, ends: %[5]s, access: write, reason: works on it}
`, name, upstream, healthPath, day(-1), day(20))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", file, "--data", p.ready.Data)
	return strings.Replace(p.cluster(t, "claims"), "claims.", name+".", 1)
}

// token makes an access token for a cluster, as the tokens page does.
func (b *browser) token(cluster string) string {
	b.t.Helper()
	pg := b.do(http.MethodPost, b.p.ready.Gate+"/api/v1/tokens", strings.NewReader(fmt.Sprintf(`{"cluster":%q,"name":"test","minutes":30}`, cluster)),
		"Content-Type", "application/json", "Accept", "application/json")
	var out struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(pg.body), &out); err != nil || out.Secret == "" {
		b.t.Fatalf("making a token: %d %s", pg.status, pg.body)
	}
	return out.Secret
}

func TestPrograms(t *testing.T) {
	p := startDemo(t)
	b := p.signIn(t, "kim@northwind.example", 0)
	t.Run("git", func(t *testing.T) { testGit(t, p, b) })
	t.Run("grpc", func(t *testing.T) { testGRPC(t, p, b) })
	t.Run("websocket", func(t *testing.T) { testWebSocket(t, p, b) })
	t.Run("events", func(t *testing.T) { testEvents(t, p, b) })
	t.Run("transfers", func(t *testing.T) { testTransfers(t, p, b) })
	t.Run("application", func(t *testing.T) { testApplication(t, p, b) })
	ringfence(t, "log", "verify", "--data", p.ready.Data)
}

// testGit clones and pushes over HTTPS with a token as the password.
func testGit(t *testing.T, p *process, b *browser) {
	git := need(t, "git", "git")
	out, err := exec.Command(git, "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	root := t.TempDir()
	run := func(dir string, env []string, args ...string) {
		t.Helper()
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(env, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+root)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run(root, nil, "init", "--bare", "--initial-branch=main", "work.git")
	run(filepath.Join(root, "work.git"), nil, "config", "http.receivepack", "true")
	forge := httptest.NewServer(&cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}})
	t.Cleanup(forge.Close)
	base := p.addCluster(t, "forge", forge.URL, "")
	token := b.token("forge")
	remote := strings.Replace(base, "https://", "https://kim:"+token+"@", 1) + "/work.git"
	port := mustURL(t, base).Port()
	env := []string{"GIT_SSL_CAINFO=" + p.ready.CA}
	resolve := []string{"-c", fmt.Sprintf("http.curloptResolve=forge.localhost:%s:127.0.0.1", port)}

	run(root, env, append(resolve, "clone", remote, "copy")...)
	copyDir := filepath.Join(root, "copy")
	if err := os.WriteFile(filepath.Join(copyDir, "notes.txt"), []byte(strings.Repeat("a line of work\n", 200_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(copyDir, nil, "add", ".")
	run(copyDir, nil, "-c", "user.name=Kim", "-c", "user.email=kim@northwind.example", "commit", "-m", "work")
	run(copyDir, env, append(resolve, "push", "origin", "HEAD:main")...)
	run(root, env, append(resolve, "clone", remote, "again")...)
	if _, err := os.Stat(filepath.Join(root, "again", "notes.txt")); err != nil {
		t.Error("what was pushed did not come back:", err)
	}
	if rows := p.entries(t, "--cluster", "forge", "--path", "/work.git/git-receive-pack", "--effect", "allow"); len(rows) == 0 {
		t.Error("the push is not in the log")
	}
}

func testGRPC(t *testing.T, p *process, b *browser) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	checks := health.NewServer()
	healthpb.RegisterHealthServer(srv, checks)
	go func() { _ = srv.Serve(l) }() // ends with Stop
	t.Cleanup(srv.Stop)
	base := p.addCluster(t, "rpc", "h2c://"+l.Addr().String(), "")
	pem, err := os.ReadFile(p.ready.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	host := mustURL(t, base).Host
	conn, err := grpc.NewClient("passthrough:///"+host,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots})),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialLoopback(ctx, "tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	authorized := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+b.token("rpc"))
	res, err := healthpb.NewHealthClient(conn).Check(authorized, &healthpb.HealthCheckRequest{})
	if err != nil || res.Status != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("call: %v %v", res, err)
	}
	stream, err := healthpb.NewHealthClient(conn).Watch(authorized, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Errorf("stream: %v", err)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{}); err == nil {
		t.Error("a call without a token was served")
	}
}

func testWebSocket(t *testing.T, p *process, b *browser) {
	b.get(p.cluster(t, "claims") + "/") // takes the session to the cluster's host
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	target := strings.Replace(p.cluster(t, "claims"), "https://", "wss://", 1) + "/ws"
	tr := p.transport(t)
	tr.ForceAttemptHTTP2 = false
	tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
	client := &http.Client{Transport: tr, Jar: b.client.Jar}
	c, _, err := websocket.Dial(ctx, target, &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Origin": {p.cluster(t, "claims")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for i := range 3 {
		want := fmt.Sprintf("message %d", i)
		if err := c.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != want {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
	if _, _, err := websocket.Dial(ctx, target, &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}}); err == nil {
		t.Error("a page of another origin opened a WebSocket")
	}
}

func testEvents(t *testing.T, p *process, b *browser) {
	b.get(p.cluster(t, "claims") + "/")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.cluster(t, "claims")+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 4096)
	n, err := res.Body.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "event: reading") {
		t.Fatalf("first event: %q %v", buf[:n], err)
	}
	if d := time.Since(started); d > 900*time.Millisecond {
		t.Errorf("the first event was held back for %v", d)
	}
}

// testTransfers moves two gibibytes each way and looks at the gateway's memory.
func testTransfers(t *testing.T, p *process, b *browser) {
	size := int64(256 << 20)
	if required() && !testing.Short() {
		size = 2 << 30
	}
	target := p.cluster(t, "claims")
	b.get(target + "/")
	client := &http.Client{Transport: b.client.Transport, Jar: b.client.Jar}
	before := peakMemory(t, p)
	res, err := client.Get(fmt.Sprintf("%s/download?bytes=%d", target, size))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if err != nil || n != size {
		t.Errorf("download: %d of %d bytes, %v", n, size, err)
	}
	req, err := http.NewRequest(http.MethodPut, target+"/upload", io.LimitReader(zeroes{}, size))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	if res, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	var echo struct{ Bytes int64 }
	err = json.NewDecoder(res.Body).Decode(&echo)
	res.Body.Close()
	if err != nil || echo.Bytes != size {
		t.Errorf("upload: %d of %d bytes, %v", echo.Bytes, size, err)
	}
	if grown := peakMemory(t, p) - before; grown > 64<<20 {
		t.Errorf("the gateway's peak memory grew by %d MiB", grown>>20)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// peakMemory is the largest resident size that the gateway has had.
func peakMemory(t testing.TB, p *process) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("reading the gateway's memory needs Linux's /proc:", err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("/proc has no VmHWM")
	return 0
}

// testApplication runs Prometheus, a web application with scripts, an API and
// pages of its own, unchanged behind the gateway.
func testApplication(t *testing.T, p *process, b *browser) {
	exe := need(t, "prometheus", "prometheus")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte("scrape_configs: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(exe, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+addr)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, 30*time.Second, "Prometheus is ready", func() bool {
		res, err := http.Get("http://" + addr + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	base := p.addCluster(t, "metrics", "http://"+addr, "/-/healthy")
	pg := b.get(base + "/graph")
	if pg.status != http.StatusOK || !strings.Contains(pg.body, "Prometheus") || pg.url.Host != mustURL(t, base).Host {
		t.Fatalf("its page: %d at %s", pg.status, pg.url)
	}
	if pg := b.get(base + "/api/v1/query?query=vector(7)"); pg.status != http.StatusOK || !strings.Contains(pg.body, `"7"`) {
		t.Errorf("its API: %d %s", pg.status, pg.body)
	}
}
