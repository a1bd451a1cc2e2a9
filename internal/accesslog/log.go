package accesslog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Actions of the records that the log makes about itself, all of type
// [policy.RecordLog].
const (
	ActionStart     = "start"     // a writer opened the log
	ActionRecovered = "recovered" // bytes of an unfinished batch were dropped
	ActionClock     = "clock"     // the clock jumped by more than a second
	ActionFacts     = "facts"     // a facts document, once in each segment that names it
)

// Values of [policy.Record.Ended] in outcomes that the log itself adds.
const (
	EndedInterrupted = "interrupted" // the gateway stopped before it knew the outcome
	EndedTimedOut    = "timed_out"   // the entry was not durable in time, nothing was forwarded
	EndedAbandoned   = "abandoned"   // the caller gave up before the entry was durable
)

// A Log is the access log's one writer. Its methods are safe for concurrent use.
type Log struct {
	cfg        Config
	pen        *pen
	lock       *os.File
	maxPayload int // in bytes, of an entry and of a facts document's entry

	queue chan *item    // from callers to the committer
	kick  chan struct{} // there is room again
	chore chan struct{} // something to seal, or a spare to make
	look  chan struct{} // there is no room: the disk is worth a look
	stop  chan struct{} // closed when Run shall drain and end
	dead  chan struct{} // closed once fatal is set
	fatal atomic.Pointer[error]
	full  atomic.Pointer[error] // why there is no room; nil while there is
	// relaxed is set at the first relaxed record: from then on batches are placed
	// while the one before is synced.
	relaxed atomic.Bool
	latest  atomic.Int64          // time of the newest durable entry, in nanoseconds since 1970
	space   atomic.Pointer[Space] // of the disk, when last measured
	held    atomic.Int64          // records without a waiter, held back for want of room

	// sending is held for reading while a record goes into the queue, so that
	// Close can know that none comes after it drained the queue.
	sending sync.RWMutex
	closing atomic.Bool
	running atomic.Bool
	ended   chan struct{} // closed when Run has returned
	endOnce sync.Once
	stopper sync.Once

	c committer // owned by the goroutine that commits: Open, then Run, then Close

	keep  keeper
	live  live
	keys  *personalKeys // of personal fields
	signs signs
	// pruning is held while old segments are removed.
	pruning sync.Mutex

	counters counters
}

type counters struct {
	commits, bytes, deadlines, missed, refused, sealed, early atomic.Uint64

	lastCommit, slowest atomic.Int64 // nanoseconds
	waiting             atomic.Int64 // since when entries wait for a checkpoint, in nanoseconds from born; 0: none do
}

// born is a moment of the monotonic clock, whatever is set on the machine's.
var born = time.Now()

// sinceBorn is never 0.
func sinceBorn() int64 { return max(int64(time.Since(born)), 1) }

// Stats are figures for metrics and the health page.
type Stats struct {
	Entries        uint64 // durable
	Checkpointed   uint64 // covered by the newest checkpoint
	Commits        uint64 // syncs of batches
	Bytes          uint64 // written in batches
	Deadlines      uint64 // records given up on, by deadline or by their caller
	Missed         uint64 // of these, by deadline: commits that took too long
	Refused        uint64 // records refused for want of room or after a fault
	Sealed         uint64 // segments compressed since the start
	Queued         int    // records waiting for the committer
	Spares         int    // empty segments at hand
	Reserved       bool   // the segment for those who make room is at hand too
	Early          uint64 // relaxed records that were answered before they were durable
	LastCommit     time.Duration
	SlowestCommit  time.Duration // since the start
	OldestUnsigned time.Duration // how long an entry has waited for a checkpoint that covers it
}

// Stats returns current figures.
func (l *Log) Stats() Stats {
	size := l.Size()
	at, _ := l.signs.state()
	s := Stats{
		Entries: size, Checkpointed: at, Commits: l.counters.commits.Load(), Bytes: l.counters.bytes.Load(),
		Deadlines: l.counters.deadlines.Load(), Missed: l.counters.missed.Load(), Refused: l.counters.refused.Load(), Sealed: l.counters.sealed.Load(),
		Queued: len(l.queue), Spares: l.keep.count(), Reserved: l.keep.reserved(), LastCommit: time.Duration(l.counters.lastCommit.Load()),
	}
	s.Early, s.SlowestCommit = l.counters.early.Load(), time.Duration(l.counters.slowest.Load())
	if waiting := l.counters.waiting.Load(); size > at && waiting != 0 {
		s.OldestUnsigned = time.Duration(max(sinceBorn()-waiting, 1))
	}
	return s
}

// Size returns the number of durable entries, which is the next entry's
// index as long as nobody records.
func (l *Log) Size() uint64 { return l.live.size.Load() }

// Behind returns how far the clock is behind the time of the newest entry,
// which never falls: more than 0 after the clock was set back, whether or not
// the process was started anew meanwhile.
func (l *Log) Behind() time.Duration {
	latest := l.latest.Load()
	if latest == 0 {
		return 0
	}
	return max(0, time.Duration(latest-l.cfg.Now().UnixNano()))
}

// Healthy returns nil while records are accepted, and otherwise why not.
func (l *Log) Healthy() error {
	if p := l.fatal.Load(); p != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, *p)
	}
	if p := l.full.Load(); p != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, *p)
	}
	if l.ending() {
		return errClosed
	}
	return l.signs.fault()
}

func (l *Log) ending() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// fail makes err final: nothing more is written by this Log.
func (l *Log) fail(err error) error {
	if l.fatal.CompareAndSwap(nil, &err) {
		close(l.dead)
	}
	return *l.fatal.Load()
}

// States of an item with a waiter.
const (
	itemWaiting = iota
	itemDone
	itemAbandoned // the waiter is gone and the committer owns the item
)

type result struct {
	index uint64
	err   error
}

// An item is a record on its way to the committer.
type item struct {
	body  []byte // encoded, all but what the committer adds in front
	at    time.Time
	claim claim
	doc   *policy.Document
	// docSealed is doc under its account's key, where the log seals.
	docSealed sealedParts
	opens     string // request id of an allowed request, which will have an outcome
	closes    string // request id of an outcome
	waits     bool
	// relaxed: whoever waits is answered once the record has its index.
	relaxed bool
	exact   bool // its own time is kept to the nanosecond
	state   atomic.Int32
	gaveUp  string // why, once abandoned: a value of Ended
	result  chan result
	timer   *time.Timer
}

var items = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &item{body: make([]byte, 0, 1024), result: make(chan result, 1), timer: t}
}}

// newItem encodes r. The caller releases the item or hands it to the committer.
func (l *Log) newItem(r *policy.Record, waits bool) (*item, error) {
	if err := checkRecord(r); err != nil {
		return nil, err
	}
	it := items.Get().(*item)
	it.at, it.claim, it.doc, it.waits = r.Time, l.claimOf(r), r.Document, waits
	it.opens, it.closes, it.gaveUp = "", "", ""
	it.exact = r.Input != nil
	it.relaxed = waits && r.Type == policy.RecordRequest && r.Effect == "allow" && r.Mode == policy.ModeRelaxed
	it.state.Store(itemWaiting)
	switch {
	case r.Type == policy.RecordRequest && r.Effect == "allow":
		it.opens = r.RequestID
	case r.Type == policy.RecordOutcome:
		it.closes = r.RequestID
	}
	if err := l.encode(it, r); err != nil {
		release(it)
		return nil, err
	}
	if head := l.headLen(); len(it.body)+head > l.maxPayload || l.docLen(it.doc)+head+factsLen > l.maxPayload {
		release(it)
		return nil, fmt.Errorf("recording: %w", ErrTooLarge)
	}
	return it, nil
}

// encode writes the item's body, and seals what is personal in it.
func (l *Log) encode(it *item, r *policy.Record) error {
	c := *r
	if r.Document != nil {
		c.Facts = r.Document.Hash()
	}
	if !l.cfg.SealPersonal {
		l.conceal(&c)
		it.body = appendBody(it.body[:0], &c)
		return nil
	}
	parts, err := l.sealPersonal(&c)
	if err != nil {
		return err
	}
	l.conceal(&c)
	it.body = appendRecord(it.body[:0], &c, &parts, r.UserAgent)
	it.docSealed, err = l.sealDocument(r.Document)
	return err
}

func (l *Log) conceal(r *policy.Record) {
	if l.cfg.Conceal != nil && r.Type != policy.RecordRequest && r.Type != policy.RecordOutcome && (r.Object != "" || r.Detail != nil) {
		c := *r // r itself stays off the heap
		l.cfg.Conceal(&c)
		r.Object, r.Detail = c.Object, c.Detail
	}
}

// docLen bounds how long a facts document is in its entry.
func (l *Log) docLen(doc *policy.Document) int {
	if n := len(doc.JSON()); !l.cfg.SealPersonal || n == 0 {
		return n
	}
	return sealedLen(len(doc.JSON()) + 16)
}

// headLen bounds what appendHead adds. Each byte of the node's name takes at most six.
func (l *Log) headLen() int { return 160 + 6*len(l.cfg.Node) }

// factsLen bounds what stands around the document in an entry of action facts.
const factsLen = 256

func release(it *item) {
	it.doc, it.docSealed = nil, sealedParts{}
	items.Put(it)
}

// Record adds r and returns its index once it is durable. On error nothing
// that r allows may happen: [ErrUnavailable] when the log cannot record,
// [ErrDeadline] when it took longer than the deadline, ctx's error when the
// caller gave up, [ErrTooLarge]. After a deadline the entry may be in the log
// all the same; if r allows a request, an outcome that says so follows it.
// An allowed request of [policy.ModeRelaxed] has its index as soon as the entry
// has its place in the order, before it is durable: a crash then loses it,
// together with at most [Config.Queue] others. Beyond that many it waits.
//
// An empty Time becomes the present. The log keeps nothing of r but strings
// and r.Document.
func (l *Log) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	it, err := l.newItem(r, true)
	if err != nil {
		return 0, err
	}
	if it.relaxed && !l.relaxed.Load() {
		l.relaxed.Store(true)
	}
	it.timer.Reset(l.cfg.CommitDeadline)
	if err := l.send(it, ctx.Done()); err != nil {
		it.timer.Stop()
		release(it)
		l.counters.refused.Add(1)
		switch err {
		case errGaveUp:
			err = context.Cause(ctx)
		case ErrDeadline: // the queue had no room for so long
			l.counters.missed.Add(1)
		}
		return 0, fmt.Errorf("recording: %w", err)
	}
	var why string
	select {
	case res := <-it.result:
		return it.take(res)
	case <-it.timer.C:
		why, err = EndedTimedOut, ErrDeadline
	case <-ctx.Done():
		why, err = EndedAbandoned, context.Cause(ctx)
	case <-l.dead:
		why, err = EndedAbandoned, l.Healthy()
	}
	it.timer.Stop()
	it.gaveUp = why
	if !it.state.CompareAndSwap(itemWaiting, itemAbandoned) {
		return it.take(<-it.result)
	}
	l.counters.deadlines.Add(1)
	if why == EndedTimedOut {
		l.counters.missed.Add(1)
	}
	return 0, fmt.Errorf("recording: %w", err)
}

func (it *item) take(res result) (uint64, error) {
	it.timer.Stop()
	release(it)
	if res.err != nil {
		return 0, fmt.Errorf("recording: %w", res.err)
	}
	return res.index, nil
}

// Append adds r without waiting until it is durable, for outcomes: it blocks
// while the queue is full and never drops. The error is [ErrUnavailable] or
// [ErrTooLarge], and then r is not in the log.
func (l *Log) Append(r *policy.Record) error {
	it, err := l.newItem(r, false)
	if err != nil {
		return err
	}
	if err := l.send(it, nil); err != nil {
		release(it)
		l.counters.refused.Add(1)
		return fmt.Errorf("recording: %w", err)
	}
	return nil
}

var (
	errGaveUp = errors.New("the caller gave up")
	errClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)
)

// send puts it into the queue, waiting for room there.
func (l *Log) send(it *item, gaveUp <-chan struct{}) error {
	if l.closing.Load() { // before the lock too, so that Close is not kept from it
		return errClosed
	}
	l.sending.RLock()
	defer l.sending.RUnlock()
	if l.closing.Load() {
		return errClosed
	}
	if p := l.full.Load(); p != nil {
		// Without room a waiter is told at once; what nobody waits for is
		// held back as long as the queue's length allows.
		if it.waits && it.claim == claimNone || !it.waits && l.held.Load() >= int64(l.cfg.Queue) {
			return fmt.Errorf("%w: %w", ErrUnavailable, *p)
		}
	}
	var expired <-chan time.Time
	if it.waits {
		expired = it.timer.C
	}
	stop := l.stop
	if !it.waits {
		stop = nil // outcomes of the last requests are still taken; Close writes them
	}
	select {
	case <-l.dead:
		return l.Healthy()
	case <-stop:
		return fmt.Errorf("%w: it is closing", ErrUnavailable)
	default:
	}
	select {
	case l.queue <- it:
		return nil
	case <-l.dead:
		return l.Healthy()
	case <-stop:
		return fmt.Errorf("%w: it is closing", ErrUnavailable)
	case <-expired:
		return ErrDeadline
	case <-gaveUp:
		return errGaveUp
	}
}
