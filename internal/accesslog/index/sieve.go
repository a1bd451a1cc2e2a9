package index

import (
	"encoding/binary"
	"math/bits"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// A sieve tells of a row group, without reading it, that a text is in none of
// its entries. It has a bit for each run of five bytes in their texts, small
// letters and capitals taken as one. A text that is there has all of its runs
// there, so a sieve is only ever wrong by saying that a text may be there.
// Request ids, of which no two share much, are left out: of those it knows the bytes.
type sieve struct {
	first uint64 // of the row group
	rows  uint32
	ids   [32]byte // a bit for each byte in request ids
	order uint8    // there are 1<<order bits
	bits  []byte
}

const (
	runLen    = 5
	maxOrder  = 21 // 256 KB; ten million entries of one day need no more
	minOrder  = 10
	sieveHead = 8 + 4 + 32 + 1
)

// placeOfRun returns where the run at the beginning of b has its bit, of 1<<maxOrder.
func placeOfRun(b []byte) uint32 {
	run := uint64(smaller[b[0]]) | uint64(smaller[b[1]])<<8 | uint64(smaller[b[2]])<<16 | uint64(smaller[b[3]])<<24 | uint64(smaller[b[4]])<<32
	return uint32(run * 0x9e3779b97f4a7c15 >> (64 - maxOrder))
}

// mayHold reports whether a text may be in the row group, request ids aside.
func (s *sieve) mayHold(text []byte) bool {
	if s == nil {
		return true
	}
	for ; len(text) >= runLen; text = text[1:] {
		at := placeOfRun(text) >> (maxOrder - s.order)
		if s.bits[at/8]>>(at%8)&1 == 0 {
			return false
		}
	}
	return true
}

// mayHoldID reports whether a request id may contain a text.
func (s *sieve) mayHoldID(text []byte) bool {
	if s == nil {
		return true
	}
	for _, c := range text {
		c = smaller[c]
		if s.ids[c/8]>>(c%8)&1 == 0 {
			return false
		}
	}
	return true
}

// readSieve returns nil where text is no sieve of the row group.
func readSieve(text string, first uint64, rows int) *sieve {
	if len(text) < sieveHead {
		return nil
	}
	b := []byte(text)
	s := &sieve{first: binary.LittleEndian.Uint64(b), rows: binary.LittleEndian.Uint32(b[8:]), order: b[44], bits: b[sieveHead:]}
	copy(s.ids[:], b[12:])
	if s.first != first || int(s.rows) != rows || s.order < minOrder || s.order > maxOrder || len(s.bits) != 1<<s.order/8 {
		return nil
	}
	return s
}

// A sieveMaker collects the texts of a row group.
type sieveMaker struct {
	words [1 << maxOrder / 64]uint64
	ids   [32]byte
	seen  []map[string]struct{} // of texts that come again and again, as textFields
	rows  uint32
}

func newSieveMaker() *sieveMaker {
	m := &sieveMaker{seen: make([]map[string]struct{}, len(textFields))}
	m.reset()
	return m
}

func (m *sieveMaker) reset() {
	clear(m.words[:])
	m.ids, m.rows = [32]byte{}, 0
	for i := range m.seen {
		m.seen[i] = map[string]struct{}{}
	}
}

func (m *sieveMaker) add(e *accesslog.Entry) {
	m.rows++
	for i, f := range textFields {
		s := textOf(f, e)
		switch {
		case s == "":
			continue
		case f == query.RequestID:
			for j := range len(s) {
				c := smaller[s[j]]
				m.ids[c/8] |= 1 << (c % 8)
			}
			continue
		case f != query.Path:
			if _, ok := m.seen[i][s]; ok {
				continue
			}
			m.seen[i][s] = struct{}{}
		}
		if f.Kind() == query.List {
			for _, element := range split(s) {
				m.runs([]byte(element))
			}
			continue
		}
		m.runs([]byte(s))
	}
}

func (m *sieveMaker) runs(b []byte) {
	for ; len(b) >= runLen; b = b[1:] {
		at := placeOfRun(b)
		m.words[at/64] |= 1 << (at % 64)
	}
}

// finish returns the sieve of the rows so far, which begin at first, as small
// as serves, and begins anew.
func (m *sieveMaker) finish(first uint64) string {
	order := uint8(maxOrder)
	w := m.words[:]
	for order > minOrder {
		half, set := fold(w)
		if set*4 > 1<<(order-1) { // a run that is not there would be found too often
			break
		}
		w = half
		order--
	}
	out := binary.LittleEndian.AppendUint64(make([]byte, 0, sieveHead+len(w)*8), first)
	out = binary.LittleEndian.AppendUint32(out, m.rows)
	out = append(append(out, m.ids[:]...), order)
	for _, x := range w {
		out = binary.LittleEndian.AppendUint64(out, x)
	}
	m.reset()
	return string(out)
}

// fold joins each two bits side by side, and counts those that are then set.
func fold(w []uint64) (half []uint64, set int) {
	half = make([]uint64, len(w)/2)
	for i := range half {
		half[i] = squeeze(w[2*i]) | squeeze(w[2*i+1])<<32
		set += bits.OnesCount64(half[i])
	}
	return half, set
}

// squeeze returns in the low half of its result whether of each two bits one is set.
func squeeze(x uint64) uint64 {
	x = (x | x>>1) & 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return (x | x>>16) & 0x00000000ffffffff
}
