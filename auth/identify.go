package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A verifiedCookie is a cookie whose signature was checked. It is kept so that
// Ed25519 is not verified for each request; that it is still in force is
// checked each time.
type verifiedCookie struct {
	host    string
	epoch   int64
	expires time.Time
	session *liveSession
}

// Identify is [Service.IdentifyAt] for a request of which only the canonical
// host is settled: tokens that are bound to a key or a network do not count.
func (s *Service) Identify(r *http.Request, host string) (policy.Subject, error) {
	return s.IdentifyAt(r, &policy.Arrival{Host: host})
}

// IdentifyAt returns who a request comes from that arrived at at: by a token in
// its Authorization header, or else by its cookie. What is not in force, or was
// made for another host, is [policy.Anonymous]; so is a token that is shown
// without the proof of its key, or from a network that it is not good for, and
// Refused says so. It reads memory only. The subject's map and slice are shared
// with other requests: they must not be changed.
func (s *Service) IdentifyAt(r *http.Request, at *policy.Arrival) (policy.Subject, error) {
	now := s.now()
	if c := credentialOf(r); c.ours {
		// A token that is wrong does not fall back to the cookie.
		if at.Host == s.cfg.GateHost {
			return policy.Anonymous, nil
		}
		return s.fromToken(r, at, &c, now), nil
	}
	l := s.fromCookie(r, at.Host, now)
	if l == nil {
		return policy.Anonymous, nil
	}
	sub, ok := s.sessionSubject(l, now)
	if ok {
		l.touch(now)
	}
	return sub, nil
}

// fromToken returns the subject of the token that the request shows.
func (s *Service) fromToken(r *http.Request, at *policy.Arrival, c *credential, now time.Time) policy.Subject {
	if c.many {
		return policy.Subject{Refused: &policy.TokenRefusal{Code: policy.RefusedMultiple}}
	}
	var key [2 * sha256.Size]byte
	hex.Encode(key[:], c.sum[:])
	v, ok := s.live.tokens.Load(string(key[:]))
	if !ok {
		return policy.Subject{Refused: &policy.TokenRefusal{Code: policy.RefusedUnknown}}
	}
	l := v.(*liveToken)
	sub, ok := s.tokenSubject(l, now)
	if !ok {
		return policy.Subject{Refused: &policy.TokenRefusal{Code: policy.RefusedUnknown, Token: l.ID, Account: l.Account}}
	}
	if why := s.mayShow(r, at, l, c, now); why != "" {
		return policy.Subject{Refused: &policy.TokenRefusal{Code: why, Token: l.ID, Account: l.Account}}
	}
	l.used.note(now, at.Source)
	return sub
}

// mayShow returns why the token does not count on this request; empty when it does.
func (s *Service) mayShow(r *http.Request, at *policy.Arrival, l *liveToken, c *credential, now time.Time) string {
	if l.Networks != nil && !slices.ContainsFunc(l.Networks, func(p netip.Prefix) bool { return p.Contains(at.Source) }) {
		return policy.RefusedNetwork
	}
	if l.dpop == nil {
		if c.dpop {
			return policy.RefusedUnbound
		}
		return ""
	}
	if !c.dpop { // a stolen copy looks like this (RFC 9449 section 7.1)
		return policy.RefusedNoProof
	}
	_, why := s.checkProof(r, at, l.dpop, l.Key, c.sum[:], now)
	return why
}

// Refresh re-reads the subject of an open stream: its factors as old as they
// are now, its roles as they are now; false once its session or token has
// ended. It does not count as use: an open stream alone lets a session go idle.
// See [Service.Touch].
func (s *Service) Refresh(sub policy.Subject) (policy.Subject, bool) {
	now := s.now()
	if sub.ByToken() {
		v, ok := s.live.tokenIDs.Load(sub.Session)
		if !ok {
			return policy.Anonymous, false
		}
		return s.tokenSubject(v.(*liveToken), now)
	}
	l, ok := s.session(sub.Session)
	if !ok {
		return policy.Anonymous, false
	}
	return s.sessionSubject(l, now)
}

// Touch notes that the person behind an open stream did something, such as
// sending on it, so that a session at work does not go idle.
func (s *Service) Touch(sub policy.Subject) {
	if sub.Credential != policy.CredentialSession {
		return
	}
	now := s.now()
	if l, ok := s.session(sub.Session); ok {
		if _, _, ok := s.alive(l, now); ok {
			l.touch(now)
		}
	}
}

func (s *Service) sessionSubject(l *liveSession, now time.Time) (policy.Subject, bool) {
	v, a, ok := s.alive(l, now)
	if !ok {
		return policy.Anonymous, false
	}
	if c := l.subject.Load(); c != nil && c.second == now.Unix() && c.view == v && c.account == a {
		return c.subject, true
	}
	sub := subjectOf(a.ID, a.Email, a.Vendor, a.Roles, v.ID, v.proved(), now)
	l.subject.Store(&agedSubject{now.Unix(), v, a, sub})
	return sub, true
}

func (s *Service) tokenSubject(l *liveToken, now time.Time) (policy.Subject, bool) {
	a, ok := l.alive(now)
	if !ok {
		return policy.Anonymous, false
	}
	if c := l.subject.Load(); c != nil && c.second == now.Unix() && c.account == a {
		return c.subject, true
	}
	sub := subjectOf(a.ID, a.Email, a.Vendor, a.Roles, l.ID, proof{passwordAt: l.PasswordAt, codeAt: l.CodeAt, factor: l.CodeFactor, keyAt: l.KeyAt}, now)
	sub.Credential, sub.TokenCluster = l.credential(), l.Cluster
	sub.TokenBinding, sub.TokenScope = l.binding(), l.Scope
	l.subject.Store(&agedSubject{now.Unix(), nil, a, sub})
	return sub, true
}

// fromCookie returns the session that the request's cookie names on host, in
// force or not; nil when there is none.
func (s *Service) fromCookie(r *http.Request, host string, now time.Time) *liveSession {
	value := sessionCookie(r.Header)
	if value == "" {
		return nil
	}
	c, ok := s.verified.get(value)
	if !ok {
		if c = s.verifyCookie(value, host, now); c == nil {
			return nil
		}
		s.verified.put(value, c)
	}
	if c.host != host || !now.Before(c.expires) || c.epoch != c.session.view.Load().Epoch {
		return nil
	}
	return c.session
}

func (s *Service) verifyCookie(value, host string, now time.Time) *verifiedCookie {
	var claims sessionClaims
	if err := s.sessionKeys.verify(value, &claims, s.issuer, host, now); err != nil {
		return nil
	}
	l, ok := s.session(claims.Session)
	if !ok {
		return nil
	}
	return &verifiedCookie{host: host, epoch: claims.Epoch, expires: claims.ExpiresAt.Time, session: l}
}

// sessionCookie returns the value of [SessionCookie] without allocating. A
// request with two different ones is nobody's: a browser never sends that.
func sessionCookie(h http.Header) string {
	const prefix = SessionCookie + "="
	found := ""
	for _, line := range h["Cookie"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			part = strings.TrimSpace(part)
			if len(part) <= len(prefix) || part[:len(prefix)] != prefix {
				continue
			}
			if value := part[len(prefix):]; found == "" {
				found = value
			} else if found != value {
				return ""
			}
		}
	}
	if len(found) > maxToken {
		return ""
	}
	return found
}

// maxAuthorization is how long a header may be that could hold one of our tokens.
const maxAuthorization = 512

// A credential is what a request's Authorization header holds of ours.
type credential struct {
	sum  [sha256.Size]byte // of the token
	ours bool
	dpop bool // shown with the scheme of proofs
	many bool // among others: ambiguous, so nobody's
}

// credentialOf returns the token in the Authorization header: as a Bearer or
// DPoP credential, or as the password of a Basic one. Anything that does not
// start like one of ours is the upstream's business.
func credentialOf(r *http.Request) (c credential) {
	values := r.Header["Authorization"]
	for _, v := range values {
		token, dpop, ok := tokenIn(v)
		if !ok {
			continue
		}
		return credential{sha256.Sum256(token), true, dpop, len(values) > 1}
	}
	return c
}

func tokenIn(v string) (token []byte, dpop, ok bool) {
	scheme, rest, found := strings.Cut(v, " ")
	if !found || len(v) > maxAuthorization {
		return nil, false, false
	}
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return []byte(rest), false, isSecret(rest)
	case strings.EqualFold(scheme, "DPoP"):
		return []byte(rest), true, isSecret(rest)
	case strings.EqualFold(scheme, "Basic"):
		var buf [maxAuthorization]byte
		n, err := base64.StdEncoding.Decode(buf[:], []byte(rest))
		if err != nil {
			return nil, false, false
		}
		_, password, _ := strings.Cut(string(buf[:n]), ":")
		return []byte(password), false, isSecret(password)
	}
	return nil, false, false
}

// isSecret reports whether s begins like one of our tokens, of any kind.
func isSecret(s string) bool {
	return strings.HasPrefix(s, tokenPrefix) || strings.HasPrefix(s, accessPrefix) || strings.HasPrefix(s, machinePrefix)
}
