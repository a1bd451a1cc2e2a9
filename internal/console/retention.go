package console

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/internal/ui"
)

const retentionPath = "/console/retention"

// Retention is what removes old entries: a [*retention.Service].
type Retention interface {
	// FileRules must return those of the configuration file.
	FileRules() retention.Rules
	// Kept must return what was set or asked for here, the newest first.
	Kept(ctx context.Context) ([]directory.RetentionRule, error)
	// Set and Decide must return only once the act is recorded. The error of Set
	// is [retention.ErrBelowFile] for less than the configuration file says; that of
	// Decide [directory.ErrNoRule] or [directory.ErrNotAllowed], with a
	// [change.SecondError] where two accounts could be one person.
	Set(ctx context.Context, actor directory.Actor, r directory.RetentionRule) (directory.RetentionRule, error)
	Decide(ctx context.Context, actor directory.Actor, id int64, approve bool) error
	ArchivedTo() string
	State() retention.State
	// Ask must have what is over removed soon, for an account.
	Ask(account string)
}

type retentionPage struct {
	Base
	Rules     []retentionRow
	Waiting   []waitingRule
	Groups    []group // of the form; nil for whoever may set nothing
	Faults    []ui.Text
	State     ui.Badge
	Gone      ui.Text
	At        time.Time // of the last look; zero: none
	Did       ui.Text
	Next      ui.Text
	Archive   ui.Text
	Fault     ui.Text // in English, as the operational log says it
	Entries   string  // URL
	Holds     string
	MayChange bool
	AskURL    string
}

type retentionRow struct{ For, Kind, Days, From ui.Text }

// retention shows how long entries are kept, and how the last look went.
func (c *Console) retention(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showRetention(w, r, v, newForm(nil))
}

func (c *Console) showRetention(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	if c.Retention == nil {
		return ui.NotFound()
	}
	first, err := accesslog.FirstHeld(c.LogFolder)
	if err != nil {
		return unavailable(err)
	}
	kept, err := c.Retention.Kept(r.Context())
	if err != nil {
		return unavailable(err)
	}
	st, file := c.Retention.State(), c.Retention.FileRules()
	page := retentionPage{Base: v.page("Retention"), Rules: v.retentionRows(file.With(kept), file), Waiting: v.waitingRules(kept), Faults: f.Notes, At: st.At, Archive: ui.Verbatim(c.Retention.ArchivedTo()), Fault: ui.Verbatim(st.Fault),
		Gone: "None: the log has all of its entries.", Entries: logURL(query.Match{Field: query.Action, Pattern: query.Exact(accesslog.ActionPrune)}), Holds: holdsPath,
		MayChange: v.mayChange(), AskURL: retentionPath + "/prune", State: ui.Badge{Kind: ui.Good, Text: "in order"}}
	if first > 0 {
		page.Gone = ui.Count(int(first), "The first {1} entry.", "The first {1} entries.")
	}
	switch {
	case st.Fault != "":
		page.State = ui.Badge{Kind: ui.Bad, Text: "failed"}
	case st.At.IsZero():
		page.State = ui.Badge{Text: "not looked yet"}
	case len(st.Plan.Due) > 0 && st.Waits.Why != "":
		page.State, page.Did = ui.Badge{Kind: ui.Warn, Text: "waits"}, waitsWords(st.Waits)
	case st.Removed == 0:
		page.Did = "Nothing was over."
	default:
		page.Did = ui.Count(int(st.Removed), "{1} entry was removed.", "{1} entries were removed.")
	}
	page.Next = v.whatStays(&st.Plan)
	if page.MayChange {
		page.Groups = retentionGroups(v.Snapshot.Directory(), f)
	}
	return c.show(w, r, f.status(), "retention", page)
}

// retentionAttentions says on the overview that old entries could not be removed.
func (c *Console) retentionAttentions(v *visit) []attention {
	if c.Retention == nil || c.Retention.State().Fault == "" {
		return nil
	}
	about := ui.Link{Label: "Retention"}
	if v.opens(retentionPath) {
		about.URL = retentionPath
	}
	return []attention{{ui.Badge{Kind: ui.Warn, Text: "retention"}, about, "Entries whose time is over could not be removed. It is tried again every hour."}}
}

// waitsWords says why what is over stays for now.
func waitsWords(w retention.Waiting) ui.Text {
	switch w.Why {
	case retention.WaitsDrift:
		return "What is over stays: time servers say that the gateway’s clock is off."
	case retention.WaitsClock:
		return ui.Say("What is over stays until {1}, because the gateway’s clock was set. If it is wrong, set it right before that.", clock(w.Until))
	case retention.WaitsRules:
		return ui.Say("What is over stays until {1}, because the rules or the archive were changed. If that was a slip, mend it before that.", clock(w.Until))
	}
	return ui.Say("What is over stays until {1}: before that nothing is removed here for the first time.", clock(w.Until))
}

// retentionRows lists the rules in force, and whether the file says so.
func (v *visit) retentionRows(rules, file retention.Rules) []retentionRow {
	from := func(days, filed int, ok bool) ui.Text {
		if ok && days == filed {
			return "Configuration file"
		}
		return "Set here"
	}
	var rows []retentionRow
	for _, name := range slices.Sorted(maps.Keys(rules.Clusters)) {
		filed, ok := file.Clusters[name]
		kind := ui.Text("Cluster")
		if find(v.Snapshot.Directory().Clusters, clusterNamed(name)) == nil {
			kind = "Cluster, but none has this name now" // it was removed, or the rule has a slip and keeps nothing
		}
		rows = append(rows, retentionRow{ui.Verbatim(name), kind, daysWords(rules.Clusters[name]), from(rules.Clusters[name], filed, ok)})
	}
	for _, name := range slices.Sorted(maps.Keys(rules.Classifications)) {
		filed, ok := file.Classifications[name]
		rows = append(rows, retentionRow{ui.Verbatim(name), "Classification", daysWords(rules.Classifications[name]), from(rules.Classifications[name], filed, ok)})
	}
	return append(rows, retentionRow{"All others, sign-ins and changes among them", "", daysWords(rules.Days), from(rules.Days, file.Days, true)})
}

// whatStays says why the oldest file was left at the last look.
func (v *visit) whatStays(p *retention.Plan) ui.Text {
	if p.Oldest == nil {
		return ""
	}
	first := p.Oldest.First
	switch k := p.Kept; k.Why {
	case retention.KeptByAccount:
		return ui.Say("From entry {1} on: a legal hold stands on {2}.", first, v.whoDid(k.What).Label)
	case retention.KeptByEngagement:
		return ui.Say("From entry {1} on: a legal hold stands on engagement {2}.", first, k.What)
	case retention.KeptByTaker:
		return ui.Say("From entry {1} on: {2} has not taken all of it.", first, k.What)
	case retention.KeptByLog:
		return ui.Say("From entry {1} on: a request in it still runs, or no checkpoint covers it.", first)
	}
	if p.Until.IsZero() {
		return ui.Say("From entry {1} on: kept for ever.", first)
	}
	return ui.Say("From entry {1} on: until {2} at least.", first, clock(p.Until))
}

func (c *Console) askPrune(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Retention == nil {
		return ui.NotFound()
	}
	effects := []ui.Text{"Entries whose time is over by the rules are removed, as once a day anyway. Their hashes stay, and an entry says what went and who asked for it.",
		"What a legal hold keeps, a delivery has not taken or no checkpoint covers stays, and all for a week after the clock was set or the rules were changed.", "This cannot be undone."}
	if c.Retention.ArchivedTo() != "" {
		effects[2] = "They are put into the archive first, from which they can be fetched back and proven."
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{Base: v.page("Retention"), Question: "Remove what is over now?", About: ui.Link{Label: "Retention", URL: retentionPath},
		Effects: effects, Action: "Remove what is over", URL: retentionPath + "/prune", Back: retentionPath, Danger: true})
}

func (c *Console) prune(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Retention == nil {
		return ui.NotFound()
	}
	c.Retention.Ask(v.Session.Account)
	return c.seeOther(w, r, v, retentionPath, "What is over is being removed.")
}
