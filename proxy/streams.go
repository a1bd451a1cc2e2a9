package proxy

import (
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

const shardCount = 64

// streams holds every request that is being decided or forwarded. It is cut
// into shards by account, so that requests of different accounts share no lock.
type streams struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

type shard struct {
	mu       sync.Mutex
	first    *exchange      // a list through exchange.next and prev
	accounts map[string]int // requests by account
	meters   map[meterKey]*meter
	closed   bool
	_        [64]byte // shards share no cache line
}

func (s *streams) init() {
	s.seed = maphash.MakeSeed()
	for i := range s.shards {
		s.shards[i].accounts = make(map[string]int)
		s.shards[i].meters = make(map[meterKey]*meter)
	}
}

func (s *streams) shardOf(key string) *shard {
	return &s.shards[maphash.String(s.seed, key)%shardCount]
}

// enter registers x, and reports false when its account has limit requests already.
func (s *streams) enter(x *exchange, limit int) bool {
	account := x.input.Subject.Account
	key := account
	if key == "" {
		key = x.id
	}
	sh := s.shardOf(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if account != "" {
		if n := sh.accounts[account]; limit > 0 && n >= limit {
			return false
		}
		sh.accounts[account]++
	}
	x.shard, x.next = sh, sh.first
	if sh.first != nil {
		sh.first.prev = x
	}
	sh.first = x
	return true
}

// open marks x as forwarded: from now on it can be cut. It reports false once
// every stream has been closed.
func (s *streams) open(x *exchange) bool {
	x.shard.mu.Lock()
	defer x.shard.mu.Unlock()
	x.open = true
	return !x.shard.closed
}

func (s *streams) leave(x *exchange) {
	sh := x.shard
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if account := x.input.Subject.Account; account != "" {
		if sh.accounts[account]--; sh.accounts[account] == 0 {
			delete(sh.accounts, account)
		}
	}
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		sh.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.next, x.prev, x.open = nil, nil, false
}

// all returns what is being forwarded now.
func (s *streams) all() (out []*exchange) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for x := sh.first; x != nil; x = x.next {
			if x.open {
				out = append(out, x)
			}
		}
		sh.mu.Unlock()
	}
	return out
}

// OpenStreams returns how many allowed requests are being forwarded now,
// WebSockets and other long streams among them.
func (h *Handler) OpenStreams() int {
	n := 0
	for i := range h.streams.shards {
		sh := &h.streams.shards[i]
		sh.mu.Lock()
		for x := sh.first; x != nil; x = x.next {
			if x.open {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n
}

// CloseStreams cuts every request that is being forwarded, and each one that
// would be later, and has its outcome say reason. It is for shutdown, after the
// time given to requests to end by themselves.
func (h *Handler) CloseStreams(reason string) {
	if reason == "" {
		reason = "shutdown"
	}
	h.closing.Store(&reason)
	for i := range h.streams.shards {
		sh := &h.streams.shards[i]
		sh.mu.Lock()
		sh.closed = true
		sh.mu.Unlock()
	}
	for _, x := range h.streams.all() {
		x.cut(reason)
	}
}

// CloseEndless cuts what would not end by itself: WebSockets, gRPC calls and
// event streams. Shutdown does so before it waits for the rest.
func (h *Handler) CloseEndless(reason string) {
	for _, x := range h.streams.all() {
		if x.protocol == protocolWebSocket || x.protocol == protocolGRPC || x.events.Load() {
			x.cut(reason)
		}
	}
}

// A cutError is the cause of a request's end from outside.
type cutError string

// Error gives the reason.
func (e cutError) Error() string { return "ending request: " + string(e) }

// cut ends x from outside. Cancelling alone would not end a write to a client
// that reads nothing, nor the read of a body that never comes.
func (x *exchange) cut(reason string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done || x.ended != "" {
		return
	}
	x.ended = reason
	x.cancel(cutError(reason))
	past := time.Unix(1, 0)
	c := http.NewResponseController(x.w)
	c.SetWriteDeadline(past)
	c.SetReadDeadline(past)
}

func (x *exchange) wasCut() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended != ""
}
