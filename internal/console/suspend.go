package console

import (
	"cmp"
	"net/http"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// askSuspend asks before a vendor is suspended, and counts what it will cut.
func (c *Console) askSuspend(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showSuspend(w, r, v, newForm(nil))
}

func (c *Console) showSuspend(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	d := v.Snapshot.Directory()
	have := find(d.Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	if have.Suspended {
		return c.seeOther(w, r, v, vendorURL(have.Name), ui.Say("{1} is suspended already.", cmp.Or(have.Title, have.Name)))
	}
	people := 0
	for _, a := range d.Accounts {
		if a.Vendor == have.Name && !a.Disabled {
			people++
		}
	}
	sessions, err := c.Auth.SessionsOfVendor(r.Context(), have.Name)
	if err != nil {
		return authError(err, "listing sessions")
	}
	title := cmp.Or(have.Title, have.Name)
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page(ui.Say("Suspend {1}", title)), Question: ui.Say("Suspend {1}?", title), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Effects: []ui.Text{
			ui.Count(people, "{1} person of this vendor will lose access to every cluster.", "{1} people of this vendor will lose access to every cluster."),
			cut(len(sessions), "Nobody of this vendor is signed in at the moment."),
			"Nothing is deleted: when the vendor is resumed, everybody has the access that stands then, after signing in again.",
		},
		Fields: []ui.Field{with(f.text("reason", "Reason"), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Autofocus, u.Hint = true, 300, true, "It is kept in the access log and shown on the vendor's page."
		})},
		Faults: f.Notes, Action: "Suspend", URL: vendorURL(have.Name) + "/suspend", Back: vendorURL(have.Name), Danger: true,
	})
}

func (c *Console) suspend(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	name := r.PathValue("name")
	reason := f.line("reason", "a reason", 300, true)
	return c.save(w, r, v, f, saving{
		object: "vendor " + name, field: vendorFields,
		change: suspending(name, true, reason),
		again:  func() error { return c.showSuspend(w, r, v, f) },
		to:     vendorURL(name), said: "The vendor is suspended. Its people have no access.",
	})
}

// suspending is the change that suspends or resumes a vendor.
func suspending(name string, suspended bool, reason string) func(*directory.Directory) error {
	return func(d *directory.Directory) error {
		have := find(d.Vendors, vendorNamed(name))
		if have == nil {
			return errGone
		}
		have.Suspended, have.SuspendedReason = suspended, reason
		return nil
	}
}

// askResume asks before a vendor's people get their access back.
func (c *Console) askResume(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	have := find(d.Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	people := 0
	for _, a := range d.Accounts {
		if a.Vendor == have.Name && !a.Disabled && inForce(a.Created, a.Ends, v.Now) {
			people++
		}
	}
	title := cmp.Or(have.Title, have.Name)
	effects := []ui.Text{ui.Count(people, "{1} person can sign in again and reach what is assigned to them.", "{1} people can sign in again and reach what is assigned to them.")}
	if have.SuspendedReason != "" {
		effects = append(effects, ui.Say("The reason for suspending was: {1}", have.SuspendedReason))
	}
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Resume {1}", title)), Question: ui.Say("Resume {1}?", title), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Effects: effects, Action: "Resume", URL: vendorURL(have.Name) + "/resume", Back: vendorURL(have.Name),
	})
}

func (c *Console) resume(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	if err := c.edit(r, v, suspending(name, false, "")); err != nil {
		return err
	}
	return c.seeOther(w, r, v, vendorURL(name), "The vendor is resumed.")
}
