package proxy

import (
	"net/http"
	"net/url"

	"github.com/ringfence/ringfence/policy"
)

// crossOrigin reports whether r changes something or opens a WebSocket, is
// authenticated by a cookie, and was caused by a page of another origin: the
// browser sent the cookie along without the person's wish. Sibling hosts are
// other origins too.
func crossOrigin(r *http.Request, s policy.Subject, protocol, scheme, authority string) bool {
	if s.IsAnonymous() || s.ByToken() { // a page cannot make a browser send a token
		return false
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if protocol != protocolWebSocket {
			return false
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, o := range r.Header["Origin"] {
		if !sameOrigin(o, scheme, authority) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether origin is the one that the request was sent to.
func sameOrigin(origin, scheme, authority string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != scheme || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	host, port, err := canonicalHost(u.Host)
	return err == nil && joinAuthority(host, port, scheme) == authority
}

// joinAuthority joins host and port as an Origin header does, without the
// scheme's own port.
func joinAuthority(host, port, scheme string) string {
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return host
	}
	return host + ":" + port
}
