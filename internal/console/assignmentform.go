package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

var assignmentFields = fieldMap(map[string]string{"account": "account", "cluster": "cluster", "engagement": "engagement", "starts": "starts", "ends": "ends",
	"access": "access", "methods": "methods", "paths": "paths", "reason": "reason", "": "account"})

// methodChoices are the methods that an assignment can be limited to.
var methodChoices = []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}

func assignmentGroups(d *directory.Directory, f *form, isNew bool, vendor string) []group {
	var engagements []ui.Option
	for _, e := range d.Engagements {
		if e.Closed || vendor != "" && e.Vendor != vendor {
			continue
		}
		engagements = append(engagements, ui.Option{Value: e.Name, Label: ui.Say("{1} ({2}, until {3})", cmp.Or(e.Title, e.Name), vendorLink(d, e.Vendor).Label, lastDay(e.Ends))})
	}
	who := controls(with(f.choice("engagement", "Engagement", "Choose the contract this stands under", engagements), func(u *ui.Field) {
		u.Required, u.Hint = true, "It must be the vendor's own and cover the cluster."
	}))
	if isNew {
		who = append(controls(
			with(f.text("account", "E-mail of the contractor"), func(u *ui.Field) { u.Type, u.Required, u.MaxLength = "email", true, 254 }),
			with(f.choice("cluster", "Cluster", "Choose a cluster", clusterOptions(d)), func(u *ui.Field) { u.Required = true }),
		), who...)
	}
	access := f.boxes("access", "Access", []choice{
		{Value: policy.AccessRead, Label: "Read", Hint: "GET, HEAD and OPTIONS"},
		{Value: policy.AccessWrite, Label: "Read and write", Hint: "every method"},
	})
	access.One = true
	methods := f.boxes("methods", "Only these methods", choicesOf(methodChoices))
	methods.Short = true
	methods.Hint = "None ticked: every method that the access above allows."
	return []group{
		{Title: "Who and what", Controls: who},
		{Title: "Time", Hint: "Whole days, UTC, within the engagement.", Controls: controls(
			with(f.day("starts", "First day"), func(u *ui.Field) { u.Required = true }),
			with(f.day("ends", "Last day"), func(u *ui.Field) { u.Required = true }),
		)},
		{Title: "Scope", Controls: controls(access, methods, with(f.area("paths", "Only these paths", 3), func(u *ui.Field) {
			u.Mono, u.Placeholder, u.Hint = true, "/api/claims", "One prefix a line: /api covers /api and /api/x, not /apix. Empty: every path."
		}))},
		{Title: "Why", Controls: controls(with(f.area("reason", "Reason", 2), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Hint = true, 500, "For whoever reviews this later. The contractor sees it too."
		}))},
	}
}

func choicesOf(values []string) []choice {
	var out []choice
	for _, v := range values {
		out = append(out, choice{Value: v, Label: ui.Verbatim(v)})
	}
	return out
}

// assignmentFrom reads what can be edited of an assignment. Dates that were
// not changed stay as they are, to the second.
func assignmentFrom(d *directory.Directory, f *form, want *directory.Assignment) {
	want.Engagement = f.oneOf("engagement", "an engagement", names(d.Engagements, engagementName))
	if f.Value("starts") != dateValue(want.Starts) || want.Starts.IsZero() {
		want.Starts = f.starts("starts", true)
		// The first day of a contract that begins during a day begins with it.
		if e := find(d.Engagements, engagementNamed(want.Engagement)); e != nil && dateValue(e.Starts) == dateValue(want.Starts) && want.Starts.Before(e.Starts) {
			want.Starts = e.Starts
		}
	}
	if f.Value("ends") != lastDayValue(want.Ends) || want.Ends.IsZero() {
		want.Ends = f.ends("ends", true)
	}
	if !want.Starts.IsZero() && !want.Ends.IsZero() && !want.Starts.Before(want.Ends) {
		f.fault("ends", "The last day is before the first.")
	}
	want.Access = f.oneOf("access", "what access", []string{policy.AccessRead, policy.AccessWrite})
	want.Methods = f.someOf("methods", methodChoices)
	if want.Access == policy.AccessRead {
		for _, m := range want.Methods {
			if !slices.Contains(methodChoices[:3], m) {
				f.fault("methods", "{1} is not reading.", m)
			}
		}
	}
	want.Paths = f.lines("paths")
	for _, p := range want.Paths {
		if !strings.HasPrefix(p, "/") {
			f.fault("paths", "“{1}” does not begin with a slash.", clip(p, 80))
		}
	}
	want.Reason = strings.Join(f.lines("reason"), " ")
	switch {
	case want.Reason == "":
		f.fault("reason", "Say why.")
	case len(want.Reason) > 500:
		f.fault("reason", "At most 500 characters.")
	}
}

func (c *Console) newAssignmentForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, q := v.Snapshot.Directory(), r.URL.Query()
	f := newForm(url.Values{"starts": {dateValue(v.Now)}, "access": {policy.AccessRead}})
	account := find(d.Accounts, accountWithEmail(q.Get("account")))
	if account != nil {
		f.values.Set("account", account.Email)
	}
	if e := find(d.Engagements, engagementNamed(q.Get("engagement"))); e != nil && account == nil {
		f.values.Set("engagement", e.Name)
		f.values.Set("ends", lastDayValue(e.Ends))
		if len(e.Clusters) == 1 {
			f.values.Set("cluster", e.Clusters[0])
		}
	}
	if cl := find(d.Clusters, clusterNamed(q.Get("cluster"))); cl != nil {
		f.values.Set("cluster", cl.Name)
	}
	// Where only one engagement can be meant, it is chosen already, with its end.
	var fits []directory.Engagement
	for _, e := range d.Engagements {
		if !e.Closed && v.Now.Before(e.Ends) && account != nil && e.Vendor == account.Vendor && (f.Value("cluster") == "" || slices.Contains(e.Clusters, f.Value("cluster"))) {
			fits = append(fits, e)
		}
	}
	if len(fits) == 1 {
		f.values.Set("engagement", fits[0].Name)
		ends := fits[0].Ends
		if !account.Ends.IsZero() && account.Ends.Before(ends) {
			ends = account.Ends
		}
		f.values.Set("ends", lastDayValue(ends))
	}
	return c.showNewAssignment(w, r, v, f)
}

func (c *Console) showNewAssignment(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	d, vendor := v.Snapshot.Directory(), ""
	if a := find(d.Accounts, accountWithEmail(f.Value("account"))); a != nil {
		vendor = a.Vendor
	}
	return c.showEdit(w, r, f, editPage{Base: v.page("Give access"), Lede: "One person, one cluster, one contract, from a day to a day.",
		Groups: assignmentGroups(d, f, true, vendor), Submit: "Give access", URL: "/console/assignments/new", Back: "/console/assignments"})
}

func (c *Console) newAssignment(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, f := v.Snapshot.Directory(), posted(r)
	want := directory.Assignment{Cluster: f.oneOf("cluster", "a cluster", names(d.Clusters, clusterName))}
	email, err := directory.CanonicalEmail(f.address("account"))
	account := find(d.Accounts, accountWithEmail(email))
	switch {
	case err != nil:
		f.fault("account", "Give one e-mail address, such as kim@example.com.")
	case account == nil:
		f.fault("account", "There is no account with this address. Invite the person first.")
	case account.ID == v.Session.Account:
		f.fault("account", "You cannot give access to yourself. Ask another administrator.")
	}
	want.Account = email
	assignmentFrom(d, f, &want)
	if account == nil || !f.OK() {
		return c.showNewAssignment(w, r, v, f)
	}
	return c.save(w, r, v, f, saving{
		object: "assignment " + want.Account + "/" + want.Cluster, field: assignmentFields,
		change: func(d *directory.Directory) error {
			have := find(d.Assignments, assignmentOf(want.Account, want.Cluster))
			switch {
			case have == nil:
				d.Assignments = append(d.Assignments, want)
			case v.Now.Before(have.Ends):
				return errTaken
			default: // an ended one makes room; the log keeps its history
				*have = want
			}
			return nil
		},
		taken: func() {
			f.fault("account", "This person has access to this cluster already. Edit that assignment instead.")
		},
		again: func() error { return c.showNewAssignment(w, r, v, f) },
		to:    assignmentURL(account.ID, want.Cluster), said: ui.Say("{1} has access.", nameOf(account)),
	})
}

func (c *Console) editAssignmentForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	account, a, err := c.othersAssignment(r, v)
	if err != nil {
		return err
	}
	return c.showEditAssignment(w, r, v, account, a, newForm(url.Values{"engagement": {a.Engagement}, "starts": {dateValue(a.Starts)}, "ends": {lastDayValue(a.Ends)},
		"access": {a.Access}, "methods": a.Methods, "paths": {strings.Join(a.Paths, "\n")}, "reason": {a.Reason}, "seen": {fingerprint(a)}}))
}

// othersAssignment returns the assignment to change; one's own is refused in words.
func (c *Console) othersAssignment(r *http.Request, v *visit) (*directory.Account, *directory.Assignment, error) {
	account, a, err := locate(v.Snapshot.Directory(), r)
	if err != nil {
		return nil, nil, err
	}
	if account.ID == v.Session.Account {
		return nil, nil, &ui.Error{Status: http.StatusForbidden, Code: "own_account", Title: "Not for yourself",
			Detail: "You cannot change your own access. Ask another administrator."}
	}
	return account, a, nil
}

func (c *Console) showEditAssignment(w http.ResponseWriter, r *http.Request, v *visit, account *directory.Account, a *directory.Assignment, f *form) error {
	at := assignmentURL(account.ID, a.Cluster)
	return c.showEdit(w, r, f, editPage{Base: v.page("Edit access"), About: ui.Link{Label: ui.Say("{1} on {2}", nameOf(account), a.Cluster), URL: at},
		Lede: "A change is in force at once, for open connections too.", Groups: assignmentGroups(v.Snapshot.Directory(), f, false, account.Vendor),
		Seen: f.Value("seen"), Submit: "Save", URL: at + "/edit", Back: at})
}

func (c *Console) editAssignment(w http.ResponseWriter, r *http.Request, v *visit) error {
	account, a, err := c.othersAssignment(r, v)
	if err != nil {
		return err
	}
	f, want := posted(r), *a
	assignmentFrom(v.Snapshot.Directory(), f, &want)
	return c.save(w, r, v, f, saving{
		object: "assignment " + a.Account + "/" + a.Cluster, field: assignmentFields,
		change: func(d *directory.Directory) error {
			return replace(find(d.Assignments, assignmentOf(a.Account, a.Cluster)), f.Value("seen"), want)
		},
		again: func() error { return c.showEditAssignment(w, r, v, account, a, f) },
		to:    assignmentURL(account.ID, a.Cluster), said: ui.Say("The access of {1} is saved.", nameOf(account)),
	})
}
