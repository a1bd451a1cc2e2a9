package delivery

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"testing"

	syslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

// TestSyslog_Messages: a parser that is not ours reads frames and messages.
func TestSyslog_Messages(t *testing.T) {
	dir := t.TempDir()
	cert, _, _, roots := deliverytest.Certificate(t, dir)
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
	cert, _, _, roots := deliverytest.Certificate(t, dir)
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

// TestSyslog_Rsyslog: each entry arrives though the receiver is killed and
// started again while entries come.
func TestSyslog_Rsyslog(t *testing.T) {
	dir := t.TempDir()
	r := deliverytest.NewRsyslog(t, testOrigin)
	l := newLog(t, filepath.Join(dir, "log"))
	s, err := NewSyslog(fmt.Sprintf("localhost:%d", r.Port), &tls.Config{RootCAs: r.Roots}, FacilityAudit, &Shape{Format: Ringfence, Origin: testOrigin, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	svc, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "siem", Sender: s, Batch: 100}))
	defer stop()
	for range 3 {
		fill(t, l, 300)
		seen := len(r.Indexes())
		until(t, "some have arrived", func() bool { return len(r.Indexes()) > seen })
		r.Kill()
		fill(t, l, 100)
		r.Start()
	}
	until(t, "all is delivered", func() bool { return svc.States()[0].Lag == 0 })
	has := map[uint64]bool{}
	until(t, "all has arrived", func() bool {
		for _, i := range r.Indexes() {
			has[i] = true
		}
		return uint64(len(has)) == l.Size()
	})
	if svc.States()[0].Failures == 0 {
		t.Error("the receiver was never missed")
	}
}
