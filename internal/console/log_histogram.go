package console

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// mostBars is how many stretches of time a picture has at most.
const mostBars = 60

// shortest is the least time that a picture is of.
const shortest = time.Minute

// barSteps are the lengths of time that a bar may stand for.
var barSteps = []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour, 91 * 24 * time.Hour, 364 * 24 * time.Hour}

// A histogram counts lines over time by what was decided. Its template is "histogram".
type histogram struct {
	Bars     []bar
	Series   []series
	Total    int
	From, To time.Time
	Begins   ui.Text // both in words
	Ends     ui.Text
	Step     ui.Text
	Path     string // of the search that a bar leads to
	Base     string // the query to which a script adds bounds of time
	WiderURL string // a search around what is shown; empty: there is no more
	Wide     int    // of the picture, in its own units
	Overdue  bool   // counting took too long
}

// A bar stands for one stretch of time.
type bar struct {
	X        int
	From, To time.Time
	URL      string
	Parts    []barPart
	Sum      int
	Says     ui.Text
}

// A barPart is one colour of a bar, with its place in hundredths from above.
type barPart struct {
	Kind string
	Y, H string
}

// A series is one colour with all that it counts.
type series struct {
	Kind  string
	Label ui.Text
	N     int
	URL   string
	value string
}

// A counter is what a page counts in.
type counter struct {
	engine query.Engine // nil: nothing can be counted
	// pick says which of the entries that a query selects are counted.
	pick   func(query.Node) query.Node
	oldest func(context.Context) (time.Time, error) // when it begins; zero where it has nothing
	path   string                                   // of the searches that lead on
	facets []facetField
}

// ownLog counts in this gateway's log, by lines.
func (c *Console) ownLog() counter {
	return counter{c.Search, lines, c.oldestTime, "/console/log", firstFacets}
}

// histogram draws n over time. It is nil where the log is empty or cannot be counted.
func (c *Console) histogram(ctx context.Context, v *visit, n query.Node, in counter) *histogram {
	return c.histogramOf(ctx, v, n, n, in)
}

// histogramOf draws n over time, which selects what where does: bounds of time
// that leave nothing out are for the picture, and would be a question of their
// own to an engine that remembers the one without.
func (c *Console) histogramOf(ctx context.Context, v *visit, where, n query.Node, in counter) *histogram {
	if in.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	from, to, err := in.spanOf(ctx, v, n)
	if err != nil || !from.Before(to) {
		return nil
	}
	if to.Sub(from) < shortest {
		from = to.Add(-shortest) // a new log; one bar alone says nothing
	}
	step := barSteps[len(barSteps)-1]
	for _, s := range barSteps {
		if to.Sub(from) <= s*mostBars {
			step = s
			break
		}
	}
	from = from.Add(-time.Duration(from.UnixNano() % int64(step)))
	h := &histogram{From: from, To: to, Step: stepWords(step), Path: in.path, Base: baseOf(n), Series: []series{
		{Kind: ui.Good, Label: "allowed", value: policy.Allow.String()}, {Kind: ui.Warn, Label: "challenged", value: policy.Challenge.String()},
		{Kind: ui.Bad, Label: "denied", value: policy.Deny.String()}, {Kind: ui.Neutral, Label: "without a decision"}}}
	cells, err := in.engine.Histogram(ctx, query.Request{Where: v.readable(in.pick(where)), Now: v.Now}, query.Effect, step)
	if err != nil {
		if h.Overdue = errors.Is(err, context.DeadlineExceeded); !h.Overdue && ctx.Err() == nil {
			c.Logger.WarnContext(ctx, "counting the access log over time", "err", err)
		}
		return h
	}
	h.fill(n, cells, step)
	return h
}

// spanOf returns the stretch of time that n is about.
func (in counter) spanOf(ctx context.Context, v *visit, n query.Node) (from, to time.Time, err error) {
	spans := query.SpansOf(n, v.Now)
	to = v.Now
	if spans.Newest != math.MaxInt64 && time.Unix(0, spans.Newest).Before(to) {
		to = time.Unix(0, spans.Newest+1).UTC()
	}
	if spans.Oldest != math.MinInt64 {
		return time.Unix(0, spans.Oldest).UTC(), to, nil
	}
	from, err = in.oldest(ctx)
	if from.IsZero() || err != nil {
		return to, to, err
	}
	return from.UTC(), to, nil
}

// baseOf is n without bounds of time, so that a script may add others to it.
func baseOf(n query.Node) string {
	text := query.Print(untimed(n))
	if _, either := untimed(n).(query.Or); either {
		return "(" + text + ")"
	}
	return text
}

func (h *histogram) fill(n query.Node, cells []query.Cell, step time.Duration) {
	count := int((h.To.Sub(h.From) + step - 1) / step)
	sums := make([][]int, max(count, 1))
	for i := range sums {
		sums[i] = make([]int, len(h.Series))
	}
	for _, cell := range cells {
		i := int(cell.Start.Sub(h.From) / step)
		if i < 0 || i >= len(sums) {
			continue // just before or after what is shown, by the clock of another node
		}
		for j := range h.Series {
			if h.Series[j].value == cell.Value || j == len(h.Series)-1 {
				sums[i][j] += cell.N
				h.Series[j].N += cell.N
				break
			}
		}
	}
	highest := 0
	for _, s := range sums {
		highest = max(highest, s[0]+s[1]+s[2]+s[3])
	}
	for i, s := range sums {
		b := bar{X: 10 * i, From: h.From.Add(time.Duration(i) * step), To: h.From.Add(time.Duration(i+1) * step)}
		b.draw(s, highest)
		h.Total += b.Sum
		if b.Sum > 0 {
			b.URL = queryURL(h.Path, between(n, b.From, b.To))
			b.Says = ui.Say("{1} to {2}: {3} allowed, {4} challenged, {5} denied, {6} without a decision", edge(b.From, step), edge(b.To, step), s[0], s[1], s[2], s[3])
		}
		h.Bars = append(h.Bars, b)
	}
	h.Wide = 10 * len(h.Bars)
	h.To = h.From.Add(time.Duration(len(h.Bars)) * step)
	h.Begins, h.Ends = edge(h.From, step), edge(h.To, step)
	for j := range h.Series {
		s := &h.Series[j]
		if s.value != "" {
			s.URL = queryURL(h.Path, narrowed(n, is(query.Effect, s.value)))
		} else {
			s.URL = queryURL(h.Path, narrowed(n, query.Match{Field: query.Effect, Pattern: query.Exact("")}))
		}
	}
	if untimedN := untimed(n); !query.Equal(untimedN, query.All(n)) {
		around := h.To.Sub(h.From)
		h.WiderURL = queryURL(h.Path, between(n, h.From.Add(-around), h.To.Add(around)))
	}
}

// draw stacks the parts of a bar from below. What is there is seen, however
// little it is beside the rest.
func (b *bar) draw(counts []int, highest int) {
	kinds := [...]string{ui.Good, ui.Warn, ui.Bad, ui.Neutral}
	bottom := 100.0
	for _, j := range [...]int{0, 3, 1, 2} { // what was refused stands on top
		if counts[j] == 0 {
			continue
		}
		b.Sum += counts[j]
		height := max(2, 100*float64(counts[j])/float64(highest))
		height = min(height, bottom)
		bottom -= height
		b.Parts = append(b.Parts, barPart{kinds[j], strconv.FormatFloat(bottom, 'f', 1, 64), strconv.FormatFloat(height, 'f', 1, 64)})
	}
}

// edge words where a bar begins or ends, as exactly as its length demands.
func edge(t time.Time, step time.Duration) ui.Text {
	if step < time.Minute {
		return ui.Verbatim(t.UTC().Format(time.DateTime))
	}
	return clock(t)
}

// stepWords says how long a bar is.
func stepWords(d time.Duration) ui.Text {
	switch {
	case d < time.Minute:
		return ui.Count(int(d/time.Second), "{1} second a bar", "{1} seconds a bar")
	case d < time.Hour:
		return ui.Count(int(d/time.Minute), "{1} minute a bar", "{1} minutes a bar")
	case d < 24*time.Hour:
		return ui.Count(int(d/time.Hour), "{1} hour a bar", "{1} hours a bar")
	}
	return ui.Count(int(d/(24*time.Hour)), "{1} day a bar", "{1} days a bar")
}
