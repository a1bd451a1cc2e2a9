package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/policy"
)

const (
	// tokenPrefix lets scanners and the proxy recognise a token.
	tokenPrefix = "rft_"
	// base62Length is how many base62 digits 256 bits take.
	base62Length = 43
	maxTokens    = 50 // in force at a time, per account
	maxTokenName = 64
)

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// newTokenSecret returns a token's secret: the prefix and 256 random bits.
func newTokenSecret() string { return newPrefixedSecret(tokenPrefix) }

func newPrefixedSecret(prefix string) string {
	var b [32]byte
	rand.Read(b[:])
	n := new(big.Int).SetBytes(b[:]).Text(62)
	return prefix + strings.Repeat("0", base62Length-len(n)) + n
}

// CreateToken makes a credential for programs that cannot keep a cookie: good
// for one cluster, for ttl (at most an hour; 0 means an hour), with the factors
// of the session as old as they are and still ageing. The secret is returned
// once. The token outlives its session and ends with its account. Errors:
// [ErrSessionEnded], and [ErrInvalid] for a cluster, name or ttl that will not do.
func (s *Service) CreateToken(ctx context.Context, o Origin, sess *Session, cluster, name string, ttl time.Duration) (secret string, t Token, err error) {
	if ttl == 0 {
		ttl = tokenLife
	}
	name = strings.TrimSpace(name)
	switch {
	case ttl < time.Second || ttl > tokenLife:
		return "", Token{}, fmt.Errorf("making a token for %s: %w", ttl, ErrInvalid)
	case !slug.MatchString(cluster):
		return "", Token{}, fmt.Errorf("making a token for cluster %q: %w", cluster, ErrInvalid)
	case len(name) > maxTokenName || strings.ContainsFunc(name, unicode.IsControl):
		return "", Token{}, fmt.Errorf("naming a token: %w", ErrInvalid)
	}
	l, ok := s.session(sess.ID)
	if !ok {
		return "", Token{}, ErrSessionEnded
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	v, a, ok := s.alive(l, now)
	if !ok {
		return "", Token{}, ErrSessionEnded
	}
	if s.ownTokens(a.ID) >= maxTokens {
		return "", Token{}, fmt.Errorf("making one more than %d tokens: %w", maxTokens, ErrInvalid)
	}
	secret = newTokenSecret()
	t = Token{
		ID: newID("tok_"), Account: a.ID, Cluster: cluster, Name: name, Session: v.ID, Created: now, Expires: now.Add(ttl),
		PasswordAt: v.PasswordAt, CodeAt: v.CodeAt, CodeFactor: v.CodeFactor, KeyAt: v.KeyAt, Hash: hashSecret(secret),
	}
	if err := s.record(ctx, s.tokenEvent(s.event(actionTokenCreate, "ok", a, o), t)); err != nil {
		return "", Token{}, err
	}
	if err := s.putToken(ctx, &t, s.event(actionTokenCreate, "gone", a, o), ErrSessionEnded); err != nil {
		return "", Token{}, err
	}
	s.publishToken(t, l.account)
	return secret, t, nil
}

// putToken stores a token. If another process has ended what makes it, r is
// recorded, since the record before must not stand alone, and the error is ended.
func (s *Service) putToken(ctx context.Context, t *Token, r *policy.Record, ended error) error {
	err := s.cfg.Store.PutToken(ctx, *t)
	if errors.Is(err, ErrNotFound) {
		return errors.Join(ended, s.record(ctx, s.tokenEvent(r, *t)))
	}
	if err != nil {
		return fmt.Errorf("storing token: %w", err)
	}
	return nil
}

// tokenEvent adds to a record which token it is about.
func (s *Service) tokenEvent(r *policy.Record, t Token) *policy.Record {
	r.Session, r.Credential, r.Cluster = t.Session, t.credential(), t.Cluster
	detail(r, "token", t.ID)
	if b := t.binding(); b != "" {
		detail(r, "binding", b)
	}
	if t.Machine != "" {
		detail(r, "machine", t.Machine)
	}
	return detail(r, "expires", t.Expires.Format(time.RFC3339))
}

// Tokens returns the account's tokens in force, the newest first.
func (s *Service) Tokens(_ context.Context, accountID string) ([]Token, error) {
	now := s.now()
	var out []Token
	for _, l := range s.tokensOf(accountID) {
		if _, ok := l.alive(now); ok {
			out = append(out, l.view())
		}
	}
	slices.SortFunc(out, func(a, b Token) int { return b.Created.Compare(a.Created) })
	return out, nil
}

// RevokeToken ends a token. Administrators and its owner may; others get
// [ErrForbidden]. One that has ended is [ErrNotFound].
func (s *Service) RevokeToken(ctx context.Context, actor Actor, id string) error {
	v, ok := s.live.tokenIDs.Load(id)
	if !ok {
		return fmt.Errorf("revoking token: %w", ErrNotFound)
	}
	l := v.(*liveToken)
	if err := s.mayEnd(ctx, actor, l.Account); err != nil {
		return fmt.Errorf("revoking token: %w", err)
	}
	return s.change(func() error {
		if err := s.record(ctx, s.tokenEvent(s.eventBy(actionTokenRevoke, actor, l.account.p.Load()), l.Token)); err != nil {
			return err
		}
		if err := s.cfg.Store.DeleteTokens(ctx, []string{id}); err != nil {
			return fmt.Errorf("revoking token: %w", err)
		}
		s.dropToken(id)
		return nil
	})
}
