package console

import (
	"errors"
	"net/http"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// loginPage is the data of the page "login".
type loginPage struct {
	Base
	Action          string
	Email, Password ui.Field
	Headed          string // the host that the person is headed to; may be empty
	Authority       bool   // a local authority's certificate can be fetched
	Company         string // address of the sign-in through one's company; empty: no company has one
	CompanyOnly     bool   // the address's domain is of a company without passwords here
}

// Notes that the sign-in page can be asked to show. Only the key is in the URL.
var loginNotes = map[string]ui.Flash{
	"out":   {Kind: ui.Good, Text: "You are signed out, here and on every cluster."},
	"ended": {Kind: ui.Warn, Text: "That sign-in took too long. Please start again."},
	"over":  {Kind: ui.Neutral, Text: "Your session has ended. Please sign in again."},
}

func (c *Console) showLogin(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	if q := r.URL.Query(); !q.Has(anew) && !q.Has("note") && c.resumable(r, v) != nil {
		http.Redirect(w, r, back.to("/resume"), http.StatusSeeOther)
		return nil
	}
	page := c.loginForm(v, back, "")
	if n, ok := loginNotes[r.URL.Query().Get("note")]; ok {
		page.Flash = &n
	}
	c.UI.Page(w, r, http.StatusOK, "login", page)
	return nil
}

func (c *Console) loginForm(v *visit, back returning, email string) *loginPage {
	p := &loginPage{Base: v.Alone("Sign in"), Action: back.to("/login"), Headed: back.host(c), Authority: len(c.CAPEM) > 0,
		Email: ui.Field{Name: "email", Label: "E-mail address", Type: "email", Value: email, Autocomplete: "username",
			Required: true, Autofocus: email == "", MaxLength: 254},
		Password: ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password",
			Required: true, Autofocus: email != "", MaxLength: 1024},
	}
	if v.Snapshot.AnyProvider() {
		p.Company = back.to(companyPath)
		vendor, _ := companyOf(v.Snapshot, email)
		p.CompanyOnly = vendor != nil && vendor.IdentityProvider.Required
	}
	return p
}

func (c *Console) login(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	email := r.PostForm.Get("email")
	flow, err := c.Auth.Login(r.Context(), v.Origin, email, r.PostForm.Get("password"))
	if err != nil {
		t, ok := triedCode(err, "The e-mail address or the password is not right, or the account is not active.")
		if !ok {
			return authError(err, "signing in")
		}
		page := c.loginForm(v, back, email)
		page.Flash = &ui.Flash{Kind: ui.Bad, Text: t.text}
		ui.SetRetryAfter(w.Header(), t.wait)
		c.UI.Page(w, r, t.status, "login", page)
		return nil
	}
	setCookie(w, auth.LoginCookie, flow, 0)
	http.Redirect(w, r, back.to("/login/code"), http.StatusSeeOther)
	return nil
}

// codePage is the data of the page "code".
type codePage struct {
	Base
	Action  string
	Email   string // of the sign-in under way, which only its own browser sees
	Code    ui.Field
	Warning ui.Text  // such as failed tries since the last sign-in
	Key     *keyForm // nil: the account has no key
	NoApp   bool     // it has no authenticator app
}

// failedWords warns of wrong codes since the last sign-in, unless they are few
// enough to be slips of the hand.
func failedWords(failed int) ui.Text {
	if failed < 3 {
		return ""
	}
	return ui.Say("{1} wrong codes were given for your account since your last sign-in. If that was not you, somebody knows your password: ask your administrator for a reset.", failed)
}

func codeField(label ui.Text) ui.Field {
	return ui.Field{Name: "code", Label: label, Autocomplete: "one-time-code", Required: true, Autofocus: true,
		MaxLength: 64, Mono: true}
}

func (c *Console) codeForm(r *http.Request, v *visit, back returning) (*codePage, error) {
	info, err := c.Auth.Flow(r.Context(), cookie(r, auth.LoginCookie))
	if err != nil {
		return nil, err
	}
	p := &codePage{Base: v.Alone("Your code"), Action: back.to("/login/code"), Email: info.Email, Warning: failedWords(info.FailedCodes),
		Code: codeField("Code"), NoApp: info.NoApp}
	if info.NoApp {
		p.Code = codeField("Recovery code")
	}
	back.aim(c, &p.Base)
	q, err := c.Auth.BeginKeyLogin(r.Context(), v.Origin, cookie(r, auth.LoginCookie))
	if p.Key, err = keyQuestion(q, err, back.to("/login/key")); err != nil {
		return nil, err
	}
	p.Code.Autofocus = p.Key == nil
	return p, nil
}

func (c *Console) showCode(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	page, err := c.codeForm(r, v, back)
	if err != nil {
		return c.restartLogin(w, r, back, err)
	}
	c.UI.Page(w, r, http.StatusOK, "code", page)
	return nil
}

// restartLogin sends people whose sign-in has ended back to its start.
func (c *Console) restartLogin(w http.ResponseWriter, r *http.Request, back returning, err error) error {
	if !errors.Is(err, auth.ErrFlowEnded) {
		return authError(err, "looking up a sign-in")
	}
	dropCookie(w, auth.LoginCookie)
	url := "/login?note=ended"
	if back.id != "" {
		url = back.to("/login") + "&note=ended"
	}
	http.Redirect(w, r, url, http.StatusSeeOther)
	return nil
}

func (c *Console) loginCode(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	value, session, err := c.Auth.LoginCode(r.Context(), v.Origin, cookie(r, auth.LoginCookie), r.PostForm.Get("code"))
	if err == nil {
		dropCookie(w, auth.LoginCookie)
		c.signIn(w, r, value, session)
		return c.proceed(w, r, v, session, back)
	}
	t, ok := triedCode(err, "That code is not right. Check that you read the entry for this address, and that your phone's clock is set automatically.")
	if !ok {
		return c.restartLogin(w, r, back, err)
	}
	page, err := c.codeForm(r, v, back)
	if err != nil {
		return c.restartLogin(w, r, back, err)
	}
	page.Code.Error = t.text
	ui.SetRetryAfter(w.Header(), t.wait)
	c.UI.Page(w, r, t.status, "code", page)
	return nil
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request, v *visit) error {
	s := v.Session
	if s == nil {
		s = c.Auth.IdleSession(r, c.gateHost) // a paused one ends for good as well
	}
	if s != nil {
		// The cookie stays when the session cannot be ended: a person who is
		// told "signed out" must be.
		if err := c.Auth.Logout(r.Context(), v.Origin, s); err != nil && !errors.Is(err, auth.ErrSessionEnded) {
			return authError(err, "signing out")
		}
		c.kept.drop(s.ID)
	}
	dropCookie(w, auth.SessionCookie)
	dropCookie(w, auth.LoginCookie)
	dropCookie(w, auth.ProviderCookie)
	http.Redirect(w, r, "/login?note=out", http.StatusSeeOther)
	return nil
}
