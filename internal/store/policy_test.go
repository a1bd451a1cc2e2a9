package store

import (
	"maps"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func TestPolicies_Publish(t *testing.T) {
	db := filled(t)
	if m, err := db.Policies(t.Context()); err != nil || m == nil || len(m) != 0 {
		t.Errorf("got %v, %v", m, err)
	}
	first := map[string]string{"all/a.rego": "package a", "all/b.rego": "package b"}
	second := map[string]string{"all/a.rego": "package a # changed", "clusters/claims/c.rego": "package c"}
	actor := actorOf(t, db, ines)
	publish := func(m map[string]string, want int64) {
		t.Helper()
		id, err := db.PublishPolicies(t.Context(), actor, m, "because")
		if err != nil || id != want {
			t.Fatalf("got %d, %v, want %d", id, err, want)
		}
		if got, err := db.Policies(t.Context()); err != nil || !maps.Equal(got, m) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	publish(first, 1)
	publish(first, 1) // the newest already
	publish(second, 2)
	publish(first, 3) // going back is a revision of its own
	if m, ok, err := db.PoliciesOf(t.Context(), 2); err != nil || !ok || !maps.Equal(m, second) {
		t.Errorf("got %v, %v, %v", m, ok, err)
	}
	if m, ok, err := db.PoliciesOf(t.Context(), 9); err != nil || ok || m != nil {
		t.Errorf("got %v, %v, %v", m, ok, err)
	}
	all, err := db.PolicyRevisions(t.Context())
	if err != nil || len(all) != 3 || all[0].ID != 3 || all[0].Hash != policy.Revision(first) || all[1].Hash != policy.Revision(second) ||
		all[0].Email != ines || all[0].Reason != "because" || !all[0].Published.Equal(day) {
		t.Errorf("got %+v, %v", all, err)
	}
	r := drained(t, db)
	if len(r) != 3 || r[1].Type != policy.RecordPolicy || r[1].Action != "policy.publish" || r[1].Revision != policy.Revision(second) || r[1].Actor != actor.Account || r[1].Object != "policy:2" {
		t.Fatalf("got %+v", r)
	}
	want := map[string]string{
		"reason":                        "because",
		"module all/a.rego":             directory.TextHash("package a") + " -> " + directory.TextHash("package a # changed"),
		"module all/b.rego":             directory.TextHash("package b") + " -> ",
		"module clusters/claims/c.rego": directory.TextHash("package c"),
	}
	if !maps.Equal(r[1].Detail, want) {
		t.Errorf("got %v, want %v", r[1].Detail, want)
	}
	for _, statement := range []string{
		`UPDATE policy_module SET source = ''`, `DELETE FROM policy_module`, `UPDATE policy_revision SET hash = ''`, `DELETE FROM policy_revision`,
	} {
		if _, err := db.writer.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}
