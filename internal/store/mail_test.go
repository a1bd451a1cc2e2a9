package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/internal/mail"
)

// A postman takes mails, or says what fail says.
type postman struct {
	mu   sync.Mutex
	fail func(mail.Message) error
	got  []mail.Message
}

func (p *postman) Send(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(m); err != nil {
			return err
		}
	}
	p.got = append(p.got, m)
	return nil
}

type mailEnv struct {
	*authtest.Env
	db   *DB
	path string
	post *postman
	sent []string
}

func newMailEnv(t *testing.T) *mailEnv {
	e, db, path := signInEnv(t)
	return &mailEnv{Env: e, db: db, path: path, post: new(postman)}
}

func (e *mailEnv) outbox(t *testing.T, db *DB) *mail.Outbox {
	t.Helper()
	o, err := mail.NewOutbox(mail.OutboxConfig{Queue: db, Sender: e.post, Seal: e.SealMail, Open: e.OpenMail, Now: e.Clock.Now, Logger: slog.New(slog.DiscardHandler),
		Sent: func(_ context.Context, q mail.Queued) { e.sent = append(e.sent, q.Warning) }})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func put(t *testing.T, o *mail.Outbox, id string) {
	t.Helper()
	if err := o.Put(t.Context(), mail.Queued{ID: id, Kind: "invitation", Account: authtest.Kim.ID, To: authtest.Kim.Email, Warning: "w-" + id}, "Subject of "+id, "https://gate.example.com/enrol?invite=CANARY"); err != nil {
		t.Fatal(err)
	}
}

func round(t *testing.T, o *mail.Outbox) {
	t.Helper()
	if err := o.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What waits survives a restart, encrypted, and is sent once by one of the nodes.
func TestOutboxOfMails_SurvivesARestart(t *testing.T) {
	e := newMailEnv(t)
	e.post.fail = func(mail.Message) error { return errors.New("connection refused") }
	o := e.outbox(t, e.db)
	put(t, o, "m1")
	put(t, o, "m2")
	round(t, o)
	if s := o.State(); s.Waiting != 2 || s.Fault != "connection refused" || !s.Oldest.Equal(e.Clock.Now()) {
		t.Errorf("state %+v", s)
	}
	if _, err := e.db.writer.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(e.path + "*")
	for _, name := range files {
		if b, err := os.ReadFile(name); err != nil || bytes.Contains(b, []byte("CANARY")) || bytes.Contains(b, []byte("Subject of")) {
			t.Errorf("%s holds what a mail says (%v)", name, err)
		}
	}
	if err := e.db.Close(); err != nil {
		t.Fatal(err)
	}
	e.post.fail = nil
	one, two := e.outbox(t, open(t, Config{Path: e.path})), e.outbox(t, open(t, Config{Path: e.path}))
	round(t, one) // not due yet
	if len(e.post.got) != 0 {
		t.Fatal("tried again at once")
	}
	e.Clock.Advance(time.Minute)
	var wg sync.WaitGroup
	for _, o := range []*mail.Outbox{one, two} {
		wg.Go(func() {
			if err := o.Round(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(e.post.got) != 2 || e.post.got[0].To != authtest.Kim.Email || !strings.HasPrefix(e.post.got[0].Subject, "Subject of m") || !strings.Contains(e.post.got[0].Text, "CANARY") {
		t.Fatalf("sent %+v", e.post.got)
	}
	slices.Sort(e.sent)
	if !slices.Equal(e.sent, []string{"w-m1", "w-m2"}) {
		t.Errorf("told to be sent: %v", e.sent)
	}
	round(t, one)
	if s := one.State(); s.Waiting != 0 || len(s.GivenUp) != 0 {
		t.Errorf("state %+v", s)
	}
}

// Tries come at growing distances, and end.
func TestOutboxOfMails_TriesAndGivesUp(t *testing.T) {
	e := newMailEnv(t)
	tries := 0
	e.post.fail = func(mail.Message) error { tries++; return errors.New("450 later\r\nX: y") }
	o := e.outbox(t, e.db)
	put(t, o, "m1")
	began := e.Clock.Now()
	for e.Clock.Now().Sub(began) < 49*time.Hour {
		round(t, o)
		e.Clock.Advance(time.Minute)
	}
	// After 1, 2, 4, … 32 minutes, then each hour, for two days.
	if tries < 45 || tries > 60 {
		t.Errorf("%d tries", tries)
	}
	s := o.State()
	if s.Waiting != 0 || len(s.GivenUp) != 1 || s.GivenUp[0].To != authtest.Kim.Email || s.GivenUp[0].Fault != "450 later X: y" || len(s.GivenUp[0].Sealed) != 0 {
		t.Errorf("state %+v", s)
	}
	e.Clock.Advance(15 * 24 * time.Hour)
	round(t, o)
	if s := o.State(); len(s.GivenUp) != 0 {
		t.Errorf("what was given up is kept for ever: %+v", s)
	}
}

func TestOutboxOfMails_Refused(t *testing.T) {
	e := newMailEnv(t)
	e.post.fail = func(mail.Message) error { return fmt.Errorf("%w: 550 no such mailbox", mail.ErrPermanent) }
	o := e.outbox(t, e.db)
	put(t, o, "m1")
	round(t, o)
	if s := o.State(); s.Waiting != 0 || len(s.GivenUp) != 1 {
		t.Errorf("refused for good: %+v", s)
	}
	// What has expired is not sent any more.
	e.post.fail = nil
	if err := o.Put(t.Context(), mail.Queued{ID: "m2", To: authtest.Kim.Email, Expires: e.Clock.Now().Add(time.Hour)}, "s", "t"); err != nil {
		t.Fatal(err)
	}
	e.Clock.Advance(time.Hour)
	round(t, o)
	if s := o.State(); len(e.post.got) != 0 || len(s.GivenUp) != 2 {
		t.Errorf("sent %d, %+v", len(e.post.got), s)
	}
	// What was sealed for another mail is not sent either: whoever writes to
	// the database cannot have one person's invitation sent to another.
	put(t, o, "m3")
	if err := o.Put(t.Context(), mail.Queued{ID: "m4", To: "eve@evil.example"}, "s", "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.db.writer.Exec(`UPDATE mail SET sealed_text = (SELECT sealed_text FROM mail WHERE id = 'm3') WHERE id = 'm4'`); err != nil {
		t.Fatal(err)
	}
	round(t, o)
	if len(e.post.got) != 1 || e.post.got[0].To != authtest.Kim.Email {
		t.Errorf("sent %+v", e.post.got)
	}
}

// The outbox is bounded.
func TestOutboxOfMails_Full(t *testing.T) {
	e := newMailEnv(t)
	for i := range 5 {
		err := e.db.PutMail(t.Context(), mail.Queued{ID: fmt.Sprint(i), To: "a@example.com", Sealed: []byte{1}, Created: e.Clock.Now(), Next: e.Clock.Now()}, 3)
		if errors.Is(err, mail.ErrFull) != (i >= 3) {
			t.Errorf("mail %d: %v", i, err)
		}
	}
}

// Run sends at once what is put, and ends while a server takes its time.
func TestOutboxOfMails_Run(t *testing.T) {
	e := newMailEnv(t)
	arrived := make(chan struct{}, 8)
	e.post.fail = func(mail.Message) error { arrived <- struct{}{}; return nil }
	o := e.outbox(t, e.db)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	put(t, o, "m1")
	<-arrived
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	defer close(hold)
	slow := e.outbox(t, e.db)
	slow.Sender = slowPostman{arrived, hold}
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- slow.Run(ctx) }()
	put(t, slow, "m2")
	<-arrived
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// It was not sent as far as anybody knows, so it waits.
	if s, err := e.db.MailState(t.Context(), 1); err != nil || s.Waiting != 1 {
		t.Errorf("state %+v, %v", s, err)
	}
}

type slowPostman struct {
	arrived chan<- struct{}
	hold    <-chan struct{}
}

func (p slowPostman) Send(context.Context, mail.Message) error {
	p.arrived <- struct{}{}
	<-p.hold
	return nil
}
