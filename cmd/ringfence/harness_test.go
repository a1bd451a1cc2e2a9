package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

// asRingfence makes this test binary behave as the program itself.
const asRingfence = "RINGFENCE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asRingfence) != "" {
		os.Exit(run())
	}
	testscript.Main(m, map[string]func(){"ringfence": func() { os.Exit(run()) }})
}

// required reports whether a missing program must fail a test rather than skip it.
func required() bool { return os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" }

// slow leaves a test that starts many processes out of short runs: those are
// for the race detector, which looks at the same code in other packages' tests.
func slow(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts many processes")
	}
}

// need finds a program, or skips with the line that installs it.
func need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if required() {
		t.Fatalf("%s is not installed: apt-get install %s", program, debianPackage)
	}
	t.Skipf("%s is not installed: apt-get install %s", program, debianPackage)
	return ""
}

// A process is one running ringfence.
type process struct {
	cmd    *exec.Cmd
	ready  demoReady
	output *lockedBuffer
	done   chan struct{} // closed once it has ended
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// program returns a command that runs ringfence.
func program(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asRingfence+"=1")
	return cmd
}

// ringfence runs a command to its end and returns its standard output.
func ringfence(t testing.TB, args ...string) string {
	t.Helper()
	cmd := program(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ringfence %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// startDemo runs a demo on free ports and waits until it serves. The demo
// ends with the test.
func startDemo(t testing.TB, args ...string) *process {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	return start(t, ready, append([]string{"demo", "--listen", "127.0.0.1:0", "--ready-file", ready}, args...)...)
}

func start(t testing.TB, ready string, args ...string) *process {
	t.Helper()
	p := &process{cmd: program(args...), output: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit status is asked for where it matters
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("output of ringfence:\n%s", p.output)
		}
	})
	eventually(t, 60*time.Second, "the demo serves", func() bool {
		select {
		case <-p.done:
			t.Fatalf("ringfence ended early:\n%s", p.output)
		default:
		}
		b, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(b, &p.ready) == nil
	})
	return p
}

// stop interrupts the process and waits for it.
func (p *process) stop(t testing.TB) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		t.Errorf("ringfence did not stop:\n%s", p.output)
	}
}

// kill ends the process at once, as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// eventually waits for a condition and fails the test when it stays false.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited %v in vain until %s", within, what)
}

func (p *process) account(t testing.TB, email string) demoAccount {
	t.Helper()
	for _, a := range p.ready.Accounts {
		if a.Email == email {
			return a
		}
	}
	t.Fatalf("the demo has no account %s", email)
	return demoAccount{}
}

func (p *process) cluster(t testing.TB, name string) string {
	t.Helper()
	for _, c := range p.ready.Clusters {
		if c.Name == name {
			return strings.TrimSuffix(c.URL, "/")
		}
	}
	t.Fatalf("the demo has no cluster %s", name)
	return ""
}

// transport trusts the demo's authority and knows where *.localhost is.
func (p *process) transport(t testing.TB) *http.Transport {
	t.Helper()
	pem, err := os.ReadFile(p.ready.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the demo's authority is no certificate")
	}
	tr := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		DialContext:         dialLoopback,
		MaxIdleConnsPerHost: 256,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
}

// A browser is an HTTP client with cookies that asks as a browser does.
type browser struct {
	t      testing.TB
	p      *process
	client *http.Client
	accept string
	email  string // whose it is, where a test sets it
}

func (p *process) browser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, p, &http.Client{Transport: p.transport(t), Jar: jar, Timeout: 30 * time.Second}, "text/html,application/xhtml+xml", ""}
}

// A page is an answer, read whole.
type page struct {
	status int
	url    *url.URL
	header http.Header
	body   string
}

func (b *browser) do(method, target string, body io.Reader, header ...string) page {
	b.t.Helper()
	pg, err := b.try(method, target, body, header...)
	if err != nil {
		b.t.Fatal(err)
	}
	return pg
}

func (b *browser) try(method, target string, body io.Reader, header ...string) (page, error) {
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Accept", b.accept)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	return page{res.StatusCode, res.Request.URL, res.Header, string(all)}, err
}

func (b *browser) get(target string, header ...string) page {
	b.t.Helper()
	return b.do(http.MethodGet, target, nil, header...)
}

func (b *browser) post(target string, form url.Values) page {
	b.t.Helper()
	return b.do(http.MethodPost, target, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// code returns a code for the account, steps time steps from now. A code is
// good once, so a second sign-in within 30 seconds takes the next step's.
func code(t testing.TB, a demoAccount, steps int) string {
	t.Helper()
	c, err := totp.GenerateCode(secretOf(a.OTPAuth), time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signIn goes through the forms as the account's owner.
func (p *process) signIn(t testing.TB, email string, steps int) *browser {
	t.Helper()
	b := p.browser(t)
	a := p.account(t, email)
	if pg := b.post(p.ready.Gate+"/login", url.Values{"email": {a.Email}, "password": {a.Password}}); pg.status != 200 || pg.url.Path != "/login/code" {
		t.Fatalf("password of %s: %d at %s\n%s", email, pg.status, pg.url, pg.body)
	}
	if pg := b.post(p.ready.Gate+"/login/code", url.Values{"code": {code(t, a, steps)}}); pg.status != 200 || (pg.url.Path != "/" && pg.url.Path != "/console/") {
		t.Fatalf("code of %s: %d at %s", email, pg.status, pg.url)
	}
	return b
}

// entries asks the log with the command.
func (p *process) entries(t testing.TB, args ...string) []map[string]any {
	t.Helper()
	out := ringfence(t, append([]string{"log", "query", "--json", "--data", p.ready.Data}, args...)...)
	var rows []map[string]any
	for line := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("log query printed %q: %v", line, err)
		}
		rows = append(rows, row)
	}
	return rows
}

func reasonsOf(t testing.TB, body string) string {
	t.Helper()
	var e struct {
		Error struct {
			Code      string
			Message   string
			RequestID string `json:"request_id"`
			Reasons   []struct{ Code, Message, Help string }
		}
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("refusal is no JSON: %v\n%s", err, body)
	}
	if e.Error.Message == "" || e.Error.RequestID == "" {
		t.Errorf("refusal says too little: %s", body)
	}
	var codes []string
	for _, r := range e.Error.Reasons {
		if r.Message == "" {
			t.Errorf("reason %s has no words", r.Code)
		}
		codes = append(codes, r.Code)
	}
	return strings.Join(codes, ",")
}

// freePort returns a port on loopback that nobody listens on.
func freePort(t interface{ Fatalf(string, ...any) }) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("finding a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
