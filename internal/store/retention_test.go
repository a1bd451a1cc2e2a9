package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
)

// TestRetention: a rule stands at once or waits for another administrator, each
// step is recorded, and one at a time stands or waits for the same entries.
func TestRetention(t *testing.T) {
	db := filled(t)
	ada, other := actorOf(t, db, ines), directory.Actor{Account: directory.Operator}
	below := errors.New("below")
	set := func(actor directory.Actor, days int, second bool, err error) (directory.RetentionRule, error) {
		return db.SetRetention(t.Context(), actor, directory.RetentionRule{Kind: directory.RetainCluster, Subject: "claims", Days: days, Reason: "why"},
			func([]directory.RetentionRule) (bool, error) { return second, err })
	}
	if _, err := set(actorOf(t, db, kim), 90, false, nil); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("by a contractor: %v", err)
	}
	if _, err := set(ada, 30, false, below); !errors.Is(err, below) {
		t.Errorf("not allowed: %v", err)
	}
	first, err := set(ada, 90, false, nil)
	if err != nil || first.State != directory.RetainStanding {
		t.Fatalf("%+v, %v", first, err)
	}
	gone, err := set(ada, 60, true, nil)
	if err != nil || gone.State != directory.RetainWaiting {
		t.Fatalf("%+v, %v", gone, err)
	}
	waits, err := set(ada, 50, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{first.ID, gone.ID, 99} {
		if err := db.DecideRetention(t.Context(), other, id, true); !errors.Is(err, directory.ErrNoRule) {
			t.Errorf("approving %d: %v", id, err)
		}
	}
	if err := db.DecideRetention(t.Context(), ada, waits.ID, true); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("approving one's own: %v", err)
	}
	if err := db.DecideRetention(t.Context(), actorOf(t, db, kim), waits.ID, false); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("a contractor refuses: %v", err)
	}
	if err := db.DecideRetention(t.Context(), other, waits.ID, true); err != nil {
		t.Fatal(err)
	}
	last, err := set(ada, 40, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.DecideRetention(t.Context(), ada, last.ID, false); err != nil {
		t.Errorf("withdrawing one's own: %v", err)
	}
	all, err := db.RetentionRules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, r := range all {
		states = append(states, r.State)
	}
	if got := strings.Join(states, " "); got != "refused standing replaced replaced" || all[1].Days != 50 || all[1].AskedBy != ada.Account || all[1].DecidedBy != directory.Operator {
		t.Errorf("%s: %+v", got, all)
	}
	var actions []string
	for _, r := range drained(t, db) {
		actions = append(actions, r.Action+" "+r.Detail["days"])
	}
	if got := strings.Join(actions, ", "); got != "retention.set 90, retention.ask 60, retention.ask 50, retention.approve 50, retention.ask 40, retention.refuse 40" {
		t.Errorf("recorded %s", got)
	}
}
