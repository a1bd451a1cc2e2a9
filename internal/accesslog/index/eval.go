package index

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// eval finds a chunk's rows that n selects. within is the rows that matter: the
// answer is right for those and holds no others. It ends between two conditions,
// of which one query may have hundreds, once ctx does.
func eval(ctx context.Context, c chunk, n query.Node, now time.Time, within selection) (selection, error) {
	if ctx.Err() != nil {
		return selection{}, context.Cause(ctx)
	}
	switch n := n.(type) {
	case nil:
		return copyOf(within), nil
	case query.And:
		return evalAnd(ctx, c, n, now, within)
	case query.Or:
		out := newSelection(c.rows())
		for _, m := range n {
			s, err := eval(ctx, c, m, now, within)
			if err != nil {
				return out, err
			}
			out.or(s)
		}
		return out, nil
	case query.Not:
		s, err := eval(ctx, c, n.Of, now, within)
		if err != nil {
			return s, err
		}
		s.not()
		s.and(within)
		return s, nil
	case query.Match:
		return evalMatch(c, n, within)
	case query.Within:
		return evalText(c, n.Field, within, func(s string) bool { return query.InNetwork(n.Network, s) }, needle{})
	case query.Range:
		return evalRange(c, n, within)
	case query.Bound:
		return evalBound(c, n, now, within)
	case query.Anywhere:
		return evalAnywhere(ctx, c, n, within)
	}
	return selection{}, fmt.Errorf("searching the index: a condition of type %T is not known", n)
}

func copyOf(s selection) selection { return selection{slices.Clone(s.words), s.n} }

// cost orders conditions: what rules most out for the least comes first.
func cost(n query.Node) int {
	switch n := n.(type) {
	case query.Bound:
		return 0
	case query.Range:
		if n.Field == query.Index {
			return 0
		}
		return 3
	case query.Match:
		switch n.Field {
		case query.RequestID:
			if _, whole := n.Pattern.Whole(); whole {
				return 1 // most files can say at once that they do not have it
			}
			return 5
		case query.Path:
			return 5
		case query.Account:
			return 3
		}
		return 2
	case query.Within:
		return 2
	case query.Not:
		return cost(n.Of) + 1
	case query.Anywhere:
		return 9
	}
	return 6
}

func evalAnd(ctx context.Context, c chunk, n query.And, now time.Time, within selection) (selection, error) {
	sorted := slices.Clone(n)
	sort.SliceStable(sorted, func(i, j int) bool { return cost(sorted[i]) < cost(sorted[j]) })
	out := copyOf(within)
	for _, m := range sorted {
		s, err := eval(ctx, c, m, now, out)
		if err != nil {
			return s, err
		}
		if out = s; out.empty() {
			break
		}
	}
	return out, nil
}

func evalBound(c chunk, n query.Bound, now time.Time, within selection) (selection, error) {
	at := n.Moment(now).UnixNano()
	oldest, newest := c.span()
	from, to := 0, c.rows()
	switch {
	case n.Field == query.Since && oldest >= at, n.Field == query.Until && newest < at:
		return copyOf(within), nil
	case n.Field == query.Since && newest < at, n.Field == query.Until && oldest >= at:
		return newSelection(c.rows()), nil
	}
	times, err := c.counts(timeColumn)
	if err != nil {
		return selection{}, err
	}
	cut := sort.Search(c.rows(), func(i int) bool { return times[i] >= at }) // times never fall
	if n.Field == query.Since {
		from = cut
	} else {
		to = cut
	}
	out := newSelection(c.rows())
	out.setRange(from, to)
	out.and(within)
	return out, nil
}

func evalRange(c chunk, n query.Range, within selection) (selection, error) {
	out := newSelection(c.rows())
	if n.Field == query.Index {
		first, next := c.first(), c.first()+uint64(c.rows())
		from, to := max(uint64(n.Min), first), min(uint64(n.Max)+1, next)
		if from < to {
			out.setRange(int(from-first), int(to-first))
		}
		out.and(within)
		return out, nil
	}
	values, err := c.counts(n.Field.Key())
	if err != nil {
		return out, err
	}
	for i := range c.rows() {
		if v := values[i]; v >= n.Min && v <= n.Max {
			out.set(i)
		}
	}
	out.and(within)
	return out, nil
}

func evalMatch(c chunk, n query.Match, within selection) (selection, error) {
	p := n.Pattern
	whole, exact := p.Whole()
	switch {
	case n.Field == query.Account:
		return evalWho(c, p, within)
	case n.Field.Kind() == query.List:
		return evalText(c, n.Field, within, func(s string) bool { return p.MatchList(split(s)) }, needle{})
	case exact:
		if c.absent(n.Field.Key(), whole) {
			return newSelection(c.rows()), nil
		}
		return evalText(c, n.Field, within, func(s string) bool { return s == whole }, needle{text: []byte(whole), whole: true})
	}
	longest := slices.MaxFunc(p.Parts, func(a, b string) int { return len(a) - len(b) })
	if n.Field == query.Path && len(longest) >= runLen && !c.sieve().mayHold([]byte(longest)) {
		return newSelection(c.rows()), nil
	}
	return evalText(c, n.Field, within, p.Match, needle{text: []byte(longest)})
}

// evalWho is [query.Pattern.MatchWho] by columns.
func evalWho(c chunk, p query.Pattern, within selection) (selection, error) {
	account, err := evalText(c, query.AccountID, within, p.Match, needle{})
	if err != nil {
		return account, err
	}
	mail := p.MatchEmail
	whole, exact := p.Whole()
	nobody := exact && whole == ""
	if nobody {
		mail = p.Match
	}
	email, err := evalText(c, query.Email, within, mail, needle{})
	if err != nil {
		return email, err
	}
	actor, err := evalText(c, query.Actor, within, p.Match, needle{})
	if err != nil {
		return actor, err
	}
	if nobody {
		account.and(email)
		account.and(actor)
		return account, nil
	}
	account.or(email)
	account.or(actor)
	return account, nil
}

// evalText tests a column's texts. Where the column has a list of its texts,
// each is tested once.
func evalText(c chunk, f query.Field, within selection, test func(string) bool, must needle) (selection, error) {
	column := f.Key()
	out := newSelection(c.rows())
	texts, ok, err := c.dict(column)
	if err != nil {
		return out, err
	}
	if !ok {
		look := func(row int, data []byte, offsets []uint32) bool {
			scan(out, within, row, data, offsets, test, must)
			return true
		}
		if must.whole {
			return out, c.plainOf(column, string(must.text), look)
		}
		return out, c.plain(column, look)
	}
	pass := make([]bool, len(texts))
	hits, last := 0, int32(0)
	for i, s := range texts {
		if pass[i] = test(s); pass[i] {
			hits++
			last = int32(i)
		}
	}
	switch hits {
	case 0:
		return out, nil
	case len(texts):
		return copyOf(within), nil
	}
	codes, err := c.codes(column)
	if err != nil {
		return out, err
	}
	codes = codes[:c.rows()]
	if hits == 1 {
		for i, code := range codes {
			if code == last {
				out.set(i)
			}
		}
	} else {
		for i, code := range codes {
			if pass[code] {
				out.set(i)
			}
		}
	}
	out.and(within)
	return out, nil
}

// scan tests a run of texts. With a needle it looks for that in all of them at
// once and then only at the texts where it was found.
func scan(out, within selection, row int, data []byte, offsets []uint32, test func(string) bool, must needle) {
	n := len(offsets) - 1
	if !within.any(row, row+n) {
		return
	}
	if len(must.text) == 0 {
		for i := range n {
			if within.has(row+i) && test(string(data[offsets[i]:offsets[i+1]])) {
				out.set(row + i)
			}
		}
		return
	}
	var room []byte
	if must.anyCase {
		room = make([]byte, 4096+len(must.text))
	}
	for i := 0; i < n; {
		at := must.find(data[offsets[i]:offsets[n]], room)
		if at < 0 {
			return
		}
		at += int(offsets[i])
		i += sort.Search(n-i, func(j int) bool { return int(offsets[i+j+1]) > at })
		if i < n && within.has(row+i) && test(string(data[offsets[i]:offsets[i+1]])) {
			out.set(row + i)
		}
		i++
	}
}

func evalAnywhere(ctx context.Context, c chunk, n query.Anywhere, within selection) (selection, error) {
	find := query.Fold(n.Text)
	out := newSelection(c.rows())
	small := find.Small()
	skip := func(query.Field) bool { return false }
	if small != nil {
		s := c.sieve()
		text, id := s.mayHold(small), s.mayHoldID(small)
		skip = func(f query.Field) bool { return f == query.RequestID && !id || f != query.RequestID && !text }
	}
	for _, f := range textFields {
		if skip(f) {
			continue
		}
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
		test := find.In
		if f.Kind() == query.List {
			test = func(s string) bool { return slices.ContainsFunc(split(s), find.In) }
		}
		s, err := evalText(c, f, within, test, needle{text: small, anyCase: true})
		if err != nil {
			return out, err
		}
		out.or(s)
	}
	return out, nil
}

// A needle is what each text that passes a test must contain.
type needle struct {
	text    []byte // nil: nothing
	anyCase bool   // text is small, and is looked for in any case of ASCII letters
	whole   bool   // text is all of it
}

var smaller = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// find returns the first place of the needle in data, or -1. Data is put in
// small letters if need be, a piece at a time, in room.
func (n needle) find(data, room []byte) int {
	if !n.anyCase {
		return bytes.Index(data, n.text)
	}
	for from := 0; len(data)-from >= len(n.text); {
		piece := data[from:min(len(data), from+len(room))]
		for i, c := range piece {
			room[i] = smaller[c]
		}
		if at := bytes.Index(room[:len(piece)], n.text); at >= 0 {
			return from + at
		}
		if from+len(piece) == len(data) {
			break
		}
		from += len(piece) - len(n.text) + 1
	}
	return -1
}
