package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/internal/ui"
)

// A rule says so many days, as in the configuration file.
const (
	leastRetained = 30
	mostRetained  = 36500
)

// waitingRule is one that another administrator is to approve.
type waitingRule struct {
	For, Days, Reason ui.Text
	Asked             time.Time
	By                ui.Link
	ApproveURL        string // empty for whoever may not
	RefuseURL         string
}

func daysWords(n int) ui.Text {
	switch n {
	case 0:
		return "for ever"
	case directory.RetainAsFile:
		return "as the configuration file says"
	}
	return ui.Count(n, "{1} day", "{1} days")
}

// retainedWords names what a rule is for.
func retainedWords(kind, subject string) ui.Text {
	switch kind {
	case directory.RetainCluster:
		return ui.Say("Cluster {1}", subject)
	case directory.RetainClassification:
		return ui.Say("Classification {1}", subject)
	}
	return "All others, sign-ins and changes among them"
}

func retentionRuleURL(id int64, act string) string {
	return retentionPath + "/rules/" + strconv.FormatInt(id, 10) + "/" + act
}

func (v *visit) waitingRules(kept []directory.RetentionRule) (out []waitingRule) {
	for i := range kept {
		r := &kept[i]
		if r.State != directory.RetainWaiting {
			continue
		}
		row := waitingRule{For: retainedWords(r.Kind, r.Subject), Days: daysWords(r.Days), Reason: ui.Verbatim(r.Reason), Asked: r.Asked, By: v.whoDid(r.AskedBy)}
		if v.mayChange() {
			row.RefuseURL = retentionRuleURL(r.ID, "refuse")
			if r.AskedBy != v.Session.Account {
				row.ApproveURL = retentionRuleURL(r.ID, "approve")
			}
		}
		out = append(out, row)
	}
	return out
}

// retentionGroups is the form. What it is for stands in one field: kind, a
// colon, and the name.
func retentionGroups(d *directory.Directory, f *form) []group {
	var options []ui.Option
	add := func(kind, subject string) {
		value := kind + ":" + subject
		options = append(options, ui.Option{Value: value, Label: retainedWords(kind, subject), Selected: f.Value("for") == value})
	}
	add(directory.RetainRest, "")
	for _, class := range directory.Classifications {
		add(directory.RetainClassification, class)
	}
	for i := range d.Clusters {
		add(directory.RetainCluster, d.Clusters[i].Name)
	}
	return []group{{Controls: controls(
		with(f.choice("for", "Entries of", "Choose", options), func(u *ui.Field) { u.Required = true }),
		with(f.text("days", "Days"), func(u *ui.Field) {
			u.MaxLength, u.Hint = 5, "30 to 36500, or 0 for ever. Empty: as the configuration file says, below which nothing goes."
		}),
		with(f.text("reason", "Reason"), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Hint = true, 300, "It is kept in the access log and shown here."
		}),
	)}}
}

// readRetention reads the form.
func readRetention(d *directory.Directory, f *form) directory.RetentionRule {
	r := directory.RetentionRule{Days: directory.RetainAsFile, Reason: f.line("reason", "a reason", 300, true)}
	known := false
	for _, g := range retentionGroups(d, newForm(nil)) {
		for _, o := range g.Controls[0].Field.Options {
			known = known || o.Value == f.Value("for") && o.Value != ""
		}
	}
	r.Kind, r.Subject, _ = strings.Cut(f.Value("for"), ":")
	if !known {
		f.fault("for", "Choose what the rule is for.")
	}
	if text := strings.TrimSpace(f.Value("days")); text != "" {
		n, err := strconv.Atoi(text)
		if r.Days = n; err != nil || n != 0 && (n < leastRetained || n > mostRetained) {
			f.fault("days", "Give 30 to 36500 days, or 0 for ever.")
		}
	}
	return r
}

func (c *Console) setRetention(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Retention == nil {
		return ui.NotFound()
	}
	f := posted(r)
	rule := readRetention(v.Snapshot.Directory(), f)
	if !f.OK() {
		return c.showRetention(w, r, v, f)
	}
	rule, err := c.Retention.Set(r.Context(), v.Actor(), rule)
	switch {
	case errors.Is(err, retention.ErrBelowFile):
		f.fault("days", "The configuration file keeps these entries for longer. Whoever runs the gateway can change that.")
		return c.showRetention(w, r, v, f)
	case err != nil:
		return privacyError(err)
	case rule.State == directory.RetainWaiting:
		return c.seeOther(w, r, v, retentionPath, "Entries would go sooner: another administrator must approve it.")
	}
	return c.seeOther(w, r, v, retentionPath, "The rule is in force.")
}

// waitingRetention finds the rule of a request.
func (c *Console) waitingRetention(r *http.Request) (*directory.RetentionRule, error) {
	if c.Retention == nil {
		return nil, ui.NotFound()
	}
	all, err := c.Retention.Kept(r.Context())
	if err != nil {
		return nil, unavailable(err)
	}
	for i := range all {
		if all[i].State == directory.RetainWaiting && strconv.FormatInt(all[i].ID, 10) == r.PathValue("id") {
			return &all[i], nil
		}
	}
	return nil, ui.NotFound()
}

func (c *Console) askApproveRetention(w http.ResponseWriter, r *http.Request, v *visit) error {
	rule, err := c.waitingRetention(r)
	if err != nil {
		return err
	}
	if rule.AskedBy == v.Session.Account {
		return &ui.Error{Status: http.StatusForbidden, Detail: "You asked for this yourself: another administrator must approve it."}
	}
	last := ui.Text("This cannot be undone.")
	if c.Retention.ArchivedTo() != "" {
		last = "They are put into the archive first, from which they can be fetched back and proven."
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{Base: v.page("Retention"), Question: ui.Say("Keep entries for less time? {1}: {2}", retainedWords(rule.Kind, rule.Subject), daysWords(rule.Days)),
		About: ui.Link{Label: "Retention", URL: retentionPath}, Danger: true, Action: "Approve", URL: retentionRuleURL(rule.ID, "approve"), Back: retentionPath,
		Effects: []ui.Text{ui.Say("{1} asked for it because: {2}", v.whoDid(rule.AskedBy).Label, rule.Reason), "What is over by the new rule goes in a week: until then a slip can be mended. Hashes stay.",
			last}})
}

func (c *Console) approveRetention(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.decideRetention(w, r, v, true, "The rule is in force.")
}

func (c *Console) askRefuseRetention(w http.ResponseWriter, r *http.Request, v *visit) error {
	rule, err := c.waitingRetention(r)
	if err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{Base: v.page("Retention"), Question: ui.Say("Refuse this rule? {1}: {2}", retainedWords(rule.Kind, rule.Subject), daysWords(rule.Days)),
		About: ui.Link{Label: "Retention", URL: retentionPath}, Action: "Refuse", URL: retentionRuleURL(rule.ID, "refuse"), Back: retentionPath,
		Effects: []ui.Text{"Entries are kept as they are now."}})
}

func (c *Console) refuseRetention(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.decideRetention(w, r, v, false, "The rule was refused.")
}

func (c *Console) decideRetention(w http.ResponseWriter, r *http.Request, v *visit, approve bool, said ui.Text) error {
	rule, err := c.waitingRetention(r)
	if err != nil {
		return err
	}
	err = c.Retention.Decide(r.Context(), v.Actor(), rule.ID, approve)
	if errors.Is(err, directory.ErrNoRule) {
		return ui.NotFound()
	}
	if _, ok := errors.AsType[*change.SecondError](err); ok {
		return &ui.Error{Status: http.StatusForbidden, Err: err,
			Detail: "Within the last 30 days one of you two made or changed the other’s account or sign-in, or one person did so with both. So that nobody approves alone, another administrator must approve it."}
	}
	if err != nil {
		return privacyError(err)
	}
	return c.seeOther(w, r, v, retentionPath, said)
}
