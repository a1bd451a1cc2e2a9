package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
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

// Identify returns who the request on host, which must be canonical, comes
// from: by a token in its Authorization header, or else by its cookie. What is
// not in force, or was made for another host, is [policy.Anonymous]. It reads
// memory only. The subject's map and slice are shared with other requests:
// they must not be changed.
func (s *Service) Identify(r *http.Request, host string) (policy.Subject, error) {
	now := s.now()
	if sum, ours := bearer(r); ours {
		// A token that is wrong does not fall back to the cookie.
		if host == s.cfg.GateHost {
			return policy.Anonymous, nil
		}
		var key [2 * sha256.Size]byte
		hex.Encode(key[:], sum[:])
		v, ok := s.live.tokens.Load(string(key[:]))
		if !ok {
			return policy.Anonymous, nil
		}
		sub, _ := s.tokenSubject(v.(*liveToken), now)
		return sub, nil
	}
	l := s.fromCookie(r, host, now)
	if l == nil {
		return policy.Anonymous, nil
	}
	sub, ok := s.sessionSubject(l, now)
	if ok {
		l.touch(now)
	}
	return sub, nil
}

// Refresh re-reads the subject of an open stream: its factors as old as they
// are now, its roles as they are now; false once its session or token has
// ended. It does not count as use: an open stream alone lets a session go idle.
// See [Service.Touch].
func (s *Service) Refresh(sub policy.Subject) (policy.Subject, bool) {
	now := s.now()
	if sub.Credential == policy.CredentialToken {
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
	sub := v.External.factors(subjectOf(a.ID, a.Email, a.Vendor, a.Roles, v.ID, v.PasswordAt, v.CodeAt, v.CodeFactor, now), now)
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
	sub := subjectOf(a.ID, a.Email, a.Vendor, a.Roles, l.ID, l.PasswordAt, l.CodeAt, l.CodeFactor, now)
	sub.Credential, sub.TokenCluster = policy.CredentialToken, l.Cluster
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

// bearer returns the hash of the token in the Authorization header, as a
// Bearer credential or as the password of a Basic one. Anything that does not
// start like one of ours is the upstream's business, and ours is false.
func bearer(r *http.Request) (sum [sha256.Size]byte, ours bool) {
	values := r.Header["Authorization"]
	for _, v := range values {
		token, ok := tokenIn(v)
		if !ok {
			continue
		}
		if len(values) > 1 {
			return [sha256.Size]byte{}, true // ours among others: ambiguous, so nobody
		}
		return sha256.Sum256(token), true
	}
	return sum, false
}

func tokenIn(v string) (token []byte, ok bool) {
	scheme, rest, found := strings.Cut(v, " ")
	if !found || len(v) > maxAuthorization {
		return nil, false
	}
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return []byte(rest), strings.HasPrefix(rest, tokenPrefix)
	case strings.EqualFold(scheme, "Basic"):
		var buf [maxAuthorization]byte
		n, err := base64.StdEncoding.Decode(buf[:], []byte(rest))
		if err != nil {
			return nil, false
		}
		_, password, _ := strings.Cut(string(buf[:n]), ":")
		return []byte(password), strings.HasPrefix(password, tokenPrefix)
	}
	return nil, false
}
