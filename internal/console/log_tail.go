package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

const (
	// mostTails is how many streams of the log are open at once, and
	// tailsAnAccount how many of them one account's.
	mostTails, tailsAnAccount = 64, 6
	// tailEvery is how long lines are gathered before they are sent together.
	tailEvery = 250 * time.Millisecond
	// tailBatch is the most lines that are sent together.
	tailBatch = 500
	// tailAsk is how often it is asked whether the session still may.
	tailAsk = time.Second
	// tailBeat is how often something is sent even though nothing came, so that
	// both sides notice a lost connection.
	tailBeat = 15 * time.Second
	// tailStall is how long a client may take nothing.
	tailStall = 15 * time.Second
)

// atOnce is a channel that nobody waits at.
var atOnce = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

// tails are the open streams of the log.
type tails struct {
	mu   sync.Mutex
	open map[string]int // by account
	sum  int
	stop chan struct{} // closed when the gateway stops
}

// A seat is one of them.
type seat struct {
	of      *tails
	account string
	stopped <-chan struct{}
}

func (t *tails) ready() {
	if t.stop == nil {
		t.stop, t.open = make(chan struct{}), map[string]int{}
	}
}

func (t *tails) enter(account string) (seat, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready()
	if t.sum >= mostTails || t.open[account] >= tailsAnAccount {
		return seat{}, &ui.Error{Status: http.StatusTooManyRequests, Title: "Too many live views are open", Detail: "Close one of them and try again.", RetryAfter: 10 * time.Second}
	}
	t.sum++
	t.open[account]++
	return seat{t, account, t.stop}, nil
}

func (s seat) leave() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.sum--
	if s.of.open[s.account]--; s.of.open[s.account] == 0 {
		delete(s.of.open, s.account)
	}
}

// StopTails ends all streams of the log, now and for good: they would not end
// by themselves.
func (c *Console) StopTails() {
	c.tails.mu.Lock()
	defer c.tails.mu.Unlock()
	c.tails.ready()
	select {
	case <-c.tails.stop:
	default:
		close(c.tails.stop)
	}
}

// A tail is one stream. One goroutine reads the log and selects, the other
// writes; what is between them is bounded, so that a slow client slows its own
// reading of the log and nothing else.
type tail struct {
	c     *Console
	w     http.ResponseWriter
	r     *http.Request
	v     *visit
	n     query.Node
	reach string // what the visitor may see, as it was in the beginning

	seen  uint64 // the first index that the client has not seen; the writer's own
	read  atomic.Uint64
	lines chan *accesslog.Entry
	rows  []entryRow
}

func (s *tail) run(stopped <-chan struct{}) error {
	ctx, cancel := context.WithCancel(s.r.Context())
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(http.StatusOK)
	s.read.Store(s.seen)
	s.lines = make(chan *accesslog.Entry, tailBatch)
	done := make(chan struct{})
	go s.follow(ctx, done)
	defer func() { cancel(); <-done }()
	if s.send("at", nil) != nil {
		return nil
	}
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	asked, beat := time.Now(), time.Now()
	wait := tick.C
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stopped:
			return nil
		case <-done: // the log was closed, or cannot be read
			for more, err := s.flush(); more && err == nil; {
				more, err = s.flush()
			}
			return nil
		case <-wait:
		}
		if time.Since(asked) >= tailAsk {
			asked = time.Now()
			if !s.still() {
				_ = s.send("over", nil)
				return nil
			}
		}
		before := s.seen
		more, err := s.flush()
		if err != nil {
			return nil // the client is gone; there is nobody to tell
		}
		if wait = tick.C; more {
			wait = atOnce // an old log is sent for minutes, and each time is asked whether it may be
		}
		if s.seen != before {
			beat = time.Now()
		} else if time.Since(beat) >= tailBeat {
			beat = time.Now()
			if s.send("at", nil) != nil {
				return nil
			}
		}
	}
}

// follow reads the log and hands over what is selected.
func (s *tail) follow(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	f := query.Compile(s.v.readable(lines(s.n)), s.v.Now)
	for e, err := range s.c.Follow.Subscribe(ctx, s.seen) {
		if err != nil {
			s.c.Logger.ErrorContext(ctx, "following the access log", "err", err)
			return
		}
		if f.Match(e) {
			select {
			case s.lines <- e:
			case <-ctx.Done():
				return
			}
		}
		s.read.Store(e.Index + 1)
	}
}

// flush sends a batch of what has been selected, and reports whether there is more.
func (s *tail) flush() (more bool, err error) {
	read := s.read.Load() // before the lines are taken: those below it are among them
	s.rows = s.rows[:0]
	for !more {
		select {
		case e := <-s.lines:
			s.rows = append(s.rows, s.v.entryRow(pair{entry: e}))
			s.seen = e.Index + 1
			more = len(s.rows) == tailBatch
			continue
		default:
		}
		s.seen = max(s.seen, read)
		break
	}
	if len(s.rows) == 0 {
		return false, nil
	}
	b, err := s.c.UI.Part(s.r, "log-live", "entry-rows", s.rows)
	if err != nil {
		return false, err
	}
	return more, s.send("lines", b)
}

// send writes one event. Its id is where to go on, whatever the event says.
func (s *tail) send(event string, data []byte) error {
	rc := http.NewResponseController(s.w)
	_ = rc.SetWriteDeadline(time.Now().Add(tailStall)) // where there is none, the server's own limits hold
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %d\nevent: %s\n", s.seen, event)
	for line := range bytes.Lines(append(data, '\n')) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 || len(data) == 0 {
			b.WriteString("data: ")
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	if _, err := s.w.Write(b.Bytes()); err != nil {
		return err
	}
	return rc.Flush()
}

// still reports whether the visitor's session is in force as it was when the
// stream began. Being asked does not keep it in force.
func (s *tail) still() bool {
	sessions, err := s.c.Auth.SessionsOf(s.r.Context(), s.v.Session.Account)
	if err != nil {
		return false
	}
	for i := range sessions {
		if x := &sessions[i]; x.ID == s.v.Session.ID {
			now := *s.v
			now.Session, now.Snapshot = x, s.c.Directory.Snapshot()
			return !x.Idle && s.v.rt.need.met(x) && query.Print(now.mayRead()) == s.reach
		}
	}
	return false
}
