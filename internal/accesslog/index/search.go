package index

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Search returns the newest entries that r selects, newest first.
func (x *Index) Search(ctx context.Context, r query.Request) ([]query.Row, error) {
	var out []query.Row
	err := x.run(ctx, r, func(c chunk, s selection) (any, error) {
		limit := r.Limit
		if limit <= 0 {
			limit = math.MaxInt
		}
		return rowsOf(c, s.last(min(limit, c.rows())), r.Fields)
	}, false, func(part any) bool {
		rows := part.([]query.Row)
		if r.Limit > 0 && len(rows) > r.Limit-len(out) {
			rows = rows[:r.Limit-len(out)]
		}
		out = append(out, rows...)
		return r.Limit <= 0 || len(out) < r.Limit
	})
	return out, err
}

// Each calls fn for runs of the indexes that r selects, the highest first or, if
// ascending, the lowest first, until fn returns an error, which it returns.
// Indexes in a run are in the same order. Limit and Fields play no part.
func (x *Index) Each(ctx context.Context, r query.Request, ascending bool, fn func(indexes []uint64) error) error {
	var stopped error
	err := x.run(ctx, r, func(c chunk, s selection) (any, error) {
		out := make([]uint64, 0, s.count())
		s.each(func(row int) { out = append(out, c.first()+uint64(row)) })
		if !ascending {
			slices.Reverse(out)
		}
		return out, nil
	}, ascending, func(part any) bool {
		stopped = fn(part.([]uint64))
		return stopped == nil
	})
	if err == nil {
		err = stopped
	}
	return err
}

// rowsOf reads the fields of some rows and returns them the highest first.
func rowsOf(c chunk, rows []int, fields []query.Field) ([]query.Row, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	times, err := c.counts(timeColumn)
	if err != nil {
		return nil, err
	}
	n := len(rows)
	out := make([]query.Row, n)
	cells := make([]string, n*len(fields))
	for i, r := range rows {
		j := n - 1 - i
		out[j] = query.Row{Index: c.first() + uint64(r), Time: time.Unix(0, times[r]).UTC(), Values: cells[j*len(fields) : (j+1)*len(fields)]}
	}
	for k, f := range fields {
		switch {
		case isText(f):
			texts, err := textAt(c, f, rows)
			if err != nil {
				return nil, err
			}
			for i, s := range texts {
				out[n-1-i].Values[k] = s
			}
		case f == query.Index:
			for i := range out {
				out[i].Values[k] = strconv.FormatUint(out[i].Index, 10)
			}
		case isCount(f):
			counts, err := c.counts(f.Key())
			if err != nil {
				return nil, err
			}
			for i, r := range rows {
				if counts[r] >= 0 {
					out[n-1-i].Values[k] = strconv.FormatInt(counts[r], 10)
				}
			}
		}
	}
	return out, nil
}

// run evaluates r in each chunk that may have something, on all cores, calls
// work where rows are selected, and hands the results to take in order, newest
// first unless ascending, until that returns false.
func (x *Index) run(ctx context.Context, r query.Request, work func(chunk, selection) (any, error), ascending bool, take func(any) bool) error {
	if r.Now.IsZero() {
		r.Now = x.cfg.Now()
	}
	all, err := x.snapshot(ctx)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer all.release()
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		part any
		err  error
	}
	spans := query.SpansOf(r.Where, r.Now)
	if r.Before > 0 {
		spans.Last = min(spans.Last, r.Before-1)
	}
	wanted := all.chunks[:0]
	for _, c := range all.chunks {
		oldest, newest := c.span()
		if newest >= spans.Oldest && oldest <= spans.Newest && c.first() <= spans.Last && c.first()+uint64(c.rows()) > spans.First {
			wanted = append(wanted, c)
		}
	}
	if ascending {
		slices.Reverse(wanted)
	}
	var asked *question
	if r.Where != nil {
		asked = x.remembered.question(questionOf(r.Where, r.Now))
	}
	workers := runtime.GOMAXPROCS(0)
	results := make([]chan result, len(wanted))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	ahead := make(chan struct{}, 2*workers) // how far workers may run ahead of take
	jobs := make(chan int)
	wg.Go(func() {
		defer close(jobs)
		for i := range wanted {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for range min(workers, len(wanted)) {
		wg.Go(func() {
			for i := range jobs {
				part, err := x.one(ctx, wanted[i], r, all, asked, work)
				results[i] <- result{part, err}
			}
		})
	}
	for i := range wanted {
		select {
		case res := <-results[i]:
			<-ahead
			if res.err != nil {
				return res.err
			}
			if res.part != nil && !take(res.part) {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// one evaluates r in one chunk. The reader of the files panics at some kinds of
// damage; a damaged index must fail a search and nothing else.
func (x *Index) one(ctx context.Context, c chunk, r query.Request, all *snapshot, asked *question, work func(chunk, selection) (any, error)) (part any, err error) {
	defer func() {
		if p := recover(); p != nil {
			part, err = nil, fmt.Errorf("searching the index: a file is damaged, rebuild the index: %v", p)
		}
	}()
	first, next := all.base, uint64(math.MaxUint64)
	if _, tail := c.(*memory); tail {
		first = max(first, all.next)
	}
	if l, ok := c.(*lazy); ok {
		if c, err = l.load(ctx); err != nil {
			return nil, err
		}
	}
	if r.Before > 0 {
		next = r.Before
	}
	first, next = max(first, c.first()), min(next, c.first()+uint64(c.rows()))
	if first >= next {
		return nil, nil
	}
	within := newSelection(c.rows())
	within.setRange(int(first-c.first()), int(next-c.first()))
	s := within
	if g, ok := c.(*group); ok && asked != nil {
		if s, err = x.remembered.rows(ctx, asked, g, r.Where, r.Now); err == nil && int(next-first) < c.rows() {
			s = copyOf(s)
			s.and(within)
		}
	} else {
		s, err = eval(ctx, c, r.Where, r.Now, within)
	}
	if err != nil || s.empty() {
		return nil, err
	}
	return work(c, s)
}
