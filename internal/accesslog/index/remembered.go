package index

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// rememberedWords bounds what is remembered of searches, in words of 64 rows: 16 MiB.
const rememberedWords = 2 << 20

// rememberedQuestions is how many of them are remembered at most.
const rememberedQuestions = 64

// remembered are the rows of row groups that the latest conditions selected. A
// page counts one question in many ways at the same time and on each further
// page, and finding the rows is most of the work.
type remembered struct {
	mu    sync.Mutex
	asked []*question // the latest last
	words int
}

// A question is one condition with what it selected.
type question struct {
	key   string
	words int // guarded by remembered's mutex

	mu     sync.Mutex
	groups map[*group]*answer
}

// An answer is found by whoever asks first; the others wait for it.
type answer struct {
	once sync.Once
	rows selection
	err  error
}

// questionOf names what is asked, with the moment where the answer depends on it.
func questionOf(n query.Node, now time.Time) string {
	key := query.Print(n)
	if relative(n) {
		key += " " + strconv.FormatInt(now.UnixNano(), 10)
	}
	return key
}

// relative reports whether what n selects depends on the present.
func relative(n query.Node) bool {
	switch n := n.(type) {
	case query.And:
		return anyRelative(n)
	case query.Or:
		return anyRelative(n)
	case query.Not:
		return relative(n.Of)
	case query.Bound:
		return true
	}
	return false
}

func anyRelative(nodes []query.Node) bool {
	for _, n := range nodes {
		if relative(n) {
			return true
		}
	}
	return false
}

// question returns the one with a key, which is now the latest.
func (m *remembered) question(key string) *question {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, q := range m.asked {
		if q.key == key {
			m.asked = append(slices.Delete(m.asked, i, i+1), q)
			return q
		}
	}
	q := &question{key: key, groups: map[*group]*answer{}}
	m.asked = append(m.asked, q)
	if len(m.asked) > rememberedQuestions {
		m.drop()
	}
	return q
}

// rows returns which of g's rows n selects. They must not be changed.
func (m *remembered) rows(ctx context.Context, q *question, g *group, n query.Node, now time.Time) (selection, error) {
	for {
		rows, err := m.once(ctx, q, g, n, now)
		// Whoever looked first may have run out of time; this search has not.
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return rows, err
		}
	}
}

func (m *remembered) once(ctx context.Context, q *question, g *group, n query.Node, now time.Time) (selection, error) {
	q.mu.Lock()
	a, ok := q.groups[g]
	if !ok {
		a = new(answer)
		q.groups[g] = a
	}
	q.mu.Unlock()
	a.once.Do(func() {
		// Damage panics on the way; whoever asks again must not take that for no rows.
		a.err = errUnanswered
		whole := newSelection(g.rows())
		whole.setRange(0, g.rows())
		a.rows, a.err = eval(ctx, g, n, now, whole)
	})
	if a.err != nil || !ok && !m.keep(q, len(a.rows.words)) {
		q.mu.Lock()
		if q.groups[g] == a {
			delete(q.groups, g) // the next one looks again
		}
		q.mu.Unlock()
	}
	return a.rows, a.err
}

// keep counts what is remembered and forgets the oldest questions beyond the
// bound. It reports false when there is no room even so.
func (m *remembered) keep(q *question, words int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.asked, q) {
		return true // it was forgotten meanwhile, and goes with the search
	}
	for m.words+words > rememberedWords && m.asked[0] != q {
		m.drop()
	}
	if m.words+words > rememberedWords {
		return false
	}
	m.words += words
	q.words += words
	return true
}

// drop forgets the oldest question.
func (m *remembered) drop() {
	m.words -= m.asked[0].words
	m.asked = slices.Delete(m.asked, 0, 1)
}

// errUnanswered: whoever looked first met damage.
var errUnanswered = errors.New("searching the index: a file is damaged, rebuild the index")

// forget drops everything, because files were replaced.
func (m *remembered) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked, m.words = nil, 0
}
