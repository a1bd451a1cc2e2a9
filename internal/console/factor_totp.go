package console

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// totpPath is where an authenticator app is added.
const totpPath = "/factors/totp"

// A scan is what the template of the same name shows: a secret as a picture,
// as text and as a link. It belongs on a page that is never stored.
type scan struct {
	Picture string // address of the QR code
	Email   string
	Secret  []string // in groups of four
	Whole   string   // the secret for copying
	URI     string
}

func newScan(picture, email, secret, uri string) scan {
	return scan{Picture: picture, Email: email, Secret: groups(secret, 4), Whole: secret, URI: uri}
}

// totpPage is the data of the page "totp": another authenticator app, first
// its name and then its secret and first code.
type totpPage struct {
	Base
	Name    ui.Field // while nothing is begun
	Device  string   // its name, once it is begun
	Scan    scan
	Code    ui.Field
	Expires time.Time
	Action  string
	Back    string // where the page leads when it is given up
	Enrol   bool   // within an enrolment: there is no way back but onwards
}

func (c *Console) totpForm(v *visit, setup *auth.TOTPSetup) *totpPage {
	p := &totpPage{Base: v.Titled("My factors"), Action: totpPath, Back: "/factors"}
	p.begun(setup, totpPath+"/qr.png")
	return p
}

// begun fills in the secret that waits, if there is one.
func (p *totpPage) begun(setup *auth.TOTPSetup, picture string) {
	p.Name = factorNameField("")
	p.Name.Hint = "How you tell your devices apart, such as “Work phone”. You may leave it empty."
	if setup == nil {
		p.Name.Autofocus = true
		return
	}
	p.Device, p.Expires = setup.Name, setup.Expires
	p.Scan = newScan(picture, setup.Email, setup.Secret, setup.URI)
	p.Code = codeField("Code from the app")
	p.Code.InputMode, p.Code.Autofocus, p.Code.MaxLength = "numeric", false, 16
}

// adding returns what the visitor's session began to add, nil when nothing waits.
func (c *Console) adding(r *http.Request, v *visit) (*auth.TOTPSetup, error) {
	setup, err := c.Auth.AddingTOTP(r.Context(), v.Session)
	if errors.Is(err, auth.ErrSetupEnded) {
		return nil, nil
	}
	if err != nil {
		return nil, c.factorError(v, err, totpPath, "reading a new authenticator")
	}
	return &setup, nil
}

func (c *Console) showAddTOTP(w http.ResponseWriter, r *http.Request, v *visit) error {
	setup, err := c.adding(r, v)
	if err != nil {
		return err
	}
	c.UI.Page(w, r, http.StatusOK, "totp", c.totpForm(v, setup))
	return nil
}

// beginTOTP makes the secret. Its name is kept with it on the server.
func (c *Console) beginTOTP(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := c.Auth.BeginTOTP(r.Context(), v.Origin, v.Session, r.PostForm.Get("name"))
	return c.begunTOTP(w, r, err, c.totpForm(v, nil), func(note string) string {
		if note == "" {
			return totpPath
		}
		return "/factors?note=" + note
	})
}

// begunTOTP answers a try to begin: next says where a page's note leads.
func (c *Console) begunTOTP(w http.ResponseWriter, r *http.Request, err error, page *totpPage, next func(note string) string) error {
	note := ""
	if fault := nameFault(err); fault != "" {
		page.Name.Error, page.Name.Value = fault, clip(r.PostForm.Get("name"), auth.MaxFactorName)
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "totp", page)
		return nil
	}
	if _, stopped := errors.AsType[*auth.ThrottledError](err); stopped {
		note, err = "guessed", nil
	} else if errors.Is(err, auth.ErrTooMany) {
		note, err = "full", nil
	}
	if err != nil {
		return c.factorError(nil, err, totpPath, "adding an authenticator")
	}
	http.Redirect(w, r, next(note), http.StatusSeeOther)
	return nil
}

func (c *Console) confirmAddedTOTP(w http.ResponseWriter, r *http.Request, v *visit) error {
	value, _, err := c.Auth.ConfirmAddedTOTP(r.Context(), v.Origin, v.Session, r.PostForm.Get("code"))
	switch {
	case err == nil:
		setCookie(w, auth.SessionCookie, value, 0)
		http.Redirect(w, r, "/factors?note=added", http.StatusSeeOther)
		return nil
	case errors.Is(err, auth.ErrSetupEnded):
		http.Redirect(w, r, "/factors?note=expired", http.StatusSeeOther)
		return nil
	case errors.Is(err, auth.ErrTooMany):
		http.Redirect(w, r, "/factors?note=full", http.StatusSeeOther)
		return nil
	}
	setup, lookup := c.adding(r, v)
	if lookup != nil {
		return lookup
	}
	return c.wrongFirstCode(w, r, err, c.totpForm(v, setup))
}

// wrongFirstCode shows the page again after a code that was not right.
func (c *Console) wrongFirstCode(w http.ResponseWriter, r *http.Request, err error, page *totpPage) error {
	t, ok := triedCode(err, "That code is not right. Wait for the next one, and check that your phone's clock is set automatically.")
	if !ok {
		return c.factorError(nil, err, totpPath, "confirming an authenticator")
	}
	page.Code.Error, page.Code.Autofocus = t.text, true
	ui.SetRetryAfter(w.Header(), t.wait)
	c.UI.Page(w, r, t.status, "totp", page)
	return nil
}

func (c *Console) cancelTOTP(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Auth.CancelTOTP(r.Context(), v.Origin, v.Session); err != nil {
		return c.factorError(v, err, totpPath, "dropping a new authenticator")
	}
	http.Redirect(w, r, "/factors", http.StatusSeeOther)
	return nil
}

func (c *Console) showAddedQR(w http.ResponseWriter, r *http.Request, v *visit) error {
	setup, err := c.adding(r, v)
	if err != nil {
		return err
	}
	if setup == nil {
		return ui.NotFound()
	}
	return servePNG(w, r, setup.QR)
}

// servePNG serves a picture with the headers of every page, no-store among them.
func servePNG(w http.ResponseWriter, r *http.Request, picture []byte) error {
	w.Header().Set("Content-Type", "image/png")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(picture))
	return nil
}
