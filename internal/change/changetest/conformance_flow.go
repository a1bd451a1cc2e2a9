package changetest

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func testPublish(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	w.newest(t, 0)
	d := w.submitted(t, "all/hours.rego", "package ringfence.all")
	if d.State != change.InReview || d.Base != 0 || d.Hash != policy.Revision(d.Modules) || len(d.Authors) != 1 || d.Authors[0].Email != Ines ||
		d.Authors[0].Account != w.Actor(Ines).Account || !d.Authors[0].At.Equal(Begun) || d.Figures.Of != d.Hash || d.Figures.Tests != 1 {
		t.Errorf("in review: %+v", d)
	}
	w.Advance(time.Minute)
	r, err := c.Approve(ctx, w.Actor(Ada), d.ID, d.Seal())
	must(t, err)
	got, err := c.Revision(ctx, r.ID)
	must(t, err)
	for _, r := range []change.Revision{r, got} {
		if r.ID != 1 || r.Hash != d.Hash || !maps.Equal(r.Modules, d.Modules) || r.Title != d.Title || r.Reason != d.Reason || r.Alone || r.Draft != d.ID || r.Base != 0 ||
			r.Approver.Email != Ada || !r.Published.Equal(Begun.Add(time.Minute)) || len(r.Authors) != 1 || r.Authors[0].Email != Ines || r.Figures.Tests != 1 || r.Fault != "" {
			t.Errorf("published: %+v", r)
		}
	}
	now, err := c.Draft(ctx, d.ID)
	must(t, err)
	if now.State != change.Published {
		t.Errorf("the draft is %s", now.State)
	}
	list, err := c.Revisions(ctx)
	if err != nil || len(list) != 1 || list[0].ID != 1 || list[0].Modules != nil {
		t.Errorf("revisions %+v, %v", list, err)
	}
	drafts, err := c.Drafts(ctx)
	if err != nil || len(drafts) != 1 || drafts[0].Modules != nil || drafts[0].State != change.Published {
		t.Errorf("drafts %+v, %v", drafts, err)
	}
	want := []string{"policy.draft draft:1", "policy.save draft:1", "policy.submit draft:1", "policy.approve draft:1", "policy.publish policy:1"}
	if got := w.actions(t); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	all := w.Records(t)
	if p := all[len(all)-1]; p.Actor != w.Actor(Ada).Account || p.Email != Ada || p.Revision != "engine-"+d.Hash || p.Detail["policies"] != "policy:1" {
		t.Errorf("recorded %+v", p)
	}
	if _, err := c.Draft(ctx, 99); !errors.Is(err, change.ErrNotFound) {
		t.Errorf("draft 99: %v", err)
	}
	if _, err := c.Revision(ctx, 99); !errors.Is(err, change.ErrNotFound) {
		t.Errorf("revision 99: %v", err)
	}
}

// testRoles: who may do what; nobody without the role, whoever they are.
func testRoles(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.submitted(t, "all/a.rego", "1")
	gone := directory.Actor{Account: "nobody", Email: "nobody@customer.example"}
	for email, may := range map[string][]string{Noor: {"begin", "save", "submit", "rebase", "note", "withdraw"}, Ada: {"return", "note"}, Rita: {"note"}, Kim: nil, gone.Email: nil} {
		actor := gone
		if email != gone.Email {
			actor = w.Actor(email)
		}
		for act, do := range map[string]func() error{
			"begin":    func() error { _, err := c.Begin(ctx, actor, "T", "R"); return err },
			"save":     func() error { _, err := c.Save(ctx, actor, d.ID, d.Version, write("all/a.rego", "1")); return err },
			"submit":   func() error { _, err := c.Submit(ctx, actor, d.ID, d.Version); return err },
			"return":   func() error { _, err := c.Return(ctx, actor, d.ID, d.Version, "no"); return err },
			"rebase":   func() error { _, _, err := c.Rebase(ctx, actor, d.ID, d.Version); return err },
			"note":     func() error { return c.Note(ctx, actor, d.ID, "hm") },
			"withdraw": func() error { return c.Withdraw(ctx, actor, d.ID, d.Version-1) }, // conflicts, if it gets so far
		} {
			if err := do(); errors.Is(err, directory.ErrNotAllowed) == slices.Contains(may, act) {
				t.Errorf("%s by %s: %v", act, email, err)
			}
		}
		for _, do := range []func() error{
			func() error { _, err := c.RollBack(ctx, actor, 1, "why"); return err },
			func() error { _, err := c.RollBackAlone(ctx, actor, 1, "why"); return err },
		} {
			if err := do(); err == nil {
				t.Errorf("%s rolls back to what there is not", email)
			}
		}
	}
	d = w.submitted(t, "all/b.rego", "1")
	w.second(t, w.Actor(Noor), d, change.SecondRole)
	w.second(t, w.Actor(Rita), d, change.SecondRole)
	w.second(t, w.Actor(Kim), d, change.SecondRole)
	w.second(t, gone, d, change.SecondDisabled)
	w.second(t, Operator, d, change.SecondOperator)
	w.newest(t, 0)
}

func testConflict(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.draft(t, "all/a.rego", "1")
	_, err := c.Save(ctx, w.Actor(Noor), d.ID, d.Version, write("all/a.rego", "2"))
	must(t, err)
	before := len(w.Records(t))
	for name, do := range map[string]func() error{
		"save": func() error {
			_, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, write("all/a.rego", "3"))
			return err
		},
		"submit":   func() error { _, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version); return err },
		"withdraw": func() error { return c.Withdraw(ctx, w.Actor(Ines), d.ID, d.Version) },
		"rebase":   func() error { _, _, err := c.Rebase(ctx, w.Actor(Ines), d.ID, d.Version); return err },
		"return":   func() error { _, err := c.Return(ctx, w.Actor(Ada), d.ID, d.Version, "no"); return err },
	} {
		conflict, ok := errors.AsType[*change.ConflictError](do())
		if !ok || conflict.Now.Version != d.Version+1 || conflict.Now.Modules["all/a.rego"] != "2" || !strings.Contains(conflict.Error(), Noor) {
			t.Errorf("%s: %+v", name, conflict)
		}
	}
	for _, seen := range []int{-1, math.MinInt, 0, math.MaxInt} { // whatever a form says: none stands for "the newest"
		if _, err := c.Save(ctx, w.Actor(Ines), d.ID, seen, write("all/a.rego", "3")); !isConflict(err) {
			t.Errorf("save upon version %d: %v", seen, err)
		}
		if err := c.Withdraw(ctx, w.Actor(Ines), d.ID, seen); !isConflict(err) {
			t.Errorf("withdraw at version %d: %v", seen, err)
		}
	}
	if after := len(w.Records(t)); after != before {
		t.Errorf("what was refused left %d records", after-before)
	}
}

func isConflict(err error) bool {
	_, ok := errors.AsType[*change.ConflictError](err)
	return ok
}

// testStates: what has come to its end stays so.
func testStates(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	open := w.draft(t, "all/a.rego", "1")
	if _, err := c.Approve(ctx, w.Actor(Ada), open.ID, open.Seal()); !errors.Is(err, change.ErrState) {
		t.Errorf("approving what is not in review: %v", err)
	}
	if _, err := c.Return(ctx, w.Actor(Ada), open.ID, open.Version, "no"); !errors.Is(err, change.ErrState) {
		t.Errorf("returning what is not in review: %v", err)
	}
	gone := w.submitted(t, "all/a.rego", "2")
	must(t, c.Withdraw(ctx, w.Actor(Noor), gone.ID, gone.Version))
	done := w.submitted(t, "all/a.rego", "3")
	_, err := c.Approve(ctx, w.Actor(Ada), done.ID, done.Seal())
	must(t, err)
	for name, d := range map[string]change.Draft{"withdrawn": gone, "published": done} {
		for act, do := range map[string]func() error{
			"save": func() error {
				_, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, write("all/a.rego", "9"))
				return err
			},
			"submit":   func() error { _, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version); return err },
			"withdraw": func() error { return c.Withdraw(ctx, w.Actor(Ines), d.ID, d.Version) },
			"rebase":   func() error { _, _, err := c.Rebase(ctx, w.Actor(Ines), d.ID, d.Version); return err },
			"return":   func() error { _, err := c.Return(ctx, w.Actor(Ada), d.ID, d.Version, "no"); return err },
			"note":     func() error { return c.Note(ctx, w.Actor(Ada), d.ID, "hm") },
			"approve":  func() error { _, err := c.Approve(ctx, w.Actor(Ada), d.ID, d.Seal()); return err },
		} {
			if err := do(); !errors.Is(err, change.ErrState) {
				t.Errorf("%s of a draft that is %s: %v", act, name, err)
			}
		}
	}
	w.newest(t, 1)
}

// testChecks: what could not be put in force goes no further.
func testChecks(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.draft(t, "all/a.rego", "one\n"+Broken)
	_, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	fault, ok := errors.AsType[*change.FaultError](err)
	if !ok || len(fault.Faults) != 1 || fault.Faults[0].File != "all/a.rego" || fault.Faults[0].Line != 2 {
		t.Fatalf("submitting what is broken: %v", err)
	}
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Remove: []string{"all/a.rego"}})
	must(t, err)
	if _, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version); !invalid(err, "same") {
		t.Errorf("submitting what changes nothing: %v", err)
	}
	r := w.published(t, "all/a.rego", "1")
	d, err = c.Begin(ctx, w.Actor(Ines), "T", "R")
	must(t, err)
	if d.Base != r.ID || !maps.Equal(d.Modules, r.Modules) {
		t.Errorf("begun from %d with %v", d.Base, d.Modules)
	}
	if _, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version); !invalid(err, "same") {
		t.Errorf("submitting what is in force: %v", err)
	}
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Remove: []string{"all/a.rego"}}) // no policy at all is a change
	must(t, err)
	if _, err = c.Submit(ctx, w.Actor(Ines), d.ID, d.Version); err != nil {
		t.Errorf("submitting the empty set: %v", err)
	}
}

func invalid(err error, field string) bool {
	i, ok := errors.AsType[*change.InvalidError](err)
	return ok && i.Field == field
}

// testWords: nothing is kept that a reviewer could not read as it is.
func testWords(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	for _, b := range []struct{ title, reason, field string }{
		{"", "R", "title"}, {"T", " ", "reason"}, {strings.Repeat("x", 201), "R", "title"}, {"T", strings.Repeat("x", 2001), "reason"},
		{"a\u202Eb", "R", "title"}, {"T", "a\u200Bb", "reason"}, {"a\nb", "R", "title"}, {"T", "\xff", "reason"}, {"a\x00", "R", "title"},
	} {
		if _, err := c.Begin(ctx, w.Actor(Ines), b.title, b.reason); !invalid(err, b.field) {
			t.Errorf("title %q, reason %q: %v", b.title, b.reason, err)
		}
	}
	d := w.draft(t, "all/a.rego", "1")
	for name, text := range map[string]string{
		"../all/a.rego": "x", "all/../b.rego": "x", "/all/a.rego": "x", "a.rego": "x", "all/a.txt": "x", "all/.a.rego": "x", "clusters/a.rego": "x", "all/b/c.rego": "x",
		"all/a\u202E.rego": "x", "all/a b.rego": "x", "all/" + strings.Repeat("x", 300) + ".rego": "x", "": "x", "all/\xff.rego": "x",
		"all/bidi.rego": "a\u2066b", "all/zero.rego": "a\u200Db", "all/nul.rego": "a\x00b", "all/utf.rego": "a\xffb", "all/cr.rego": "deny if x # \rallow", "all/tag.rego": "a\U000E0041",
		"all/joiner.rego": "a\u034Fb", "all/vowel.rego": "a\u17B4b", "all/filler.rego": "a\u115Fb", "all/spare.rego": "a\uFFF0b", "all/unused.rego": "a\U000E0080b",
		"all/large.rego": strings.Repeat("x", 1<<20+1),
	} {
		if _, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, write(name, text)); !invalid(err, "file") {
			t.Errorf("file %q with %.20q: %v", name, text, err)
		}
	}
	many := map[string]string{}
	for i := range 9 {
		many["all/"+string(rune('a'+i))+"x.rego"] = strings.Repeat("x", 1<<20)
	}
	if _, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Write: many}); !invalid(err, "size") {
		t.Errorf("nine files of a mebibyte: %v", err)
	}
	d, err := c.Save(ctx, w.Actor(Ines), d.ID, d.Version, change.Edit{Title: ptr("Größe ☂"), Write: map[string]string{"clusters/claims/b.rego": "# tab\t\r\n# Größe ☂", "all/params.json": "{}"}})
	must(t, err)
	if err := c.Note(ctx, w.Actor(Ada), d.ID, "\u200B"); !invalid(err, "text") {
		t.Errorf("a note that nobody sees: %v", err)
	}
	must(t, c.Note(ctx, w.Actor(Ada), d.ID, "Two\nlines."))
	got, err := c.Draft(ctx, d.ID)
	if err != nil || got.Title != "Größe ☂" || got.Modules["clusters/claims/b.rego"] != "# tab\t\r\n# Größe ☂" || len(got.Notes) != 1 || got.Notes[0].Text != "Two\nlines." || got.Notes[0].Email != Ada || got.Version != d.Version {
		t.Errorf("got %+v, %v", got, err)
	}
	again, err := c.Save(ctx, w.Actor(Noor), d.ID, d.Version, write("all/params.json", "{}")) // as it is
	if err != nil || again.Version != d.Version || len(again.Authors) != 1 {
		t.Errorf("a save that changes nothing: %+v, %v", again, err)
	}
}

func testReturn(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.submitted(t, "all/a.rego", "1")
	if _, err := c.Return(ctx, w.Actor(Ada), d.ID, d.Version, " "); !invalid(err, "text") {
		t.Errorf("returned without a word: %v", err)
	}
	d, err := c.Return(ctx, w.Actor(Ada), d.ID, d.Version, "Weekends too, please.")
	must(t, err)
	if d.State != change.Open || len(d.Notes) != 1 || !d.Notes[0].Returned || d.Notes[0].Text != "Weekends too, please." {
		t.Errorf("returned: %+v", d)
	}
	d, err = c.Submit(ctx, w.Actor(Noor), d.ID, d.Version)
	must(t, err)
	w.second(t, w.Actor(Ada), d, "") // a note is no work on the draft
	_, err = c.Approve(ctx, w.Actor(Ada), d.ID, d.Seal())
	must(t, err)
	if got, want := w.actions(t)[3], "policy.return draft:1"; got != want {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func testFigures(t *testing.T, w *World) {
	c, ctx := w.Changes, t.Context()
	d := w.draft(t, "all/a.rego", "1")
	f := change.Figures{Of: d.Hash, At: Begun, Since: Begun.AddDate(0, 0, -7), Until: Begun, Tests: 7, Coverage: 50, Replayed: 1000, Narrowed: 12, Widened: 3, Cells: 40, CellsMoved: 2}
	must(t, c.KeepFigures(ctx, d.ID, change.Figures{Of: "another", Replayed: 5}))
	must(t, c.KeepFigures(ctx, d.ID, f))
	d, err := c.Submit(ctx, w.Actor(Ines), d.ID, d.Version)
	must(t, err)
	if d.Figures.Replayed != 1000 || d.Figures.Narrowed != 12 || d.Figures.Tests != 1 || d.Figures.Coverage != 100 {
		t.Errorf("figures %+v", d.Figures)
	}
	r, err := c.Approve(ctx, w.Actor(Ada), d.ID, d.Seal())
	must(t, err)
	if r.Figures.Replayed != 1000 || !r.Figures.Since.Equal(f.Since) || r.Figures.Of != r.Hash {
		t.Errorf("published with %+v", r.Figures)
	}
	d = w.draft(t, "all/a.rego", "2")
	must(t, c.KeepFigures(ctx, d.ID, change.Figures{Of: d.Hash, Replayed: 9}))
	d, err = c.Save(ctx, w.Actor(Ines), d.ID, d.Version, write("all/a.rego", "3"))
	if err != nil || d.Figures != (change.Figures{}) {
		t.Errorf("figures of other modules: %+v, %v", d.Figures, err)
	}
	if err := c.KeepFigures(ctx, 99, f); !errors.Is(err, change.ErrNotFound) {
		t.Errorf("figures of no draft: %v", err)
	}
}
