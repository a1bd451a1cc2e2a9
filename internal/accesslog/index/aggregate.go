package index

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Count returns how many entries r selects.
func (x *Index) Count(ctx context.Context, r query.Request) (int, error) {
	n := 0
	err := x.run(ctx, r, func(_ chunk, s selection) (any, error) { return s.count(), nil }, false,
		func(part any) bool { n += part.(int); return true })
	return n, err
}

// Histogram counts what r selects by a text field and stretches of time of
// length step, which begin at multiples of it since 1970. Cells are by time,
// then value; those without entries are left out.
func (x *Index) Histogram(ctx context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	if !isText(by) || step <= 0 {
		return nil, query.ErrField
	}
	type key struct {
		value string
		start int64
	}
	all := map[key]int{}
	err := x.run(ctx, r, func(c chunk, s selection) (any, error) {
		times, err := c.counts(timeColumn)
		if err != nil {
			return nil, err
		}
		base := times[0] / int64(step)
		wide := int(times[c.rows()-1]/int64(step)-base) + 1
		out := map[key]int{}
		texts, ok, err := c.dict(by.Key())
		if err != nil {
			return nil, err
		}
		if !ok || len(texts)*wide > 1<<22 {
			err := eachText(c, by, s, func(row int, text string) {
				out[key{text, times[row] / int64(step)}]++
			})
			return out, err
		}
		codes, err := c.codes(by.Key())
		if err != nil {
			return nil, err
		}
		dense := make([]int, len(texts)*wide)
		bucket, until := 0, (base+1)*int64(step)
		s.each(func(row int) {
			for times[row] >= until { // times never fall
				bucket++
				until += int64(step)
			}
			dense[int(codes[row])*wide+bucket]++
		})
		for i, n := range dense {
			if n > 0 {
				out[key{texts[i/wide], base + int64(i%wide)}] = n
			}
		}
		return out, nil
	}, false, func(part any) bool {
		for k, n := range part.(map[key]int) {
			all[k] += n
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	out := make([]query.Cell, 0, len(all))
	for k, n := range all {
		out = append(out, query.Cell{Value: k.value, Start: time.Unix(0, k.start*int64(step)).UTC(), N: n})
	}
	slices.SortFunc(out, func(a, b query.Cell) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Value, b.Value)) })
	return out, nil
}

// Top returns the values of a text field that most of the entries that r
// selects have, the most frequent first, at most n of them; 0: all.
func (x *Index) Top(ctx context.Context, r query.Request, by query.Field, n int) ([]query.Tally, error) {
	if !isText(by) {
		return nil, query.ErrField
	}
	all := map[string]int{}
	err := x.run(ctx, r, func(c chunk, s selection) (any, error) {
		return tally(c, by, s)
	}, false, func(part any) bool {
		for k, n := range part.(map[string]int) {
			all[k] += n
		}
		return true
	})
	return ranked(all, n), err
}

func tally(c chunk, by query.Field, s selection) (map[string]int, error) {
	out := map[string]int{}
	texts, ok, err := c.dict(by.Key())
	if err != nil {
		return nil, err
	}
	if ok {
		codes, err := c.codes(by.Key())
		if err != nil {
			return nil, err
		}
		counts := make([]int, len(texts))
		s.each(func(row int) { counts[codes[row]]++ })
		for i, n := range counts {
			if n > 0 {
				out[texts[i]] = n
			}
		}
		return out, nil
	}
	seen := map[string]*int{}
	err = c.plain(by.Key(), func(row int, data []byte, offsets []uint32) bool {
		for i := range len(offsets) - 1 {
			if !s.has(row + i) {
				continue
			}
			text := data[offsets[i]:offsets[i+1]]
			n, ok := seen[string(text)] // copies nothing
			if !ok {
				n = new(int)
				seen[string(text)] = n
			}
			*n++
		}
		return true
	})
	for k, n := range seen {
		out[k] = *n
	}
	return out, err
}

func ranked(all map[string]int, n int) []query.Tally {
	out := make([]query.Tally, 0, len(all))
	for k, c := range all {
		out = append(out, query.Tally{Value: k, N: c})
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value)) })
	if n > 0 && len(out) > n {
		out = out[:n]
	}
	return out
}

// eachText calls fn for the selected rows with their text, lowest first.
func eachText(c chunk, f query.Field, s selection, fn func(row int, text string)) error {
	texts, ok, err := c.dict(f.Key())
	if err != nil {
		return err
	}
	if ok {
		codes, err := c.codes(f.Key())
		if err == nil {
			s.each(func(row int) { fn(row, texts[codes[row]]) })
		}
		return err
	}
	return c.plain(f.Key(), func(row int, data []byte, offsets []uint32) bool {
		for i := range len(offsets) - 1 {
			if s.has(row + i) {
				fn(row+i, string(data[offsets[i]:offsets[i+1]]))
			}
		}
		return true
	})
}

// Distinct returns, for each value of the text field by, how many distinct
// values of the text field of the entries that r selects have, the most first.
// Entries without a value of either are left out.
func (x *Index) Distinct(ctx context.Context, r query.Request, of, by query.Field) ([]query.Tally, error) {
	if !isText(of) || !isText(by) {
		return nil, query.ErrField
	}
	all := map[string]map[string]struct{}{}
	err := x.run(ctx, r, func(c chunk, s selection) (any, error) {
		return pairsOf(c, s, of, by)
	}, false, func(part any) bool {
		for k, values := range part.(map[string][]string) {
			m := all[k]
			if m == nil {
				m = make(map[string]struct{}, len(values))
				all[k] = m
			}
			for _, v := range values {
				m[v] = struct{}{}
			}
		}
		return true
	})
	counts := make(map[string]int, len(all))
	for k, m := range all {
		counts[k] = len(m)
	}
	return ranked(counts, 0), err
}

func pairsOf(c chunk, s selection, of, by query.Field) (map[string][]string, error) {
	out := map[string][]string{}
	keys, ok1, err := c.dict(by.Key())
	if err != nil {
		return nil, err
	}
	values, ok2, err := c.dict(of.Key())
	if err != nil {
		return nil, err
	}
	if !ok1 || !ok2 {
		return widePairs(c, s, of, by)
	}
	a, err := c.codes(by.Key())
	if err != nil {
		return nil, err
	}
	b, err := c.codes(of.Key())
	if err != nil {
		return nil, err
	}
	last := make([]int32, len(keys)) // the value that the key had before, plus one
	seen := map[uint64]struct{}{}
	s.each(func(row int) {
		k, v := a[row], b[row]
		if last[k] == v+1 {
			return
		}
		last[k] = v + 1
		pair := uint64(k)<<32 | uint64(v)
		if _, ok := seen[pair]; ok || keys[k] == "" || values[v] == "" {
			return
		}
		seen[pair] = struct{}{}
		out[keys[k]] = append(out[keys[k]], values[v])
	})
	return out, nil
}

// widePairs is pairsOf where a column has no list of its texts.
func widePairs(c chunk, s selection, of, by query.Field) (map[string][]string, error) {
	keys := map[int]string{}
	if err := eachText(c, by, s, func(row int, text string) { keys[row] = text }); err != nil {
		return nil, err
	}
	seen := map[[2]string]struct{}{}
	out := map[string][]string{}
	err := eachText(c, of, s, func(row int, text string) {
		pair := [2]string{keys[row], text}
		if _, ok := seen[pair]; ok || pair[0] == "" || text == "" {
			return
		}
		seen[pair] = struct{}{}
		out[pair[0]] = append(out[pair[0]], text)
	})
	return out, err
}
