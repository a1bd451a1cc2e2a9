package mail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

var sample = Message{ID: "not_0123456789abcdef", To: "kim@vendor.example", Subject: "Your password was changed", Text: "Good day.\n\nIt was changed.\n.\nÜber alles: ✓\n", Created: time.Date(2026, 3, 12, 9, 30, 0, 0, time.UTC)}

func newSender(t *testing.T, c Config) *Sender {
	t.Helper()
	s, err := NewSender(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parse reads a mail as its reader's program does.
func parse(t *testing.T, m taken) (netmail.Header, string) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(m.data))
	if err != nil {
		t.Fatal(err)
	}
	body := io.Reader(msg.Body)
	if msg.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return msg.Header, strings.ReplaceAll(string(b), "\r\n", "\n")
}

func TestSend(t *testing.T) {
	for _, mode := range []string{StartTLS, TLS, NoTLS} {
		t.Run(mode, func(t *testing.T) {
			srv := newServer(t, mode)
			s := newSender(t, srv.config(mode))
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), sample); err != nil {
				t.Fatal(err)
			}
			got := srv.mails()
			if len(got) != 1 || got[0].from != "gate@example.com" || got[0].to != sample.To {
				t.Fatalf("the server took %+v", got)
			}
			if got[0].secure != (mode != NoTLS) || (mode != NoTLS) != (len(srv.users) > 0) {
				t.Errorf("encrypted %v, authenticated as %v", got[0].secure, srv.users)
			}
			h, body := parse(t, got[0])
			if h.Get("From") != `"Ringfence" <gate@example.com>` || h.Get("To") != "<kim@vendor.example>" || h.Get("Subject") != sample.Subject ||
				h.Get("Auto-Submitted") != "auto-generated" || h.Get("Message-Id") != "<not_0123456789abcdef@example.com>" || h.Get("Bcc")+h.Get("Cc")+h.Get("User-Agent") != "" {
				t.Errorf("headers %v", h)
			}
			if at, err := h.Date(); err != nil || !at.Equal(sample.Created) {
				t.Errorf("dated %v, %v", at, err)
			}
			if strings.TrimRight(body, "\n") != strings.TrimRight(sample.Text, "\n") {
				t.Errorf("the text is %q", body)
			}
		})
	}
}

// Header injection: nothing that a person or client wrote becomes a header, a
// recipient or the end of the mail.
func TestSend_HeaderInjection(t *testing.T) {
	srv := newServer(t, NoTLS)
	s := newSender(t, srv.config(NoTLS))
	const evil = "x\r\nBcc: all@evil.example\r\n\r\n<html>\r\n.\r\nMAIL FROM:<root@evil.example>\r\n"
	for _, subject := range []string{evil, "x\nBcc: all@evil.example", "x\rBcc: all@evil.example", "x\u2028Bcc: all@evil.example", "\x00\x1b[2J", "=?utf-8?q?x=0d=0aBcc:_all=40evil.example?=", strings.Repeat("ü", 500), "\xff\xfe"} {
		m := sample
		m.Subject, m.Text = subject, evil
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatalf("%q: %v", subject, err)
		}
		got := srv.mails()
		last := got[len(got)-1]
		h, body := parse(t, last)
		if last.to != m.To || last.from != "gate@example.com" || h.Get("Bcc") != "" || len(h["Subject"]) != 1 {
			t.Errorf("%q: became %+v", subject, h)
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if err != nil || strings.ContainsAny(decoded, "\r\n\x00\x1b") && !strings.HasPrefix(subject, "=?") {
			t.Errorf("%q: the subject is %q, %v", subject, decoded, err)
		}
		if !strings.Contains(body, "MAIL FROM:<root@evil.example>") || strings.Contains(body, "\x1b") {
			t.Errorf("%q: the text is %q", subject, body)
		}
	}
	before := len(srv.mails())
	for _, to := range []string{"", "kim", "kim@vendor.example\r\nRCPT TO:<all@evil.example>", "kim@vendor.example, all@evil.example", "Kim <kim@vendor.example>", "<kim@vendor.example>", "kim@vendor.example\n", "kim@vendor.example\x00", "\"a\r\nb\"@vendor.example"} {
		m := sample
		m.To = to
		if err := s.Send(t.Context(), m); !errors.Is(err, ErrPermanent) {
			t.Errorf("to %q: %v", to, err)
		}
	}
	for _, id := range []string{"a>\r\nBcc: x@y", "a b", "ä"} {
		m := sample
		m.ID = id
		if err := s.Send(t.Context(), m); !errors.Is(err, ErrPermanent) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	if n := len(srv.mails()); n != before {
		t.Errorf("%d more mails were taken", n-before)
	}
}

// What goes away by itself is told from what does not.
func TestSend_Faults(t *testing.T) {
	srv := newServer(t, StartTLS)
	answer := func(code int) func(string) error {
		return func(string) error {
			return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "as the test says"}
		}
	}
	for code, permanent := range map[int]bool{421: false, 450: false, 451: false, 452: false, 550: true, 553: true, 554: true} {
		srv.refuse = answer(code)
		err := newSender(t, srv.config(StartTLS)).Send(t.Context(), sample)
		if err == nil || errors.Is(err, ErrPermanent) != permanent {
			t.Errorf("%d: permanent %v: %v", code, errors.Is(err, ErrPermanent), err)
		}
	}
	srv.refuse = nil
	for what, edit := range map[string]func(*Config){
		"a wrong password":              func(c *Config) { c.Password = "wrong" },
		"nobody listens":                func(c *Config) { c.Port = closedPort(t) },
		"an unknown certificate":        func(c *Config) { c.RootCAs = nil },
		"a name that is not the server": func(c *Config) { c.Server = "127.0.0.1" },
		"TLS where STARTTLS is spoken":  func(c *Config) { c.TLS = TLS; c.Timeout = time.Second },
	} {
		c := srv.config(StartTLS)
		edit(&c)
		s := newSender(t, c)
		for _, err := range []error{s.Send(t.Context(), sample), s.Check(t.Context())} {
			if err == nil || errors.Is(err, ErrPermanent) || strings.Contains(err.Error(), smtpPassword) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	// STARTTLS is demanded: a server, or somebody in between, that does not offer it gets no mail.
	plain := newServer(t, NoTLS)
	c := plain.config(StartTLS)
	if err := newSender(t, c).Send(t.Context(), sample); err == nil || len(plain.mails()) > 0 || len(plain.users) > 0 {
		t.Errorf("without STARTTLS: %v", err)
	}
}

// A server that takes its time ends in an error, not in a wait without end.
func TestSend_SlowServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close() // and says nothing
		}
	}()
	s := newSender(t, Config{Server: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, TLS: NoTLS, From: "gate@example.com", Timeout: 100 * time.Millisecond})
	if err := s.Send(t.Context(), sample); err == nil || errors.Is(err, ErrPermanent) {
		t.Errorf("a silent server: %v", err)
	}
	stalled := newServer(t, NoTLS)
	stalled.stall = make(chan struct{})
	defer close(stalled.stall)
	c := stalled.config(NoTLS)
	c.Timeout = 200 * time.Millisecond
	if err := newSender(t, c).Send(t.Context(), sample); err == nil || errors.Is(err, ErrPermanent) {
		t.Errorf("a server that stalls: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, sample); err == nil {
		t.Error("sent after the end")
	}
}

func TestNewSender(t *testing.T) {
	good := Config{Server: "smtp.example.com", From: "gate@example.com"}
	newSender(t, good)
	for what, edit := range map[string]func(*Config){
		"no server":                  func(c *Config) { c.Server = "" },
		"no sender":                  func(c *Config) { c.From = "" },
		"two senders":                func(c *Config) { c.From = "a@example.com, b@example.com" },
		"a sender with a line":       func(c *Config) { c.From = "a@example.com\r\nBcc: b@example.com" },
		"an unknown TLS":             func(c *Config) { c.TLS = "maybe" },
		"a password in the open":     func(c *Config) { c.TLS, c.Username = NoTLS, "u" },
		"a port that there is not":   func(c *Config) { c.Port = 70000 },
		"a negative port":            func(c *Config) { c.Port = -1 },
		"a sender without a mailbox": func(c *Config) { c.From = "example.com" },
	} {
		c := good
		edit(&c)
		if _, err := NewSender(c); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	good.Password = "canary"
	for _, s := range []string{fmt.Sprint(good), fmt.Sprintf("%+v %#v", good, good), good.LogValue().String()} {
		if strings.Contains(s, "canary") {
			t.Errorf("the password is shown: %s", s)
		}
	}
}
