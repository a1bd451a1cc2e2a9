package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
)

// reviewer is somebody of the sample directory who reads the log, and no more.
func reviewerOf(t *testing.T, db *DB) directory.Actor {
	t.Helper()
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range d.Accounts {
		if a.Has("reviewer") && !a.Has("administrator") {
			return directory.Actor{Account: a.ID, Email: a.Email}
		}
	}
	t.Fatal("the directory has no reviewer")
	return directory.Actor{}
}

// TestSearch_WhoMayChangeIt: one's own; a shared one by administrators too; what
// is not shared is not even there for others.
func TestSearch_WhoMayChangeIt(t *testing.T) {
	db := filled(t)
	ada, rae := actorOf(t, db, ines), reviewerOf(t, db)
	stranger := directory.Actor{Account: "nobody", Email: "nobody@example.com"}
	if _, err := db.SaveSearch(t.Context(), stranger, review.Search{Title: "x"}); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("a stranger saves one: %v", err)
	}
	if _, err := db.SaveSearch(t.Context(), rae, review.Search{Title: " \n"}); !errors.Is(err, review.ErrInvalid) {
		t.Errorf("a title of two lines: %v", err)
	}
	own, err := db.SaveSearch(t.Context(), rae, review.Search{Title: "Mine", Query: "effect:deny", Owner: "somebody else"})
	if err != nil || own.Owner != rae.Account || own.Version != 1 {
		t.Fatalf("%+v, %v", own, err)
	}
	own.Title = "Ours"
	if _, err := db.SaveSearch(t.Context(), ada, own); !errors.Is(err, review.ErrNotFound) {
		t.Errorf("a search that is not shared, changed by somebody else: %v", err)
	}
	if all, err := db.Searches(t.Context(), ada.Account); err != nil || len(all) != 0 {
		t.Errorf("others see %+v, %v", all, err)
	}
	own.Shared, own.Daily = true, true
	shared, err := db.SaveSearch(t.Context(), rae, own)
	if err != nil || shared.Version != 2 {
		t.Fatalf("%+v, %v", shared, err)
	}
	if _, err := db.SaveSearch(t.Context(), rae, own); !errors.Is(err, review.ErrChanged) {
		t.Errorf("the version of before: %v", err)
	}
	theirs, err := db.SaveSearch(t.Context(), ada, review.Search{Title: "Theirs", Query: "type:admin", Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.RemoveSearch(t.Context(), rae, theirs.ID, theirs.Version); !errors.Is(err, review.ErrNotYours) {
		t.Errorf("a reviewer removes somebody else's: %v", err)
	}
	if err := db.RemoveSearch(t.Context(), ada, shared.ID, shared.Version); err != nil {
		t.Errorf("an administrator removes a shared one: %v", err)
	}
	all, err := db.Searches(t.Context(), rae.Account)
	if err != nil || len(all) != 1 || all[0].Title != "Theirs" || all[0].Owner != ada.Account {
		t.Errorf("%+v, %v", all, err)
	}
	var said []string
	for _, r := range drained(t, db) {
		if strings.HasPrefix(r.Action, "log.") {
			said = append(said, fmt.Sprint(r.Type, " ", r.Action, " ", r.Object, " ", r.Detail["title"], " ", r.Detail["shared"]))
		}
	}
	want := []string{"log log.search_save search:1 Mine false", "log log.search_change search:1 Ours true", "log log.search_save search:2 Theirs true", "log log.search_remove search:1 Ours true"}
	if !slices.Equal(said, want) {
		t.Errorf("recorded %q", said)
	}
}

// TestSearch_AreBounded: one account cannot fill the database.
func TestSearch_AreBounded(t *testing.T) {
	db := filled(t)
	rae := reviewerOf(t, db)
	if _, err := db.writer.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
 INSERT INTO saved_search (account, email, title, query, shared, daily, version, created, changed) SELECT ?, '', i, '', 0, 0, 1, 0, 0 FROM n`, review.MaxSearches, rae.Account); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveSearch(t.Context(), rae, review.Search{Title: "One more"}); !errors.Is(err, review.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
}

// TestSignOff_NeverChanges: it is recorded with what it says and who says it,
// and no statement of ours alters it.
func TestSignOff_NeverChanges(t *testing.T) {
	db := filled(t)
	rae := reviewerOf(t, db)
	for what, s := range map[string]review.SignOff{
		"no note": {Query: "effect:deny", To: 10}, "nothing": {Query: "effect:deny", From: 10, To: 10, Note: "fine"}, "beyond": {To: 1 << 63, Note: "fine"},
	} {
		if _, err := db.SignOff(t.Context(), rae, s); !errors.Is(err, review.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := db.SignOff(t.Context(), directory.Actor{Account: "nobody"}, review.SignOff{To: 10, Note: "fine"}); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("a stranger: %v", err)
	}
	s, err := db.SignOff(t.Context(), rae, review.SignOff{Query: "effect:deny", From: 3, To: 10, Matched: 4, Own: 1, Account: "somebody else", Note: "Looked at each.\nNothing odd."})
	if err != nil || s.Account != rae.Account || s.At.IsZero() {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, statement := range []string{`UPDATE sign_off SET past = 100`, `DELETE FROM sign_off`} {
		if _, err := db.writer.Exec(statement); err == nil {
			t.Errorf("%s was done", statement)
		}
	}
	for past, want := range map[uint64]int{0: 1, 9: 1, 10: 0, 1 << 63: 0} {
		if got, err := db.SignOffsOf(t.Context(), "effect:deny", past); err != nil || len(got) != want {
			t.Errorf("past %d: %+v, %v", past, got, err)
		}
	}
	if got, err := db.SignOffs(t.Context(), 0, 10); err != nil || len(got) != 1 || got[0] != s {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range drained(t, db) {
		if r.Action == "log.review" {
			if r.Detail["first"] != "3" || r.Detail["last"] != "9" || r.Detail["matched"] != "4" || r.Detail["query"] != "effect:deny" || r.Account != rae.Account || !strings.Contains(r.Detail["note"], "Nothing odd") {
				t.Errorf("recorded %+v", r)
			}
			return
		}
	}
	t.Error("it was not recorded")
}
