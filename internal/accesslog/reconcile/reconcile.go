// Package reconcile compares an upstream's own access log with Ringfence's. Each
// forwarded request carries the name of its entry, so that both can be matched
// line by line, without any cryptography: a request there that has no entry
// here did not come through the gateway, or through one that does not record;
// an entry without a request was not served by that upstream.
//
// The package reads both logs once, in their order, and keeps in memory only
// what is not matched yet. It changes nothing and decides nothing. Start with
// [Run].
package reconcile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// Kinds of findings.
const (
	NoEntry      = "no_entry"      // a request that has no entry
	UnknownEntry = "unknown_entry" // a request that names an entry which is not there, or is not one of an allowed request
	SameEntry    = "same_entry"    // a further request that names an entry
	Differs      = "differs"       // method, path or status are not those of the entry
	NoRequest    = "no_request"    // an entry of a forwarded request that is not in the upstream's log
	Unreadable   = "unreadable"    // a line that is in no known format
)

// A Finding is one thing that does not fit.
type Finding struct {
	Kind   string  `json:"kind"`
	Line   int     `json:"line,omitempty"`   // in the upstream's log
	Index  *uint64 `json:"index,omitempty"`  // of the entry
	Method string  `json:"method,omitempty"` // as the upstream has it, or, without a line, the entry
	Path   string  `json:"path,omitempty"`
	Status int     `json:"status,omitempty"`
	What   string  `json:"what,omitempty"` // what differs, or why
}

// A Report counts what was compared.
type Report struct {
	Lines    int            `json:"lines"`
	Matched  int            `json:"matched"`
	Health   int            `json:"health_checks"`           // requests without an entry for a path of health checks
	Others   map[string]int `json:"other_origins,omitempty"` // requests that name an entry of another log, by its origin
	Open     int            `json:"open"`                    // requests that had no outcome yet, and are in no line either
	Unsure   int            `json:"unsure"`                  // likewise, where the gateway stopped before it knew
	Findings map[string]int `json:"findings"`                // by kind
	From     uint64         `json:"from"`                    // first and last entry that the upstream's log names
	To       uint64         `json:"to"`
}

// A Config says what is compared.
type Config struct {
	Dir    string // of the access log
	Origin string // its name
	Size   uint64 // entries of it that count
	Format Format
	// Cluster is that of the upstream. Empty: that of the first entry which its
	// log names. Where the cluster has several upstreams, entries need a request
	// if they went to one that the log has requests of.
	Cluster string
	// HealthPaths are asked of upstreams by the gateway itself, without an entry.
	HealthPaths []string
	// Found is called for each finding. An error ends the comparison.
	Found func(Finding) error
	// Progress, when set, is told of lines now and then.
	Progress func(lines uint64)
}

// maxOthers is more gateways than one upstream has.
const maxOthers = 100

// maxLine is longer than any line of a log that is one.
const maxLine = 1 << 20

// Run compares the upstream's log, oldest line first, with the access log.
// Entries are judged from the first to the last that the log names, so that
// one that was rotated is enough. It reads both as streams.
func Run(ctx context.Context, upstream io.Reader, cfg Config) (*Report, error) {
	r := &run{Config: cfg, open: map[uint64]*state{}, byID: map[string]*state{}, before: map[string]*accesslog.Entry{}, upstreams: map[string]bool{}, named: bits{},
		Report: Report{Others: map[string]int{}, Findings: map[string]int{}}}
	lines := bufio.NewReaderSize(upstream, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		b, err := readLine(lines)
		if len(b) > 0 {
			r.Lines++
			if r.Progress != nil && r.Lines%1000 == 0 {
				r.Progress(uint64(r.Lines))
			}
			if err := r.line(ctx, b); err != nil {
				return nil, err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the upstream's log: %w", err)
		}
	}
	return &r.Report, r.end(ctx)
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		b, err := r.ReadSlice('\n')
		out = append(out, b...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return out, err
		}
		if len(out) > maxLine {
			return nil, errors.New("a line is longer than a mebibyte")
		}
	}
}

// A state is what is known of an allowed request that is not settled.
type state struct {
	index            uint64
	id, method, path string
	line, status     int // of the upstream's log; line is 0 until it is found
	done             bool
	at               uint64 // index of the outcome
	answered         int    // by the gateway
	ended, upstream  string
}

type run struct {
	Config
	Report
	first     bool                        // a line has named an entry
	next      uint64                      // the next entry to read
	open      map[uint64]*state           // by index
	byID      map[string]*state           // those without an outcome yet, by request id
	before    map[string]*accesslog.Entry // outcomes of requests from before the first, by request id
	upstreams map[string]bool             // that the log has requests of
	named     bits
}

// bits is a set of indexes.
type bits map[uint64]*[64]uint64

// add adds i and reports whether it was there.
func (b bits) add(i uint64) bool {
	page := b[i>>12]
	if page == nil {
		page = new([64]uint64)
		b[i>>12] = page
	}
	w, bit := &page[i>>6&63], uint64(1)<<(i&63)
	was := *w&bit != 0
	*w |= bit
	return was
}

func (r *run) found(f Finding) error {
	r.Findings[f.Kind]++
	if r.Found == nil {
		return nil
	}
	return r.Found(f)
}

// line takes one line of the upstream's log.
func (r *run) line(ctx context.Context, b []byte) error {
	l, err := r.Format.Parse(b)
	l.Number = r.Lines
	if errors.Is(err, errField) && r.Lines == 1 {
		return err // the format is not what was said, and every line would say so
	}
	if err != nil {
		return r.found(Finding{Kind: Unreadable, Line: l.Number, What: strings.TrimPrefix(err.Error(), "reading a line: ")})
	}
	f := Finding{Line: l.Number, Method: l.Method, Path: l.Path, Status: l.Status}
	if l.Entry == "" || l.Entry == "-" {
		if standard(l.Method) && slices.Contains(r.HealthPaths, l.Path) {
			r.Health++
			return nil
		}
		f.Kind = NoEntry
		return r.found(f)
	}
	origin, n, _ := strings.Cut(l.Entry, "#")
	index, err := strconv.ParseUint(n, 10, 63)
	switch {
	case err != nil || strconv.FormatUint(index, 10) != n:
		f.Kind, f.What = UnknownEntry, "what stands for the entry names none"
		return r.found(f)
	case origin != r.Origin:
		if _, known := r.Others[origin]; !known && len(r.Others) >= maxOthers {
			f.Kind, f.What = UnknownEntry, "it names one log more than there can be"
			return r.found(f)
		}
		r.Others[origin]++ // nobody can tell here whether that log has it
		return nil
	}
	f.Index = &index
	if index >= r.Size {
		f.Kind, f.What = UnknownEntry, "the access log has no such entry"
		return r.found(f)
	}
	if r.named.add(index) {
		f.Kind, f.What = SameEntry, "an earlier line names the same entry"
		return r.found(f)
	}
	return r.match(ctx, f, index)
}

func (r *run) match(ctx context.Context, f Finding, index uint64) error {
	if !r.first {
		r.first, r.next, r.From = true, index, index
		if r.Cluster == "" {
			e, err := accesslog.Get(ctx, r.Dir, index)
			if err != nil {
				return err
			}
			r.Cluster = e.Cluster
		}
	}
	r.To = max(r.To, index)
	if err := r.read(ctx, index+1); err != nil {
		return err
	}
	st := r.open[index]
	if st == nil && index < r.From { // it took so long that others began and ended meanwhile
		e, err := accesslog.Get(ctx, r.Dir, index)
		if err != nil {
			return err
		}
		if st, err = r.takeBefore(ctx, e); err != nil {
			return err
		}
	}
	if st == nil {
		f.Kind, f.What = UnknownEntry, "the entry is not of a request that was allowed on cluster "+r.Cluster
		return r.found(f)
	}
	st.line, st.status = f.Line, f.Status
	r.Matched++
	if what := st.differs(f); what != "" {
		f.Kind, f.What = Differs, what
		if err := r.found(f); err != nil {
			return err
		}
	}
	return r.settle(st)
}

// clipped is the length to which entries cut what a client chose.
const clipped = 1024

// differs says what of a line is not as the entry has it.
func (st *state) differs(f Finding) string {
	switch {
	case f.Method != st.method:
		return "the entry's method is " + st.method
	case f.Path != st.path && !(len(st.path) == clipped && strings.HasPrefix(f.Path, st.path)):
		return "the entry's path is " + st.path
	}
	return ""
}

// settle lets go of a request that has both its line and its outcome. A status
// counts only where the gateway passed the answer on as it was.
func (r *run) settle(st *state) error {
	if st.line == 0 || !st.done {
		return nil
	}
	delete(r.open, st.index)
	if st.upstream != "" {
		r.upstreams[st.upstream] = true
	}
	if st.ended == "" && st.status != 0 && st.answered != 0 && st.status != st.answered {
		return r.found(Finding{Kind: Differs, Line: st.line, Index: &st.index, Method: st.method, Path: st.path, Status: st.status,
			What: fmt.Sprintf("the gateway's answer had status %d", st.answered)})
	}
	return nil
}

// readAhead is how many entries are read at a time.
const readAhead = 4096

// read reads the access log up to entry until, and somewhat beyond.
func (r *run) read(ctx context.Context, until uint64) error {
	if r.next >= until {
		return nil
	}
	to := min(max(until, r.next+readAhead), r.Size)
	var fault error
	err := accesslog.Scan(ctx, r.Dir, r.next, to, func(e *accesslog.Entry) error {
		r.next = e.Index + 1
		switch e.Type {
		case policy.RecordRequest:
			r.take(e)
		case policy.RecordOutcome:
			st := r.byID[e.RequestID]
			if st == nil {
				if e.Cluster == r.Cluster {
					r.before[e.RequestID] = &accesslog.Entry{Index: e.Index, Record: policy.Record{Status: e.Status, Ended: e.Ended, Upstream: e.Upstream}}
				}
				return nil
			}
			r.outcome(st, e)
			fault = r.settle(st)
		}
		return fault
	})
	if err == nil && r.next < until {
		err = errors.New("the access log ends before the entries that it is said to have")
	}
	return err
}

func (r *run) take(e *accesslog.Entry) *state {
	if e.Type != policy.RecordRequest || e.Effect != policy.Allow.String() || e.Cluster != r.Cluster {
		return nil
	}
	st := &state{index: e.Index, id: e.RequestID, method: e.Method, path: e.Path}
	r.open[e.Index], r.byID[e.RequestID] = st, st
	return st
}

// outcome notes how the request ended.
func (r *run) outcome(st *state, e *accesslog.Entry) {
	delete(r.byID, st.id)
	st.done, st.at, st.answered, st.ended, st.upstream = true, e.Index, e.Status, e.Ended, e.Upstream
}

var errFound = errors.New("found")

// takeBefore takes a request from before the first that was named. Its outcome
// was perhaps passed already, or lies before the first itself.
func (r *run) takeBefore(ctx context.Context, e *accesslog.Entry) (*state, error) {
	st := r.take(e)
	if st == nil {
		return nil, nil
	}
	if o := r.before[st.id]; o != nil {
		delete(r.before, st.id)
		r.outcome(st, o)
		return st, nil
	}
	err := accesslog.Scan(ctx, r.Dir, st.index+1, r.From, func(e *accesslog.Entry) error {
		if e.Type != policy.RecordOutcome || e.RequestID != st.id {
			return nil
		}
		r.outcome(st, e)
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return nil, err
	}
	return st, nil
}

// end looks for the outcomes that are still to come and lists what has no line.
func (r *run) end(ctx context.Context) error {
	for len(r.byID) > 0 && r.next < r.Size {
		if err := r.read(ctx, r.next+1); err != nil {
			return err
		}
	}
	for _, index := range slices.Sorted(maps.Keys(r.open)) {
		st := r.open[index]
		switch {
		case index > r.To || st.line > 0:
		case !st.done:
			r.Open++
		case st.upstream == "" && st.ended != accesslog.EndedInterrupted: // it was never forwarded
		case st.upstream != "" && !r.upstreams[st.upstream]: // to a system whose log this is not
		case st.ended != "" || st.at > r.To: // cut short, or over only after the log's end
			r.Unsure++
		default:
			if err := r.found(Finding{Kind: NoRequest, Index: &st.index, Method: st.method, Path: st.path, Status: st.answered,
				What: "the upstream's log has no request for it"}); err != nil {
				return err
			}
		}
	}
	return nil
}
