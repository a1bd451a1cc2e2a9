package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// recoveryCodesPage is the data of the page "recoverycodes".
type recoveryCodesPage struct {
	Base
	Left int
	Few  bool
}

// fewCodes is how many recovery codes are worth a warning.
const fewCodes = 3

func (c *Console) showRecoveryCodes(w http.ResponseWriter, r *http.Request, v *visit) error {
	left, err := c.Auth.RecoveryLeft(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "counting recovery codes")
	}
	return c.show(w, r, http.StatusOK, "recoverycodes", &recoveryCodesPage{Base: v.page("Recovery codes"), Left: left, Few: left <= fewCodes})
}

// replaceRecovery makes a new set, behind a fresh code.
func (c *Console) replaceRecovery(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.fresh("/factors/recovery"); err != nil {
		return err
	}
	if err := c.Auth.ReplaceRecovery(r.Context(), v.Origin, v.Session); err != nil {
		return authError(err, "replacing recovery codes")
	}
	http.Redirect(w, r, "/factors/recovery/new", http.StatusSeeOther)
	return nil
}

// newCodesPage is the data of the page "newcodes": a whole set, or the one code
// that takes the place of a used one.
type newCodesPage struct {
	Base
	Email, Host string
	Codes       []string
	Code        ui.Field
	Action      string
	Date        time.Time
}

func (c *Console) newCodesForm(v *visit, back returning, codes []string) *newCodesPage {
	title := ui.Text("Your new recovery codes")
	if len(codes) == 1 {
		title = "Your new recovery code"
	}
	p := &newCodesPage{Base: v.Alone(title), Email: v.Session.Email, Host: c.gate.Host, Codes: codes, Action: back.to("/factors/recovery/new"), Date: v.Now,
		Code: notedField()}
	if len(codes) == 1 {
		p.Code.Label = "Type it, to be sure that you have it"
	}
	back.aim(c, &p.Base)
	return p
}

// notedField asks for one of the codes of the page, which proves that they
// were noted.
func notedField() ui.Field {
	return ui.Field{Name: "code", Label: "Type one of them, to be sure that you have it", Autocomplete: "off", Required: true, MaxLength: 64, Mono: true}
}

// showNewCodes shows new codes until one of them was typed again.
func (c *Console) showNewCodes(w http.ResponseWriter, r *http.Request, v *visit) error {
	codes := c.Auth.ShownRecovery(v.Session)
	if codes == nil {
		return c.afterCodes(w, r, v, "")
	}
	return c.show(w, r, http.StatusOK, "newcodes", c.newCodesForm(v, c.returning(r), codes))
}

// afterCodes goes on to where the visitor was headed, or to the page about the codes.
func (c *Console) afterCodes(w http.ResponseWriter, r *http.Request, v *visit, said ui.Text) error {
	if back := c.returning(r); back.id != "" {
		return c.proceed(w, r, v, v.Session, back)
	}
	return c.seeOther(w, r, v, "/factors/recovery", said)
}

// downloadNewCodes serves the codes as a text file.
func (c *Console) downloadNewCodes(w http.ResponseWriter, r *http.Request, v *visit) error {
	codes := c.Auth.ShownRecovery(v.Session)
	if codes == nil {
		return ui.NotFound()
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="ringfence-recovery-codes.txt"`)
	_, err := w.Write([]byte("Recovery codes for " + v.Session.Email + "\nat " + c.gate.Host + ", made on " + v.Now.Format("2 January 2006") +
		"\n\nEach works once, in place of a code from the app.\n\n" + strings.Join(codes, "\n") + "\n"))
	if err != nil {
		return nil // the client is gone; the page can be asked again
	}
	return nil
}

func (c *Console) keepNewCodes(w http.ResponseWriter, r *http.Request, v *visit) error {
	codes := c.Auth.ShownRecovery(v.Session)
	switch err := c.Auth.KeepRecovery(v.Session, r.PostForm.Get("code")); {
	case errors.Is(err, auth.ErrNotFound):
		return c.afterCodes(w, r, v, "")
	case err != nil:
		page := c.newCodesForm(v, c.returning(r), codes)
		page.Code.Error, page.Code.Autofocus = "That is not one of the codes on this page.", true
		return c.show(w, r, http.StatusUnprocessableEntity, "newcodes", page)
	}
	return c.afterCodes(w, r, v, "You have your recovery codes. Keep them where the password is not.")
}
