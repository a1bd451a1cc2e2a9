package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// invitePage is the data of the page "invite": the landing of an invitation.
type invitePage struct {
	Base
	Name, Email     string
	Expires         time.Time
	Invite          string // the token, carried by the form
	Password, Again ui.Field
	Company         bool      // the company's own sign-in can take the password's place
	CompanyOnly     bool      // and has to
	Phone           *ui.Field // the number from the telephone; nil: none is asked for
}

// showInvite opens an invitation without consuming it, since mail scanners
// open links too; without one it leads to the step that waits.
func (c *Console) showInvite(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !r.URL.Query().Has("invite") {
		return c.enrolStep(w, r)
	}
	page, err := c.inviteForm(r, v, r.URL.Query().Get("invite"))
	if err != nil {
		return inviteError(err)
	}
	c.UI.Page(w, r, http.StatusOK, "invite", page)
	return nil
}

func (c *Console) inviteForm(r *http.Request, v *visit, token string) (*invitePage, error) {
	info, err := c.Auth.OpenInvite(r.Context(), token)
	if err != nil {
		return nil, err
	}
	p := &invitePage{Base: v.Alone("Welcome"), Name: info.Name, Email: info.Email, Expires: info.Expires, Invite: token,
		Password: ui.Field{Name: "password", Label: "Choose a password", Type: "password", Autocomplete: "new-password", Required: true, MinLength: 12, MaxLength: 1024,
			Hint: "At least 12 characters. Several words that do not belong together are easy to keep in mind. Capitals and digits are not needed; spaces are fine."},
		Again: ui.Field{Name: "again", Label: "The same password again", Type: "password", Autocomplete: "new-password", Required: true, MaxLength: 1024},
	}
	p.Company, p.CompanyOnly = info.Provider != "", info.PasswordClosed
	if info.PhoneCode {
		p.Phone = &ui.Field{Name: "phone", Label: "The number that you were told by telephone", Hint: "Six digits. If you were told none, ask whoever sent you the link.",
			InputMode: "numeric", Autocomplete: "one-time-code", Required: true, MaxLength: 16, Mono: true}
	}
	// The page is for whoever was invited, not for who happens to be signed in.
	p.Person = nil
	return p, nil
}

// passwordWords say why a password is refused.
var passwordWords = map[string]ui.Text{
	auth.PasswordTooShort: "Use at least 12 characters.",
	auth.PasswordTooLong:  "Use at most 256 characters.",
	auth.PasswordNotText:  "Use letters, digits, spaces and signs only.",
	auth.PasswordCommon:   "This password is among the ones tried first: use several words that do not belong together.",
	auth.PasswordPattern:  "This password is a repetition or a run of keys: use several words that do not belong together.",
	auth.PasswordOwnWords: "This password is mostly your own name, address or company: use other words.",
	auth.PasswordSame:     "This is the password that you have: choose another one.",
}

func inviteError(err error) error {
	if errors.Is(err, auth.ErrInviteInvalid) {
		return &ui.Error{Status: http.StatusGone, Code: "invite_invalid", Title: "This invitation is no longer good",
			Detail: "An invitation works once and for 24 hours, and a newer one replaces it. Ask whoever sent it for a new one. If you finished setting up already, just sign in.", Err: err}
	}
	return authError(err, "opening an invitation")
}

func (c *Console) acceptInvite(w http.ResponseWriter, r *http.Request, v *visit) error {
	token, password := r.PostForm.Get("invite"), r.PostForm.Get("password")
	refuse := func(field string, text ui.Text) error {
		page, err := c.inviteForm(r, v, token)
		if err != nil {
			return inviteError(err)
		}
		switch {
		case field == "again":
			page.Again.Error, page.Again.Autofocus = text, true
		case field == "phone" && page.Phone != nil:
			page.Phone.Error, page.Phone.Autofocus = text, true
		default:
			page.Password.Error, page.Password.Autofocus = text, true
		}
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "invite", page)
		return nil
	}
	if r.PostForm.Has("again") && r.PostForm.Get("again") != password {
		return refuse("again", "The two passwords differ. Type the same one twice.")
	}
	enrol, err := c.Auth.AcceptInviteWith(r.Context(), v.Origin, token, password, r.PostForm.Get("phone"))
	if p, ok := errors.AsType[*auth.PasswordError](err); ok {
		return refuse("password", passwordWords[p.Reason])
	}
	if errors.Is(err, auth.ErrPasswordClosed) {
		return refuse("password", "Your company's people use their company's account in place of a password.")
	}
	if errors.Is(err, auth.ErrPhoneCode) {
		return refuse("phone", "That is not the number that you were told. After ten wrong ones the invitation is void.")
	}
	if err != nil {
		return inviteError(err)
	}
	setCookie(w, auth.EnrolCookie, enrol, 0)
	http.Redirect(w, r, "/enrol/authenticator", http.StatusSeeOther)
	return nil
}

// enrolment returns the enrolment of the request's cookie.
func (c *Console) enrolment(r *http.Request) (auth.EnrolmentInfo, error) {
	info, err := c.Auth.Enrolment(r.Context(), cookie(r, auth.EnrolCookie))
	if errors.Is(err, auth.ErrEnrolmentEnded) {
		return info, &ui.Error{Status: http.StatusGone, Code: "enrolment_ended", Title: "There is nothing to set up here",
			Detail: "Setting up took too long, or it is finished already. Try to sign in; if that does not work, ask for a new invitation.", Err: err}
	}
	if err != nil {
		return info, authError(err, "reading an enrolment")
	}
	return info, nil
}

// enrolStep leads to the step that waits.
func (c *Console) enrolStep(w http.ResponseWriter, r *http.Request) error {
	info, err := c.enrolment(r)
	if err != nil {
		return err
	}
	if info.Adding != nil {
		http.Redirect(w, r, devicesPath, http.StatusSeeOther)
		return nil
	}
	http.Redirect(w, r, stepPath(info.Step), http.StatusSeeOther)
	return nil
}

func stepPath(step string) string {
	switch step {
	case auth.StepTOTP:
		return "/enrol/authenticator"
	case auth.StepRecovery:
		return "/enrol/recovery"
	}
	return "/login"
}

// at returns the enrolment if it waits at step. Otherwise it has answered, by
// leading to the step that waits, or returns an error.
func (c *Console) at(w http.ResponseWriter, r *http.Request, step string) (info auth.EnrolmentInfo, answered bool, err error) {
	if info, err = c.enrolment(r); err != nil {
		return info, false, err
	}
	if info.Step != step {
		http.Redirect(w, r, stepPath(info.Step), http.StatusSeeOther)
		return info, true, nil
	}
	return info, false, nil
}

// authenticatorPage is the data of the page "authenticator".
type authenticatorPage struct {
	Base
	Scan scan
	Name ui.Field
	Code ui.Field
}

func (c *Console) showAuthenticator(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepTOTP)
	if answered || err != nil {
		return err
	}
	c.UI.Page(w, r, http.StatusOK, "authenticator", c.authenticatorForm(v, info))
	return nil
}

func (c *Console) authenticatorForm(v *visit, info auth.EnrolmentInfo) *authenticatorPage {
	p := &authenticatorPage{Base: v.Alone("Connect your authenticator app"), Scan: newScan("/enrol/qr.png", info.Email, info.Secret, info.URI),
		Name: factorNameField(""), Code: codeField("Code from the app")}
	p.Name.Label, p.Name.Hint = "A name for this device", "How you tell your devices apart later. You may leave it empty."
	p.Person = nil
	p.Code.InputMode, p.Code.Autofocus, p.Code.MaxLength = "numeric", false, 16
	return p
}

// groups cuts s into parts of n characters, which are easier to copy by hand.
func groups(s string, n int) []string {
	var parts []string
	for len(s) > n {
		parts, s = append(parts, s[:n]), s[n:]
	}
	return append(parts, s)
}

// showQR serves the picture that the authenticator app scans. It is no data
// URL, so that the content security policy stays narrow.
func (c *Console) showQR(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, err := c.enrolment(r)
	if err != nil {
		return err
	}
	if info.Adding != nil {
		return servePNG(w, r, info.Adding.QR)
	}
	if info.Step != auth.StepTOTP || len(info.QR) == 0 {
		return ui.NotFound()
	}
	return servePNG(w, r, info.QR)
}

func (c *Console) confirmTOTP(w http.ResponseWriter, r *http.Request, v *visit) error {
	enrol := cookie(r, auth.EnrolCookie)
	_, err := c.Auth.ConfirmTOTP(r.Context(), v.Origin, enrol, r.PostForm.Get("name"), r.PostForm.Get("code"))
	if err == nil || errors.Is(err, auth.ErrEnrolmentEnded) {
		return c.enrolStep(w, r)
	}
	fault := nameFault(err)
	t, ok := triedCode(err, "That code is not right. Wait for the next one, and check that your phone's clock is set automatically.")
	if !ok && fault == "" {
		return authError(err, "confirming an authenticator")
	}
	info, answered, err := c.at(w, r, auth.StepTOTP)
	if answered || err != nil {
		return err
	}
	page := c.authenticatorForm(v, info)
	page.Name.Value = clip(r.PostForm.Get("name"), auth.MaxFactorName)
	if fault != "" {
		page.Name.Error, page.Name.Autofocus = fault, true
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "authenticator", page)
		return nil
	}
	page.Code.Error, page.Code.Autofocus = t.text, true
	ui.SetRetryAfter(w.Header(), t.wait)
	c.UI.Page(w, r, t.status, "authenticator", page)
	return nil
}

// recoveryPage is the data of the page "recovery".
type recoveryPage struct {
	Base
	Email     string
	Connected connected
	Codes     []string
	Host      string
	Code      ui.Field // one of Codes, typed again
	Date      time.Time
	Keys      bool // a passkey or security key can be added next
}

func (c *Console) showRecovery(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.recoveryForm(w, r, v, http.StatusOK, "")
}

func (c *Console) recoveryForm(w http.ResponseWriter, r *http.Request, v *visit, status int, fault ui.Text) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	page := &recoveryPage{Base: v.Alone("Keep your recovery codes"), Email: info.Email, Connected: c.connected(v, &info), Codes: info.Recovery, Host: c.gate.Host, Date: v.Now, Keys: c.Auth.KeysPossible(), Code: notedField()}
	page.Code.Error, page.Code.Autofocus = fault, fault != ""
	page.Person = nil
	c.UI.Page(w, r, status, "recovery", page)
	return nil
}

// downloadRecovery serves the codes as a text file.
func (c *Console) downloadRecovery(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="ringfence-recovery-codes.txt"`)
	text := "Recovery codes for " + info.Email + "\nat " + c.gate.Host + ", made on " + v.Now.Format("2 January 2006") +
		"\n\nEach works once, in place of a code from the app.\n\n" + strings.Join(info.Recovery, "\n") + "\n"
	w.Write([]byte(text))
	return nil
}

func (c *Console) finishEnrolment(w http.ResponseWriter, r *http.Request, v *visit) error {
	info, answered, err := c.at(w, r, auth.StepRecovery)
	if answered || err != nil {
		return err
	}
	if !info.Noted(r.PostForm.Get("code")) {
		return c.recoveryForm(w, r, v, http.StatusUnprocessableEntity, "That is not one of the codes on this page.")
	}
	value, session, err := c.Auth.FinishEnrolment(r.Context(), v.Origin, cookie(r, auth.EnrolCookie))
	if errors.Is(err, auth.ErrEnrolmentEnded) {
		return c.enrolStep(w, r)
	}
	if err != nil {
		return authError(err, "finishing an enrolment")
	}
	dropCookie(w, auth.EnrolCookie)
	c.signIn(w, r, value, session)
	if r.PostForm.Get("next") == "key" || c.Auth.KeysPossible() && v.Snapshot.PhishingResistant(session.Account, v.Now) {
		http.Redirect(w, r, c.remember("/").to("/factors/keys/new"), http.StatusSeeOther)
		return nil
	}
	return c.proceed(w, r, v, session, returning{})
}
