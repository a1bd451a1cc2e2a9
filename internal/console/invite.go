package console

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// rolesFrom reads the roles that a form gives to an account of a vendor, or
// to one of the customer's own people.
func rolesFrom(f *form, vendor string) []policy.Role {
	var roles []policy.Role
	for _, s := range f.someOf("roles", everyRole()) {
		roles = append(roles, policy.Role(s))
	}
	contractor := slices.Contains(roles, policy.Contractor)
	switch {
	case len(roles) == 0:
		f.fault("roles", "Choose at least one role.")
	case contractor && len(roles) > 1:
		f.fault("roles", "A contractor holds no other role.")
	case contractor && vendor == "":
		f.fault("vendor", "A contractor belongs to a vendor.")
	case !contractor && vendor != "":
		f.fault("roles", "A vendor's people can only be contractors.")
	}
	return roles
}

// personFields are the form's fields for those of an account.
var personFields = fieldMap(map[string]string{"email": "email", "name": "name", "vendor": "vendor", "roles": "roles", "ends": "ends", "time_zone": "time_zone", "log_clusters": "log_clusters"})

// personGroups are the controls of the forms that invite and edit. The
// address names the account, so it cannot be edited.
func personGroups(d *directory.Directory, f *form, email bool) []group {
	who := controls(with(f.text("name", "Name"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }))
	if email {
		who = append(controls(with(f.text("email", "E-mail address"), func(u *ui.Field) {
			u.Type, u.Required, u.Autofocus, u.MaxLength = "email", true, f.OK(), 254
			u.Hint = "The person signs in with it. It cannot be changed later."
		})), who...)
	}
	roles := make([]choice, 0, len(policy.Roles))
	for _, r := range policy.Roles {
		roles = append(roles, choice{Value: string(r), Label: ui.Known(string(r)), Hint: roleWords[r]})
	}
	return []group{
		{Title: "Who", Controls: who},
		{Title: "Place", Controls: append(controls(
			with(f.choice("vendor", "Vendor", "None: one of your own people", vendorOptions(d)), func(u *ui.Field) {
				u.Hint = "Contractors belong to a vendor; administrators, approvers and reviewers do not."
			}),
			f.boxes("roles", "Roles", roles),
			with(f.day("ends", "Last day"), func(u *ui.Field) {
				u.Hint = "The account works until the end of this day, UTC. A contractor must have one, at most 180 days ahead."
			}),
			zoneField(f),
			logClustersField(f, d),
		), shortening(f, email)...)},
	}
}

// accountEnds reads an account's last day, which a contractor must have.
func accountEnds(f *form, roles []policy.Role) time.Time {
	return f.ends("ends", slices.Contains(roles, policy.Contractor))
}

// newPersonForm shows the form for a new account; the address may fill it.
func (c *Console) newPersonForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := newForm(url.Values{})
	for _, name := range []string{"email", "name", "vendor", "ends", "time_zone"} {
		if s := q.Get(name); s != "" {
			f.values.Set(name, clip(s, 254))
		}
	}
	f.values["roles"], f.values["pass_on"] = q["roles"], q["pass_on"]
	if len(q["roles"]) == 0 {
		f.values.Set("roles", string(policy.Contractor))
	}
	return c.showNewPerson(w, r, v, f)
}

func (c *Console) showNewPerson(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	return c.showEdit(w, r, f, editPage{
		Base:   v.page("Invite somebody"),
		Lede:   "This makes the account and a link, which you hand over. Whoever opens it sets a password and enrols an authenticator. It works once, for 24 hours.",
		Groups: append(personGroups(v.Snapshot.Directory(), f, true), c.passOnGroup(f)), Submit: "Make account and link", URL: "/console/people/invite", Back: "/console/people",
	})
}

// newPerson makes an account and shows its invitation link once.
func (c *Console) newPerson(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	d := v.Snapshot.Directory()
	email, err := directory.CanonicalEmail(f.address("email"))
	if err != nil {
		f.fault("email", "Give one e-mail address, such as kim@example.com.")
	}
	a := directory.Account{Email: email, Name: f.line("name", "a name", 120, true)}
	a.Vendor = f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), ""))
	a.Roles = rolesFrom(f, a.Vendor)
	a.Ends = accountEnds(f, a.Roles)
	a.TimeZone = f.zone("time_zone")
	a.LogClusters = logClustersFrom(f, d, a.Roles)
	if !a.Ends.IsZero() && !v.Now.Before(a.Ends) {
		f.fault("ends", "This day is over.")
	}
	if f.OK() {
		err := c.editForm(r, v, f, "account "+a.Email, personFields, func(d *directory.Directory) error {
			if find(d.Accounts, accountWithEmail(a.Email)) != nil {
				return errTaken
			}
			d.Accounts = append(d.Accounts, a)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if f.taken() {
		f.fault("email", "There is an account with this address already.")
	}
	if !f.OK() {
		return c.showNewPerson(w, r, v, f)
	}
	made := find(c.Directory.Snapshot().Directory().Accounts, accountWithEmail(a.Email))
	if made == nil {
		return &ui.Error{Status: http.StatusServiceUnavailable, Detail: "The account was made, but is not in force yet. Open it in a moment and make a link there."}
	}
	return c.inviteAndReveal(w, r, v, made)
}

// askReinvite asks before a new link voids the old one.
func (c *Console) askReinvite(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot invite your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("New invitation for {1}", a.Email)), Question: ui.Say("Make a new invitation link for {1}?", nameOf(a)),
		About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Effects: []ui.Text{
			"An earlier link, when there is one, stops working.",
			"The new link works once, for 24 hours, and is shown to you once.",
		},
		Boxes: c.passOnChoices(nil), Action: "Make the link", URL: personURL(a.ID) + "/invite", Back: personURL(a.ID),
	})
}

func (c *Console) reinvite(w http.ResponseWriter, r *http.Request, v *visit) error {
	a, err := c.otherPerson(v.Snapshot.Directory(), r, v, "You cannot invite your own account. Ask another administrator.")
	if err != nil {
		return err
	}
	return c.inviteAndReveal(w, r, v, a)
}

// editPersonForm shows the form for an account's name, vendor, roles and last day.
func (c *Console) editPersonForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	a := find(v.Snapshot.Directory().Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	f := newForm(url.Values{"name": {a.Name}, "vendor": {a.Vendor}, "ends": {lastDayValue(a.Ends)}, "time_zone": {a.TimeZone}, "log_clusters": a.LogClusters, "seen": {accountState(a)}})
	for _, role := range a.Roles {
		f.values.Add("roles", string(role))
	}
	return c.showEditPerson(w, r, v, a, f)
}

// accountState names the state of what an administrator can edit of an account.
func accountState(a *directory.Account) string {
	return fingerprint([]any{a.Name, a.Vendor, a.Roles, a.Ends, a.Disabled, a.TimeZone, a.LogClusters})
}

func (c *Console) showEditPerson(w http.ResponseWriter, r *http.Request, v *visit, a *directory.Account, f *form) error {
	page := editPage{
		Base: v.page(ui.Say("Edit {1}", nameOf(a))), About: ui.Link{Label: ui.Verbatim(a.Email), URL: personURL(a.ID)},
		Groups: personGroups(v.Snapshot.Directory(), f, false), Submit: "Save", Seen: f.Value("seen"), URL: personURL(a.ID) + "/edit", Back: personURL(a.ID),
	}
	if a.ID == v.Session.Account {
		page.Lede = "This is your own account: you can change your name. Roles and the last day are for another administrator to change."
		page.Groups = page.Groups[:1]
	}
	return c.showEdit(w, r, f, page)
}

func (c *Console) editPerson(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	d := v.Snapshot.Directory()
	a := find(d.Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	want := *a
	want.Name = f.line("name", "a name", 120, true)
	if a.ID != v.Session.Account {
		want.Vendor = f.oneOf("vendor", "a vendor", append(names(d.Vendors, vendorName), ""))
		want.Roles = rolesFrom(f, want.Vendor)
		want.TimeZone = f.zone("time_zone")
		want.LogClusters = logClustersFrom(f, d, want.Roles)
		// The last day stays as it is, to the second, unless it was changed.
		if f.Value("ends") != lastDayValue(a.Ends) {
			want.Ends = accountEnds(f, want.Roles)
		}
	}
	return c.save(w, r, v, f, saving{
		object: "account " + a.Email, field: personFields,
		change: func(d *directory.Directory) error {
			have := find(d.Accounts, accountWithID(a.ID))
			switch {
			case have == nil:
				return errGone
			case accountState(have) != f.Value("seen"):
				return errChanged
			}
			have.Name, have.Vendor, have.Roles, have.Ends, have.TimeZone = want.Name, want.Vendor, want.Roles, want.Ends, want.TimeZone
			have.LogClusters = want.LogClusters
			if f.Checked("shorten", "yes") && !want.Ends.IsZero() {
				shorten(d, want.Ends, func(x *directory.Assignment) bool { return x.Account == a.Email })
			}
			return nil
		},
		again: func() error { return c.showEditPerson(w, r, v, a, f) },
		to:    personURL(a.ID), said: ui.Say("{1} is saved.", nameOf(&want)),
	})
}
