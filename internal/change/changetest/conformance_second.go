package changetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// testAuthors: whoever had a hand in a draft is nobody's second for it, ever.
func testAuthors(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.draftBy(t, Max, "all/a.rego", "1") // an administrator who is an approver as well
	d, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Max), d, change.SecondAuthor)

	d = w.draft(t, "all/a.rego", "2") // a hand in it once, and undone again by somebody else
	d, err = c.Save(ctx, w.Actor(Max), d.ID, d.Version, write("all/b.rego", "x"))
	must(t, err)
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Remove: []string{"all/b.rego"}})
	must(t, err)
	d, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Max), d, change.SecondAuthor)

	d = w.draft(t, "all/a.rego", "3") // the reason alone
	d, err = c.Save(ctx, w.Actor(Max), d.ID, d.Version, change.Edit{Reason: ptr("Trust me.")})
	must(t, err)
	d, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Max), d, change.SecondAuthor)
	if len(d.Authors) != 2 || d.Authors[1].Email != Max {
		t.Errorf("authors %+v", d.Authors)
	}

	d = w.draft(t, "all/a.rego", "4") // handing it in is no work on it, and two people have seen it
	d, err = c.Submit(ctx, w.Actor(Max), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Max), d, "")
	w.second(t, w.Actor(Ada), d, "")

	p := w.published(t, "all/z.rego", "z") // putting it upon another revision
	d = w.draft(t, "all/a.rego", "5")
	w.published(t, "all/z.rego", "y")
	d, _, err = c.Rebase(ctx, w.Actor(Max), d.ID, d.Version)
	must(t, err)
	d, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Max), d, change.SecondAuthor)

	back, err := c.RollBack(ctx, w.Actor(Ada), p.ID, "y was wrong") // going back
	must(t, err)
	w.second(t, w.Actor(Ada), back, change.SecondAuthor)
	w.second(t, w.Actor(Bo), back, "")
	w.newest(t, 2)
}

func testDisabled(t *testing.T, w *World) {
	d := w.submitted(t, "all/a.rego", "1")
	ada, bo := w.Actor(Ada), w.Actor(Bo)
	w.As(t, w.Actor(Ines), func(d *directory.Directory) { account(d, Ada).Disabled = true })
	w.second(t, ada, d, change.SecondDisabled)
	w.As(t, Operator, func(d *directory.Directory) { account(d, Bo).Ends = Begun.Add(time.Hour) })
	w.second(t, bo, d, "")
	w.Advance(time.Hour)
	w.second(t, bo, d, change.SecondDisabled)
	w.As(t, Operator, func(d *directory.Directory) {
		d.Accounts = slices.DeleteFunc(d.Accounts, func(a directory.Account) bool { return a.Email == Bo })
	})
	w.second(t, bo, d, change.SecondDisabled)
	w.newest(t, 0)
}

func account(d *directory.Directory, email string) *directory.Account {
	return &d.Accounts[slices.IndexFunc(d.Accounts, func(a directory.Account) bool { return a.Email == email })]
}

// testAcquainted: an account that an author could sign in as is no second person.
func testAcquainted(t *testing.T, w *World) {
	d := w.submitted(t, "all/a.rego", "1")
	w.second(t, w.Actor(Ada), d, "")
	w.Invite(t, w.Actor(Ines), w.Actor(Ada))
	w.second(t, w.Actor(Ada), d, change.SecondAcquainted)
	w.second(t, w.Actor(Bo), d, "")

	w.Invite(t, w.Actor(Ines), w.Actor(Noor)) // by way of somebody who is no author
	w.Invite(t, w.Actor(Noor), w.Actor(Bo))
	w.second(t, w.Actor(Bo), d, change.SecondAcquainted)
	w.Advance(change.TouchLife - time.Second)
	w.second(t, w.Actor(Ada), d, change.SecondAcquainted)
	w.Advance(time.Second)
	w.second(t, w.Actor(Ada), d, "")
	w.second(t, w.Actor(Bo), d, "")

	w.Invite(t, w.Actor(Max), w.Actor(Ines)) // the approver holds the author's account
	w.second(t, w.Actor(Max), d, change.SecondMade)
	w.second(t, w.Actor(Ada), d, "")
	w.Invite(t, w.Actor(Max), w.Actor(Ada)) // and one person holds both
	w.second(t, w.Actor(Ada), d, change.SecondCommon)
	w.second(t, w.Actor(Bo), d, "")

	w.Advance(change.TouchLife) // a draft does not outlive what is known of its authors
	w.second(t, w.Actor(Ada), d, "")
	w.Invite(t, Operator, w.Actor(Ada)) // whoever works on the machine makes everybody
	w.Invite(t, Operator, w.Actor(Ines))
	w.second(t, w.Actor(Ada), d, "")
	w.newest(t, 0)
}

// testChangedRights: an approver whom an author has made is none.
func testChangedRights(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.submitted(t, "all/a.rego", "1")
	w.As(t, w.Actor(Ines), func(d *directory.Directory) { // a new account
		d.Accounts = append(d.Accounts, directory.Account{Email: "puppet@customer.example", Name: "Puppet", Roles: []policy.Role{policy.Approver}})
	})
	w.second(t, w.Actor("puppet@customer.example"), d, change.SecondAcquainted)
	w.As(t, w.Actor(Ines), func(d *directory.Directory) { account(d, Rita).Roles = []policy.Role{policy.Reviewer, policy.Approver} })
	w.second(t, w.Actor(Rita), d, change.SecondAcquainted)
	w.As(t, w.Actor(Ines), func(d *directory.Directory) { account(d, Bo).Email = "ines.two@customer.example" })
	w.second(t, w.Actor("ines.two@customer.example"), d, change.SecondAcquainted)
	w.As(t, w.Actor(Ines), func(d *directory.Directory) { account(d, Ada).Name = "Ada B." }) // which gives nobody a way in
	w.second(t, w.Actor(Ada), d, "")

	w.As(t, w.Actor(Noor), func(d *directory.Directory) { // two puppets of one person
		d.Accounts = append(d.Accounts, directory.Account{Email: "left@customer.example", Name: "Left", Roles: []policy.Role{policy.Administrator}},
			directory.Account{Email: "right@customer.example", Name: "Right", Roles: []policy.Role{policy.Approver}})
	})
	d = w.draftBy(t, "left@customer.example", "all/a.rego", "2")
	d, err := c.Submit(ctx, w.Actor("left@customer.example"), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor("right@customer.example"), d, change.SecondCommon)
	w.newest(t, 0)
}

// testSameAddress: an author who comes back as another account under the same
// address is the same person.
func testSameAddress(t *testing.T, w *World) {
	d := w.submitted(t, "all/a.rego", "1")
	ines := w.Actor(Ines)
	w.As(t, Operator, func(d *directory.Directory) {
		d.Accounts = slices.DeleteFunc(d.Accounts, func(a directory.Account) bool { return a.Email == Ines })
	})
	w.second(t, ines, d, change.SecondDisabled)
	w.As(t, Operator, func(d *directory.Directory) {
		d.Accounts = append(d.Accounts, directory.Account{Email: Ines, Name: "Ines", Roles: []policy.Role{policy.Approver}})
	})
	w.second(t, w.Actor(Ines), d, change.SecondAuthor)
	liar := w.Actor(Ines)
	liar.Email = Ada // what an actor says of itself counts for nothing
	w.second(t, liar, d, change.SecondAuthor)
	w.newest(t, 0)
}

// testSeal: an approval is of what was seen and of nothing else.
func testSeal(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	for name, e := range map[string]change.Edit{
		"modules": write("all/a.rego", "2"), "title": {Title: ptr("Other")}, "reason": {Reason: ptr("Other")}, "a file less": {Remove: []string{"all/a.rego"}, Write: map[string]string{"all/b.rego": "1"}},
	} {
		d := w.submitted(t, "all/a.rego", "1")
		next, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, e)
		must(t, err)
		if next.State != change.Open {
			t.Errorf("%s changed in review: it is %s", name, next.State)
		}
		if _, ok := errors.AsType[*change.ConflictError](approve(w, Ada, &d)); !ok {
			t.Errorf("%s changed: approved what is no more: %v", name, approve(w, Ada, &d))
		}
		if err := approve(w, Ada, &next); !errors.Is(err, change.ErrState) {
			t.Errorf("%s changed: approved what is not in review: %v", name, err)
		}
		_, err = c.Submit(ctx, w.Actor(Ines), d.ID, next.Version)
		must(t, err)
		if _, ok := errors.AsType[*change.ConflictError](approve(w, Ada, &d)); !ok {
			t.Errorf("%s changed and handed in again: approved what was before", name)
		}
	}
	a, b := w.submitted(t, "all/a.rego", "1"), w.submitted(t, "all/a.rego", "1")
	if _, err := c.Approve(ctx, w.Actor(Ada), a.ID, b.Seal()); err == nil {
		t.Error("a seal is good for another draft")
	}
	for _, seal := range []string{"", a.Hash} {
		if _, err := c.Approve(ctx, w.Actor(Ada), a.ID, seal); err == nil {
			t.Errorf("seal %q is good", seal)
		}
	}
	w.newest(t, 0)
	// The same modules upon another base are another change.
	r := w.published(t, "all/z.rego", "z")
	if base, ok := errors.AsType[*change.BaseError](approve(w, Ada, &a)); !ok || base.Base != 0 || base.Newest != r.ID {
		t.Errorf("published over another base: %v", approve(w, Ada, &a))
	}
	if _, err := c.Submit(ctx, w.Actor(Ines), w.draft(t, "all/q.rego", "q").ID, 2); err != nil {
		t.Errorf("a draft of the newest: %v", err)
	}
	w.newest(t, 1)
}

func approve(w *World, email string, d *change.Draft) error {
	_, err := w.Changes.Approve(context.Background(), w.Actor(email), d.ID, d.Seal())
	return err
}

func testRebase(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d, err := c.Begin(ctx, w.Actor(Ines), "First", "R")
	must(t, err)
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Write: map[string]string{"all/same.rego": "s", "all/theirs.rego": "t", "all/both.rego": "b", "all/gone.rego": "g", "all/alike.rego": "k"}})
	must(t, err)
	d, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	must(t, approve(w, Ada, &d))

	mine, err := c.Begin(ctx, w.Actor(Noor), "Mine", "R")
	must(t, err)
	mine, err = c.Save(ctx, w.Actor(Noor), mine.ID, mine.Version, change.Edit{Write: map[string]string{"all/both.rego": "mine", "all/mine.rego": "m", "all/alike.rego": "K"}, Remove: []string{"all/gone.rego"}})
	must(t, err)
	mine, err = c.Submit(ctx, w.Actor(Noor), mine.ID, mine.Version)
	must(t, err)

	d, err = c.Begin(ctx, w.Actor(Ines), "Theirs", "R")
	must(t, err)
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Write: map[string]string{"all/both.rego": "theirs", "all/theirs.rego": "T", "all/new.rego": "n", "all/gone.rego": "G", "all/alike.rego": "K"}})
	must(t, err)
	d, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	must(t, approve(w, Ada, &d))

	if _, ok := errors.AsType[*change.BaseError](approve(w, Ada, &mine)); !ok {
		t.Error("published over a changed base")
	}
	next, both, err := c.Rebase(ctx, w.Actor(Noor), mine.ID, mine.Version)
	must(t, err)
	want := map[string]string{"all/same.rego": "s", "all/theirs.rego": "T", "all/new.rego": "n", "all/both.rego": "mine", "all/mine.rego": "m", "all/alike.rego": "K"}
	if !maps.Equal(next.Modules, want) || !slices.Equal(both, []string{"all/both.rego", "all/gone.rego"}) || next.Base != 2 || next.State != change.Open || next.Version != mine.Version+1 {
		t.Errorf("rebased to %+v, both %v", next, both)
	}
	again, both, err := c.Rebase(ctx, w.Actor(Noor), next.ID, next.Version)
	if err != nil || both != nil || again.Version != next.Version {
		t.Errorf("rebased again: %+v, %v, %v", again, both, err)
	}
	next, err = c.Submit(ctx, w.Actor(Noor), next.ID, next.Version)
	must(t, err)
	if _, ok := errors.AsType[*change.ConflictError](approve(w, Ada, &mine)); !ok {
		t.Error("an approval of what was begun from another revision is good")
	}
	must(t, approve(w, Ada, &next))
	w.newest(t, 3)
}

func testRollBack(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	first := w.published(t, "all/a.rego", "1")
	w.published(t, "all/a.rego", "2")
	for name, do := range map[string]func() error{
		"newest":    func() error { _, err := c.RollBack(ctx, w.Actor(Ines), 2, "why"); return err },
		"no reason": func() error { _, err := c.RollBack(ctx, w.Actor(Ines), 1, ""); return err },
		"none":      func() error { _, err := c.RollBack(ctx, w.Actor(Ines), 7, "why"); return err },
		"reviewer":  func() error { _, err := c.RollBack(ctx, w.Actor(Rita), 1, "why"); return err },
	} {
		if do() == nil {
			t.Errorf("%s: rolled back", name)
		}
	}
	d, err := c.RollBack(ctx, w.Actor(Ines), 1, "2 keeps everybody out")
	must(t, err)
	if d.State != change.InReview || d.BackTo != 1 || d.Base != 2 || d.Hash != first.Hash || d.Figures.Tests != 1 {
		t.Errorf("rolling back: %+v", d)
	}
	r, err := c.Approve(ctx, w.Actor(Ada), d.ID, d.Seal())
	must(t, err)
	if r.ID != 3 || r.BackTo != 1 || r.Hash != first.Hash || r.Alone || r.Base != 2 {
		t.Errorf("rolled back: %+v", r)
	}
	d, err = c.RollBack(ctx, w.Actor(Ines), 2, "no, 1 was worse")
	must(t, err)
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, write("all/b.rego", "and this"))
	if err != nil || d.BackTo != 0 || d.State != change.Open {
		t.Errorf("a roll back with something more in it: %+v, %v", d, err)
	}
}

func testRollBackAlone(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	first := w.published(t, "all/a.rego", "1")
	w.published(t, "all/a.rego", "2")
	for name, do := range map[string]func() error{
		"newest":    func() error { _, err := c.RollBackAlone(ctx, w.Actor(Ines), 2, "why"); return err },
		"no reason": func() error { _, err := c.RollBackAlone(ctx, w.Actor(Ines), 1, " "); return err },
		"none":      func() error { _, err := c.RollBackAlone(ctx, w.Actor(Ines), 7, "why"); return err },
		"reviewer":  func() error { _, err := c.RollBackAlone(ctx, w.Actor(Rita), 1, "why"); return err },
		"kim":       func() error { _, err := c.RollBackAlone(ctx, w.Actor(Kim), 1, "why"); return err },
	} {
		if do() == nil {
			t.Errorf("%s: rolled back", name)
		}
	}
	waiting := w.submitted(t, "all/c.rego", "3")
	r, err := c.RollBackAlone(ctx, w.Actor(Bo), 1, "nobody can work")
	must(t, err)
	if r.ID != 3 || !r.Alone || r.BackTo != 1 || r.Base != 2 || r.Hash != first.Hash || r.Approver.Account != "" || len(r.Authors) != 1 || r.Authors[0].Email != Bo || r.Reason != "nobody can work" {
		t.Errorf("rolled back: %+v", r)
	}
	if _, ok := errors.AsType[*change.BaseError](approve(w, Ada, &waiting)); !ok {
		t.Error("what was in review was published over the roll back")
	}
	if got := w.actions(t); got[len(got)-1] != "policy.rollback_alone policy:3" {
		t.Errorf("recorded %q", got)
	}
}

// testTwoApprovers: of two who approve at once one does.
func testTwoApprovers(t *testing.T, w *World) {
	d := w.submitted(t, "all/a.rego", "1")
	errs := together(func() error { return approve(w, Ada, &d) }, func() error { return approve(w, Bo, &d) }, func() error { return approve(w, Max, &d) })
	if succeeded(errs) != 1 {
		t.Errorf("three approve: %v", errs)
	}
	w.newest(t, 1)
	x, y := w.submitted(t, "all/x.rego", "x"), w.submitted(t, "all/y.rego", "y")
	errs = together(func() error { return approve(w, Ada, &x) }, func() error { return approve(w, Bo, &y) })
	if succeeded(errs) != 1 {
		t.Errorf("two drafts of one base: %v", errs)
	}
	for _, err := range errs {
		if _, ok := errors.AsType[*change.BaseError](err); err != nil && !ok {
			t.Errorf("the second is told %v", err)
		}
	}
	w.newest(t, 2)
}

func testTwoSaves(t *testing.T, w *World) {
	c := w.Changes
	d := w.draft(t, "all/a.rego", "1")
	save := func(email string) func() error {
		return func() error {
			_, err := c.Save(context.Background(), w.Actor(email), d.ID, d.Version, write("all/a.rego", email))
			return err
		}
	}
	errs := together(save(Ines), save(Noor), save(Max))
	if succeeded(errs) != 1 {
		t.Errorf("three save: %v", errs)
	}
	for _, err := range errs {
		if _, ok := errors.AsType[*change.ConflictError](err); err != nil && !ok {
			t.Errorf("the second is told %v", err)
		}
	}
}

// testSaveWhileApproving: what is published is what was approved, whoever is first.
func testSaveWhileApproving(t *testing.T, w *World) {
	for range 5 {
		d := w.submitted(t, "all/a.rego", time.Duration(w.count(t)).String())
		errs := together(func() error { return approve(w, Ada, &d) }, func() error {
			_, err := w.Changes.Save(context.Background(), w.Actor(Ines), d.ID, d.Version, write("all/a.rego", "smuggled"))
			return err
		})
		if succeeded(errs) != 1 {
			t.Fatalf("approve and save: %v", errs)
		}
		if errs[0] == nil {
			r, err := w.Changes.Revision(t.Context(), w.count(t))
			if err != nil || !maps.Equal(r.Modules, d.Modules) {
				t.Errorf("published %v, %v", r.Modules, err)
			}
		}
	}
}

func (w *World) count(t *testing.T) int64 {
	t.Helper()
	all, err := w.Changes.Revisions(t.Context())
	must(t, err)
	return int64(len(all))
}
