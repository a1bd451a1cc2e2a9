package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Reading only what changed gives what reading everything gives, whatever changed.
func TestDirectory_RefreshIsExact(t *testing.T) {
	db := filled(t)
	watcher := open(t, Config{Path: path(t, db), Now: at(day)})
	stored(t, watcher)
	rnd := rand.New(rand.NewPCG(1, 2))
	edits := randomEdits(rnd)
	took := make([]int, len(edits))
	for step := range 150 {
		for range 1 + rnd.IntN(3) { // several changes between two looks
			i := rnd.IntN(len(edits) + 1)
			if i == len(edits) {
				randomAcceptance(t, db, rnd)
				continue
			}
			// An edit that does not fit is refused, which is as good a step.
			if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error { edits[i](d); return nil }); err == nil {
				took[i]++
			}
		}
		old := watcher.cache.get()
		if tx, err := watcher.read().BeginTx(t.Context(), nil); err != nil {
			t.Fatal(err)
		} else {
			if l, err := refresh(t.Context(), tx, old); err != nil || l == nil {
				t.Fatalf("step %d: everything had to be read, %v", step, err)
			}
			tx.Rollback()
		}
		same(t, fmt.Sprint("step ", step), watcher, open(t, Config{Path: path(t, db), Now: at(day)}))
		same(t, fmt.Sprint("writer at step ", step), db, watcher)
	}
	if slices.Contains(took, 0) {
		t.Errorf("an edit never fitted: %v", took)
	}
}

func randomEdits(rnd *rand.Rand) []func(d *directory.Directory) {
	made := 0
	return []func(d *directory.Directory){
		func(d *directory.Directory) { a := &d.Accounts[rnd.IntN(len(d.Accounts))]; a.Disabled = !a.Disabled },
		func(d *directory.Directory) {
			d.Vendors[0].Suspended, d.Vendors[0].SuspendedReason = !d.Vendors[0].Suspended, ""
		},
		func(d *directory.Directory) { d.Engagements[0].Closed = !d.Engagements[0].Closed },
		func(d *directory.Directory) { d.Clusters[0].Title += "x" },
		func(d *directory.Directory) { d.Agreements[0].Version++; d.Agreements[0].Text += "x" },
		func(d *directory.Directory) {
			made++
			d.Accounts = append(d.Accounts, directory.Account{Email: fmt.Sprintf("new-%d@northwind.example", made), Name: "New", Vendor: "northwind",
				Roles: []policy.Role{policy.Contractor}, Ends: day.AddDate(0, 1, 0)})
		},
		func(d *directory.Directory) { // a new address, which the assignments follow
			made++
			a := &d.Accounts[rnd.IntN(len(d.Accounts))]
			old := a.Email
			a.Email = fmt.Sprintf("moved-%d@example.com", made)
			for i := range d.Assignments {
				if d.Assignments[i].Account == old {
					d.Assignments[i].Account = a.Email
				}
			}
		},
		func(d *directory.Directory) { // an account and what it has
			a := d.Accounts[rnd.IntN(len(d.Accounts))]
			if a.Email == ines || len(d.Accounts) < 5 {
				return
			}
			d.Accounts = slices.DeleteFunc(d.Accounts, func(x directory.Account) bool { return x.Email == a.Email })
			d.Assignments = slices.DeleteFunc(d.Assignments, func(x directory.Assignment) bool { return x.Account == a.Email })
		},
		func(d *directory.Directory) {
			for _, a := range d.Accounts {
				if a.Vendor == "northwind" {
					d.Assignments = append(d.Assignments, directory.Assignment{Account: a.Email, Cluster: "source", Engagement: "claims-2026",
						Starts: day, Ends: day.AddDate(0, 0, 7), Access: policy.AccessRead, Methods: []string{"GET"}, Reason: "Random"})
				}
			}
			seen := map[string]bool{}
			d.Assignments = slices.DeleteFunc(d.Assignments, func(a directory.Assignment) bool {
				twice := seen[a.Account+a.Cluster]
				seen[a.Account+a.Cluster] = true
				return twice
			})
		},
		func(d *directory.Directory) {
			if len(d.Assignments) > 0 {
				d.Assignments[rnd.IntN(len(d.Assignments))].Reason += "x"
			}
		},
		func(d *directory.Directory) {
			if len(d.Assignments) > 0 {
				i := rnd.IntN(len(d.Assignments))
				d.Assignments = slices.Delete(d.Assignments, i, i+1)
			}
		},
	}
}

func randomAcceptance(t *testing.T, db *DB, rnd *rand.Rand) {
	t.Helper()
	d := stored(t, db)
	a, g := d.Accounts[rnd.IntN(len(d.Accounts))], d.Agreements[rnd.IntN(len(d.Agreements))]
	// A disabled account's is refused.
	db.Accept(t.Context(), directory.Actor{Account: a.ID}, directory.Evidence{Acceptance: directory.Acceptance{Account: a.ID, Agreement: g.Name, Version: g.Version, TypedName: cmp.Or(a.Name, "Name")}})
}

// same compares two databases' directories with what is read-only of them.
func same(t *testing.T, when string, a, b *DB) {
	t.Helper()
	x, ax, err := a.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	y, ay, err := b.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := directory.Diff(x, y); len(c) > 0 || len(x.Accounts) != len(y.Accounts) || len(x.Assignments) != len(y.Assignments) {
		t.Fatalf("%s: %v", when, c)
	}
	order := func(p, q directory.Acceptance) int {
		return slices.Compare([]string{p.Account, p.Agreement, fmt.Sprint(p.Version)}, []string{q.Account, q.Agreement, fmt.Sprint(q.Version)})
	}
	ax, ay = slices.SortedFunc(slices.Values(ax), order), slices.SortedFunc(slices.Values(ay), order)
	if !slices.Equal(ax, ay) {
		t.Fatalf("%s: acceptances differ: %v, %v", when, ax, ay)
	}
	for i := range x.Accounts {
		p, q := &x.Accounts[i], byID(y, x.Accounts[i].ID)
		if q == nil || p.Status != q.Status || !p.Created.Equal(q.Created) || !p.LastLogin.Equal(q.LastLogin) {
			t.Fatalf("%s: %+v and %+v", when, p, q)
		}
	}
}

// A note that this version does not know makes everything be read.
func TestDirectory_UnknownNote(t *testing.T) {
	db := filled(t)
	watcher := open(t, Config{Path: path(t, db), Now: at(day)})
	stored(t, watcher)
	for _, ref := range []string{"", "vendors:*", "account:"} {
		if err := db.write(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec(`UPDATE vendor SET title = ?`, "by "+ref); err != nil {
				return err
			}
			return db.notify(tx, KindDirectory, ref)
		}); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, watcher).Vendors[0].Title; got != "by "+ref {
			t.Errorf("after %q: %q", ref, got)
		}
	}
}
