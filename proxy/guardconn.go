package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A guardedConn is an HTTP/1 connection whose bytes pass only as far as its
// guard finds them fine. A bad head is made unreadable instead of being
// answered here, so that the server answers it with 400, in its turn, and closes.
type guardedConn struct {
	net.Conn
	guard  guard
	poison []byte // still to be read instead of the bad bytes
	bad    error  // how reading goes on after that
	linger bool   // the server is about to answer 400 and close

	through atomic.Bool // the connection was handed over: no HTTP any more
}

// poisonHead begins with a byte that cannot end the line before it, and holds a
// line without a colon, so that no parser takes the head for whole.
const poisonHead = "!\r\n\x00\r\n\r\n"

// Read reads as [net.Conn] does, as far as the bytes are fine.
func (c *guardedConn) Read(b []byte) (int, error) {
	if c.through.Load() {
		return c.Conn.Read(b)
	}
	if len(c.poison) > 0 {
		n := copy(b, c.poison)
		c.poison = c.poison[n:]
		return n, nil
	}
	if c.bad != nil {
		return 0, c.bad
	}
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	good, ok := c.guard.scan(b[:n])
	if ok {
		return n, err
	}
	if c.linger = true; c.guard.state == inHead {
		c.poison, c.bad = []byte(poisonHead), io.EOF
	} else {
		c.bad = errFraming
	}
	if good > 0 {
		return good, nil
	}
	return c.Read(b)
}

// passThrough ends the guard's work: what follows is a WebSocket.
func (c *guardedConn) passThrough() { c.through.Store(true) }

// Close closes the connection. After a bad request it first lets the answer
// arrive, which a reset because of unread bytes would destroy.
func (c *guardedConn) Close() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger && w.CloseWrite() == nil {
		c.Conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		io.CopyN(io.Discard, c.Conn, 256<<10)
	}
	return c.Conn.Close()
}

// A guardedTLSConn is a guardedConn over TLS.
type guardedTLSConn struct {
	guardedConn
	tls *tls.Conn
}

// ConnectionState lets net/http set Request.TLS.
func (c *guardedTLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }
