package auth

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/policy"
)

const (
	// accessPrefix begins the secret of a personal access token.
	accessPrefix = "rfp_"
	// longestAccess is how long one may last at most.
	longestAccess = 90 * 24 * time.Hour
	// maxAccessNetworks is how many networks one may name.
	maxAccessNetworks = 20
	// The widest networks that one may name. Wider is nearly everywhere.
	widestIPv4, widestIPv6 = 16, 32
	maxScopePaths          = 20
)

// NoticeTokenCreated tells that a personal access token was made. Its detail
// names it: name, cluster, expires.
const NoticeTokenCreated NoticeKind = "token_created"

// An AccessRequest says what a personal access token is to be.
type AccessRequest struct {
	Cluster  string
	Name     string // what it is for; needed
	Scope    policy.TokenScope
	Networks []netip.Prefix // needed
	Ends     time.Time      // needed
}

// credential names the token's kind as policies know it.
func (t *Token) credential() string {
	if t.Kind == TokenAccess {
		return policy.CredentialAccessToken
	}
	return policy.CredentialToken
}

func (t *Token) binding() string {
	switch {
	case t.Key != "":
		return policy.BindingKey
	case t.Networks != nil:
		return policy.BindingNetwork
	}
	return ""
}

// view returns the token with its last use as of now.
func (l *liveToken) view() Token {
	t := l.Token
	use := l.used.get()
	t.LastUsed, t.LastIP = use.At, use.IP
	return t
}

// ownTokens counts the tokens that the account's owner made by hand.
func (s *Service) ownTokens(account string) (n int) {
	for _, l := range s.tokensOf(account) {
		if l.Kind != TokenMachine {
			n++
		}
	}
	return n
}

// AccessTokenLife returns how long a personal access token may last.
func (s *Service) AccessTokenLife() time.Duration { return s.cfg.AccessTokenLife }

// CreateAccessToken makes a personal access token: for a machine on which
// nobody can sign in, good for one cluster within a scope, from certain
// networks, to a certain end. Whether the engagement admits it is decided anew
// for each request. The factors of sess, which should be fresh, go on ageing.
// The secret is returned once, and the account's owner is told. Errors:
// [ErrSessionEnded], and [ErrInvalid] for what will not do.
func (s *Service) CreateAccessToken(ctx context.Context, o Origin, sess *Session, q AccessRequest) (secret string, t Token, err error) {
	l, ok := s.session(sess.ID)
	if !ok {
		return "", Token{}, ErrSessionEnded
	}
	now := s.now()
	if err := q.check(now, s.cfg.AccessTokenLife); err != nil {
		return "", Token{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, a, ok := s.alive(l, now)
	if !ok {
		return "", Token{}, ErrSessionEnded
	}
	if !a.Ends.IsZero() && q.Ends.After(a.Ends) {
		return "", Token{}, fmt.Errorf("making a token that outlives its account: %w", ErrInvalid)
	}
	if s.ownTokens(a.ID) >= maxTokens {
		return "", Token{}, fmt.Errorf("making one more than %d tokens: %w", maxTokens, ErrInvalid)
	}
	secret = newPrefixedSecret(accessPrefix)
	t = Token{
		ID: newID("pat_"), Account: a.ID, Cluster: q.Cluster, Name: q.Name, Session: v.ID, Created: now, Expires: q.Ends,
		PasswordAt: v.PasswordAt, CodeAt: v.CodeAt, CodeFactor: v.CodeFactor, KeyAt: v.KeyAt, Hash: hashSecret(secret),
		Kind: TokenAccess, Networks: slices.Clone(q.Networks), Scope: &q.Scope,
	}
	r := s.tokenEvent(s.event(actionTokenCreate, "ok", a, o), t)
	detail(r, "name", t.Name)
	detail(r, "networks", joinNetworks(t.Networks))
	detail(r, "scope", scopeText(t.Scope))
	if err := s.record(ctx, r); err != nil {
		return "", Token{}, err
	}
	if err := s.putToken(ctx, &t, s.event(actionTokenCreate, "gone", a, o), ErrSessionEnded); err != nil {
		return "", Token{}, err
	}
	s.publishToken(t, l.account)
	s.tell(ctx, a, NoticeTokenCreated, o, map[string]string{"name": t.Name, "cluster": t.Cluster, "expires": t.Expires.Format(time.RFC3339)})
	return secret, t, nil
}

// check refuses what is not asked for in full, and brings the scope to the
// form that policies read.
func (q *AccessRequest) check(now time.Time, longest time.Duration) error {
	q.Name = strings.TrimSpace(q.Name)
	switch {
	case !slug.MatchString(q.Cluster):
		return fmt.Errorf("making a token for cluster %q: %w", q.Cluster, ErrInvalid)
	case q.Name == "" || len(q.Name) > maxTokenName || strings.ContainsFunc(q.Name, unicode.IsControl):
		return fmt.Errorf("naming a token: %w", ErrInvalid)
	case !q.Ends.After(now) || q.Ends.Sub(now) > longest:
		return fmt.Errorf("making a token until %s: %w", q.Ends.Format(time.RFC3339), ErrInvalid)
	case len(q.Networks) == 0 || len(q.Networks) > maxAccessNetworks || slices.ContainsFunc(q.Networks, func(p netip.Prefix) bool { return !ValidNetwork(p) }):
		return fmt.Errorf("making a token for %d networks: %w", len(q.Networks), ErrInvalid)
	case q.Scope.Access != policy.AccessRead && q.Scope.Access != policy.AccessWrite:
		return fmt.Errorf("making a token for access %q: %w", q.Scope.Access, ErrInvalid)
	case len(q.Scope.Paths) == 0 || len(q.Scope.Paths) > maxScopePaths || len(q.Scope.Methods) > 20:
		return fmt.Errorf("making a token for %d paths: %w", len(q.Scope.Paths), ErrInvalid)
	}
	// Policies read lists, never null.
	q.Scope.Methods = append([]string{}, q.Scope.Methods...)
	paths := make([][]string, len(q.Scope.Paths))
	for i, p := range q.Scope.Paths {
		paths[i] = append([]string{}, p...)
	}
	q.Scope.Paths = paths
	return nil
}

// ValidNetwork reports whether a personal access token may be bound to p: one
// address or a network without bits beyond its length, and no wider than a
// /16 of IPv4 or a /32 of IPv6.
func ValidNetwork(p netip.Prefix) bool {
	if !p.IsValid() || p.Masked() != p || p.Addr().Is4In6() || p.Addr().Zone() != "" {
		return false
	}
	if p.Addr().Is4() {
		return p.Bits() >= widestIPv4
	}
	return p.Bits() >= widestIPv6
}

func joinNetworks(all []netip.Prefix) string {
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// scopeText writes a scope for a record.
func scopeText(s *policy.TokenScope) string {
	out := s.Access
	if len(s.Methods) > 0 {
		out += " " + strings.Join(s.Methods, ",")
	}
	for _, p := range s.Paths {
		out += " /" + strings.Join(p, "/")
	}
	return out
}
