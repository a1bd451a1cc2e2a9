package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// NewListener returns a listener for one [http.Server] (see [NewServer]) on
// connections accepted by inner. It counts connections in all and per address,
// closing those beyond the limits; completes TLS handshakes apart from
// accepting, with a deadline; and reads each HTTP/1 request head strictly (see
// the package comment). With a nil config it serves HTTP/1 without TLS. The
// config's certificates must speak for the hosts; its NextProtos default to h2
// and http/1.1. It starts working at the first Accept.
func NewListener(inner net.Listener, config *tls.Config, limits Limits) net.Listener {
	l := &listener{inner: inner, limits: limits.withDefaults(), ready: make(chan net.Conn), done: make(chan struct{}),
		perAddress: make(map[netip.Addr]int)}
	if config != nil {
		l.tls = config.Clone()
		if len(l.tls.NextProtos) == 0 {
			l.tls.NextProtos = []string{"h2", "http/1.1"}
		}
		if l.tls.MinVersion == 0 {
			l.tls.MinVersion = tls.VersionTLS12
		}
	}
	return l
}

type listener struct {
	inner  net.Listener
	tls    *tls.Config // nil: no TLS
	limits Limits

	start sync.Once
	ready chan net.Conn
	done  chan struct{} // closed when accepting is over; err says why
	stop  sync.Once
	err   error

	mu         sync.Mutex // guards the counts
	open       int
	perAddress map[netip.Addr]int
	pending    sync.Map // *countedConn in a handshake
}

// Accept returns the next connection that is ready to be served: a *tls.Conn
// for HTTP/2, else a guarded one.
func (l *listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.acceptAll() })
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.done:
		return nil, l.err
	}
}

// Close stops accepting and ends pending handshakes. Connections that were
// handed out stay open.
func (l *listener) Close() error {
	err := l.inner.Close()
	l.end(net.ErrClosed)
	l.pending.Range(func(c, _ any) bool {
		c.(*countedConn).Close()
		return true
	})
	return err
}

// Addr returns the address of inner.
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

func (l *listener) end(err error) {
	l.stop.Do(func() {
		l.err = err
		close(l.done)
	})
}

func (l *listener) acceptAll() {
	pause := 5 * time.Millisecond
	for {
		c, err := l.inner.Accept()
		if err != nil {
			if t, ok := err.(interface{ Temporary() bool }); !ok || !t.Temporary() || errors.Is(err, net.ErrClosed) {
				l.end(err)
				return
			}
			select { // such as out of file descriptors: wait for some to be closed
			case <-time.After(pause):
			case <-l.done:
				return
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		counted := l.admit(c)
		if counted == nil {
			c.Close()
			continue
		}
		go l.prepare(counted)
	}
}

// prepare completes the handshake and hands the connection to Accept.
func (l *listener) prepare(c *countedConn) {
	l.pending.Store(c, nil)
	defer l.pending.Delete(c)
	conn, err := l.secure(c)
	if err != nil {
		c.Close()
		return
	}
	select {
	case l.ready <- conn:
	case <-l.done:
		conn.Close()
	}
}

var errNoHTTP = errors.New("accepting connection: it was for no HTTP protocol")

func (l *listener) secure(c *countedConn) (net.Conn, error) {
	if l.tls == nil {
		return &guardedConn{Conn: c, guard: newGuard(l.limits.HeaderBytes)}, nil
	}
	t := tls.Server(c, l.tls)
	if d := l.limits.HandshakeTimeout; d > 0 {
		c.SetDeadline(time.Now().Add(d))
	}
	if err := t.Handshake(); err != nil {
		return nil, err
	}
	c.SetDeadline(time.Time{})
	switch t.ConnectionState().NegotiatedProtocol {
	case "h2":
		return t, nil
	case "", "http/1.1":
		return &guardedTLSConn{guardedConn: guardedConn{Conn: t, guard: newGuard(l.limits.HeaderBytes)}, tls: t}, nil
	default: // a certificate authority's challenge, complete with the handshake
		t.Close()
		return nil, errNoHTTP
	}
}

// admit counts c, or returns nil when a limit is reached.
func (l *listener) admit(c net.Conn) *countedConn {
	key := addressKey(c.RemoteAddr())
	if within(key, l.limits.UncountedPeers) {
		key = netip.Addr{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit := l.limits.Connections; limit > 0 && l.open >= limit {
		return nil
	}
	if limit := l.limits.ConnectionsPerAddress; limit > 0 && key.IsValid() && l.perAddress[key] >= limit {
		return nil
	}
	l.open++
	if key.IsValid() {
		l.perAddress[key]++
	}
	return &countedConn{Conn: c, listener: l, key: key, stall: l.limits.StallTimeout}
}

func (l *listener) release(key netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if key.IsValid() {
		if l.perAddress[key]--; l.perAddress[key] == 0 {
			delete(l.perAddress, key)
		}
	}
}

// addressKey is what connections are counted by: an IPv4 address, or the /64
// of an IPv6 address, which one customer has to themselves.
func addressKey(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64)
		return p.Addr()
	}
	return addr
}

// A countedConn is a connection that counts until it is closed. Each write has
// its own deadline, so that a client that takes nothing does not hold it for ever.
type countedConn struct {
	net.Conn
	listener *listener
	key      netip.Addr
	stall    time.Duration
	once     sync.Once
	deadline atomic.Bool // somebody set a deadline for writing
	broken   atomic.Bool // a write failed, and with it the stream
}

// Close closes the connection and stops counting it.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.listener.release(c.key) })
	return err
}

// Write writes b, giving the client the stall timeout to take it. After a
// failed write nothing is tried again: TLS would wait five more seconds to say
// farewell to a client that takes nothing.
func (c *countedConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, net.ErrClosed
	}
	if c.stall > 0 && !c.deadline.Load() {
		c.Conn.SetWriteDeadline(time.Now().Add(c.stall))
	}
	n, err := c.Conn.Write(b)
	if err != nil {
		c.broken.Store(true)
	}
	return n, err
}

// SetWriteDeadline sets a deadline that Write then leaves alone.
func (c *countedConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *countedConn) SetDeadline(t time.Time) error {
	c.deadline.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// CloseWrite ends the sending side, where the connection has one.
func (c *countedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
