package console

import (
	"cmp"
	"context"
	"maps"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// officeChanges is change control in memory, in which people may have written
// anything: say words what they wrote when it is read.
type officeChanges struct {
	*changetest.Memory
	say   sampleText
	fail  error // of reading drafts
	stuck error // revisions are published, and cannot be put in force
	// What is said about the signatures of revisions.
	statement, fault map[int64]string
}

func (c *officeChanges) draft(d change.Draft) change.Draft {
	d.Title, d.Reason = c.say(d.Title), c.say(d.Reason)
	for i := range d.Notes {
		d.Notes[i].Text = c.say(d.Notes[i].Text)
	}
	d.Modules = c.modules(d.Modules)
	return d
}

func (c *officeChanges) revision(r change.Revision) change.Revision {
	r.Statement, r.Fault = []byte(c.statement[r.ID]), c.fault[r.ID]
	r.Title, r.Reason, r.Modules = c.say(r.Title), c.say(r.Reason), c.modules(r.Modules)
	return r
}

// modules words the first line of every file, and one file's name.
func (c *officeChanges) modules(m map[string]string) map[string]string {
	out := maps.Clone(m)
	for name, text := range out {
		first, rest, _ := strings.Cut(text, "\n")
		if said := c.say(first); said != first {
			out[name] = said + "\n" + rest
			out[c.say(name)] = said
		}
	}
	return out
}

func (c *officeChanges) Drafts(ctx context.Context) ([]change.Draft, error) {
	all, err := c.Memory.Drafts(ctx)
	for i := range all {
		all[i] = c.draft(all[i])
	}
	if c.fail != nil {
		return nil, c.fail
	}
	return all, err
}

func (c *officeChanges) Draft(ctx context.Context, id int64) (change.Draft, error) {
	d, err := c.Memory.Draft(ctx, id)
	return c.draft(d), err
}

func (c *officeChanges) Revisions(ctx context.Context) ([]change.Revision, error) {
	all, err := c.Memory.Revisions(ctx)
	for i := range all {
		all[i] = c.revision(all[i])
	}
	return all, err
}

func (c *officeChanges) Revision(ctx context.Context, id int64) (change.Revision, error) {
	r, err := c.Memory.Revision(ctx, id)
	return c.revision(r), err
}

func (c *officeChanges) Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (change.Revision, error) {
	r, err := c.Memory.Approve(ctx, actor, id, seal)
	return r, cmp.Or(err, c.stuck)
}

func (c *officeChanges) RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Revision, error) {
	r, err := c.Memory.RollBackAlone(ctx, actor, to, reason)
	return r, cmp.Or(err, c.stuck)
}

// officeStudio finds at once what is planted in a set, and tries nothing.
type officeStudio struct {
	*studio.Runner
	hold chan struct{} // checks wait for it; nil: they do not
}

// plantedHole in a file makes the knock-out test find something.
const plantedHole = "planted hole"

func (s *officeStudio) Check(ctx context.Context, a studio.CheckRequest) (studio.CheckResult, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return studio.CheckResult{}, ctx.Err()
		}
	}
	out := studio.CheckResult{Revision: "e", Tests: 9}
	out.Coverage.Percent = 87.5
	out.Knockout.Denials, out.Knockout.Fields, out.Knockout.Unjudged = 6, 4, 1
	for name, text := range a.Modules {
		switch {
		case strings.Contains(text, "does not compile"):
			out.Diagnostics = append(out.Diagnostics, policy.Diagnostic{File: name, Line: 3, Column: 7, Message: "undefined ref: input.subjct"})
		case strings.Contains(text, changetest.Broken):
			out.Failures = append(out.Failures, rego.TestFailure{File: name, Line: 2, Name: "data.ringfence.all.test_ticket", Message: "a request without a ticket is allowed"})
		case strings.Contains(text, plantedHole):
			out.Knockout.Holes = append(out.Knockout.Holes, rego.Hole{Diagnostic: policy.Diagnostic{File: name, Line: 2, Message: "Say what happens without it: not input.facts.zone."}, Rule: "deny zone", Field: "facts.zone"})
		}
	}
	return out, nil
}

const (
	officeHours = "package ringfence.all\n\nimport rego.v2\n\n# Nobody works at night.\ndeny contains reason if {\n\thour := time.clock(input.request.time_ns)[0]\n\thour < 6\n\treason := {\"code\": \"office_hours\", \"message\": \"It is night.\", \"help\": \"Come back at six.\"}\n}\n"
	noExports   = "package ringfence.clusters.claims\n\nimport rego.v2\n\ndeny contains reason if {\n\tinput.request.path[0] == \"export\"\n\treason := {\"code\": \"no_export\", \"message\": \"Exports are closed.\", \"help\": \"Ask the owner.\"}\n}\n"
)

// Drafts of the office, by what they are for.
const (
	draftDone     = 1 // became revision 2
	draftBehind   = 2 // begun before revision 2 was published
	draftReview   = 4 // by ada, waits for abe
	draftFailing  = 5
	draftGivenUp  = 6
	draftSame     = 7
	draftOfSecond = 8 // a roll back that abe proposed: he cannot approve it
)

// newOfficeChanges makes four revisions, one of them published alone, and a
// draft in every state.
func newOfficeChanges(o *office) *officeChanges {
	m := changetest.New(nil, map[string]string{"all/hours.rego": officeHours})
	m.Now = func() time.Time { return o.now }
	m.Account = func(id string) (directory.Account, bool) {
		a, ok := o.dir.Snapshot().Account(id)
		if !ok {
			return directory.Account{}, false
		}
		return *a, true
	}
	c := &officeChanges{Memory: m, say: plainText}
	ctx := context.Background()
	must := func(err error) {
		o.t.Helper()
		if err != nil {
			o.t.Fatal(err)
		}
	}
	began := o.now
	defer func() { o.now = began }()
	o.now = began.Add(-9 * 24 * time.Hour)
	begin := func(who, title, reason string, write map[string]string, remove ...string) change.Draft {
		o.t.Helper()
		o.now = o.now.Add(3 * time.Hour)
		d, err := m.Begin(ctx, officeActor(who), title, reason)
		must(err)
		if d, err = m.Save(ctx, officeActor(who), d.ID, d.Version, change.Edit{Write: write, Remove: remove}); err != nil {
			o.t.Fatal(err)
		}
		return d
	}
	publish := func(id int64) {
		o.t.Helper()
		d, err := m.Draft(ctx, id)
		must(err)
		_, err = m.Approve(ctx, officeActor("abe"), id, d.Seal())
		must(err)
	}
	later := strings.Replace(officeHours, "hour < 6", "hour < 7", 1)
	begin("bea", "Begin the day at seven", "Nobody is there to answer before.", map[string]string{"all/hours.rego": later, "clusters/maps/all.rego": "package ringfence.clusters.maps\n"})
	begin("bea", "Half past six", "Some begin early.", map[string]string{"all/hours.rego": officeHours + "# or half past six\n"})
	_, err := m.Submit(ctx, officeActor("bea"), draftDone, 2)
	must(err)
	publish(draftDone)
	_, err = m.RollBackAlone(ctx, officeActor("bea"), 1, "Nobody could work: the morning shift was locked out.")
	must(err)
	back, err := m.RollBack(ctx, officeActor("ada"), 2, "The shift begins at seven after all.")
	must(err)
	o.now = o.now.Add(time.Hour)
	publish(back.ID)

	d := begin("ada", "Close the exports of claims", "The migration ended, so nobody needs them.", map[string]string{"clusters/claims/exports.rego": noExports, "all/hours.rego": later + "\n# Asked for by the owner of claims.\n"}, "clusters/maps/all.rego")
	d, err = m.Submit(ctx, officeActor("ada"), d.ID, d.Version)
	must(err)
	must(m.Note(ctx, officeActor("abe"), d.ID, "Did the owner of claims agree?"))
	d, err = m.Return(ctx, officeActor("abe"), d.ID, d.Version, "Please say in the module who asked for it.\nThe rest is fine.")
	must(err)
	d, err = m.Submit(ctx, officeActor("ada"), d.ID, d.Version)
	must(err)
	f := d.Figures
	f.Since, f.Until, f.Replayed, f.Unfit, f.Widened, f.Narrowed, f.Reworded, f.Cells, f.CellsMoved = began.Add(-7*24*time.Hour), began, 48211, 3, 0, 127, 4, 640, 12
	must(m.KeepFigures(ctx, d.ID, f))
	begin("ada", "Ask for a ticket", "Purpose is to be named.", map[string]string{"all/ticket.rego": "package ringfence.all\n# " + changetest.Broken + "\n", "all/zone.rego": "package ringfence.all\n# " + plantedHole + "\n"})
	begin("bea", "Given up", "It was no good.", map[string]string{"all/hours.rego": ""})
	must(m.Withdraw(ctx, officeActor("bea"), draftGivenUp, 2))
	begin("bea", "Nothing yet", "To be written.", nil)
	o.now = o.now.Add(time.Hour)
	if back, err = m.RollBack(ctx, officeActor("abe"), 1, "The night shift needs six."); err != nil || back.ID != draftOfSecond {
		o.t.Fatal(back.ID, err)
	}
	m.SetEffect(4, change.Effect{Allowed: 48012, Challenged: 640, Denied: 271, First: began.Add(-8 * 24 * time.Hour), Last: began})
	m.SetEffect(2, change.Effect{Allowed: 12, Denied: 3011, First: began.Add(-9 * 24 * time.Hour), Last: began.Add(-8 * 24 * time.Hour)})
	c.say = o.say
	return c
}

func officeActor(id string) directory.Actor {
	return directory.Actor{Account: id, Email: id + "@example.com", RequestID: "req_office", IP: "198.51.100.24"}
}
