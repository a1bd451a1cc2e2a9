package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/mail"
	"github.com/ringfence/ringfence/internal/retention"
)

// lookForSecrets is how often files with secrets are looked at.
const lookForSecrets = time.Second

// A fresh thing was made from files, and is made again when one of them changes.
// It is safe for concurrent use where the thing is.
type fresh[T any] struct {
	what   string
	files  []string
	make   func() (T, error)
	end    func(T) error // of one that was replaced, once nobody uses it; may wait
	logger *slog.Logger

	mu     sync.Mutex
	now    T
	seen   [32]byte
	looked time.Time
}

// newFresh makes the thing for the first time. Empty names of files are none.
func newFresh[T any](what string, files []string, make func() (T, error), end func(T) error, logger *slog.Logger) (f *fresh[T], err error) {
	f = &fresh[T]{what: what, files: files, make: make, end: end, logger: logger, seen: fingerprint(files...), looked: time.Now()}
	f.now, err = make()
	return f, err
}

// get returns the thing. What cannot be made anew, such as of a file that is
// half written, leaves the one before in place until the files change again.
func (f *fresh[T]) get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookForSecrets {
		return f.now
	}
	f.looked = time.Now()
	seen := fingerprint(f.files...)
	if seen == f.seen {
		return f.now
	}
	f.seen = seen
	next, err := f.make()
	if err != nil {
		f.logger.Error("reading a secret again; the one before stays in use", "of", f.what, "err", err)
		return f.now
	}
	f.logger.Info("read a secret again", "of", f.what)
	old := f.now
	f.now = next
	go func() {
		if err := f.end(old); err != nil {
			f.logger.Warn("closing what was in use before", "of", f.what, "err", err)
		}
	}()
	return f.now
}

// deliveryFiles are the files that a delivery is made from.
func deliveryFiles(c config.Delivery) []string {
	return named(c.CAFile, c.Certificate, c.Key, c.TokenFile, c.PasswordFile, c.SecretKeyFile)
}

func named(files ...string) []string {
	return slices.DeleteFunc(files, func(s string) bool { return s == "" })
}

// renewedTable is a shared table whose secrets are read again.
type renewedTable struct{ *fresh[sharedTable] }

func (t renewedTable) Search(ctx context.Context, r query.Request) ([]query.Row, error) {
	return t.get().Search(ctx, r)
}

func (t renewedTable) Count(ctx context.Context, r query.Request) (int, error) {
	return t.get().Count(ctx, r)
}

func (t renewedTable) Histogram(ctx context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	return t.get().Histogram(ctx, r, by, step)
}

func (t renewedTable) Top(ctx context.Context, r query.Request, by query.Field, n int) ([]query.Tally, error) {
	return t.get().Top(ctx, r, by, n)
}

func (t renewedTable) Distinct(ctx context.Context, r query.Request, of, by query.Field) ([]query.Tally, error) {
	return t.get().Distinct(ctx, r, of, by)
}

func (t renewedTable) Send(ctx context.Context, batch []*accesslog.Entry) error {
	return t.get().Send(ctx, batch)
}

func (t renewedTable) Holdings(ctx context.Context) ([]table.Holding, error) {
	return t.get().Holdings(ctx)
}

func (t renewedTable) Oldest(ctx context.Context) (time.Time, error) { return t.get().Oldest(ctx) }

func (t renewedTable) Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error) {
	return t.get().Entry(ctx, origin, index)
}

func (t renewedTable) Close() error { return t.get().Close() }

// renewedArchive is an archive whose secret is read again.
type renewedArchive struct{ *fresh[retention.Archive] }

func (a renewedArchive) Put(ctx context.Context, name string, content []byte) error {
	return a.get().Put(ctx, name, content)
}

func (a renewedArchive) Get(ctx context.Context, name string) ([]byte, error) {
	return a.get().Get(ctx, name)
}

func (a renewedArchive) String() string { return a.get().String() }

// renewedMail sends by a mail server whose password is read again.
type renewedMail struct{ *fresh[*mail.Sender] }

func (m renewedMail) Send(ctx context.Context, x mail.Message) error { return m.get().Send(ctx, x) }

// freshMail reads what the configuration names and connects to nothing.
func freshMail(c config.Mail, logger *slog.Logger) (renewedMail, error) {
	f, err := newFresh("the mail server", named(c.PasswordFile, c.CAFile), func() (*mail.Sender, error) { return newSender(c) },
		func(*mail.Sender) error { return nil }, logger)
	if err != nil {
		return renewedMail{}, fmt.Errorf("configuring mail: %w", err)
	}
	return renewedMail{f}, nil
}
