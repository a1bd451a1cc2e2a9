package deliverytest

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Rsyslog is a real receiver, over TLS.
type Rsyslog struct {
	Origin string // of the log whose entries come
	Port   int    // on loopback
	Roots  *x509.CertPool
	// CAFile holds what a sender trusts.
	CAFile string

	t            testing.TB
	program, dir string
	key          string
	stop         func()
}

// NewRsyslog starts one, which ends with the test.
func NewRsyslog(t testing.TB, origin string) *Rsyslog {
	t.Helper()
	install := "apt-get install rsyslog rsyslog-openssl"
	r := &Rsyslog{Origin: origin, Port: freePort(t), t: t, program: Need(t, "rsyslogd", install), dir: t.TempDir(), stop: func() {}}
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); len(found) == 0 {
		Need(t, "rsyslog's module for OpenSSL", install)
	}
	_, r.CAFile, r.key, r.Roots = Certificate(t, r.dir)
	r.Start()
	t.Cleanup(func() { r.Kill() })
	return r
}

// Kill ends it as hard as it gets.
func (r *Rsyslog) Kill() { r.stop() }

// Start starts it again after [Rsyslog.Kill].
func (r *Rsyslog) Start() {
	r.t.Helper()
	conf := fmt.Sprintf(`global(workDirectory=%q maxMessageSize="128k" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile=%q DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.Authmode="anon")
template(name="raw" type="string" string="%%msgid%% %%structured-data%% %%msg:::drop-last-lf%%\n")
input(type="imtcp" address="127.0.0.1" port="%d" ruleset="in" MaxFrameSize="200000")
ruleset(name="in") { action(type="omfile" file=%q template="raw" flushOnTXEnd="on") }
`, r.dir, r.CAFile, r.CAFile, r.key, r.Port, filepath.Join(r.dir, "out"))
	file := filepath.Join(r.dir, "rsyslog.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		r.t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command(r.program, "-n", "-f", file, "-i", filepath.Join(r.dir, "pid"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.stop = func() {
		_ = cmd.Process.Kill() // as hard as it gets
		_ = cmd.Wait()
		r.stop = func() {}
	}
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port))
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("rsyslog does not listen: %v", err)
		}
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// Indexes reads what it has written.
func (r *Rsyslog) Indexes() (out []uint64) {
	b, err := os.ReadFile(filepath.Join(r.dir, "out"))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		i := strings.IndexByte(line, '{')
		var e struct {
			Origin string
			Index  uint64
		}
		if i < 0 || !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line[i:]), &e) != nil || e.Origin != r.Origin {
			continue // it was killed while it wrote
		}
		out = append(out, e.Index)
	}
	return out
}
