package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// forward sends the allowed and recorded request on and passes the response
// back. It may be cut from now on; generation is that of before it was decided.
func (x *exchange) forward(generation uint64) {
	x.limit.Store(x.decision.Obligations.MaxResponseBytes)
	x.masked = maskFor(x.decision.Obligations.Mask)
	x.Context, x.cancel = context.WithCancelCause(x.r.Context())
	defer x.finish()
	if !x.h.streams.open(x) {
		x.cut(*x.h.closing.Load())
	}
	if x.h.generation.Load() != generation {
		x.h.Recheck() // something changed while this was decided
	}
	r := x.r.WithContext(x)
	if r.ContentLength != 0 {
		x.setReadDeadline(time.Time{}) // from now on it is put off as the body comes
		x.body.ReadCloser = r.Body
		r.Body = &x.body
		if r.ProtoMajor == 1 {
			http.NewResponseController(x.w).EnableFullDuplex()
		}
	}
	x.h.proxy.ServeHTTP(&x.out, r)
}

// finish ends an exchange whichever way it ended, and records the outcome. A
// response that is not whole is aborted, so that the client cannot take it for whole.
func (x *exchange) finish() {
	fault := recover()
	x.mu.Lock()
	x.done = true
	ended := x.ended
	x.mu.Unlock()
	x.cancel(nil)
	if x.held != nil {
		x.held.inFlight.Add(-1)
	}
	abort := fault != nil || ended != ""
	if fault != nil && fault != http.ErrAbortHandler {
		x.h.Logger.Error("forwarding request", "request_id", x.id, "panic", fault, "stack", string(debug.Stack()))
		ended = "internal_error"
	}
	if ended == "" {
		ended = x.whyEnded(abort)
	}
	x.appendOutcome(ended)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// whyEnded says what cut the exchange short other than a cut from outside.
func (x *exchange) whyEnded(abort bool) string {
	switch {
	case x.out.tooLarge.Load():
		return policy.ReasonResponseTooLarge
	case x.out.spent.Load():
		return policy.ReasonEgressBudget
	case x.unmaskable.Load():
		return policy.ReasonNotMaskable
	case x.failure != nil:
		return x.failure.code
	case !abort:
		return ""
	case x.out.failed || x.body.broken.Load() || x.r.Context().Err() != nil:
		return "client_closed"
	default:
		return "upstream_failed"
	}
}

// rewrite makes the request that goes up: the canonical one, with nothing of
// ours that came from the client, and with our headers set anew.
func rewrite(p *httputil.ProxyRequest) {
	x := exchangeOf(p.In.Context())
	out, h := p.Out, p.Out.Header
	out.URL = &url.URL{Path: x.target.Path, RawPath: x.target.Raw, RawQuery: x.target.RawQuery}
	out.Trailer = nil
	if out.ContentLength == 0 {
		out.Body = nil
	}
	if x.protocol != protocolWebSocket {
		delete(h, "Connection")
		delete(h, "Upgrade")
	}
	stripCredentials(h)
	if len(x.masked) > 0 {
		maskRequest(h)
	}
	s, v := &x.input.Subject, &x.headers
	v.set(h, HeaderAccount, headerText(s.Account))
	v.set(h, HeaderEmail, headerText(s.Email))
	v.set(h, HeaderVendor, headerText(s.Vendor))
	v.set(h, HeaderRoles, headerText(roleNames(s.Roles)))
	v.set(h, HeaderCluster, x.cluster.Name)
	v.set(h, HeaderRequestID, x.id)
	v.set(h, HeaderEntry, x.entry)
	v.set(h, HeaderAssertion, x.assertion())
	v.set(h, "X-Forwarded-For", x.sourceText)
	v.set(h, "X-Forwarded-Host", x.authority)
	v.set(h, "X-Forwarded-Proto", x.scheme)
}

// assertion returns the signed token for the upstream; without one the request
// goes up all the same, and an upstream that demands it refuses.
func (x *exchange) assertion() string {
	if x.h.Asserter == nil {
		return ""
	}
	t, err := x.h.Asserter.Assert(x.input.Subject, x.cluster.Name, x.host, x.id)
	if err != nil {
		x.h.Logger.ErrorContext(x.r.Context(), "making assertion", "request_id", x.id, "err", err)
		return ""
	}
	return t
}

// A transport sends a request to an upstream of its route: where connecting
// fails and the request is safe and has no body, to another one.
type transport struct{}

var errNoUpstream = errors.New("choosing upstream: none is healthy")

// RoundTrip implements [http.RoundTripper].
func (transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	last := errNoUpstream
	x.tried = x.triedFirst[:0]
	for {
		p := x.route.pick(x.h.Now(), x.tried)
		if p == nil {
			return nil, last
		}
		x.upstream, x.tried = p, append(x.tried, p)
		res, err := x.send(p, r)
		if err == nil {
			return res, nil
		}
		last = err
		if !retryable(x, r, err) {
			return nil, err
		}
	}
}

// send makes one attempt. The request is copied, since a failed attempt may
// still be looking at it.
func (x *exchange) send(p *pool, r *http.Request) (*http.Response, error) {
	attempt, u := *r, *r.URL
	u.Scheme, u.Host = p.scheme, p.host
	attempt.URL = &u
	attempt.Host = p.host
	if x.route.PreserveHost {
		attempt.Host = x.authority
	}
	p.inFlight.Add(1)
	res, err := p.rt.RoundTrip(&attempt)
	switch {
	case err == nil:
		x.held = p
		x.h.reached(p, x.cluster.Name, x.route.Name)
		return res, nil
	case x.Err() == nil && !x.body.broken.Load() && !isTimeout(err):
		x.h.missed(p, x.cluster.Name, x.route.Name, err)
	}
	p.inFlight.Add(-1)
	return nil, err
}

// retryable reports whether a failed request may be sent to another upstream:
// nothing that changes anything is ever sent twice.
func retryable(x *exchange, r *http.Request, err error) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Body == nil && x.Err() == nil && !isTimeout(err) && x.protocol != protocolGRPC
	}
	return false
}

// isTimeout reports whether err says that an upstream was reached but did not
// answer in time. One that could not even be reached in time is another matter.
func isTimeout(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return false
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// upstreamFailed answers an allowed request that could not be served.
func upstreamFailed(_ http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	x.mu.Lock()
	cut := x.ended != ""
	x.mu.Unlock()
	if cut || x.hijacked.Load() || x.r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	x.h.Logger.WarnContext(x.r.Context(), "forwarding request", "request_id", x.id, "cluster", x.cluster.Name, "route", x.route.Name, "err", err)
	switch {
	case x.failure != nil: // modifyResponse said why
	case x.body.tooLarge.Load():
		x.failure = tooLarge()
	case x.body.broken.Load():
		panic(http.ErrAbortHandler)
	case errors.Is(err, errNoUpstream):
		x.failure = &denial{http.StatusServiceUnavailable, policy.ReasonUpstreamDown, "No system behind this cluster can be reached.", "Try again in a moment.", 5}
	case isTimeout(err):
		x.failure = &denial{http.StatusGatewayTimeout, policy.ReasonUpstreamDown, "The system behind this cluster did not answer in time.", "Try again in a moment.", 0}
	default:
		x.failure = &denial{http.StatusBadGateway, policy.ReasonUpstreamDown, "The system behind this cluster cannot be reached.", "Try again in a moment.", 0}
	}
	x.limit.Store(0)
	clear(x.w.Header())
	x.decision = policy.Decision{Effect: policy.Deny, Revision: x.decision.Revision,
		Reasons: []policy.Reason{{Code: x.failure.code, Message: x.failure.message, Help: x.failure.help}}}
	x.refuse(x.failure.status, x.failure.retryAfter)
}

// buffers lends the buffers that responses are copied through.
type buffers struct{}

const bufferSize = 32 << 10

var bufferPool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Get implements [httputil.BufferPool].
func (buffers) Get() []byte { return bufferPool.Get().(*[bufferSize]byte)[:] }

// Put implements [httputil.BufferPool].
func (buffers) Put(b []byte) { bufferPool.Put((*[bufferSize]byte)(b)) }
