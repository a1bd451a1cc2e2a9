package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

const holdsPath = "/console/holds"

// Privacy is what the pages ask about holds and erasures.
type Privacy interface {
	// Holds must return all holds, standing ones first.
	Holds(ctx context.Context) ([]directory.Hold, error)
	// PlaceHold, LiftHold and AskErasure must return only once the act is recorded.
	PlaceHold(ctx context.Context, actor directory.Actor, kind, subject, reason string) (directory.Hold, error)
	LiftHold(ctx context.Context, actor directory.Actor, id int64, why string) error
	// AskErasure must see to it that the erasure is carried out soon.
	AskErasure(ctx context.Context, actor directory.Actor, account, reason string) error
	// Erasures must return those that were asked for, the newest first.
	Erasures(ctx context.Context) ([]directory.Erasure, error)
}

type holdsPage struct {
	Base
	Rows      []holdRow
	Erased    []erasureRow
	Groups    []group // of the form; nil for whoever may place none
	Faults    []ui.Text
	MayChange bool
}

type holdRow struct {
	ID        int64
	On        ui.Link
	Kind      ui.Text
	Reason    ui.Text
	Placed    time.Time
	By        ui.Link
	Lifted    time.Time
	LiftedWhy ui.Text
	LiftURL   string
}

type erasureRow struct {
	Account ui.Hash
	Reason  ui.Text
	Asked   time.Time
	By      ui.Link
	State   ui.Badge
}

// holds lists the legal holds and the erasures.
func (c *Console) holds(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showHolds(w, r, v, newForm(url.Values{"kind": {directory.HoldAccount}}))
}

func (c *Console) showHolds(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	if c.Privacy == nil {
		return ui.NotFound()
	}
	page := holdsPage{Base: v.page("Holds and erasure"), Faults: f.Notes, MayChange: v.mayChange()}
	all, err := c.Privacy.Holds(r.Context())
	if err != nil {
		return err
	}
	d := v.Snapshot.Directory()
	for i := range all {
		page.Rows = append(page.Rows, v.newHoldRow(d, &all[i]))
	}
	erased, err := c.Privacy.Erasures(r.Context())
	if err != nil {
		return err
	}
	for _, e := range erased {
		row := erasureRow{Account: ui.Hash{Value: e.Account}, Reason: ui.Verbatim(e.Reason), Asked: e.Asked, By: v.whoDid(e.AskedBy), State: ui.Badge{Kind: ui.Good, Text: "erased"}}
		if e.Done.IsZero() {
			row.State = ui.Badge{Kind: ui.Warn, Text: "about to be done"}
		}
		page.Erased = append(page.Erased, row)
	}
	if page.MayChange {
		page.Groups = holdGroups(d, f)
	}
	return c.show(w, r, f.status(), "holds", page)
}

func (v *visit) newHoldRow(d *directory.Directory, h *directory.Hold) holdRow {
	row := holdRow{ID: h.ID, Kind: "Person", Reason: ui.Verbatim(h.Reason), Placed: h.Placed, By: v.whoDid(h.PlacedBy), Lifted: h.Lifted, LiftedWhy: ui.Verbatim(h.LiftedWhy)}
	if h.Kind == directory.HoldEngagement {
		row.Kind, row.On = "Engagement", ui.Link{Label: ui.Verbatim(h.Subject), URL: "/console/engagements/" + url.PathEscape(h.Subject)}
		if find(d.Engagements, func(e *directory.Engagement) bool { return e.Name == h.Subject }) == nil {
			row.On.URL = ""
		}
	} else {
		row.On = v.whoDid(h.Subject)
	}
	if h.Stands() && v.mayChange() && h.Subject != v.Session.Account {
		row.LiftURL = holdsPath + "/" + strconv.FormatInt(h.ID, 10) + "/lift"
	}
	return row
}

// whoDid names an account by its id.
func (v *visit) whoDid(id string) ui.Link {
	if id == directory.Operator {
		return ui.Link{Label: "somebody on the machine"}
	}
	if a, ok := v.Snapshot.Account(id); ok {
		return ui.Link{Label: ui.Verbatim(nameOf(a)), URL: personURL(id)}
	}
	return ui.Link{Label: ui.Verbatim(id)}
}

func holdGroups(d *directory.Directory, f *form) []group {
	var options []ui.Option
	for i := range d.Engagements {
		e := &d.Engagements[i]
		options = append(options, ui.Option{Value: e.Name, Label: ui.Verbatim(e.Name), Selected: f.Value("engagement") == e.Name})
	}
	return []group{{Title: "Place a hold", Controls: controls(
		with(f.text("email", "E-mail address of a person"), func(u *ui.Field) {
			u.Type, u.MaxLength, u.Hint = "email", 254, "Or leave it empty and choose an engagement."
		}),
		with(f.choice("engagement", "Engagement", "None", options), func(u *ui.Field) {
			u.Hint = "Everybody who is assigned under it is held."
		}),
		with(f.text("reason", "Reason"), func(u *ui.Field) {
			u.Required, u.MaxLength, u.Hint = true, 300, "It is kept in the access log and shown here."
		}),
	)}}
}

func (c *Console) placeHold(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.Privacy == nil {
		return ui.NotFound()
	}
	f := posted(r)
	reason := f.line("reason", "a reason", 300, true)
	kind, subject := directory.HoldEngagement, f.Value("engagement")
	if email := strings.TrimSpace(f.Value("email")); email != "" {
		kind, subject = directory.HoldAccount, ""
		if canonical, err := directory.CanonicalEmail(email); err == nil {
			if a, ok := v.Snapshot.AccountByEmail(canonical); ok {
				subject = a.ID
			}
		}
		if subject == "" {
			f.fault("email", "No account has this address.")
		} else if f.Value("engagement") != "" {
			f.fault("engagement", "Give a person or an engagement, not both.")
		}
	} else if subject == "" {
		f.fault("email", "Give a person or an engagement.")
	}
	if !f.OK() {
		return c.showHolds(w, r, v, f)
	}
	_, err := c.Privacy.PlaceHold(r.Context(), v.Actor(), kind, subject, reason)
	switch {
	case errors.Is(err, directory.ErrHeldTwice):
		f.note("A hold on it stands already.")
		return c.showHolds(w, r, v, f)
	case errors.Is(err, directory.ErrNoSubject):
		return ui.NotFound()
	case err != nil:
		return privacyError(err)
	}
	return c.seeOther(w, r, v, holdsPath, "The hold is placed.")
}

// privacyError is the page for a fault that no form shows.
func privacyError(err error) error {
	if errors.Is(err, directory.ErrNotAllowed) {
		return &ui.Error{Status: http.StatusForbidden, Detail: "Your account may not do this.", Err: err}
	}
	return unavailable(err)
}

// standingHold finds the hold of a request.
func (c *Console) standingHold(r *http.Request) (*directory.Hold, error) {
	if c.Privacy == nil {
		return nil, ui.NotFound()
	}
	all, err := c.Privacy.Holds(r.Context())
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Stands() && strconv.FormatInt(all[i].ID, 10) == r.PathValue("id") {
			return &all[i], nil
		}
	}
	return nil, ui.NotFound()
}

func (c *Console) askLiftHold(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showLiftHold(w, r, v, newForm(nil))
}

func (c *Console) showLiftHold(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	h, err := c.standingHold(r)
	if err != nil {
		return err
	}
	return c.show(w, r, f.status(), "ask", askPage{
		Base: v.page("Lift a hold"), Question: ui.Say("Lift the hold on {1}?", v.newHoldRow(v.Snapshot.Directory(), h).On.Label),
		About:   ui.Link{Label: "Holds and erasure", URL: holdsPath},
		Effects: []ui.Text{ui.Say("It was placed because: {1}", h.Reason), "What it kept can be erased from then on."},
		Fields:  []ui.Field{whyField(f)}, Faults: f.Notes, Action: "Lift the hold",
		URL: holdsPath + "/" + strconv.FormatInt(h.ID, 10) + "/lift", Back: holdsPath, Danger: true,
	})
}

func whyField(f *form) ui.Field {
	return with(f.text("reason", "Reason"), func(u *ui.Field) {
		u.Required, u.MaxLength, u.Autofocus, u.Hint = true, 300, true, "It is kept in the access log and shown here."
	})
}

func (c *Console) liftHold(w http.ResponseWriter, r *http.Request, v *visit) error {
	h, err := c.standingHold(r)
	if err != nil {
		return err
	}
	f := posted(r)
	why := f.line("reason", "a reason", 300, true)
	if !f.OK() {
		return c.showLiftHold(w, r, v, f)
	}
	err = c.Privacy.LiftHold(r.Context(), v.Actor(), h.ID, why)
	if errors.Is(err, directory.ErrNoHold) {
		return ui.NotFound()
	}
	if err != nil {
		return privacyError(err)
	}
	return c.seeOther(w, r, v, holdsPath, "The hold is lifted.")
}
