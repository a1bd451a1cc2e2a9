package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

var (
	operator = directory.Actor{Account: directory.Operator, RequestID: "req-1", IP: "127.0.0.1"}
	day      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func exampleFile(t testing.TB) *directory.Directory {
	t.Helper()
	b, err := os.ReadFile("../../deploy/directory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.ParseYAML("directory.example.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// filled opens a database that holds the example directory, its outbox empty.
func filled(t testing.TB) *DB {
	t.Helper()
	db := open(t, Config{Now: at(day), GateHost: "gate.example.com"})
	apply(t, db, exampleFile(t), false)
	drained(t, db)
	return db
}

func apply(t testing.TB, db *DB, file *directory.Directory, prune bool) []directory.Change {
	t.Helper()
	changes, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		*d = *directory.Merge(d, file, prune)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// drained empties the outbox and returns what was in it.
func drained(t testing.TB, db *DB) []*policy.Record {
	t.Helper()
	var all []*policy.Record
	if _, err := db.Drain(t.Context(), func(_ context.Context, r *policy.Record) (uint64, error) {
		all = append(all, r)
		return uint64(len(all)), nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func stored(t testing.TB, db *DB) *directory.Directory {
	t.Helper()
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// account finds a stored account by e-mail.
func account(t testing.TB, db *DB, email string) directory.Account {
	t.Helper()
	for _, a := range stored(t, db).Accounts {
		if a.Email == email {
			return a
		}
	}
	t.Fatalf("no account %s", email)
	return directory.Account{}
}

func actorOf(t testing.TB, db *DB, email string) directory.Actor {
	return directory.Actor{Account: account(t, db, email).ID, Email: email, RequestID: "req-2", IP: "10.1.1.1"}
}

// of returns the account with an e-mail for editing.
func of(d *directory.Directory, email string) *directory.Account {
	for i := range d.Accounts {
		if d.Accounts[i].Email == email {
			return &d.Accounts[i]
		}
	}
	panic("no account " + email)
}

const (
	ines = "ines.okafor@example.com"
	kim  = "kim@northwind.example"
)

// What is written is read back the same, by this process from what it
// remembers and by another from the file.
func TestChange_ReadBack(t *testing.T) {
	db := filled(t)
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	for name, x := range map[string]*DB{"cached": db, "read": other} {
		d := stored(t, x)
		file := directory.Merge(d, exampleFile(t), true) // takes over ids and givers
		if c := directory.Diff(file, d); len(c) > 0 {
			t.Errorf("%s: %v", name, c)
		}
		want, _ := exampleFile(t).YAML()
		got, err := d.YAML()
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: got (%v)\n%s\nwant\n%s", name, err, got, want)
		}
		for _, a := range d.Accounts {
			if len(a.ID) != 20 || !a.Created.Equal(day) || a.Status == policy.StatusActive {
				t.Errorf("%s: %+v", name, a)
			}
		}
		for _, a := range d.Assignments {
			if a.GivenBy != "operator" {
				t.Errorf("%s: %+v", name, a)
			}
		}
	}
	if a, b := stored(t, db), stored(t, other); len(directory.Diff(a, b)) > 0 {
		t.Error("the two differ")
	}
}

func path(t testing.TB, db *DB) string {
	t.Helper()
	var seq int
	var name, file string
	if err := db.read().QueryRow("PRAGMA database_list").Scan(&seq, &name, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestChange_IsIdempotent(t *testing.T) {
	db := filled(t)
	version := state(t, db)
	if c := apply(t, db, exampleFile(t), true); len(c) > 0 {
		t.Errorf("applying the same file again changes %v", c)
	}
	if n, err := db.Pending(t.Context()); err != nil || n != 0 || state(t, db) != version {
		t.Errorf("something was written: %d records, version %d after %d, %v", n, state(t, db), version, err)
	}
}

func state(t testing.TB, db *DB) (v int64) {
	t.Helper()
	if err := db.read().QueryRow(`SELECT version FROM directory_state`).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Every change is one record of type admin, with who, what, and old and new.
func TestChange_Records(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, ines)
	_, err := db.Change(t.Context(), actor, func(d *directory.Directory) error {
		d.Vendors[slices.IndexFunc(d.Vendors, func(v directory.Vendor) bool { return v.Name == "northwind" })].Suspended = true
		of(d, kim).Disabled = true
		d.Vendors = append(d.Vendors, directory.Vendor{Name: "acme", Title: "Acme", Owner: policy.Person{Name: "A", Email: "a@example.com"}})
		for i := range d.Assignments {
			if d.Assignments[i].Account == "amara@northwind.example" {
				d.Assignments[i].Access = policy.AccessWrite
			}
		}
		d.Accounts = slices.DeleteFunc(d.Accounts, func(a directory.Account) bool { return a.Email == "rosa.lindqvist@example.com" })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range drained(t, db) {
		if r.Type != policy.RecordAdmin || r.Actor != actor.Account || r.Email != ines || r.RequestID != "req-2" || r.SourceIP != "10.1.1.1" || r.Result != "ok" || !r.Time.Equal(day) {
			t.Errorf("got %+v", r)
		}
		if (r.Detail["account_id"] != "") != (strings.HasPrefix(r.Object, "account:") || strings.HasPrefix(r.Object, "assignment:")) {
			t.Errorf("%s does not say whose personal fields it has: %v", r.Object, r.Detail)
		}
		delete(r.Detail, "account_id")
		b, _ := json.Marshal(r.Detail)
		got = append(got, fmt.Sprintf("%s %s vendor=%s cluster=%s engagement=%s %s", r.Action, r.Object, r.Vendor, r.Cluster, r.Engagement, b))
	}
	want := []string{
		`vendor.create vendor:acme vendor=acme cluster= engagement= {"owner":"A \u003ca@example.com\u003e","suspended":"false","title":"Acme"}`,
		`vendor.suspend vendor:northwind vendor=northwind cluster= engagement= {"suspended":"false -\u003e true"}`,
		`account.disable account:kim@northwind.example vendor=northwind cluster= engagement= {"disabled":"false -\u003e true"}`,
		`account.delete account:rosa.lindqvist@example.com vendor= cluster= engagement= {"disabled":"false","email":"rosa.lindqvist@example.com","ends":"2027-06-30T23:59:59Z","name":"Rosa Lindqvist","roles":"reviewer"}`,
		`assignment.update assignment:amara@northwind.example/claims vendor= cluster=claims engagement=claims-2026 {"access":"read -\u003e write","given_by":"operator -\u003e ines.okafor@example.com"}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A faulty edit gives every fault, and changes nothing.
func TestChange_Faults(t *testing.T) {
	db := filled(t)
	version := state(t, db)
	edit := func(d *directory.Directory) error {
		d.Vendors[0].Title = ""
		of(d, kim).Vendor = "nobody"
		d.Clusters[0].Hosts = append(d.Clusters[0].Hosts, "gate.example.com")
		return nil
	}
	_, err := db.Change(t.Context(), operator, edit)
	var faults directory.Faults
	if !errors.As(err, &faults) || len(faults) != 5 {
		t.Errorf("got %v", err)
	}
	if _, previewed := db.Preview(t.Context(), edit); previewed == nil || previewed.Error() != err.Error() {
		t.Errorf("preview says %v", previewed)
	}
	stop := errors.New("no")
	if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error { d.Vendors = nil; return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if n, _ := db.Pending(t.Context()); n != 0 || state(t, db) != version || stored(t, db).Vendors[0].Title == "" {
		t.Error("something was changed")
	}
}

func TestPreview_WritesNothing(t *testing.T) {
	db := filled(t)
	version := state(t, db)
	c, err := db.Preview(t.Context(), func(d *directory.Directory) error { of(d, kim).Disabled = true; return nil })
	if err != nil || len(c) != 1 || c[0].String() != "disable account kim@northwind.example: disabled false -> true" {
		t.Errorf("got %v, %v", c, err)
	}
	if n, _ := db.Pending(t.Context()); n != 0 || state(t, db) != version || account(t, db, kim).Disabled {
		t.Error("something was changed")
	}
}

// Privilege: nobody widens their own rights, by whatever way.
func TestChange_OwnRights(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, ines)
	for name, edit := range map[string]func(d *directory.Directory){
		"roles":   func(d *directory.Directory) { of(d, ines).Roles = []policy.Role{policy.Administrator, policy.Reviewer} },
		"end":     func(d *directory.Directory) { of(d, ines).Ends = day.Add(time.Hour) },
		"disable": func(d *directory.Directory) { of(d, ines).Disabled = true },
		"address": func(d *directory.Directory) { of(d, ines).Email = "ines@example.com" },
		"delete": func(d *directory.Directory) {
			d.Accounts = slices.DeleteFunc(d.Accounts, func(a directory.Account) bool { return a.Email == ines })
		},
		"delete and make anew": func(d *directory.Directory) {
			*of(d, ines) = directory.Account{Email: ines + ".x", Name: "I", Roles: []policy.Role{policy.Administrator, policy.Reviewer}}
		},
		"pass the address on": func(d *directory.Directory) {
			of(d, ines).Email = "old@example.com"
			of(d, "piet.devries@example.com").Email = ines
		},
		"become a contractor with an assignment": func(d *directory.Directory) {
			*of(d, ines) = directory.Account{ID: actor.Account, Email: ines, Name: "I", Vendor: "northwind", Roles: []policy.Role{policy.Contractor}, Ends: day.Add(time.Hour)}
			a := d.Assignments[slices.IndexFunc(d.Assignments, func(a directory.Assignment) bool { return a.Account == kim })]
			a.Account, a.Ends = ines, day.Add(time.Hour)
			d.Assignments = append(d.Assignments, a)
		},
	} {
		if _, err := db.Change(t.Context(), actor, func(d *directory.Directory) error { edit(d); return nil }); !errors.Is(err, directory.ErrOwnRights) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n, _ := db.Pending(t.Context()); n != 0 {
		t.Errorf("%d records of refused changes", n)
	}
	for name, edit := range map[string]func(d *directory.Directory){
		"own name": func(d *directory.Directory) { of(d, ines).Name = "Ines O." },
		"others' rights": func(d *directory.Directory) {
			of(d, "piet.devries@example.com").Roles = []policy.Role{policy.Administrator}
		},
	} {
		if c, err := db.Change(t.Context(), actor, func(d *directory.Directory) error { edit(d); return nil }); err != nil || len(c) != 1 {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
	// The operator on the machine may.
	if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error { of(d, ines).Ends = day.Add(time.Hour); return nil }); err != nil {
		t.Error(err)
	}
}

// Privilege: who is no administrator in force changes nothing.
func TestChange_NotAllowed(t *testing.T) {
	db := filled(t)
	contractor, reviewer, approver, admin := actorOf(t, db, kim), actorOf(t, db, "rosa.lindqvist@example.com"), actorOf(t, db, "piet.devries@example.com"), actorOf(t, db, ines)
	edit := func(d *directory.Directory) error { d.Vendors[0].Title = "Mine"; return nil }
	refused := func(name string, a directory.Actor) {
		t.Helper()
		if _, err := db.Change(t.Context(), a, edit); !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := changesOf(t, db).Begin(t.Context(), a, "Title", "reason"); !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("%s begins a draft: got %v", name, err)
		}
		if _, err := changesOf(t, db).PublishAlone(t.Context(), a, nil, nil, "Title", "reason"); !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("%s publishes: got %v", name, err)
		}
	}
	refused("contractor", contractor)
	refused("reviewer", reviewer)
	refused("approver", approver)
	refused("nobody", directory.Actor{})
	refused("unknown", directory.Actor{Account: "x", Email: ines})
	if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error { of(d, ines).Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	refused("disabled administrator", admin)
	if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		of(d, ines).Disabled, of(d, ines).Ends = false, day
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	refused("ended administrator", admin)
}

// An id is never chosen by a caller: it could be that of an account long gone.
func TestChange_ForeignID(t *testing.T) {
	db := filled(t)
	_, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		d.Accounts = append(d.Accounts, directory.Account{ID: "abc", Email: "x@example.com", Name: "X", Roles: []policy.Role{policy.Reviewer}})
		return nil
	})
	var faults directory.Faults
	if !errors.As(err, &faults) || faults[0].Field != "id" {
		t.Errorf("got %v", err)
	}
}

// What is read-only stays as it is, whatever an edit makes of it.
func TestChange_ReadOnly(t *testing.T) {
	db := filled(t)
	before := account(t, db, kim)
	_, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		a := of(d, kim)
		a.Status, a.Created, a.LastLogin, a.Name = policy.StatusActive, day.Add(time.Hour), day, "K"
		d.Assignments[0].GivenBy = "somebody@example.com"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := account(t, db, kim)
	if a.Status != policy.StatusInvited || !a.Created.Equal(before.Created) || !a.LastLogin.IsZero() || a.Name != "K" {
		t.Errorf("got %+v", a)
	}
	if by := stored(t, db).Assignments[0].GivenBy; by != "operator" {
		t.Errorf("given by %s", by)
	}
}

func TestDirectory_Status(t *testing.T) {
	db := filled(t)
	enrol := func(email string) {
		t.Helper()
		id := account(t, db, email).ID
		if err := db.write(t.Context(), func(tx *sql.Tx) error {
			if _, err := tx.Exec(`UPDATE account SET enrolled_at = ?, last_login = ? WHERE id = ?`, day.UnixNano(), day.UnixNano(), id); err != nil {
				return err
			}
			return db.notify(tx, KindDirectory, "account:"+id)
		}); err != nil {
			t.Fatal(err)
		}
	}
	disable := func(is bool) {
		t.Helper()
		if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error { of(d, kim).Disabled = is; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	status := func(want string) {
		t.Helper()
		other := open(t, Config{Path: path(t, db), Now: at(day)})
		for _, x := range []*DB{db, other} {
			if got := account(t, x, kim).Status; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	status(policy.StatusInvited)
	disable(true)
	status(policy.StatusDisabled)
	disable(false)
	status(policy.StatusInvited)
	enrol(kim)
	status(policy.StatusActive)
	if a := account(t, db, kim); !a.LastLogin.Equal(day) {
		t.Errorf("last login %v", a.LastLogin)
	}
	disable(true)
	status(policy.StatusDisabled)
	disable(false)
	status(policy.StatusActive)
}

// Two accounts exchange their addresses: assignments stay with the accounts
// that the edit names, and nothing is left half done.
func TestChange_AddressesExchanged(t *testing.T) {
	db := filled(t)
	const amara = "amara@northwind.example"
	kimID, amaraID := account(t, db, kim).ID, account(t, db, amara).ID
	_, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		a, b := of(d, kim), of(d, amara)
		a.Email, b.Email = amara, kim
		for i := range d.Assignments {
			switch x := &d.Assignments[i]; x.Account {
			case kim:
				x.Account = amara
			case amara:
				x.Account = kim
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := drained(t, db); len(r) != 2 {
		t.Errorf("%d records of two new addresses", len(r))
	}
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	for _, x := range []*DB{db, other} {
		if account(t, x, amara).ID != kimID || account(t, x, kim).ID != amaraID {
			t.Error("ids moved")
		}
		n := 0
		for _, a := range stored(t, x).Assignments {
			if a.Account == amara {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d assignments followed", n)
		}
	}
}

// An address given up and taken by a new account takes no assignment with it.
func TestChange_AddressReused(t *testing.T) {
	db := filled(t)
	_, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
		old := *of(d, kim)
		of(d, kim).Email = "former@northwind.example"
		old.ID = ""
		d.Accounts = append(d.Accounts, old)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The edit left the assignments under the address, so they are the new account's by decision ...
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	if c := directory.Diff(stored(t, db), stored(t, other)); len(c) > 0 {
		t.Errorf("memory and file differ: %v", c)
	}
	// ... and that is on record: taken from one, given to the other.
	deleted, created := 0, 0
	for _, r := range drained(t, db) {
		switch r.Action {
		case "assignment.delete":
			deleted++
		case "assignment.create":
			created++
		}
	}
	if deleted != 2 || created != 2 {
		t.Errorf("%d taken, %d given", deleted, created)
	}
}

func TestChange_Prune(t *testing.T) {
	db := filled(t)
	file := exampleFile(t)
	file.Assignments, file.Engagements, file.Agreements = nil, nil, nil
	file.Accounts, file.Clusters, file.Vendors = file.Accounts[:3], nil, nil
	if c := apply(t, db, file, true); len(c) != 4+3+2+3+3+2 {
		t.Errorf("%d changes: %v", len(c), c)
	}
	d := stored(t, open(t, Config{Path: path(t, db), Now: at(day)}))
	if len(d.Accounts) != 3 || len(d.Vendors)+len(d.Clusters)+len(d.Engagements)+len(d.Agreements)+len(d.Assignments) != 0 {
		t.Errorf("got %+v", d)
	}
	// The texts that were in force are kept, and bind an agreement that comes back.
	if text, ok, err := db.AgreementText(t.Context(), "nda", 2); err != nil || !ok || !strings.Contains(text, "five years") {
		t.Errorf("got %q, %v, %v", text, ok, err)
	}
	for _, c := range []struct {
		version int
		text    string
		ok      bool
	}{{1, "old", false}, {2, "other", false}, {2, exampleFile(t).Agreements[0].Text, true}} {
		back := &directory.Directory{Agreements: []directory.Agreement{{Name: "nda", Title: "NDA", Version: c.version, Text: c.text}}}
		edit := func(d *directory.Directory) error { *d = *directory.Merge(d, back, false); return nil }
		_, previewed := db.Preview(t.Context(), edit)
		_, err := db.Change(t.Context(), operator, edit)
		if (err == nil) != c.ok || (previewed == nil) != c.ok {
			t.Errorf("version %d %q: got %v, preview %v", c.version, c.text, err, previewed)
		}
	}
}
