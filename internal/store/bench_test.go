package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// large returns a directory of accounts contractors with five assignments each.
func large(accounts int) *directory.Directory {
	starts, ends := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
	owner := policy.Person{Name: "Owner", Email: "owner@example.com"}
	d := &directory.Directory{
		Vendors:    []directory.Vendor{{Name: "acme", Title: "Acme", Owner: owner}},
		Agreements: []directory.Agreement{{Name: "nda", Title: "NDA", Version: 1, Text: "text"}},
	}
	var clusters []string
	for i := range 200 {
		n := fmt.Sprintf("cluster-%d", i)
		clusters = append(clusters, n)
		d.Clusters = append(d.Clusters, directory.Cluster{Name: n, Title: n, Classification: "internal", Owner: owner, Hosts: []string{n + ".example.com"},
			Routes: []directory.Route{{Name: "app", Path: "/", Upstreams: []string{"http://10.0.0.1:80"}}}})
	}
	d.Engagements = []directory.Engagement{{Name: "work", Vendor: "acme", Title: "Work", Starts: starts, Ends: ends, Clusters: clusters, Agreements: []string{"nda"}}}
	for i := range accounts {
		email := fmt.Sprintf("person-%06d@acme.example", i)
		d.Accounts = append(d.Accounts, directory.Account{Email: email, Name: "Person", Vendor: "acme", Roles: []policy.Role{policy.Contractor}, Ends: ends})
		for j := range 5 {
			d.Assignments = append(d.Assignments, directory.Assignment{Account: email, Cluster: clusters[(i+j)%200], Engagement: "work", Starts: starts, Ends: ends, Access: policy.AccessWrite, Reason: "Work"})
		}
	}
	return d
}

// BenchmarkLarge measures the store with 100,000 accounts and 500,000 assignments.
func BenchmarkLarge(b *testing.B) {
	db := open(b, Config{Now: at(day)})
	start := time.Now()
	apply(b, db, large(100_000), false)
	b.Logf("first import of 600,000 objects: %v", time.Since(start))
	start = time.Now()
	drained(b, db)
	b.Logf("draining its records: %v", time.Since(start))
	b.Run("Change", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := db.Change(b.Context(), operator, func(d *directory.Directory) error {
				d.Assignments[250_000].Reason = fmt.Sprint("Work ", i)
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Directory/cached", func(b *testing.B) {
		for b.Loop() {
			stored(b, db)
		}
	})
	b.Run("Directory/other-process", func(b *testing.B) {
		other := open(b, Config{Path: path(b, db), Now: at(day)})
		stored(b, other)
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			if _, err := db.Change(b.Context(), operator, func(d *directory.Directory) error {
				d.Accounts[5000].Disabled = !d.Accounts[5000].Disabled
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			d := stored(b, other)
			if !slices.ContainsFunc(d.Accounts, func(a directory.Account) bool { return a.Disabled == (i%2 == 0) }) {
				b.Fatal("the change is not seen")
			}
		}
	})
	b.Run("Directory/all", func(b *testing.B) {
		for b.Loop() {
			db.cache.last = nil
			stored(b, db)
		}
	})
}
