package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// factorsPage is the data of the page "factors": one block for each kind of
// factor, each with its own template in the page's folder.
type factorsPage struct {
	Base
	TOTP   totpBlock
	Keys   keysBlock
	Others int // sessions besides this one, to end after a change; 0: not offered
}

// totpBlock is the part of the page about authenticator apps.
type totpBlock struct {
	Devices []factorRow
	Most    int
	Room    bool // another may be added
}

// A factorRow is one factor in a list.
type factorRow struct {
	ID, Name        string
	URL             string
	Created, Used   time.Time
	UsedAgo         ui.Text
	Offset, Seconds int // of the newest code: steps, and their seconds without a sign
}

func newFactorRow(a auth.Authenticator, now time.Time) factorRow {
	return factorRow{ID: a.ID, Name: a.Name, URL: "/factors/" + a.ID, Created: a.Created, Used: a.LastUsed, UsedAgo: ago(now, a.LastUsed),
		Offset: a.Offset, Seconds: 30 * max(a.Offset, -a.Offset)}
}

// factorNotes are what the page can be asked to say. Only the key is in the URL.
var factorNotes = map[string]ui.Flash{
	"added":   {Kind: ui.Good, Text: "Added. From now on its codes let you in as well."},
	"removed": {Kind: ui.Good, Text: "Removed. Its codes are worth nothing any more: delete the entry in that app."},
	"renamed": {Kind: ui.Good, Text: "Renamed."},
	"expired": {Kind: ui.Warn, Text: "Adding the device took too long, or was done elsewhere. Nothing was changed. Please start again."},
	"full":    {Kind: ui.Warn, Text: "You have as many authenticator apps as there may be. Remove one that you no longer use first."},
	"guessed": {Kind: ui.Warn, Text: "So many wrong codes were given for your account this month that another device cannot be added now. If that was not you, somebody knows your password: tell your administrator."},
}

func (c *Console) showFactors(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := &factorsPage{Base: v.page("My factors")}
	// Each kind of factor fills its own block.
	for _, fill := range []func(context.Context, *visit, *factorsPage) error{c.fillTOTP, c.fillKeys} {
		if err := fill(r.Context(), v, page); err != nil {
			return err
		}
	}
	note := r.URL.Query().Get("note")
	if f, ok := factorNotes[note]; ok {
		page.Flash = &f
	}
	if note == "added" || note == "removed" {
		list, err := c.Auth.SessionsOf(r.Context(), v.Session.Account)
		if err != nil {
			return authError(err, "listing sessions")
		}
		page.Others = max(0, len(list)-1)
	}
	c.UI.Page(w, r, http.StatusOK, "factors", page)
	return nil
}

func (c *Console) fillTOTP(ctx context.Context, v *visit, page *factorsPage) error {
	list, err := c.Auth.Authenticators(ctx, v.Session.Account)
	if err != nil {
		return authError(err, "listing factors")
	}
	page.TOTP.Most = auth.MaxTOTP
	for _, a := range list {
		if a.Kind == policy.FactorTOTP {
			page.TOTP.Devices = append(page.TOTP.Devices, newFactorRow(a, v.Now))
		}
	}
	page.TOTP.Room = len(page.TOTP.Devices) < auth.MaxTOTP
	return nil
}

// factorPage is the data of the page "factor": one factor, to rename or remove.
type factorPage struct {
	Base
	Factor factorRow
	Name   ui.Field
	Only   bool // it is the last one and stays
}

func (c *Console) factorForm(r *http.Request, v *visit) (*factorPage, error) {
	list, err := c.Auth.Authenticators(r.Context(), v.Session.Account)
	if err != nil {
		return nil, authError(err, "listing factors")
	}
	for _, a := range list {
		if a.ID == r.PathValue("id") {
			p := &factorPage{Base: v.Titled("My factors"), Factor: newFactorRow(a, v.Now), Only: len(list) == 1, Name: factorNameField(a.Name)}
			p.Name.Required = true
			if p.Only {
				keys, err := c.Auth.SecurityKeys(r.Context(), v.Session.Account)
				if err != nil {
					return nil, authError(err, "listing keys")
				}
				p.Only = len(keys) == 0
			}
			return p, nil
		}
	}
	return nil, &ui.Error{Status: http.StatusNotFound, Title: "That factor is gone", Detail: "It has been removed already, or it is not yours."}
}

func factorNameField(value string) ui.Field {
	return ui.Field{Name: "name", Label: "Name", Value: value, MaxLength: auth.MaxFactorName, Autocomplete: "off", Placeholder: "Work phone"}
}

func (c *Console) showFactor(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := c.factorForm(r, v)
	if err != nil {
		return err
	}
	c.UI.Page(w, r, http.StatusOK, "factor", page)
	return nil
}

// nameFault words what is wrong with the name of a factor, empty when nothing is.
func nameFault(err error) ui.Text {
	switch {
	case errors.Is(err, auth.ErrNameTaken):
		return "Another of your factors has this name. Choose one that tells them apart."
	case errors.Is(err, auth.ErrInvalid):
		return "This cannot be a name. Use a few plain words."
	}
	return ""
}

func (c *Console) renameFactor(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := c.factorForm(r, v)
	if err != nil {
		return err
	}
	name := r.PostForm.Get("name")
	if name == "" {
		page.Name.Error = "Give it a name, so that you recognise it in the list."
	} else if err = c.Auth.RenameAuthenticator(r.Context(), v.Origin, v.Session, page.Factor.ID, name); err != nil {
		if page.Name.Error = nameFault(err); page.Name.Error == "" {
			return c.factorError(v, err, page.Factor.URL, "renaming a factor")
		}
	}
	if page.Name.Error != "" {
		page.Name.Value = clip(name, auth.MaxFactorName)
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "factor", page)
		return nil
	}
	http.Redirect(w, r, "/factors?note=renamed", http.StatusSeeOther)
	return nil
}

func (c *Console) removeFactor(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := c.factorForm(r, v)
	if err != nil {
		return err
	}
	value, err := c.Auth.RemoveAuthenticator(r.Context(), v.Origin, v.Session, page.Factor.ID)
	if errors.Is(err, auth.ErrLastFactor) {
		page.Only = true
		c.UI.Page(w, r, http.StatusConflict, "factor", page)
		return nil
	}
	if err != nil {
		return c.factorError(v, err, page.Factor.URL, "removing a factor")
	}
	setCookie(w, auth.SessionCookie, value, 0)
	http.Redirect(w, r, "/factors?note=removed", http.StatusSeeOther)
	return nil
}

// factorError maps what no form of the pages shows.
func (c *Console) factorError(_ *visit, err error, back, doing string) error {
	if errors.Is(err, auth.ErrCodeStale) {
		return &needsCode{back: back}
	}
	return authError(err, doing)
}
