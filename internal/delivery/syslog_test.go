package delivery

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	syslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

// TestSyslog_Messages: a parser that is not ours reads frames and messages.
func TestSyslog_Messages(t *testing.T) {
	dir := t.TempDir()
	cert, _, _, roots := newCertificate(t, dir)
	for _, format := range []Format{Ringfence, OCSF, ECS, CEF} {
		ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan *rfc5424.SyslogMessage, 100)
		go func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			octetcounting.NewParser(syslog.WithListener(func(r *syslog.Result) {
				if r.Error != nil {
					t.Errorf("%s: %v", format, r.Error)
				}
				if m, ok := r.Message.(*rfc5424.SyslogMessage); ok {
					got <- m
				}
			}), syslog.WithMaxMessageLength(128<<10)).Parse(c)
		}()
		s, err := NewSyslog(ln.Addr().String(), &tls.Config{RootCAs: roots}, FacilityAudit, &Shape{Format: format, Origin: testOrigin, Version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		s.settle = 1
		for name, e := range samples(t) {
			if err := s.Send(t.Context(), batchOf(e)); err != nil {
				t.Fatal(err)
			}
			m := <-got
			line, err := s.shape.line(e)
			if err != nil {
				t.Fatal(err)
			}
			if *m.Facility != FacilityAudit || *m.Severity != severity(e) || *m.Appname != "ringfence" || *m.MsgID != string(e.Type) || *m.Hostname != "node-1" ||
				(*m.StructuredData)["meta"]["sequenceId"] != "4712" || *m.Message != string(line) {
				t.Errorf("%s %s: %+v", format, name, m)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		_ = ln.Close()
	}
}

// TestSyslog_Refusals: no TLS that cannot be trusted, and no success for a
// receiver that hangs up behind the batch.
func TestSyslog_Refusals(t *testing.T) {
	dir := t.TempDir()
	cert, _, _, roots := newCertificate(t, dir)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(c).ReadByte()
			_ = c.Close()
		}
	}()
	e := samples(t)["deny"]
	shape := &Shape{Format: Ringfence, Origin: testOrigin}
	for name, conf := range map[string]*tls.Config{"strange authority": nil, "hangs up": {RootCAs: roots}} {
		s, err := NewSyslog(ln.Addr().String(), conf, 1, shape)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), batchOf(e)); err == nil {
			t.Errorf("%s: the batch counts as delivered", name)
		}
	}
}

// A rsyslog is a real receiver.
type rsyslog struct {
	t            *testing.T
	program, dir string
	port         int
	certificate  string
	key          string
	stop         func()
}

func (r *rsyslog) start() {
	r.t.Helper()
	conf := fmt.Sprintf(`global(workDirectory=%q maxMessageSize="128k" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile=%q DefaultNetstreamDriverCertFile=%q DefaultNetstreamDriverKeyFile=%q)
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.Authmode="anon")
template(name="raw" type="string" string="%%msgid%% %%structured-data%% %%msg:::drop-last-lf%%\n")
input(type="imtcp" address="127.0.0.1" port="%d" ruleset="in" MaxFrameSize="200000")
ruleset(name="in") { action(type="omfile" file=%q template="raw" flushOnTXEnd="on") }
`, r.dir, r.certificate, r.certificate, r.key, r.port, filepath.Join(r.dir, "out"))
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
	until(r.t, "rsyslog listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// indexes reads what the receiver has written.
func (r *rsyslog) indexes() (out []uint64) {
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
		if i < 0 || !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line[i:]), &e) != nil || e.Origin != testOrigin {
			continue // it was killed while it wrote
		}
		out = append(out, e.Index)
	}
	return out
}

// TestSyslog_Rsyslog: each entry arrives though the receiver is killed and
// started again while entries come.
func TestSyslog_Rsyslog(t *testing.T) {
	install := "apt-get install rsyslog rsyslog-openssl"
	program := need(t, "rsyslogd", install)
	if found, _ := filepath.Glob("/usr/lib/*/rsyslog/lmnsd_ossl.so"); len(found) == 0 {
		program = need(t, "rsyslog's module for OpenSSL", install)
	}
	dir := t.TempDir()
	_, cert, key, roots := newCertificate(t, dir)
	r := &rsyslog{t: t, program: program, dir: dir, port: freePort(t), certificate: cert, key: key}
	r.start()
	defer func() { r.stop() }()
	l := newLog(t, filepath.Join(dir, "log"))
	s, err := NewSyslog(fmt.Sprintf("localhost:%d", r.port), &tls.Config{RootCAs: roots}, FacilityAudit, &Shape{Format: Ringfence, Origin: testOrigin, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	svc, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: s, Batch: 100}))
	defer stop()
	for range 3 {
		fill(t, l, 300)
		seen := len(r.indexes())
		until(t, "some have arrived", func() bool { return len(r.indexes()) > seen })
		r.stop()
		fill(t, l, 100)
		r.start()
	}
	until(t, "all is delivered", func() bool { return svc.States()[0].Lag == 0 })
	has := map[uint64]bool{}
	until(t, "all has arrived", func() bool {
		for _, i := range r.indexes() {
			has[i] = true
		}
		return uint64(len(has)) == l.Size()
	})
	if svc.States()[0].Failures == 0 {
		t.Error("the receiver was never missed")
	}
}
