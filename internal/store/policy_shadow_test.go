package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
)

func startShadow(t *testing.T, db *DB, actor directory.Actor) change.Shadow {
	t.Helper()
	s, err := db.StartShadow(t.Context(), actor, change.Shadow{Draft: 7, Title: "Freeze", Modules: map[string]string{"all/a.rego": "package a"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestShadow_StartAndStop: one shadow at a time, by administrators, recorded,
// with the modules as they were.
func TestShadow_StartAndStop(t *testing.T) {
	db := filled(t)
	ada := actorOf(t, db, ines)
	if _, ok, err := db.RunningShadow(t.Context()); ok || err != nil {
		t.Fatalf("%v, %v", ok, err)
	}
	stranger := directory.Actor{Account: "nobody", Email: "nobody@example.com"}
	if _, err := db.StartShadow(t.Context(), stranger, change.Shadow{}); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("a stranger starts one: %v", err)
	}
	s := startShadow(t, db, ada)
	if _, err := db.StartShadow(t.Context(), ada, change.Shadow{Draft: 8}); !errors.Is(err, change.ErrShadowRuns) {
		t.Errorf("a second one: %v", err)
	}
	got, ok, err := db.RunningShadow(t.Context())
	if err != nil || !ok || got.ID != s.ID || got.Draft != 7 || got.Title != "Freeze" || !got.Running() || !maps.Equal(got.Modules, s.Modules) || got.Started.Email != ines {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if err := db.StopShadow(t.Context(), stranger, s.ID, ""); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("a stranger stops it: %v", err)
	}
	if err := db.StopShadow(t.Context(), ada, 99, ""); !errors.Is(err, change.ErrNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
	for range 2 { // the second changes nothing
		if err := db.StopShadow(t.Context(), ada, s.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	second := startShadow(t, db, operator)
	if err := db.StopShadow(t.Context(), operator, second.ID, "it needs more memory"); err != nil {
		t.Fatal(err)
	}
	all, err := db.Shadows(t.Context())
	if err != nil || len(all) != 2 || all[0].Fault == "" || all[1].Fault != "" || all[1].Running() {
		t.Errorf("%+v, %v", all, err)
	}
	var said []string
	for _, r := range drained(t, db) {
		said = append(said, fmt.Sprint(r.Action, " ", r.Result, " ", r.Object, " ", r.Detail["draft"], " ", r.Detail["policies"] == s.Hash))
	}
	want := []string{"policy.shadow_start ok shadow:1 7 true", "policy.shadow_stop ok shadow:1 7 true", "policy.shadow_start ok shadow:2 7 true", "policy.shadow_stop failed shadow:2 7 true"}
	if !slices.Equal(said, want) {
		t.Errorf("recorded %q", said)
	}
}

// TestShadow_Differences: groups grow, name the newest entries, and end somewhere.
func TestShadow_Differences(t *testing.T) {
	db := filled(t)
	s := startShadow(t, db, operator)
	key := func(i int, turn string) change.DifferenceKey {
		return change.DifferenceKey{Turn: turn, Account: fmt.Sprint(i), Cluster: "claims", OldEffect: "deny", NewEffect: "allow"}
	}
	var entries []uint64
	for i := range uint64(15) {
		entries = append(entries, i)
	}
	for i := range 2 {
		at := day.Add(time.Duration(i) * time.Hour)
		if err := db.CountShadow(t.Context(), s.ID, change.ShadowCounts{Decided: 100, Dropped: 1, Widened: 15}, []change.Difference{
			{DifferenceKey: key(0, "narrowed"), Count: 1, First: at, Last: at, Entries: []uint64{9}},
			{DifferenceKey: key(0, "widened"), Count: 15, First: at, Last: at, Entries: entries}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := db.Differences(t.Context(), s.ID)
	if err != nil || len(got) != 2 || got[0].Turn != "widened" || got[0].Count != 30 || !got[0].First.Equal(day) || !got[0].Last.Equal(day.Add(time.Hour)) {
		t.Fatalf("%+v, %v", got, err)
	}
	if e := got[0].Entries; len(e) != change.MaxEntries || e[0] != 10 || e[19] != 14 {
		t.Errorf("entries %v", e)
	}
	var flood []change.Difference
	for i := range change.MaxDifferences + 50 {
		flood = append(flood, change.Difference{DifferenceKey: key(i+1, "reworded"), Count: 1, First: day, Last: day})
	}
	if err := db.CountShadow(t.Context(), s.ID, change.ShadowCounts{Decided: 1050, Reworded: 1050}, flood); err != nil {
		t.Fatal(err)
	}
	if got, err = db.Differences(t.Context(), s.ID); err != nil || len(got) != change.MaxDifferences {
		t.Errorf("%d groups, %v", len(got), err)
	}
	now, _, err := db.RunningShadow(t.Context())
	if err != nil || now.Counts != (change.ShadowCounts{Decided: 1250, Dropped: 2, Widened: 30, Reworded: 1050}) || now.Counts.Differ() != 1080 {
		t.Errorf("%+v, %v", now.Counts, err)
	}
}

// TestShadow_OldOnesGo: what was found long ago makes room.
func TestShadow_OldOnesGo(t *testing.T) {
	db := filled(t)
	for range keepShadows + 3 {
		s := startShadow(t, db, operator)
		if err := db.CountShadow(t.Context(), s.ID, change.ShadowCounts{}, []change.Difference{{Count: 1, First: day, Last: day}}); err != nil {
			t.Fatal(err)
		}
		if err := db.StopShadow(t.Context(), operator, s.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	all, err := db.Shadows(t.Context())
	if err != nil || len(all) != keepShadows {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	var rows int
	if err := db.read().QueryRow(`SELECT count(*) FROM policy_shadow_difference`).Scan(&rows); err != nil || rows != keepShadows {
		t.Errorf("%d groups are kept, %v", rows, err)
	}
}
