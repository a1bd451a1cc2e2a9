package store

import (
	"testing"
	"time"
)

// TestNotePolicies_KeepsTheModulesBehindARevision, whether they were published
// or came from a folder, once for each build.
func TestNotePolicies_KeepsTheModulesBehindARevision(t *testing.T) {
	db := filled(t)
	ctx := t.Context()
	published := map[string]string{"all/a.rego": "package ringfence.all\n"}
	id := publishAlone(t, db, published).ID
	folder := map[string]string{"all/b.rego": "package ringfence.all\n"}
	for _, c := range []struct {
		p     LoadedPolicies
		id    int64
		fresh bool
	}{
		{LoadedPolicies{Revision: "r1", Modules: published, Build: "v1", OPA: "1.22.2"}, id, true},
		{LoadedPolicies{Revision: "r1", Modules: published, Build: "v1", OPA: "1.22.2"}, id, false},
		{LoadedPolicies{Revision: "r1", Modules: published, Build: "v2", OPA: "1.22.2"}, id, true},
		{LoadedPolicies{Revision: "r2", Modules: folder, Build: "v2", OPA: "1.22.2"}, 0, true},
	} {
		got, fresh, err := db.NotePolicies(ctx, c.p)
		if err != nil || got != c.id || fresh != c.fresh {
			t.Errorf("%+v: id %d, fresh %v, err %v", c.p, got, fresh, err)
		}
	}
	now := db.now()
	for _, c := range []struct {
		revision string
		at       time.Time
		want     int64
	}{{"r1", now, id}, {"r1", now.Add(-time.Hour), 0}, {"r2", now, 0}, {"r3", now, 0}} {
		if got, err := db.PublishedAs(ctx, c.revision, c.at); got != c.want || err != nil {
			t.Errorf("%s at %v was published as %d, %v", c.revision, c.at, got, err)
		}
	}
	all, err := db.LoadedPolicies(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d sets, %v", len(all), err)
	}
	for _, p := range all {
		want := published
		if p.Revision == "r2" {
			want = folder
		}
		if len(p.Modules) != 1 || p.First.IsZero() {
			t.Fatalf("%+v", p)
		}
		for name, text := range want {
			if p.Modules[name] != text {
				t.Errorf("revision %s has %v", p.Revision, p.Modules)
			}
		}
	}
}
