package index

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// TestRemembered_SameAnswers: asked again, by many at the same time and up to
// other entries, a question has the answers that it has without a memory.
func TestRemembered_SameAnswers(t *testing.T) {
	x, all := opened(t, true)
	now := all[len(all)-1].Time.Add(time.Hour)
	for _, text := range []string{"effect:deny", "-effect:deny type:request", "account:* since:2d", "status:>=500 or effect:challenge"} {
		n, err := query.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		f := query.Compile(n, now)
		want := func(before uint64) (out []uint64) {
			for _, e := range slices.Backward(all) {
				if (before == 0 || e.Index < before) && f.Match(e) {
					out = append(out, e.Index)
				}
			}
			return out
		}
		var wg sync.WaitGroup
		for i := range 8 {
			before := uint64(i%4) * uint64(len(all)) / 4
			wg.Go(func() {
				rows, err := x.Search(t.Context(), query.Request{Where: n, Now: now, Before: before})
				var got []uint64
				for _, r := range rows {
					got = append(got, r.Index)
				}
				if err != nil || !slices.Equal(got, want(before)) {
					t.Errorf("%s before %d: %d entries, want %d (%v)", text, before, len(got), len(want(before)), err)
				}
			})
		}
		wg.Wait()
	}
	if x.remembered.words == 0 {
		t.Error("nothing was remembered")
	}
	x.remembered.forget()
	if rows, err := x.Search(t.Context(), query.Request{Where: query.Match{Field: query.Effect, Pattern: query.Exact("deny")}, Now: now}); err != nil || len(rows) == 0 {
		t.Error(len(rows), err)
	}
}

// TestRemembered_Bounds: questions and their rows are bounded, the oldest go first.
func TestRemembered_Bounds(t *testing.T) {
	var m remembered
	for i := range 3 * rememberedQuestions {
		q := m.question(fmt.Sprint(i))
		if !m.keep(q, rememberedWords/8) {
			t.Fatal("there is room, once others are gone")
		}
		if len(m.asked) > rememberedQuestions || m.words > rememberedWords {
			t.Fatalf("%d questions, %d words", len(m.asked), m.words)
		}
	}
	if q := m.question(fmt.Sprint(3*rememberedQuestions - 1)); q.words == 0 || m.keep(q, rememberedWords) {
		t.Error("the latest was forgotten, or more was kept than may be")
	}
	old := m.asked[0]
	m.forget()
	if m.keep(old, 1); m.words != 0 {
		t.Error("what was forgotten is counted")
	}
	// A moment counts only where the answer depends on it.
	deny := query.Match{Field: query.Effect, Pattern: query.Exact("deny")}
	one, other := time.Unix(1, 0), time.Unix(2, 0)
	if questionOf(deny, one) != questionOf(deny, other) || questionOf(query.All(deny, query.Bound{Field: query.Since, Ago: time.Hour}), one) == questionOf(query.All(deny, query.Bound{Field: query.Since, Ago: time.Hour}), other) {
		t.Error("questions are told apart by what does not matter, or not by what does")
	}
}
