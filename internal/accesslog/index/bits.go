package index

import "math/bits"

// A selection has a bit for each row of a chunk.
type selection struct {
	words []uint64
	n     int
}

func newSelection(n int) selection { return selection{make([]uint64, (n+63)/64), n} }

func (s selection) set(i int)      { s.words[i/64] |= 1 << (i % 64) }
func (s selection) has(i int) bool { return s.words[i/64]>>(i%64)&1 != 0 }

func (s selection) empty() bool {
	for _, w := range s.words {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s selection) count() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// setRange sets rows from up to but not including to.
func (s selection) setRange(from, to int) {
	for i := from; i < to; {
		if i%64 == 0 && to-i >= 64 {
			s.words[i/64] = ^uint64(0)
			i += 64
			continue
		}
		s.set(i)
		i++
	}
}

func (s selection) and(t selection) {
	for i := range s.words {
		s.words[i] &= t.words[i]
	}
}

func (s selection) or(t selection) {
	for i := range s.words {
		s.words[i] |= t.words[i]
	}
}

func (s selection) not() {
	for i := range s.words {
		s.words[i] = ^s.words[i]
	}
	if rest := s.n % 64; rest != 0 {
		s.words[len(s.words)-1] &= 1<<rest - 1
	}
}

// any reports whether a row from from up to but not including to is selected.
func (s selection) any(from, to int) bool {
	for i := from; i < to; {
		if i%64 == 0 && to-i >= 64 {
			if s.words[i/64] != 0 {
				return true
			}
			i += 64
			continue
		}
		if s.has(i) {
			return true
		}
		i++
	}
	return false
}

// each calls fn for the selected rows, lowest first.
func (s selection) each(fn func(row int)) {
	for i, w := range s.words {
		for w != 0 {
			fn(i*64 + bits.TrailingZeros64(w))
			w &= w - 1
		}
	}
}

// last returns up to n of the highest selected rows, lowest first.
func (s selection) last(n int) []int {
	var down []int
	for i := len(s.words) - 1; i >= 0 && len(down) < n; i-- {
		for w := s.words[i]; w != 0 && len(down) < n; {
			b := 63 - bits.LeadingZeros64(w)
			down = append(down, i*64+b)
			w &^= 1 << b
		}
	}
	for i, j := 0, len(down)-1; i < j; i, j = i+1, j-1 {
		down[i], down[j] = down[j], down[i]
	}
	return down
}
