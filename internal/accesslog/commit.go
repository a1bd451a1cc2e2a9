package accesslog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// maxBatch bounds how many records share a sync, and so how long the first waits.
const maxBatch = 4096

// A committer is the state of the one goroutine that writes. All of it is
// that goroutine's own.
type committer struct {
	seg   *segment
	tree  tree // of all entries, those of the batch included
	tiles tiles
	epoch uint64
	last  time.Time         // of the newest entry
	wall  int64             // the clock when last read, in nanoseconds
	read  time.Time         // likewise, with what the clock that nobody sets said
	open  map[string]uint64 // allowed requests without an outcome, by request id

	buf     []byte // the batch, to be written at seg.off
	batch   []placed
	backlog []*item // without a waiter, held back for want of room
	after   []*item // what the log itself has to say, for the next batch
	gather  []*item
	flight  *flight // nil: no batch is on its way
	early   int     // records answered before they were durable
}

// placed is an entry in the batch.
type placed struct {
	it         *item // nil for facts documents
	index      uint64
	start, end int // of the payload in the batch
	at         time.Time
	early      bool // answered before it was durable
}

// commitLoop commits until told to stop, and then until the queue is empty.
func (l *Log) commitLoop() error {
	for {
		var first *item
		select {
		case first = <-l.queue:
		case <-l.kick:
		case err := <-l.c.landing():
			if err = l.landed(err); err == nil {
				err = l.launch()
			}
			if err != nil {
				return err
			}
			continue
		case <-l.stop:
			return l.drain()
		case <-l.dead:
			return *l.fatal.Load()
		}
		commit := l.commit
		if l.relaxed.Load() {
			commit = l.commitAhead
		}
		if err := commit(l.collect(first)); err != nil {
			return err
		}
	}
}

// drain commits what is queued, without waiting for more. What goes on coming
// while it does so is left to the next call.
func (l *Log) drain() error {
	for most := cap(l.queue); ; most-- {
		if most < 0 {
			return nil
		}
		select {
		case it := <-l.queue:
			if err := l.commit(l.collect(it)); err != nil {
				return err
			}
		default:
			if len(l.c.backlog) > 0 && l.full.Load() == nil || l.c.flight != nil || len(l.c.buf) > 0 {
				return l.commit(nil)
			}
			return nil
		}
	}
}

// collect gathers what shares the next sync. On few cores the committer is
// woken by the first record, before others that are about to come could run;
// letting the scheduler go round until nobody new came costs a microsecond and
// saves a sync for each of them. No timer: waiting longer lost in every measurement.
func (l *Log) collect(first *item) []*item {
	got := l.c.gather[:0]
	if first != nil {
		got = append(got, first)
	}
	for quiet := 0; quiet < 2 && len(got) < maxBatch; {
		before := len(got)
		for len(got) < maxBatch && len(l.queue) > 0 {
			got = append(got, <-l.queue)
		}
		if len(got) == before {
			quiet++
		}
		runtime.Gosched()
	}
	l.c.gather = got
	return got
}

// commit makes records durable, in order, and answers their waiters. An error
// is final.
func (l *Log) commit(batch []*item) error {
	for {
		if err := l.placeAll(batch); err != nil {
			return err
		}
		if err := l.flush(); err != nil {
			return err
		}
		if len(l.c.after) == 0 {
			return nil
		}
		batch, l.c.after = l.c.after, nil
	}
}

// placeAll adds records to the batch, those first that were held back.
func (l *Log) placeAll(batch []*item) error {
	c := &l.c
	if len(c.backlog) > 0 && l.full.Load() == nil {
		batch = slices.Concat(c.backlog, batch)
		c.backlog = nil
		l.held.Store(0)
	}
	now := l.cfg.Now()
	if err := l.watchClock(now); err != nil {
		return err
	}
	for _, it := range batch {
		if err := l.place(it, now); err != nil {
			return err
		}
	}
	return nil
}

// watchClock records a jump of more than a second: back, or, as the clock that
// nobody sets tells it, ahead.
func (l *Log) watchClock(now time.Time) error {
	c := &l.c
	was, elapsed := c.wall, time.Duration(0)
	if !c.read.IsZero() {
		elapsed = now.Sub(c.read)
	}
	c.wall, c.read = now.UnixNano(), now
	jump := time.Duration(c.wall-was) - elapsed
	if was == 0 || c.wall >= was-int64(time.Second) && (elapsed == 0 || jump.Abs() <= time.Second) {
		return nil
	}
	it, err := l.newItem(&policy.Record{Type: policy.RecordLog, Action: ActionClock, Detail: map[string]string{
		"from": time.Unix(0, was).UTC().Format(time.RFC3339Nano),
		"to":   now.UTC().Format(time.RFC3339Nano),
		"by":   jump.Round(time.Millisecond).String(),
	}}, false)
	if err != nil {
		return err
	}
	l.cfg.Logger.Warn("the clock jumped", "by", jump)
	return l.place(it, now)
}

// place adds an item to the batch, or holds it back, or answers that there is no room.
func (l *Log) place(it *item, now time.Time) error {
	c := &l.c
	if !l.fits(it, false) {
		if err := l.flush(); err != nil {
			return err
		}
		err := l.roll()
		switch {
		case err == nil && l.fits(it, false):
		case err == nil: // newItem measures, so that this cannot be
			if !it.finish(0, ErrTooLarge) {
				release(it)
			}
			return nil
		case !errors.Is(err, errNoRoom):
			return err
		case it.claim != claimNone && l.fits(it, true):
		case it.claim == claimAll && l.keep.reserved():
			if err := l.rollReserve(); err != nil {
				return err
			}
		default:
			l.holdBack(it, err)
			return nil
		}
	}
	var document []byte
	if it.doc != nil && !c.seg.facts[it.doc.Hash()] {
		c.seg.facts[it.doc.Hash()] = true
		facts := policy.Record{Type: policy.RecordLog, Action: ActionFacts, Facts: it.doc.Hash()}
		if it.docSealed.n > 0 {
			l.put(nil, now, now, appendRecord(nil, &facts, &it.docSealed, ""))
		} else {
			document = appendBody(nil, &facts)
			l.put(nil, now, now, appendDocument(document, it.doc.JSON()))
		}
	}
	at := it.at
	if at.IsZero() || at.Year() < 1 || at.Year() > 9999 {
		at = now
	}
	index := l.put(it, now, at, it.body)
	if it.claim == claimSome && l.full.Load() != nil {
		c.seg.lent += l.need(it)
	}
	if it.opens != "" {
		c.open[it.opens] = index
	}
	delete(c.open, it.closes)
	l.answerEarly(&c.batch[len(c.batch)-1])
	return nil
}

// fits reports whether it and the facts that it needs fit the open segment.
func (l *Log) fits(it *item, spend bool) bool {
	c := &l.c
	if c.seg.reserved && it.claim != claimAll {
		if l.full.Load() == nil {
			c.seg.reserved = false
		} else if it.claim == claimNone {
			return false
		}
	}
	need := l.need(it)
	if it.claim == claimSome && (spend || c.seg.reserved) && c.seg.lent+need > c.seg.lendable() {
		return false
	}
	return int64(len(c.buf))+2*(frameHead+markLen)+need <= c.seg.room(spend)
}

// need bounds what it and the facts that it needs take up in the open segment.
func (l *Log) need(it *item) int64 {
	need := frameHead + int64(l.headLen()+len(it.body))
	if it.doc != nil && !l.c.seg.facts[it.doc.Hash()] {
		need += frameHead + int64(l.headLen()+factsLen+l.docLen(it.doc))
	}
	return need
}

func (l *Log) holdBack(it *item, why error) {
	if it.waits {
		l.counters.refused.Add(1)
		if it.claim == claimSome {
			why = fmt.Errorf("%w: %w", ErrReserved, why)
		}
		if !it.finish(0, fmt.Errorf("%w: %w", ErrUnavailable, why)) {
			release(it) // its caller gave up, and nothing was forwarded
		}
		return
	}
	l.c.backlog = append(l.c.backlog, it)
	l.held.Store(int64(len(l.c.backlog)))
}

// clockSlack is how far a record's own time may be from its entry's before
// both are kept. Records that overtake one another in the queue stay below it.
// Of a decision by policies both are kept however close they are: its own time
// is a part of what was decided from.
const clockSlack = 100 * time.Millisecond

// put writes one entry's frame into the batch. The entry's time is the
// record's own, at, but neither later than the clock nor earlier than the
// entry before.
func (l *Log) put(it *item, now, at time.Time, body []byte) uint64 {
	c := &l.c
	t := at.Round(0)
	if t.After(now) {
		t = now
	}
	if t.Before(c.last) {
		t = c.last
	}
	c.last = t
	if d := at.Round(0).Sub(t.Round(0)); d == 0 || d.Abs() < clockSlack && (it == nil || !it.exact) {
		at = time.Time{}
	}
	if len(c.buf) == 0 {
		c.buf = make([]byte, 0, 2*frameHead+markLen+max(len(body)+l.headLen(), min(len(c.gather)*(len(body)+256), 1<<20)))
		c.buf = appendMark(c.buf, c.seg.off, c.seg.epoch, c.seg.seq, c.tree.n)
		c.seg.seq++
	}
	start := len(c.buf)
	index := c.tree.n
	c.buf = openFrame(c.buf, frameEntry)
	c.buf = appendHead(c.buf, index, l.cfg.Node, t, at)
	c.buf = append(c.buf, body...)
	closeFrame(c.buf, start, c.seg.epoch, c.seg.seq)
	c.seg.seq++
	c.tree.add(leafHash(c.buf[start+8:]), c.tiles.add)
	c.batch = append(c.batch, placed{it: it, index: index, start: start + frameHead, end: len(c.buf), at: t})
	return index
}

// flush writes and syncs the batch, makes it public and answers its waiters.
func (l *Log) flush() error {
	if err := l.land(); err != nil {
		return err
	}
	c := &l.c
	if len(c.buf) == 0 {
		return nil
	}
	start := time.Now()
	if err := c.seg.store(c.buf, c.seg.off); err != nil {
		return l.fail(err)
	}
	c.seg.off += int64(len(c.buf))
	batch, buf := c.batch, c.buf
	c.batch, c.buf = c.batch[:0], nil
	l.durable(buf, batch, &c.tree, c.last, start)
	return nil
}

// durable makes public what was synced, tree and last being those at its end,
// and answers its waiters.
func (l *Log) durable(buf []byte, batch []placed, t *tree, last, start time.Time) {
	c := &l.c
	took := time.Since(start)
	l.counters.lastCommit.Store(int64(took))
	if took > time.Duration(l.counters.slowest.Load()) {
		l.counters.slowest.Store(int64(took))
	}
	l.counters.commits.Add(1)
	l.counters.bytes.Add(uint64(len(buf)))
	if err := c.tiles.flush(); err != nil {
		// Derived from the entries, and kept in memory until it can be written.
		l.cfg.Logger.Warn("keeping the tree's hashes", "err", err)
	}
	l.latest.Store(last.UnixNano())
	l.live.publish(buf, batch, t)
	l.counters.waiting.CompareAndSwap(0, sinceBorn())
	for i := range batch {
		if batch[i].early {
			c.early--
		}
		l.answer(&batch[i], buf)
		batch[i].it = nil
	}
}

// answer tells the waiter, or, when it has gone, adds the outcome of a request
// that was allowed and never forwarded.
func (l *Log) answer(p *placed, buf []byte) {
	it := p.it
	switch {
	case it == nil:
	case !it.waits:
		release(it)
	case it.finish(p.index, nil):
	default:
		if it.opens != "" {
			l.addOutcome(buf[p.start:p.end], it.gaveUp)
		}
		release(it)
	}
}

// finish answers the waiter and reports whether there was one.
func (it *item) finish(index uint64, err error) bool {
	if !it.state.CompareAndSwap(itemWaiting, itemDone) {
		return false
	}
	it.result <- result{index, err}
	return true
}

// addOutcome queues the outcome of an allowed request that has none.
func (l *Log) addOutcome(payload []byte, ended string) {
	e, err := l.keys.decode(payload)
	if err != nil {
		l.cfg.Logger.Error("reading back an entry", "err", err)
		return
	}
	it, err := l.newItem(outcomeOf(e, ended), false)
	if err != nil {
		l.cfg.Logger.Error("adding an outcome", "request_id", e.RequestID, "err", err)
		return
	}
	l.c.after = append(l.c.after, it)
}

// outcomeOf returns an outcome for the request that e allowed.
func outcomeOf(e *Entry, ended string) *policy.Record {
	return &policy.Record{
		Type: policy.RecordOutcome, RequestID: e.RequestID, Ended: ended,
		Account: e.Account, Email: e.Email, Vendor: e.Vendor, Engagement: e.Engagement, Session: e.Session, Credential: e.Credential,
		Cluster: e.Cluster, Classification: e.Classification, Route: e.Route,
		Protocol: e.Protocol, Method: e.Method, Host: e.Host, Path: e.Path, SourceIP: e.SourceIP,
	}
}

// roll continues the log in a new segment. Its header and the list of open
// requests are on disk before the file takes its place in the log.
func (l *Log) roll() error {
	spare, err := l.keep.take(l)
	if err != nil {
		return err
	}
	return l.rollInto(spare)
}

// rollReserve continues the log in the segment that is kept back, for those
// who can make room.
func (l *Log) rollReserve() error {
	spare, ok := l.keep.popReserve()
	if !ok {
		return fmt.Errorf("taking the reserved segment: it is gone")
	}
	if err := l.rollInto(spare); err != nil {
		return err
	}
	l.c.seg.reserved = true
	l.cfg.Logger.Error("the access log takes administrators' sign-ins and changes into its reserved segment; make room", "segment", l.c.seg.name)
	return nil
}

func (l *Log) rollInto(spare string) (err error) {
	c := &l.c
	s := &segment{header: header{l.cfg.Origin, l.cfg.SegmentSize, c.epoch + 1, c.tree.n, c.last, c.tree.root()}, facts: map[string]bool{}}
	s.name = segmentName(s.first, rawEnding)
	if s.f, err = l.cfg.disk.open(filepath.Join(l.cfg.Dir, spare)); err != nil {
		return l.fail(fmt.Errorf("opening %s: %w", spare, err))
	}
	b := l.carry(s)
	if _, err := s.f.WriteAt(b, 0); err != nil {
		return l.fail(fmt.Errorf("starting %s: %w", s.name, err))
	}
	if err := s.f.sync(); err != nil {
		return l.fail(fmt.Errorf("syncing %s: %w", s.name, err))
	}
	if err := l.cfg.disk.rename(filepath.Join(l.cfg.Dir, spare), filepath.Join(l.cfg.Dir, s.name)); err != nil {
		return l.fail(fmt.Errorf("starting %s: %w", s.name, err))
	}
	s.off = int64(len(b))
	old := c.seg
	c.seg, c.epoch = s, s.epoch
	if old != nil {
		old.f.Close()
		l.keep.retire(old.name)
	}
	l.doChores()
	return nil
}

// carryPart is the share of a segment that the list of open requests may take.
const carryPart = 16

// carry returns the segment's header and its first batch, which names the
// requests that are open: recovery then needs no older segment.
func (l *Log) carry(s *segment) []byte {
	c := &l.c
	b := s.header.encode()
	open := slices.Sorted(maps.Values(c.open))
	if most := int(s.size / carryPart / 8); len(open) > most {
		open = open[len(open)-most:] // a bound; the oldest go without
	}
	if len(open) == 0 {
		return b
	}
	b = appendMark(b, headerLen, s.epoch, 0, s.first)
	s.seq = 1
	for chunk := range slices.Chunk(open, 4096) {
		at := len(b)
		b = openFrame(b, frameCarry)
		for _, index := range chunk {
			b = binary.LittleEndian.AppendUint64(b, index)
		}
		closeFrame(b, at, s.epoch, s.seq)
		s.seq++
	}
	return b
}
