package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A pebble is a running ACME authority with the DNS server that it asks. It
// rejects some good nonces and orders challenges at random, as its authors
// meant it to.
type pebble struct {
	directory string
	caFile    string         // what its API's certificate leads to
	roots     *x509.CertPool // what its issued certificates lead to
	stop      func()
}

// startPebble runs an authority that validates at httpPort and tlsPort of
// 127.0.0.1, for every name there is.
func startPebble(t *testing.T, httpPort, tlsPort int) *pebble {
	t.Helper()
	tools := buildTools(t)
	dir := t.TempDir()
	ports := freePorts(t, 4)
	api := apiCertificate(t, dir)

	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":           addr(ports[0]),
		"managementListenAddress": addr(ports[1]),
		"certificate":             api.Certificate,
		"privateKey":              api.Key,
		"httpPort":                httpPort,
		"tlsPort":                 tlsPort,
		"keyAlgorithm":            "ecdsa",
		"retryAfter":              map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configFile := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		t.Fatal(err)
	}
	stopDNS := startTool(t, exec.Command(filepath.Join(tools, "pebble-challtestsrv"), "-dnsserver", addr(ports[2]), "-management", addr(ports[3]),
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""), ports[3])
	cmd := exec.Command(filepath.Join(tools, "pebble"), "-config", configFile, "-dnsserver", addr(ports[2]), "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	stopACME := startTool(t, cmd, ports[0])

	p := &pebble{
		directory: "https://localhost:" + strconv.Itoa(ports[0]) + "/dir",
		caFile:    filepath.Join(dir, "authority", "ca.pem"),
		stop:      func() { stopACME(); stopDNS() },
	}
	p.roots = p.fetchRoots(t, ports[1])
	return p
}

func (p *pebble) fetchRoots(t *testing.T, port int) *x509.CertPool {
	t.Helper()
	ca, err := os.ReadFile(p.caFile)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(t, ca)}}}
	defer client.CloseIdleConnections()
	var body []byte
	eventually(t, 20*time.Second, func() error {
		resp, err := client.Get("https://localhost:" + strconv.Itoa(port) + "/roots/0")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		return err
	})
	return roots(t, body)
}

var tools struct {
	once sync.Once
	dir  string
	err  error
}

// buildTools builds the authority once for all tests, from the versions that
// go.mod pins. Where it cannot be built the test is skipped, unless
// RINGFENCE_TEST_REQUIRE=all demands it.
func buildTools(t *testing.T) string {
	t.Helper()
	tools.once.Do(func() {
		if tools.dir, tools.err = os.MkdirTemp("", "ringfence-pebble-"); tools.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", tools.dir+"/", "github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv")
		if out, err := cmd.CombinedOutput(); err != nil {
			tools.err = fmt.Errorf("building pebble: %w: %s", err, out)
		}
	})
	if tools.err == nil {
		return tools.dir
	}
	if os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" {
		t.Fatal(tools.err)
	}
	t.Skip(tools.err)
	return ""
}

func TestMain(m *testing.M) {
	code := m.Run()
	if tools.dir != "" {
		os.RemoveAll(tools.dir)
	}
	os.Exit(code)
}

// startTool runs cmd until the test ends or stop is called, and waits for its port.
func startTool(t *testing.T, cmd *exec.Cmd, port int) (stop func()) {
	t.Helper()
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), out.String())
		}
	})
	eventually(t, 20*time.Second, func() error {
		c, err := net.Dial("tcp", addr(port))
		if err == nil {
			c.Close()
		}
		return err
	})
	return stop
}

// A lockedBuffer is written by programs and loggers and read when a test failed.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// apiCertificate makes the certificate of the authority's own API.
func apiCertificate(t *testing.T, dir string) Pair {
	t.Helper()
	return writePair(t, dir, "api", time.Now(), "localhost")
}

// freePorts returns ports of 127.0.0.1 that nothing listens on now.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports[i] = ln.Addr().(*net.TCPAddr).Port
	}
	return ports
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// eventually tries until try succeeds, for as long as most.
func eventually(t *testing.T, most time.Duration, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %v", most, err)
		case <-tick.C:
		}
	}
}
