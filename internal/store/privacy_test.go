package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func TestHolds(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, ines)
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := of(d, kim).ID
	if _, err := db.PlaceHold(t.Context(), actorOf(t, db, kim), directory.HoldAccount, id, "why"); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("by a contractor: %v", err)
	}
	if _, err := db.PlaceHold(t.Context(), actor, directory.HoldEngagement, "nothing", "why"); !errors.Is(err, directory.ErrNoSubject) {
		t.Errorf("on nothing: %v", err)
	}
	h, err := db.PlaceHold(t.Context(), actor, directory.HoldAccount, id, "case 7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.PlaceHold(t.Context(), actor, directory.HoldAccount, id, "case 8"); !errors.Is(err, directory.ErrHeldTwice) {
		t.Errorf("twice: %v", err)
	}
	var held *directory.HeldError
	if err := db.AskErasure(t.Context(), actor, id, "asked for"); !errors.As(err, &held) || held.Hold.Reason != "case 7" {
		t.Errorf("erasing what is held: %v", err)
	}
	if err := db.LiftHold(t.Context(), actor, h.ID, "settled"); err != nil {
		t.Fatal(err)
	}
	if err := db.LiftHold(t.Context(), actor, h.ID, "again"); !errors.Is(err, directory.ErrNoHold) {
		t.Errorf("lifted twice: %v", err)
	}
	e, err := db.PlaceHold(t.Context(), actor, directory.HoldEngagement, "claims-2026", "audit")
	if err != nil {
		t.Fatal(err)
	}
	assigned := of(d, "amara@northwind.example").ID
	if err := db.AskErasure(t.Context(), actor, assigned, "asked for"); !errors.As(err, &held) || held.Hold.ID != e.ID {
		t.Errorf("erasing under a held engagement: %v", err)
	}
	all, err := db.Holds(t.Context())
	if err != nil || len(all) != 2 || !all[0].Stands() || all[1].Stands() || all[1].LiftedWhy != "settled" {
		t.Errorf("%+v, %v", all, err)
	}
	var actions []string
	for _, r := range drained(t, db) {
		actions = append(actions, r.Action)
	}
	if got := strings.Join(actions, " "); got != "hold.place hold.lift hold.place" {
		t.Errorf("recorded %s", got)
	}
}

func TestErasure(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, ines)
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := of(d, "amara@northwind.example").ID
	if err := db.AskErasure(t.Context(), actor, actor.Account, "why"); !errors.Is(err, directory.ErrNotAllowed) {
		t.Errorf("one's own: %v", err)
	}
	owner := d.Clone().Clusters[0].Owner.Email
	if _, err := db.Change(t.Context(), actor, func(d *directory.Directory) error { d.Clusters[0].Owner.Email = "amara@northwind.example"; return nil }); err != nil {
		t.Fatal(err)
	}
	var stands *directory.StandsError
	if err := db.AskErasure(t.Context(), actor, id, "why"); !errors.As(err, &stands) || len(stands.Places) != 1 || stands.Places[0] != "cluster "+d.Clusters[0].Name {
		t.Errorf("of whoever answers for a cluster: %v", err)
	}
	if _, err := db.Change(t.Context(), actor, func(d *directory.Directory) error { d.Clusters[0].Owner.Email = owner; return nil }); err != nil {
		t.Fatal(err)
	}
	drained(t, db)
	if err := db.AskErasure(t.Context(), actor, id, "asked for by the person"); err != nil {
		t.Fatal(err)
	}
	if err := db.AskErasure(t.Context(), actor, id, "again"); !errors.Is(err, directory.ErrErasedTwice) {
		t.Errorf("twice: %v", err)
	}
	for _, statement := range []string{
		`INSERT INTO saved_search (account, email, title, query, shared, daily, version, created, changed) VALUES ('` + id + `', 'amara@northwind.example', 'own', '', 0, 0, 1, 0, 0), ('` + id + `', 'amara@northwind.example', 'ours', '', 1, 0, 1, 0, 0)`,
		`INSERT INTO alarm (id, rule, revision, kind, severity, title, at, subject, vendor, cluster, about, facts, raised, acknowledged, acknowledged_by, acknowledged_email, note)
			VALUES ('a1', 'denials', 0, 'denials', 'low', '', 1, '', '', '', '', '{}', 1, 2, '` + id + `', 'amara@northwind.example', 'nothing')`,
	} {
		if _, err := db.writer.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.EraseRows(t.Context(), id); !errors.Is(err, ErrPending) {
		t.Errorf("before all is recorded: %v", err)
	}
	records := drained(t, db)
	for range 2 { // a crash between the steps has them done again
		if err := db.EraseRows(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.ErasureDone(t.Context(), id), db.ErasureDone(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	d, _, err = db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a := byID(d, id)
	if a == nil || a.Name != directory.ErasedName || !strings.HasSuffix(a.Email, ".invalid") || !a.Disabled || a.Status == policy.StatusActive {
		t.Errorf("%+v", a)
	}
	if all, err := db.Searches(t.Context(), id); err != nil || len(all) != 1 || all[0].Title != "ours" || all[0].Email != directory.ErasedEmail(id) {
		t.Errorf("its searches: %+v, %v", all, err)
	}
	if a, err := db.Alarm(t.Context(), "a1"); err != nil || a.Acknowledged.Email != directory.ErasedEmail(id) || a.Acknowledged.Account != id {
		t.Errorf("what it acknowledged: %+v, %v", a.Acknowledged, err)
	}
	kept := false
	for _, x := range d.Assignments {
		kept = kept || x.Account == a.Email
	}
	if !kept {
		t.Error("its assignments are gone")
	}
	for _, table := range columnOf(t, db.writer, `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'account' WHERE m.type = 'table'`) {
		switch table {
		case "acceptance", "assignment", "account_touch", "policy_draft_author", "policy_draft_note", "saved_search":
			continue // ids, the proof of a contract, and what others search with
		}
		var n int
		if err := db.read().QueryRow(`SELECT count(*) FROM `+table+` WHERE account = ?`, id).Scan(&n); err != nil || n != 0 {
			t.Errorf("table %s still has %d rows: %v", table, n, err)
		}
	}
	all, err := db.Erasures(t.Context())
	if err != nil || len(all) != 1 || all[0].Done.IsZero() || all[0].AskedBy != actor.Account {
		t.Errorf("%+v, %v", all, err)
	}
	var actions []string
	for _, r := range append(records, drained(t, db)...) {
		actions = append(actions, r.Action)
		if strings.Contains(fmt.Sprint(*r), "amara@") {
			t.Errorf("the address is recorded with %s: %+v", r.Action, r)
		}
		if r.Action == ActionErase && (r.Account != id || r.Detail["reason"] == "" || r.Email != "") {
			t.Errorf("recorded %+v", r)
		}
	}
	if len(actions) == 0 || actions[0] != ActionErase || actions[len(actions)-1] != ActionErased {
		t.Errorf("recorded %v", actions)
	}
}
