package accesslog

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// batchEntries is how many requests one [Batch] holds.
const batchEntries = 256

// A Batch is some requests of a log as they were read, not yet decoded, so that
// this can be done elsewhere. Any goroutine may use it, one at a time.
type Batch struct {
	payloads [][]byte
	facts    *factsFound
	keys     *personalKeys
	Last     uint64 // index of the newest entry that was looked at
}

// Len returns how many entries there are.
func (b *Batch) Len() int { return len(b.payloads) }

// Each decodes the entries, oldest first, with the facts document that each
// names. The document is nil where none is named, or where it cannot be had,
// which [Entry.Input] tells apart.
func (b *Batch) Each(fn func(*Entry, *policy.Document) error) error {
	for _, p := range b.payloads {
		e, err := b.keys.decode(p)
		if err != nil {
			return err
		}
		if err := fn(e, b.facts.document(e.Facts)); err != nil {
			return err
		}
	}
	return nil
}

// Decisions reads the entries of type request from since to until, both
// included and open where zero, oldest first, each once, and hands them over in
// batches until yield returns false. Entries from index before on are left out;
// 0: none. It goes through the log once and is safe while the writer runs.
func Decisions(ctx context.Context, dir string, since, until time.Time, before uint64, yield func(*Batch) bool) error {
	r := &decisionReader{since: since, until: until, before: before, yield: yield, segment: ^uint64(0), keys: personalKeysOf(dir)}
	if err := walk(ctx, dir, 0, r.skip, r.entry); err != nil {
		return err
	}
	if r.batch != nil && !r.stopped {
		r.yield(r.batch)
	}
	return nil
}

type decisionReader struct {
	since, until time.Time
	before       uint64
	yield        func(*Batch) bool
	stopped      bool
	keys         *personalKeys

	segment uint64 // first index of the one that is read
	facts   *factsFound
	batch   *Batch
}

// skip is asked at the beginning of each segment, which names all of its facts anew.
func (r *decisionReader) skip(v *view) bool {
	if !r.until.IsZero() && v.h.last.After(r.until) || r.before > 0 && v.h.first >= r.before {
		return true
	}
	if v.foot != nil && !r.since.IsZero() && v.foot.newest < r.since.UnixNano() {
		return true
	}
	if v.h.first != r.segment {
		r.segment = v.h.first
		r.facts = &factsFound{earlier: r.facts.all(), found: map[string]*factsSlot{}}
		r.flush()
	}
	return false
}

var (
	requestMark = []byte(`,"type":"request",`)
	factsMark   = []byte(`,"type":"log","action":"facts",`)
	typeMark    = []byte(`,"type":"`)
)

func (r *decisionReader) entry(index uint64, p []byte) (bool, error) {
	if r.before > 0 && index >= r.before {
		return false, nil
	}
	i := bytes.Index(p, typeMark) // the first one is the key: quotes in text are escaped
	switch {
	case i < 0:
	case bytes.HasPrefix(p[i:], factsMark):
		return true, r.facts.add(r.keys, p)
	case bytes.HasPrefix(p[i:], requestMark):
		ns, err := payloadTime(p)
		if err != nil {
			return false, err
		}
		if !r.until.IsZero() && ns > r.until.UnixNano() {
			return false, nil // times never fall
		}
		if r.since.IsZero() || ns >= r.since.UnixNano() {
			r.put(p)
		}
	}
	if r.batch != nil {
		if r.batch.Last = index; len(r.batch.payloads) >= batchEntries {
			r.flush()
		}
	}
	return !r.stopped, nil
}

func (r *decisionReader) put(p []byte) {
	if r.batch == nil {
		r.batch = &Batch{facts: r.facts, keys: r.keys, payloads: make([][]byte, 0, batchEntries)}
	}
	r.batch.payloads = append(r.batch.payloads, p)
}

func (r *decisionReader) flush() {
	if r.batch != nil && len(r.batch.payloads) > 0 && !r.stopped {
		r.stopped = !r.yield(r.batch)
	}
	r.batch = nil
}

// factsFound holds the facts documents of one segment by hash.
type factsFound struct {
	earlier map[string]*factsSlot // of the segment before: most come again

	mu    sync.RWMutex
	found map[string]*factsSlot
}

type factsSlot struct {
	raw  []byte
	once sync.Once
	doc  *policy.Document // nil: it cannot be read
}

func (f *factsFound) all() map[string]*factsSlot {
	if f == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.found
}

func (f *factsFound) add(keys *personalKeys, payload []byte) error {
	e, err := keys.decode(payload)
	if err != nil {
		return err
	}
	s := f.earlier[e.Facts]
	if s == nil {
		s = &factsSlot{raw: bytes.Clone(e.FactsJSON)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found[e.Facts] = s
	return nil
}

// document returns the document with a hash, made at its first use.
func (f *factsFound) document(hash string) *policy.Document {
	if hash == "" {
		return nil
	}
	f.mu.RLock()
	s := f.found[hash]
	f.mu.RUnlock()
	if s == nil {
		return nil
	}
	s.once.Do(func() {
		if d, err := policy.ReadDocument(s.raw); err == nil && d.Hash() == hash {
			s.doc = d
		}
	})
	return s.doc
}

// Count returns how many entries the log in a folder has.
func Count(ctx context.Context, dir string) (n uint64, err error) {
	err = Query(ctx, dir, Filter{Limit: 1}, func(e *Entry) bool {
		n = e.Index + 1
		return true
	})
	return n, err
}
