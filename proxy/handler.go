package proxy

import (
	"net/http"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// ServeHTTP takes one request through the steps of the package comment.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.begin(w, r)
	x.limitWait()
	if d := x.readHost(); d != nil {
		x.deny(d)
		return
	}
	if x.host == h.gateHost {
		x.serveOwn(h.Gate)
		return
	}
	if x.cluster = h.clusterOf(x.host); x.cluster == nil {
		x.deny(&denial{http.StatusMisdirectedRequest, policy.ReasonUnknownHost, "No cluster has this host name.", "", 0})
		return
	}
	if d := x.readTarget(); d != nil {
		x.deny(d)
		return
	}
	if x.target.Segments[0] == ".ringfence" {
		x.serveReserved()
		return
	}
	if d := x.chooseRoute(); d != nil {
		x.deny(d)
		return
	}
	if d := x.readBody(); d != nil {
		x.deny(d)
		return
	}
	cleanHeaders(x.r.Header)
	x.readProtocol()

	generation := h.generation.Load() // before anything is looked up
	if d := x.identify(); d != nil {
		x.deny(d)
		return
	}
	if !h.streams.enter(x, h.limits.RequestsPerAccount) {
		x.deny(&denial{http.StatusTooManyRequests, policy.ReasonRateLimited, "This account has too many requests open.", "Wait until some have ended.", 1})
		return
	}
	defer h.streams.leave(x)
	if crossOrigin(x.r, x.input.Subject, x.protocol, x.scheme, x.authority) {
		x.deny(&denial{http.StatusForbidden, policy.ReasonCrossOrigin, "The request was caused by a page of another origin.", "", 0})
		return
	}
	if !x.decide() {
		return
	}
	x.forward(generation)
}

func (h *Handler) clusterOf(host string) *cluster {
	if t := h.table.Load(); t != nil {
		return t.hosts[host]
	}
	return nil
}

// readHost settles which host is meant, from either of its places.
func (x *exchange) readHost() *denial {
	var err error
	if x.host, x.port, err = canonicalHost(x.r.Host); err != nil {
		x.host = ""
		return &denial{http.StatusMisdirectedRequest, policy.ReasonUnknownHost, "The request names no host.", "", 0}
	}
	x.scheme = "http"
	if x.r.TLS != nil {
		x.scheme = "https"
	} else if fromTrusted(x.r, x.h.TrustedProxies) && strings.EqualFold(x.r.Header.Get("X-Forwarded-Proto"), "https") {
		x.scheme = "https"
	}
	x.authority = joinAuthority(x.host, x.port, x.scheme)
	for _, v := range x.r.Header["Host"] { // HTTP/2: beside :authority
		if host, port, err := canonicalHost(v); err != nil || host != x.host || joinAuthority(host, port, x.scheme) != x.authority {
			return ambiguous("The request names two hosts.")
		}
	}
	return nil
}

// maxMethod is longer than any registered method (IANA).
const maxMethod = 32

// readTarget settles path and query, and refuses methods that are not plain.
func (x *exchange) readTarget() *denial {
	if m := x.r.Method; m == "" || len(m) > maxMethod || m[0] == '-' {
		return ambiguous("The method is not one that can be meant.")
	}
	for i := 0; i < len(x.r.Method); i++ {
		if c := x.r.Method[i]; (c < 'A' || c > 'Z') && c != '-' {
			return ambiguous("The method is not in upper case.") // some upstreams take get for GET
		}
	}
	t, err := canonicalTarget(x.r)
	if err == errTooManyFields {
		return &denial{http.StatusRequestEntityTooLarge, policy.ReasonRequestTooLarge, "The query has too many fields.", "", 0}
	}
	if err != nil {
		return ambiguous("The request could be read in two ways: " + err.Error() + ".")
	}
	x.target = t
	return nil
}

func (x *exchange) chooseRoute() *denial {
	switch x.r.Method {
	case http.MethodTrace, http.MethodConnect: // TRACE would echo our headers to the client
		return &denial{http.StatusForbidden, policy.ReasonMethodOutOfScope, "This method is never forwarded.", "", 0}
	}
	if x.route = x.cluster.match(x.target.Segments); x.route == nil {
		return &denial{http.StatusForbidden, policy.ReasonUnknownRoute, "Nothing is served under this path.", "", 0}
	}
	if x.target.Slashes && !x.route.EncodedSlashes {
		return ambiguous("The request could be read in two ways: the path has an encoded slash.")
	}
	return nil
}

// readBody refuses bodies whose length is told twice or is too much.
func (x *exchange) readBody() *denial {
	if len(x.r.Header["Content-Length"]) > 1 {
		return ambiguous("The request has two lengths.")
	}
	if limit := x.h.limits.BodyBytes; limit >= 0 && x.r.ContentLength > limit {
		return tooLarge()
	}
	return nil
}

func (x *exchange) identify() *denial {
	x.arrival = policy.Arrival{Host: x.host, Scheme: x.scheme, Authority: x.authority, Path: x.target.Raw, Source: x.source}
	s, err := x.h.Identifier.IdentifyAt(x.r, &x.arrival)
	if err != nil {
		x.h.Logger.ErrorContext(x.r.Context(), "identifying subject", "request_id", x.id, "err", err)
		return &denial{http.StatusServiceUnavailable, policy.ReasonFactsMissing, "It cannot be told now who is asking.", "Try again in a moment.", 2}
	}
	x.input.Subject = s
	return nil
}

// serveOwn hands a request to one of our own handlers, which get no header that
// looks like ours except the request's id.
func (x *exchange) serveOwn(own http.Handler) {
	for name := range x.r.Header {
		if isOurs(name) {
			delete(x.r.Header, name)
		}
	}
	x.r.Header.Set(HeaderRequestID, x.id)
	x.r.Host = x.authority
	if x.waits {
		x.r.Body = &promptBody{x.r.Body, x}
	}
	x.w.Header().Set(HeaderRequestID, x.id)
	own.ServeHTTP(x.w, x.r)
}

func (x *exchange) serveReserved() {
	if x.h.Reserved == nil || x.target.Slashes {
		x.deny(&denial{http.StatusForbidden, policy.ReasonUnknownRoute, "Nothing is served under this path.", "", 0})
		return
	}
	u := *x.r.URL // the canonical one, so that %2eringfence is not another path to our handlers
	u.Path, u.RawPath, u.RawQuery = x.target.Path, x.target.Raw, x.target.RawQuery
	u.Scheme, u.Host = "", ""
	x.r.URL = &u
	x.r.RequestURI = u.RequestURI()
	x.serveOwn(x.h.Reserved)
}
