package evidence

import (
	"math"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Ask makes the question of a query, whose spans of time end at now.
func Ask(n query.Node, now time.Time) Question {
	f := query.Compile(n, now)
	q := Question{Query: query.Print(n), Match: f.Match, Now: now}
	s := f.Spans()
	if s.Oldest != math.MinInt64 {
		q.Since = time.Unix(0, s.Oldest).UTC()
	}
	if s.Newest != math.MaxInt64 {
		q.Until = time.Unix(0, s.Newest).UTC()
	}
	q.First, q.Last = s.First, s.Last
	return q
}
