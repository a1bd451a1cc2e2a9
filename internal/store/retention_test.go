package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
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

// TestRetention_OnePerson: an administrator who made another account, or changed
// how it signs in, does not approve through it what they asked for themselves.
func TestRetention_OnePerson(t *testing.T) {
	db := filled(t)
	ada := actorOf(t, db, ines)
	made := func(by directory.Actor, email string) directory.Actor {
		t.Helper()
		if _, err := db.Change(t.Context(), by, func(d *directory.Directory) error {
			d.Accounts = append(d.Accounts, directory.Account{Email: email, Name: "Another", Roles: []policy.Role{policy.Administrator}})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return actorOf(t, db, email)
	}
	own, other := made(ada, "own@example.com"), made(operator, "other@example.com")
	ask := func(by directory.Actor) int64 {
		t.Helper()
		r, err := db.SetRetention(t.Context(), by, directory.RetentionRule{Kind: directory.RetainRest, Days: 30, Reason: "why"},
			func([]directory.RetentionRule) (bool, error) { return true, nil })
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	for _, c := range []struct{ asks, approves directory.Actor }{{ada, own}, {own, ada}} {
		err := db.DecideRetention(t.Context(), c.approves, ask(c.asks), true)
		if _, ok := errors.AsType[*change.SecondError](err); !ok || !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("%s approves what %s asked for: %v", c.approves.Email, c.asks.Email, err)
		}
	}
	id := ask(ada)
	if err := db.NoteTouch(t.Context(), other.Account, ada, "account.reset"); err != nil {
		t.Fatal(err)
	}
	if err := db.DecideRetention(t.Context(), other, id, true); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("after a reset: %v", err)
	}
	if err := db.DecideRetention(t.Context(), own, id, false); err != nil {
		t.Errorf("refusing: %v", err)
	}
	if err := db.DecideRetention(t.Context(), made(operator, "third@example.com"), ask(ada), true); err != nil {
		t.Errorf("by somebody else: %v", err)
	}
}

// TestRetentionPending: readings, which wait on a full disk until room is made,
// hold up no rule by which room is made.
func TestRetentionPending(t *testing.T) {
	db := filled(t)
	pending := func(want bool) {
		t.Helper()
		if got, err := db.RetentionPending(t.Context()); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	if err := db.Enqueue(t.Context(), &policy.Record{Type: policy.RecordLog, Action: "log.review", Actor: "rae"}); err != nil {
		t.Fatal(err)
	}
	pending(false)
	if _, err := db.SetRetention(t.Context(), actorOf(t, db, ines), directory.RetentionRule{Kind: directory.RetainRest, Days: 30, Reason: "why"},
		func([]directory.RetentionRule) (bool, error) { return false, nil }); err != nil {
		t.Fatal(err)
	}
	pending(true)
	drained(t, db)
	pending(false)
}
