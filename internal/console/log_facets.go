package console

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

// facetValues is how many values a facet shows.
const facetValues = 5

// A facet counts the commonest values of one field among what was found.
type facet struct {
	Title   ui.Text
	Values  []facetValue
	Others  bool // there are further values
	Overdue bool // counting took too long
}

type facetValue struct {
	Value string
	Label ui.Text
	N     int
	Width int    // of twenty
	URL   string // the search with only this value
	Not   string // the search without it
	Here  bool   // it is asked for already
}

type facetField struct {
	field query.Field
	title ui.Text
}

var (
	firstFacets = []facetField{{query.Cluster, "Cluster"}, {query.Email, "Account"}, {query.Vendor, "Vendor"}, {query.Reasons, "Reason"}, {query.Type, "Type"}}
	moreFacets  = []facetField{{query.Action, "Action"}, {query.Method, "Method"}, {query.SourceIP, "Address"}, {query.Classification, "Classification"}, {query.Mode, "Waited for the log"}, {query.Route, "Route"},
		{query.Credential, "Credential"}, {query.Result, "Result"}, {query.Ended, "Cut short because"}, {query.Engagement, "Engagement"}, {query.UserAgent, "User agent"}}
)

// facets counts the values of several fields side by side, within a time.
func (c *Console) facets(ctx context.Context, v *visit, a *asked, counted query.Node, in counter) []facet {
	if in.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	fields := in.facets
	if a.More {
		fields = append(fields[:len(fields):len(fields)], moreFacets...)
	}
	out := make([]facet, len(fields))
	request := query.Request{Where: v.readable(in.pick(counted)), Now: v.Now}
	var wg sync.WaitGroup
	for i, f := range fields {
		wg.Go(func() {
			out[i].Title = f.title
			// One more for the value that stands for none, and one to know of others;
			// of lists all, because an engine counts whole lists.
			most := facetValues + 2
			if f.field.Kind() == query.List {
				most = 0
			}
			top, err := in.engine.Top(ctx, request, f.field, most)
			if err != nil {
				out[i].Overdue = errors.Is(err, context.DeadlineExceeded)
				if !out[i].Overdue && ctx.Err() == nil {
					c.Logger.WarnContext(ctx, "counting a facet of the access log", "field", f.field.String(), "err", err)
				}
				return
			}
			if most == 0 {
				top = elementsOf(top)
			}
			out[i].fill(f.field, top, a.Node, in.path)
		})
	}
	wg.Wait()
	shown := out[:0]
	for _, f := range out {
		if len(f.Values) > 0 || f.Overdue {
			shown = append(shown, f)
		}
	}
	return shown
}

// elementsOf counts the elements of lists.
func elementsOf(lists []query.Tally) []query.Tally {
	sums := map[string]int{}
	for _, l := range lists {
		for value := range strings.SplitSeq(l.Value, "\n") {
			sums[value] += l.N
		}
	}
	var out []query.Tally
	for value, n := range sums {
		out = append(out, query.Tally{Value: value, N: n})
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(b.N-a.N, strings.Compare(a.Value, b.Value)) })
	return out
}

func (f *facet) fill(field query.Field, top []query.Tally, n query.Node, path string) {
	widest := 0
	for _, t := range top {
		if t.Value != "" {
			widest = max(widest, t.N)
		}
	}
	for _, t := range top {
		if t.Value == "" {
			continue
		}
		if len(f.Values) == facetValues {
			f.Others = true
			break
		}
		one := is(field, t.Value)
		with := narrowed(n, one)
		f.Values = append(f.Values, facetValue{Value: t.Value, Label: facetLabel(field, t.Value), N: t.N, Width: twentieths(t.N, widest),
			URL: queryURL(path, with), Not: queryURL(path, narrowed(n, query.Negate(one))), Here: query.Equal(with, query.All(n))})
	}
}

// facetLabel says in words what a value stands for where there are words for it.
func facetLabel(f query.Field, value string) ui.Text {
	switch f {
	case query.Type:
		for _, t := range recordTypes {
			if string(t) == value {
				return typeWords[t]
			}
		}
	case query.Classification, query.Mode, query.Credential, query.Result, query.Ended:
		return ui.Known(value)
	case query.Action:
		return cmp.Or(actionNames[value], ui.Verbatim(value))
	}
	return ui.Verbatim(value)
}
