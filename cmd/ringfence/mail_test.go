package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A postbox is an SMTP server that keeps what it takes: recipient, line feed, mail.
type postbox struct {
	mu    sync.Mutex
	taken []string
}

func (p *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &postSession{p: p}, nil }

func (p *postbox) mails(to string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.taken {
		if rest, ok := strings.CutPrefix(m, to+"\n"); ok {
			out = append(out, rest)
		}
	}
	return out
}

type postSession struct {
	p  *postbox
	to string
}

func (s *postSession) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *postSession) Reset()                                    { s.to = "" }
func (s *postSession) Logout() error                             { return nil }
func (s *postSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	// Soft line breaks of quoted-printable are undone, so that links are whole.
	s.p.taken = append(s.p.taken, s.to+"\n"+strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(b)))
	return nil
}

// An invitation that a command asked for is kept while no gateway runs and the
// mail server is down, and sent once both are there.
func TestMail_EndToEnd(t *testing.T) {
	t.Parallel()
	slow(t)
	file := filepath.Join(t.TempDir(), "ringfence.yaml")
	smtpPort, gatePort := freePort(t), freePort(t)
	write := func(mail string) {
		t.Helper()
		text := fmt.Sprintf("gate: https://gate.localhost:%d\nlisten: 127.0.0.1:%d\nhttp_listen: \"\"\noperations: 127.0.0.1:%d\ndata: state\ntls: {mode: local}\n%s", gatePort, gatePort, freePort(t), mail)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(fails bool, args ...string) string {
		t.Helper()
		b, err := program(append(args, "--config", file)...).CombinedOutput()
		if (err != nil) != fails {
			t.Fatalf("%v: %v\n%s", args, err, b)
		}
		return string(b)
	}
	write("")
	run(false, "init", "--email", "ada@example.com")
	for _, args := range [][]string{{"mail", "test", "desk@example.com"}, {"account", "invite", "ada@example.com", "--mail"},
		{"account", "invite", "rae@example.com", "--role", "reviewer", "--mail"}} { // and makes no account: below it is a new one
		if out := run(true, args...); !strings.Contains(out, "no mail server is configured") {
			t.Errorf("%v without a server: %s", args, out)
		}
	}
	write(fmt.Sprintf("mail: {server: 127.0.0.1, port: %d, tls: none, from: Ringfence <gate@example.com>}\n", smtpPort))
	run(false, "check") // connects to nothing
	if out := run(true, "check", "--mail"); !strings.Contains(out, "reaching the mail server") {
		t.Errorf("check --mail without a server: %s", out)
	}
	out := run(false, "account", "invite", "rae@example.com", "--role", "reviewer", "--mail", "--phone-code")
	number := regexp.MustCompile(`(?m)^\d{6}$`).FindString(out)
	if number == "" || strings.Contains(out, "invite=") {
		t.Fatalf("inviting by mail and telephone says %s", out)
	}

	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", smtpPort))
	if err != nil {
		t.Fatal(err)
	}
	box := new(postbox)
	server := smtp.NewServer(box)
	served := make(chan struct{})
	go func() { _ = server.Serve(l); close(served) }() // it ends by being closed
	defer func() { _ = server.Close(); <-served }()
	run(false, "check", "--mail")
	run(false, "mail", "test", "desk@example.com")
	if got := box.mails("desk@example.com"); len(got) != 1 || !strings.Contains(got[0], "Subject: Mail from Ringfence works") {
		t.Errorf("the test mail is %q", got)
	}

	gw := program("serve", "--config", file)
	var log lockedBuffer
	gw.Stdout, gw.Stderr = &log, &log
	if err := gw.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = gw.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := gw.Wait(); err != nil {
			t.Errorf("the gateway ended with %v\n%s", err, &log)
		}
	}()
	eventually(t, 40*time.Second, "the invitation arrives", func() bool { return len(box.mails("rae@example.com")) > 0 })
	got := box.mails("rae@example.com")[0]
	if !strings.Contains(got, fmt.Sprintf("https://gate.localhost:%d/enrol?invite=", gatePort)) || strings.Contains(got, number) {
		t.Errorf("the invitation is\n%s", got)
	}
	// A reset tells the account's owner, from a command too.
	run(false, "account", "reset-factor", "rae@example.com")
	eventually(t, 40*time.Second, "the owner is told of a reset", func() bool { return len(box.mails("rae@example.com")) > 1 })
	if got := box.mails("rae@example.com")[1]; !strings.Contains(got, "Subject: Your sign-in was reset") || strings.Contains(got, "invite=") {
		t.Errorf("the notice is\n%s", got)
	}
	if strings.Contains(log.String(), "invite=") || strings.Contains(log.String(), number) {
		t.Error("the operational log holds a secret")
	}
}
