package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

var (
	errResponseTooLarge = errors.New("writing response: it is larger than the policy allows")
	errBudgetSpent      = errors.New("writing response: the egress budget is spent")
)

// A responseWriter counts what goes to the client and ends it at the limit.
type responseWriter struct {
	x         *exchange
	status    int
	firstByte time.Duration // since the start, 0: none yet
	length    int64         // that the upstream announced, 0: none
	n         atomic.Int64
	failed    bool // the client took no more
	ours      bool // it words a refusal, which no egress budget is about
	tooLarge  atomic.Bool
	spent     atomic.Bool // the egress budget
}

// Header returns the response's headers.
func (w *responseWriter) Header() http.Header { return w.x.w.Header() }

// Unwrap lets [http.ResponseController] reach the server's writer, to flush.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.x.w }

// WriteHeader begins the response, or passes an informational one on.
func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		w.x.filterHeader(w.Header()) // these never come through modifyResponse
		w.x.w.WriteHeader(status)
		return
	}
	w.begin(status)
	w.x.w.WriteHeader(status)
}

func (w *responseWriter) begin(status int) {
	if w.status == 0 {
		w.status, w.firstByte = status, time.Since(w.x.start)
	}
}

// Write passes b on as far as the limit allows.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.begin(http.StatusOK)
	n, over, err := w.pass(w.x.w, b)
	if err != nil {
		w.failed = true
		return n, err
	}
	if over != nil {
		return n, over
	}
	// What a slow upstream has said so far is not held back. Responses without
	// a length are flushed by ReverseProxy, which would also break gRPC's
	// responses of trailers alone if it were told to flush all.
	if w.n.Load() < w.length {
		if f, ok := w.x.w.(http.Flusher); ok {
			f.Flush()
		}
	}
	return n, nil
}

// pass writes as much of b to the client as its limits allow, and counts it.
// over says which limit did not.
func (w *responseWriter) pass(to io.Writer, b []byte) (n int, over, err error) {
	b, tooLarge := w.allowed(b)
	if tooLarge {
		over = errResponseTooLarge
	}
	m, d := w.x.meter, int64(0)
	if w.ours {
		m = nil
	}
	if m != nil {
		d = today(w.x.h.Now())
		if room := m.take(d, len(b), w.x.budget.Load()); room < len(b) {
			w.spent.Store(true)
			b, over = b[:room], errBudgetSpent
		}
	}
	if over == nil || len(b) > 0 {
		n, err = to.Write(b)
		w.n.Add(int64(n))
	}
	if m != nil && n < len(b) {
		m.giveBack(d, len(b)-n)
	}
	return n, over, err
}

// allowed cuts b where the response would pass its limit.
func (w *responseWriter) allowed(b []byte) (cut []byte, over bool) {
	limit := w.x.limit.Load()
	if limit <= 0 {
		return b, false
	}
	if left := max(0, limit-w.n.Load()); int64(len(b)) > left {
		w.tooLarge.Store(true)
		return b[:left], true
	}
	return b, false
}

// Hijack hands the connection over for a WebSocket. What passes is still counted.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.x.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if g, ok := conn.(interface{ passThrough() }); ok {
		g.passThrough()
	}
	w.x.hijacked.Store(true)
	conn.SetDeadline(time.Time{})
	if w.x.wasCut() { // a cut that came before must not be undone by the line above
		conn.Close()
		return nil, nil, net.ErrClosed
	}
	w.begin(http.StatusSwitchingProtocols)
	c := &hijackedConn{Conn: conn, x: w.x}
	if n := rw.Reader.Buffered(); n > 0 {
		c.early, _ = rw.Reader.Peek(n)
	}
	return c, rw, nil
}

// A hijackedConn is the client's side of a WebSocket, counted and limited. It
// cannot be closed for writing alone, so either end's end is both ends'.
type hijackedConn struct {
	net.Conn
	x     *exchange
	early []byte // read by the server before the connection was handed over
}

// Read counts what the client sends.
func (c *hijackedConn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		c.x.body.n.Add(int64(n))
		return n, nil
	}
	n, err := c.Conn.Read(b)
	c.x.body.n.Add(int64(n))
	return n, err
}

// Write counts what the client is sent.
func (c *hijackedConn) Write(b []byte) (int, error) {
	n, over, err := c.x.out.pass(c.Conn, b)
	if err == nil {
		err = over
	}
	return n, err
}

var errBodyTooLarge = errors.New("reading request's body: it is too large")

// A requestBody counts what the client sends, limits it, and ends it when the
// client stalls.
type requestBody struct {
	io.ReadCloser
	x        *exchange
	n        atomic.Int64
	tooLarge atomic.Bool
	broken   atomic.Bool // the client's fault: it stalled, left, or broke the framing
	armed    time.Time   // when the deadline was last put off
}

// Read reads the body.
func (b *requestBody) Read(p []byte) (int, error) {
	stall := b.x.h.limits.StallTimeout
	watch := stall > 0 && b.x.protocol != protocolGRPC
	if watch {
		if now := time.Now(); now.Sub(b.armed) > stall/4 {
			b.armed = now
			b.x.setReadDeadline(now.Add(stall))
		}
	}
	n, err := b.ReadCloser.Read(p)
	total := b.n.Add(int64(n))
	if limit := b.x.h.limits.BodyBytes; limit >= 0 && total > limit {
		b.tooLarge.Store(true)
		return 0, errBodyTooLarge
	}
	if err != nil {
		if err != io.EOF {
			b.broken.Store(true)
		} else if watch {
			b.x.setReadDeadline(time.Time{}) // or it would end the connection during the response
		}
	}
	return n, err
}

// limitWait gives the whole body of the request a deadline. Forwarding takes it
// off; everything else reads the body to its end or gives up, the server itself
// before it answers, and a body that never comes would hold both for ever.
func (x *exchange) limitWait() {
	if d := x.h.limits.FormTimeout; d > 0 && x.r.ContentLength != 0 {
		x.waits = true
		x.setReadDeadline(time.Now().Add(d))
	}
}

// A promptBody is a body that one of our own handlers reads under the deadline
// of limitWait.
type promptBody struct {
	io.ReadCloser
	x *exchange
}

// Read reads the body.
func (b *promptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.x.setReadDeadline(time.Time{}) // or it would end the connection during the response
	}
	return n, err
}

// setReadDeadline sets the deadline unless the exchange is over or cut, when
// the connection is no longer ours to set it on.
func (x *exchange) setReadDeadline(t time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.done && x.ended == "" {
		http.NewResponseController(x.w).SetReadDeadline(t)
	}
}

// A responseBody reads the upstream's body and filters its trailers when they
// have come, which is when it is closed.
type responseBody struct {
	io.ReadCloser
	x   *exchange
	res *http.Response
}

// Close closes the body and filters the trailers.
func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.x.filterHeader(b.res.Trailer)
	return err
}
