package auth

import (
	"context"
	"crypto/subtle"
	"net/url"
	"strings"
)

const (
	// maxURI bounds what is kept for strangers.
	maxURI = 2048
	// minStart is how long a start secret must at least be; NewSecret's are 43.
	minStart = 22
)

// A Target is where somebody was headed before they had to sign in.
type Target struct {
	Host string // one of our clusters'
	URI  string // path and query on that host; always begins with a single slash

	start string // hash of the value of StartCookie
}

// SaveTarget keeps where somebody was headed, for 15 minutes, under a random
// id: nothing that a browser sends back names a place to go to. startSecret is
// the value of [StartCookie] on host. It returns "" for a host that is not a
// cluster's or a secret that is too short; a URI that will not do is kept as "/".
func (s *Service) SaveTarget(host, requestURI, startSecret string) (id string) {
	if len(startSecret) < minStart || !s.cfg.KnownHost(host) {
		return ""
	}
	id = NewSecret()
	s.targets.put(id, Target{Host: host, URI: safeURI(requestURI), start: hashSecret(startSecret)}, s.now(), targetLife)
	return id
}

// safeURI returns uri if a browser that is sent to it stays on the same host,
// and "/" otherwise.
func safeURI(uri string) string {
	if len(uri) > maxURI || !strings.HasPrefix(uri, "/") || strings.HasPrefix(uri, "//") {
		return "/"
	}
	for _, c := range []byte(uri) {
		// Browsers read a backslash as a slash and skip tabs and line ends; a
		// request's target has no fragment.
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return "/"
		}
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || u.User != nil {
		return "/"
	}
	// Dot segments are resolved by the browser: /.//other.example would become //other.example.
	base := &url.URL{Scheme: "https", Host: "host.invalid", Path: "/"}
	if r := base.ResolveReference(u); r.Host != base.Host || strings.HasPrefix(r.EscapedPath(), "//") {
		return "/"
	}
	return uri
}

// Target returns a saved target; false when it is unknown or too old.
func (s *Service) Target(id string) (Target, bool) {
	return s.targets.get(id, s.now())
}

// A handoff carries a session from the gate to a cluster's host.
type handoff struct {
	session *liveSession
	epoch   int64
	target  Target
}

// IssueHandoff returns a code that carries the session to host, where the saved
// target lies: good once, for 30 seconds, on that host, in the browser that
// holds the start secret. Errors: [ErrSessionEnded], [ErrHandoffInvalid] when
// the target is unknown or of another host.
func (s *Service) IssueHandoff(_ context.Context, sess *Session, host, targetID string) (code string, err error) {
	now := s.now()
	t, ok := s.targets.get(targetID, now)
	if !ok || t.Host != host || !s.cfg.KnownHost(host) {
		return "", ErrHandoffInvalid
	}
	l, ok := s.session(sess.ID)
	if !ok {
		return "", ErrSessionEnded
	}
	v, _, ok := s.alive(l, now)
	if !ok || v.Epoch != sess.epoch {
		return "", ErrSessionEnded
	}
	code = NewSecret()
	s.handoffs.put(hashSecret(code), handoff{session: l, epoch: v.Epoch, target: t}, now, handoffLife)
	return code, nil
}

// RedeemHandoff turns a code into the value of [SessionCookie] for host and the
// URI to go on to. startSecret is the value of [StartCookie] that came with the
// request: without it a stranger's code would sign the victim in as somebody
// else. Whatever is wrong, the code is used up and the error is [ErrHandoffInvalid].
func (s *Service) RedeemHandoff(ctx context.Context, host, code, startSecret string) (cookie, uri string, err error) {
	now := s.now()
	h, ok := s.handoffs.take(hashSecret(code), now)
	if !ok || h.target.Host != host ||
		subtle.ConstantTimeCompare([]byte(hashSecret(startSecret)), []byte(h.target.start)) != 1 {
		return "", "", ErrHandoffInvalid
	}
	v, _, ok := s.alive(h.session, now)
	if !ok || v.Epoch != h.epoch {
		return "", "", ErrHandoffInvalid
	}
	if cookie, err = s.cookieFor(v, host); err != nil {
		return "", "", err
	}
	s.opened(ctx, h.session, host)
	return cookie, h.target.URI, nil
}
