package store

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

var _ changetest.Changes = (*Changes)(nil)

// testKeys is one pair of keys for all tests.
var testKeys = sync.OnceValues(func() (string, string) {
	skey, vkey, err := accesslog.GenerateKey("gate.example.com/node-1")
	if err != nil {
		panic(err)
	}
	return skey, vkey
})

func changesConfig() ChangesConfig {
	skey, vkey := testKeys()
	return ChangesConfig{
		Check: changetest.Check,
		Sign:  func(text string) ([]byte, error) { return accesslog.SignText(skey, text) },
		Open:  func(msg []byte) (string, error) { return accesslog.OpenText(vkey, msg) }, OperatorAlone: true,
	}
}

func changesOf(t testing.TB, db *DB) *Changes {
	t.Helper()
	return db.Changes(changesConfig())
}

func publishAlone(t testing.TB, db *DB, modules map[string]string) change.Revision {
	t.Helper()
	found, err := changetest.Check(t.Context(), modules)
	if err != nil {
		t.Fatal(err)
	}
	r, err := changesOf(t, db).PublishAlone(t.Context(), operator, modules, &found, "By command", "because")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A clock that tests move.
type movedClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movedClock) read() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *movedClock) move(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// world fills a database with the people of the conformance test.
func world(t *testing.T, edit func(*ChangesConfig)) (*changetest.World, *DB) {
	t.Helper()
	clock := &movedClock{now: changetest.Begun}
	db := open(t, Config{Now: clock.read, GateHost: "gate.example.com"})
	as := func(t *testing.T, actor directory.Actor, edit func(*directory.Directory)) {
		t.Helper()
		if _, err := db.Change(t.Context(), actor, func(d *directory.Directory) error { edit(d); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	as(t, operator, func(d *directory.Directory) {
		d.Vendors, d.Accounts = []directory.Vendor{changetest.Vendor}, changetest.People()
	})
	drained(t, db)
	cfg := changesConfig()
	if edit != nil {
		edit(&cfg)
	}
	var records []policy.Record
	return &changetest.World{
		Changes: db.Changes(cfg),
		Actor:   func(email string) directory.Actor { return actorOf(t, db, email) },
		As:      as,
		Invite: func(t *testing.T, by, account directory.Actor) {
			t.Helper()
			if err := db.NoteTouch(t.Context(), account.Account, by, "invite.create"); err != nil {
				t.Fatal(err)
			}
		},
		Advance: clock.move,
		Records: func(t *testing.T) []policy.Record {
			for _, r := range drained(t, db) {
				if r.Type == policy.RecordPolicy {
					records = append(records, *r)
				}
			}
			return records
		},
	}, db
}

func TestChanges(t *testing.T) {
	changetest.TestChanges(t, func(t *testing.T) *changetest.World {
		w, _ := world(t, nil)
		return w
	})
}

// Two processes on one store: each keeps a pool of its own, and of two people
// who approve or save at once one still wins.
func TestChanges_TwoProcesses(t *testing.T) {
	w, db := world(t, nil)
	other := open(t, Config{Path: path(t, db), Now: at(changetest.Begun)})
	here, there := w.Changes, changesOf(t, other)
	for round := range 5 {
		d, err := here.Begin(t.Context(), w.Actor(changetest.Ines), "Race", "to see")
		if err != nil {
			t.Fatal(err)
		}
		d, err = there.Save(t.Context(), w.Actor(changetest.Noor), d.ID, d.Version, change.Edit{Write: map[string]string{"all/a.rego": strings.Repeat("x", round+1)}})
		if err != nil {
			t.Fatal(err)
		}
		if d, err = here.Submit(t.Context(), w.Actor(changetest.Ines), d.ID, d.Version); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 2)
		for _, c := range []struct {
			keeper changetest.Changes
			actor  directory.Actor
		}{{here, w.Actor(changetest.Ada)}, {there, w.Actor(changetest.Bo)}} {
			go func() {
				_, err := c.keeper.Approve(context.Background(), c.actor, d.ID, d.Seal())
				errs <- err
			}()
		}
		if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
			t.Fatalf("two approve: %v, %v", a, b)
		}
		all, err := there.Revisions(t.Context())
		if err != nil || len(all) != round+1 {
			t.Fatalf("%d revisions after round %d, %v", len(all), round, err)
		}
	}
}

// What is published is signed, holds in another process, and cannot be written over.
func TestRevisions_Signed(t *testing.T) {
	db := filled(t)
	first := map[string]string{"all/a.rego": "package a", "all/b.rego": "package b"}
	second := map[string]string{"all/a.rego": "package a # changed", "clusters/claims/c.rego": "package c"}
	c := changesOf(t, db)
	if r, err := c.InForce(t.Context()); err != nil || r.ID != 0 || len(r.Modules) != 0 {
		t.Errorf("nothing published: %+v, %v", r, err)
	}
	for i, m := range []map[string]string{first, first, second, first} { // the second publishes what is in force
		want := []int64{1, 1, 2, 3}[i]
		if r := publishAlone(t, db, m); r.ID != want {
			t.Fatalf("published as %d, want %d", r.ID, want)
		}
		other := changesOf(t, open(t, Config{Path: path(t, db), Now: at(day)}))
		r, err := other.InForce(t.Context())
		if err != nil || r.ID != want || !maps.Equal(r.Modules, m) || !r.Alone || r.Authors[0].Account != "operator" || r.Fault != "" || len(r.Statement) == 0 || r.Figures.Tests != 2 {
			t.Errorf("in force: %+v, %v", r, err)
		}
	}
	r := drained(t, db)
	if len(r) != 3 || r[1].Action != "policy.publish" || r[1].Revision != "engine-"+policy.Revision(second) || r[1].Object != "policy:2" {
		t.Fatalf("recorded %+v", r)
	}
	want := map[string]string{
		"reason": "because", "title": "By command", "policies": "policy:2", "hash": policy.Revision(second), "base": "1", "authors": "operator", "alone": "yes",
		"module all/a.rego":             directory.TextHash("package a") + " -> " + directory.TextHash("package a # changed"),
		"module all/b.rego":             directory.TextHash("package b") + " -> ",
		"module clusters/claims/c.rego": directory.TextHash("package c"),
	}
	if !maps.Equal(r[1].Detail, want) {
		t.Errorf("got %v, want %v", r[1].Detail, want)
	}
	for _, statement := range []string{
		`UPDATE policy_module SET source = ''`, `DELETE FROM policy_module`, `UPDATE policy_revision SET hash = ''`, `DELETE FROM policy_revision`,
		`UPDATE policy_unsigned SET below = 99`, `DELETE FROM policy_unsigned`,
	} {
		if _, err := db.writer.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}

// TestChanges_Vet: what a second person approves, and what is rolled back to,
// never waits where drafts wait to be checked.
func TestChanges_Vet(t *testing.T) {
	full := false
	w, _ := world(t, func(c *ChangesConfig) {
		c.Vet = c.Check
		c.Check = func(ctx context.Context, modules map[string]string) (change.Checked, error) {
			if full {
				return change.Checked{}, context.DeadlineExceeded
			}
			return changetest.Check(ctx, modules)
		}
	})
	c, ctx := w.Changes, t.Context()
	publish := func(text string) {
		t.Helper()
		full = false
		d, err := c.Begin(ctx, w.Actor(changetest.Ines), "Hours", "why")
		if err != nil {
			t.Fatal(err)
		}
		if d, err = c.Save(ctx, w.Actor(changetest.Ines), d.ID, d.Version, change.Edit{Write: map[string]string{"all/a.rego": text}}); err != nil {
			t.Fatal(err)
		}
		if d, err = c.Submit(ctx, w.Actor(changetest.Ines), d.ID, d.Version); err != nil {
			t.Fatal(err)
		}
		full = true
		if _, err := c.Approve(ctx, w.Actor(changetest.Ada), d.ID, d.Seal()); err != nil {
			t.Fatal(err)
		}
	}
	publish("1")
	publish("2")
	if _, err := c.RollBack(ctx, w.Actor(changetest.Ines), 1, "why"); err != nil {
		t.Error(err)
	}
	if _, err := c.RollBackAlone(ctx, w.Actor(changetest.Ada), 1, "why"); err != nil {
		t.Error(err)
	}
}
