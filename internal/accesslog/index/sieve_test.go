package index

import (
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// TestSieve: whatever part of whatever text of an entry is looked for, the
// sieve of its row group does not rule it out; and it rules out most of what is
// nowhere, or it would be of no use.
func TestSieve(t *testing.T) {
	x, all := opened(t, true)
	for _, f := range x.files {
		for _, g := range f.groups {
			s := g.sieve()
			if s == nil {
				t.Fatalf("%s has no sieve", f.name())
			}
			for _, e := range all[g.start : g.start+uint64(g.n)] {
				for _, field := range textFields {
					texts := []string{textOf(field, e)}
					if field.Kind() == query.List {
						texts = field.ListOf(e)
					}
					for _, text := range texts {
						b := []byte(strings.ToUpper(text))
						if field == query.RequestID && !s.mayHoldID(b) || field != query.RequestID && !s.mayHold(b) {
							t.Fatalf("entry %d has %q", e.Index, text)
						}
					}
				}
			}
			if s.mayHold([]byte("kilimanjaro")) || s.mayHoldID([]byte("kilimanjaro/")) {
				t.Errorf("%s may have what is nowhere", f.name())
			}
		}
	}
	g := x.files[0].groups[0]
	texts, _, err := g.dict(sieveColumn)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(texts, func(s string) bool { return len(s) > sieveHead })
	if readSieve(texts[i], g.start, g.n) == nil || readSieve(texts[i], g.start+1, g.n) != nil || readSieve(texts[i], g.start, g.n+1) != nil ||
		readSieve(texts[i][:len(texts[i])-1], g.start, g.n) != nil {
		t.Error("a sieve of other entries is taken")
	}
}

// TestNeedle: what lies across two pieces is found.
func TestNeedle(t *testing.T) {
	n := needle{text: []byte("needle"), anyCase: true}
	room := make([]byte, 16)
	for at := range 60 {
		hay := []byte(strings.Repeat("x", at) + "NeeDle" + strings.Repeat("y", 60-at))
		if got := n.find(hay, room); got != at {
			t.Errorf("at %d, want %d", got, at)
		}
		if got := n.find(hay[:at+5], room); got != -1 {
			t.Errorf("found at %d in a part", got)
		}
	}
}
