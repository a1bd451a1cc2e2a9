package auth

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// A Notice tells an account's owner what happened to the account, so that
// whoever did not do it learns of it. It is shown at the gate until it was seen.
type Notice struct {
	ID        string
	Account   string
	Kind      NoticeKind
	At        time.Time
	IP        string            // where it was done from, if known
	UserAgent string            // the client's own words
	Detail    map[string]string // plain facts for the sentence, never secrets
	Seen      time.Time         // zero: not yet
}

// A NoticeKind says what a notice is about. Each has its sentence on the pages
// and in mails.
type NoticeKind string

// Notices keeps what account owners are told.
type Notices interface {
	// PutNotice must store the notice.
	PutNotice(ctx context.Context, n Notice) error
	// NoticesOf must return the account's notices, the newest first, at most limit.
	NoticesOf(ctx context.Context, account string, limit int) ([]Notice, error)
	// SeeNotices must set Seen to at for the account's notices that are not
	// seen and were made at or before upTo.
	SeeNotices(ctx context.Context, account string, upTo, at time.Time) error
	// ExpireNotices must remove notices made before before.
	ExpireNotices(ctx context.Context, before time.Time) error
}

// noticeLife is how long notices are kept; the access log keeps what they are about.
const noticeLife = 180 * 24 * time.Hour

// tell leaves a notice for the account's owner. What it is about has happened
// and is recorded, so a fault here is logged and changes nothing.
func (s *Service) tell(ctx context.Context, a *Account, kind NoticeKind, o Origin, detail map[string]string) {
	n := Notice{ID: newID("not_"), Account: a.ID, Kind: kind, At: s.now(), UserAgent: cut(o.UserAgent), Detail: maps.Clone(detail)}
	if o.IP.IsValid() {
		n.IP = o.IP.Unmap().String()
	}
	if err := s.cfg.Store.PutNotice(context.WithoutCancel(ctx), n); err != nil {
		s.log.ErrorContext(ctx, "leaving a notice for an account's owner", "kind", kind, "account", a.ID, "err", err)
	}
	if s.flooded(ctx, n) {
		return
	}
	s.warn(ctx, a, n)
	s.cfg.Told(context.WithoutCancel(ctx), *a, n)
}

const (
	// toldOfKind is how many notices of one kind about one account are passed on
	// within toldWindow: whoever can cause them at will must not fill mailboxes,
	// the outbox that all share, or the list of warnings. Other kinds go on.
	toldOfKind = 20
	toldWindow = time.Hour
	// toldLooked is how many notices are looked at: enough for toldOfKind of
	// each kind that an account can cause by itself.
	toldLooked = 500
)

// flooded reports whether too many notices like n, which was just stored, were
// left for the account lately. What cannot be counted is passed on.
func (s *Service) flooded(ctx context.Context, n Notice) bool {
	recent, err := s.cfg.Store.NoticesOf(context.WithoutCancel(ctx), n.Account, toldLooked)
	if err != nil {
		s.log.ErrorContext(ctx, "counting notices", "account", n.Account, "err", err)
		return false
	}
	same := 0
	for i := range recent {
		if recent[i].Kind == n.Kind && n.At.Sub(recent[i].At) < toldWindow {
			same++
		}
	}
	return same > toldOfKind
}

// Notices returns what the account's owner was told, the newest first.
func (s *Service) Notices(ctx context.Context, account string) ([]Notice, error) {
	n, err := s.cfg.Store.NoticesOf(ctx, account, 100)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return n, nil
}

// SeeNotices notes that the owner has seen the notices made up to upTo.
func (s *Service) SeeNotices(ctx context.Context, account string, upTo time.Time) error {
	if err := s.cfg.Store.SeeNotices(ctx, account, upTo, s.now()); err != nil {
		return fmt.Errorf("noting that notices were seen: %w", err)
	}
	return nil
}
