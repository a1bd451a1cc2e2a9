package accesslog

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A Filter selects entries. Fields that are zero select nothing; the others must all hold.
type Filter struct {
	Type      string // a [policy.RecordType]
	Account   string // id or email of whom the entry is about, or id of who acted
	Vendor    string
	Cluster   string
	Clusters  []string // any of them; nil: all, and empty: none
	Effect    string
	Path      string // a prefix; with * for any run of characters, the whole path
	RequestID string
	Session   string
	Action    string
	Text      string // found anywhere in the entry, in any case
	Status    int    // a status such as 403, or 1 to 5 for all that begin with the digit
	// Since and Until bound the entry's time, both included.
	Since, Until time.Time
	// Limit is the most entries that are yielded. 0: all.
	Limit int
	// Ascending yields the oldest first.
	Ascending bool
	// Before and After bound the index, neither included. 0: no bound.
	Before, After uint64
	// NoFacts leaves out facts documents, which only matter beside the entry that names them.
	NoFacts bool
}

// Match reports whether e is selected. Limit and order play no part.
func (f Filter) Match(e *Entry) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(f.Type, string(e.Type)) && is(f.Vendor, e.Vendor) && is(f.Cluster, e.Cluster) &&
		(f.Clusters == nil || e.Cluster != "" && slices.Contains(f.Clusters, e.Cluster)) && is(f.Effect, e.Effect) &&
		is(f.RequestID, e.RequestID) && is(f.Session, e.Session) && is(f.Action, e.Action) &&
		(f.Account == "" || e.Account == f.Account || strings.EqualFold(e.Email, f.Account) || e.Actor == f.Account) &&
		(f.Status == 0 || e.Status == f.Status || f.Status < 10 && e.Status/100 == f.Status) &&
		(f.Path == "" || matchPath(f.Path, e.Path)) &&
		(f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || !e.Time.After(f.Until)) &&
		(f.Before == 0 || e.Index < f.Before) && (f.After == 0 || e.Index > f.After) &&
		!(f.NoFacts && e.Type == policy.RecordLog && e.Action == ActionFacts) &&
		(f.Text == "" || containsFold(e.Clear(), f.Text))
}

func matchPath(pattern, path string) bool {
	parts := strings.Split(pattern, "*")
	if !strings.HasPrefix(path, parts[0]) {
		return false
	}
	if len(parts) == 1 {
		return true
	}
	path = path[len(parts[0]):]
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(path, p)
		if i < 0 {
			return false
		}
		path = path[i+len(p):]
	}
	return strings.HasSuffix(path, last)
}

func containsFold(payload []byte, text string) bool {
	quoted := appendString(nil, text) // as it stands in the payload
	return bytes.Contains(bytes.ToLower(payload), bytes.ToLower(quoted[1:len(quoted)-1]))
}

// A query is a filter made ready to be asked of many payloads.
type query struct {
	Filter
	needles [][]byte // what a payload must contain, as it has one spelling
	left    int      // how many more to yield; negative: all
	stopped bool
	yield   func(*Entry) bool
	keys    *personalKeys
}

func newQuery(dir string, f Filter, yield func(*Entry) bool) *query {
	q := &query{Filter: f, left: f.Limit, yield: yield, keys: personalKeysOf(dir)}
	if f.Limit <= 0 {
		q.left = -1
	}
	for key, want := range map[string]string{
		`"type":`: f.Type, `"vendor":`: f.Vendor, `"cluster":`: f.Cluster, `"effect":`: f.Effect,
		`"request_id":`: f.RequestID, `"session":`: f.Session, `"action":`: f.Action,
	} {
		if want != "" {
			q.needles = append(q.needles, appendString([]byte(key), want))
		}
	}
	if head, _, _ := strings.Cut(f.Path, "*"); head != "" {
		n := appendString([]byte(`"path":`), head)
		q.needles = append(q.needles, n[:len(n)-1])
	}
	return q
}

// bounds returns the first index of interest and the one after the last.
func (q *query) bounds() (from, to uint64) {
	to = ^uint64(0)
	if q.After > 0 {
		from = q.After + 1
	}
	if q.Before > 0 {
		to = q.Before
	}
	return from, to
}

var personalMark = []byte(`,"personal":{`)

// offer yields the payload's entry if it matches, and reports whether to go on.
func (q *query) offer(payload []byte) (bool, error) {
	for _, n := range q.needles {
		if !bytes.Contains(payload, n) {
			return true, nil
		}
	}
	if q.Text != "" && !containsFold(payload, q.Text) && !bytes.Contains(payload, personalMark) {
		return true, nil
	}
	e, err := q.keys.decode(payload)
	if err != nil {
		return false, err
	}
	if past := !q.Ascending && e.Time.Before(q.Since) || q.Ascending && !q.Until.IsZero() && e.Time.After(q.Until); past {
		q.stopped = true // times never fall: nothing further on can match
		return false, nil
	}
	if !q.Match(e) {
		return true, nil
	}
	q.left--
	q.stopped = !q.yield(e) || q.left == 0
	return !q.stopped, nil
}

// Query yields the entries in the log's folder that f selects, newest first
// unless f says otherwise, until yield returns false. It reads files only and
// is safe while the writer runs; it may then yield an entry shortly before
// that entry is durable. Damage on the way is a [TamperedError].
func Query(ctx context.Context, dir string, f Filter, yield func(*Entry) bool) error {
	q := newQuery(dir, f, yield)
	from, to := q.bounds()
	if f.Ascending {
		return walk(ctx, dir, from, q.skip, func(index uint64, p []byte) (bool, error) {
			if index >= to {
				return false, nil
			}
			return q.offer(p)
		})
	}
	return q.descend(ctx, dir, from, to)
}

// skip reports whether no entry of a segment can match.
func (q *query) skip(v *view) bool {
	if !q.Until.IsZero() && v.h.last.After(q.Until) {
		return true
	}
	return v.foot != nil && !q.Since.IsZero() && v.foot.newest < q.Since.UnixNano()
}

func (q *query) descend(ctx context.Context, dir string, from, to uint64) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		list, err := listFolder(dir)
		if err != nil {
			return err
		}
		again := false
		for i := len(list.segments) - 1; i >= 0 && !q.stopped; i-- {
			if list.segments[i].first >= to {
				continue
			}
			if i+1 < len(list.segments) && list.segments[i+1].first <= from {
				break
			}
			err := q.descendOne(ctx, dir, list, i, from, &to)
			if again = errors.Is(err, errStale); again {
				break
			}
			if err != nil {
				return err
			}
		}
		if !again {
			return nil
		}
	}
}

// descendOne goes through one segment; to falls as entries are done with.
func (q *query) descendOne(ctx context.Context, dir string, list *listing, i int, from uint64, to *uint64) error {
	v, err := openView(dir, list, i)
	if err != nil {
		return err
	}
	defer v.close()
	if q.skip(v) {
		return nil
	}
	groups, err := v.groups()
	if err != nil {
		return err
	}
	for i := len(groups) - 1; i >= 0; i-- {
		g := groups[i]
		if g.first >= *to || g.first+uint64(g.count) <= from || q.outside(g.block) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		payloads, err := v.load(g)
		if err != nil {
			return err
		}
		for j := len(payloads) - 1; j >= 0; j-- {
			index := g.first + uint64(j)
			if index >= *to || index < from {
				continue
			}
			*to = index
			if more, err := q.offer(payloads[j]); !more {
				return err
			}
		}
	}
	return nil
}

func (q *query) outside(b *block) bool {
	return b != nil && (!q.Since.IsZero() && b.newest < q.Since.UnixNano() || !q.Until.IsZero() && b.oldest > q.Until.UnixNano())
}

// Query is the function [Query] on the log's own folder. The newest entries
// come from memory, so that the first page of a search reads no file.
func (l *Log) Query(ctx context.Context, f Filter, yield func(*Entry) bool) error {
	if f.Ascending {
		return Query(ctx, l.cfg.Dir, f, yield)
	}
	q := newQuery(l.cfg.Dir, f, yield)
	from, to := q.bounds()
	_, oldest := l.live.get(^uint64(0), 0)
	payloads, got := l.live.get(max(from, oldest), l.cfg.Recent)
	if got <= max(from, oldest) {
		first := max(from, oldest)
		for i := len(payloads) - 1; i >= 0; i-- {
			if index := first + uint64(i); index < to {
				to = index
				if more, err := q.offer(payloads[i]); !more {
					return err
				}
			}
		}
		to = min(to, first)
	}
	if to <= from {
		return nil
	}
	return q.descend(ctx, l.cfg.Dir, from, to)
}
