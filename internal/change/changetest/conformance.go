package changetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// The people of the tests.
const (
	Ines = "ines@customer.example" // administrator
	Noor = "noor@customer.example" // administrator
	Ada  = "ada@customer.example"  // approver
	Bo   = "bo@customer.example"   // approver
	Max  = "max@customer.example"  // both
	Rita = "rita@customer.example" // reviewer
	Kim  = "kim@northwind.example" // contractor
)

// Begun is when the tests begin.
var Begun = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Vendor is the one that Kim works for.
var Vendor = directory.Vendor{Name: "northwind", Title: "Northwind", Owner: policy.Person{Name: "Olga", Email: "olga@customer.example"}}

// People returns the accounts of the tests, without ids.
func People() []directory.Account {
	a := func(email string, roles ...policy.Role) directory.Account {
		return directory.Account{Email: email, Name: strings.ToUpper(email[:1]) + email[1:strings.Index(email, "@")], Roles: roles}
	}
	all := []directory.Account{a(Ines, policy.Administrator), a(Noor, policy.Administrator), a(Ada, policy.Approver), a(Bo, policy.Approver),
		a(Max, policy.Administrator, policy.Approver), a(Rita, policy.Reviewer), a(Kim, policy.Contractor)}
	all[6].Vendor, all[6].Ends = Vendor.Name, Begun.AddDate(0, 5, 0)
	return all
}

// Changes is what is tested: console.Changes, said again so that tests of the
// console can use this package.
type Changes interface {
	Origin() change.Origin
	Drafts(ctx context.Context) ([]change.Draft, error)
	Draft(ctx context.Context, id int64) (change.Draft, error)
	Begin(ctx context.Context, actor directory.Actor, title, reason string) (change.Draft, error)
	Save(ctx context.Context, actor directory.Actor, id int64, seen int, e change.Edit) (change.Draft, error)
	Submit(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, error)
	Return(ctx context.Context, actor directory.Actor, id int64, seen int, text string) (change.Draft, error)
	Withdraw(ctx context.Context, actor directory.Actor, id int64, seen int) error
	Rebase(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, []string, error)
	Note(ctx context.Context, actor directory.Actor, id int64, text string) error
	KeepFigures(ctx context.Context, id int64, f change.Figures) error
	Second(ctx context.Context, actor directory.Actor, id int64) error
	Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (change.Revision, error)
	Revisions(ctx context.Context) ([]change.Revision, error)
	Revision(ctx context.Context, id int64) (change.Revision, error)
	RollBack(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Draft, error)
	RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Revision, error)
}

// A World is a keeper to test, with [People], [Vendor] and nothing published,
// whose clock stands at [Begun], and whose checks are [Check].
type World struct {
	Changes Changes
	// Actor returns the actor for an address.
	Actor func(email string) directory.Actor
	// As edits the directory in somebody's name, as the directory itself allows.
	As func(t *testing.T, actor directory.Actor, edit func(*directory.Directory))
	// Invite notes that somebody invited or reset an account.
	Invite func(t *testing.T, by, account directory.Actor)
	// Advance moves the clock.
	Advance func(time.Duration)
	// Records returns everything that was recorded about policies, the oldest first.
	Records func(t *testing.T) []policy.Record
}

// Operator is whoever works on the machine.
var Operator = directory.Actor{Account: directory.Operator}

// TestChanges is the test that every keeper of drafts and revisions must pass.
func TestChanges(t *testing.T, open func(t *testing.T) *World) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *World)
	}{
		{"Publish", testPublish},
		{"Roles", testRoles},
		{"Conflict", testConflict},
		{"States", testStates},
		{"Checks", testChecks},
		{"Words", testWords},
		{"Authors", testAuthors},
		{"Disabled", testDisabled},
		{"Acquainted", testAcquainted},
		{"ChangedRights", testChangedRights},
		{"SameAddress", testSameAddress},
		{"Seal", testSeal},
		{"Rebase", testRebase},
		{"Return", testReturn},
		{"Figures", testFigures},
		{"RollBack", testRollBack},
		{"RollBackAlone", testRollBackAlone},
		{"TwoApprovers", testTwoApprovers},
		{"TwoSaves", testTwoSaves},
		{"SaveWhileApproving", testSaveWhileApproving},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ptr(s string) *string { return &s }

// write is an edit of one file.
func write(name, text string) change.Edit {
	return change.Edit{Write: map[string]string{name: text}}
}

// draft begins one of Ines's with a file written.
func (w *World) draft(t *testing.T, name, text string) change.Draft {
	t.Helper()
	return w.draftBy(t, Ines, name, text)
}

func (w *World) draftBy(t *testing.T, email, name, text string) change.Draft {
	t.Helper()
	d, err := w.Changes.Begin(t.Context(), w.Actor(email), "Office hours", "Nobody works at night.")
	must(t, err)
	d, err = w.Changes.Save(t.Context(), w.Actor(email), d.ID, d.Version, write(name, text))
	must(t, err)
	return d
}

func (w *World) submitted(t *testing.T, name, text string) change.Draft {
	t.Helper()
	d := w.draft(t, name, text)
	d, err := w.Changes.Submit(t.Context(), w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	return d
}

func (w *World) published(t *testing.T, name, text string) change.Revision {
	t.Helper()
	d := w.submitted(t, name, text)
	r, err := w.Changes.Approve(t.Context(), w.Actor(Ada), d.ID, d.Seal())
	must(t, err)
	return r
}

// nothingPublished holds that the newest revision is still the one with an id.
func (w *World) newest(t *testing.T, want int64) {
	t.Helper()
	all, err := w.Changes.Revisions(t.Context())
	must(t, err)
	if got := int64(len(all)); got != want || want > 0 && all[0].ID != want {
		t.Errorf("%d revisions, want %d", got, want)
	}
}

// second asks for the code with which somebody is refused, "" for none, and
// holds that Approve says the same.
func (w *World) second(t *testing.T, actor directory.Actor, d change.Draft, want string) {
	t.Helper()
	code := func(err error) string {
		s, ok := errors.AsType[*change.SecondError](err)
		if !ok {
			must(t, err)
			return ""
		}
		return s.Code
	}
	if got := code(w.Changes.Second(t.Context(), actor, d.ID)); got != want {
		t.Errorf("Second says %q, want %q", got, want)
	}
	if want == "" {
		return
	}
	if _, err := w.Changes.Approve(t.Context(), actor, d.ID, d.Seal()); code(err) != want {
		t.Errorf("Approve says %v, want %q", err, want)
	}
}

// actions returns what was recorded, as action and object.
func (w *World) actions(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, r := range w.Records(t) {
		if r.Type == policy.RecordPolicy {
			out = append(out, r.Action+" "+r.Object)
		}
	}
	return out
}

// together runs acts at once and returns their errors in order.
func together(acts ...func() error) []error {
	errs, begin := make([]error, len(acts)), make(chan struct{})
	var wg sync.WaitGroup
	for i, act := range acts {
		wg.Go(func() {
			<-begin
			errs[i] = act()
		})
	}
	close(begin)
	wg.Wait()
	return errs
}

func succeeded(errs []error) int {
	return len(errs) - len(slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil }))
}
