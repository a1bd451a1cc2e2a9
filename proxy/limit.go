package proxy

import (
	"net/netip"
	"time"
)

// Limits bound what one client may take. A zero field takes its default, a
// negative one means no limit (where that is possible).
type Limits struct {
	Connections           int // open at once; default 10,000
	ConnectionsPerAddress int // IPv4 address or IPv6 /64; default 256
	// UncountedPeers are networks whose connections do not count per address:
	// load balancers in front.
	UncountedPeers []netip.Prefix

	HandshakeTimeout  time.Duration // TLS; default 10 s
	ReadHeaderTimeout time.Duration // from the first byte of a head to its last; default 10 s
	IdleTimeout       time.Duration // between requests; default 2 min
	// StallTimeout is how long a client may take nothing of a response, or give
	// nothing of a body that it announced; default 5 min. Neither quiet
	// WebSockets nor gRPC streams count as stalled.
	StallTimeout time.Duration
	// FormTimeout is how long the whole body of a request may take that is not
	// forwarded: a form of ours, or one that is refused; default 30 s.
	FormTimeout time.Duration

	HeaderBytes          int   // of a request's head; default 64 KiB
	BodyBytes            int64 // of a request's body; default none
	ResponseHeaderBytes  int64 // of an upstream's response head; default 256 KiB
	StreamsPerConnection int   // HTTP/2 requests at once on one connection; default 128
	// RequestsPerAccount is how many requests of one account may be in flight,
	// open streams among them; default 512.
	RequestsPerAccount int
}

func (l Limits) withDefaults() Limits {
	def(&l.Connections, 10_000)
	def(&l.ConnectionsPerAddress, 256)
	def(&l.HandshakeTimeout, 10*time.Second)
	def(&l.ReadHeaderTimeout, 10*time.Second)
	def(&l.IdleTimeout, 2*time.Minute)
	def(&l.StallTimeout, 5*time.Minute)
	def(&l.FormTimeout, 30*time.Second)
	def(&l.HeaderBytes, 64<<10)
	def(&l.BodyBytes, -1)
	def(&l.ResponseHeaderBytes, 256<<10)
	def(&l.StreamsPerConnection, 128)
	def(&l.RequestsPerAccount, 512)
	return l
}

func def[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
