package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// Paths of the sign-in through a company's own identity provider.
const (
	companyPath = "/login/oidc"
	startPath   = "/login/oidc/start"
)

// companyRoutes are open to strangers: they lead to a company's provider and
// back, and say nothing about accounts.
func (c *Console) companyRoutes() []route {
	return []route{
		{pattern: "GET " + companyPath, need: anyone, handle: c.showCompany},
		{pattern: "POST " + companyPath, need: anyone, handle: c.chooseCompany},
		{pattern: "GET " + companyPath + "/{vendor}", need: anyone, handle: c.showCompanyOf},
		{pattern: "POST " + startPath, need: anyone, handle: c.startCompany},
		{pattern: "GET " + auth.ProviderCallback + "{vendor}", need: anyone, handle: c.companyCallback},
		{pattern: "POST /enrol/company", need: anyone, handle: c.enrolCompany},
	}
}

// companyPage is the data of the page "company": at first it asks for the
// address, then it says where the person is going.
type companyPage struct {
	Base
	Action string
	Email  ui.Field
	Host   string // of the provider; empty while the address is asked for
	// What the form carries on to the provider.
	Vendor, Address, Invite string
	Password                string // address of the page for passwords
}

func (c *Console) companyForm(v *visit, back returning, email string, fault ui.Text) *companyPage {
	return &companyPage{Base: v.Alone("Your company's account"), Action: back.to(companyPath), Password: back.to("/login"),
		Email: ui.Field{Name: "email", Label: "Your e-mail address at work", Type: "email", Value: email, Autocomplete: "username",
			Required: true, Autofocus: true, MaxLength: 254, Error: fault}}
}

func (c *Console) showCompany(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	c.UI.Page(w, r, http.StatusOK, "company", c.companyForm(v, back, "", ""))
	return nil
}

// chooseCompany finds the provider by the domain of the address alone, so that
// the answer is the same whether or not anybody has that address here.
func (c *Console) chooseCompany(w http.ResponseWriter, r *http.Request, v *visit) error {
	back, typed := c.returning(r), r.PostForm.Get("email")
	vendor, email := companyOf(v.Snapshot, typed)
	if vendor == nil {
		page := c.companyForm(v, back, typed, "No company sign-in is set up for the domain of this address. Check the spelling, or sign in with your password.")
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "company", page)
		return nil
	}
	return c.leadToCompany(w, r, v, back, vendor, email, "")
}

// companyOf returns the vendor whose provider vouches for the address's domain
// itself, and the address in canonical form; nil for none.
func companyOf(s *directory.Snapshot, typed string) (*directory.Vendor, string) {
	email, err := auth.CanonicalEmail(typed)
	if err != nil {
		return nil, ""
	}
	_, domain, _ := strings.Cut(email, "@")
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return nil, ""
	}
	vendor, ok := s.ProviderOf(ascii)
	if !ok {
		return nil, ""
	}
	return vendor, email
}

// showCompanyOf is the address that a vendor's people can keep as a bookmark.
func (c *Console) showCompanyOf(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	vendor := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("vendor")))
	if vendor == nil || vendor.IdentityProvider == nil {
		return c.showCompany(w, r, v)
	}
	return c.leadToCompany(w, r, v, back, vendor, "", "")
}

// leadToCompany shows where the person is going. The form's answer leads to
// another site, which the page's content security policy has to name: that
// is why the page comes before.
func (c *Console) leadToCompany(w http.ResponseWriter, r *http.Request, v *visit, back returning, vendor *directory.Vendor, email, invite string) error {
	info, err := c.Auth.Provider(r.Context(), vendor.Name)
	if err != nil {
		return companyError(err)
	}
	origin, err := url.Parse(info.Origin)
	if err != nil {
		return companyError(err)
	}
	page := &companyPage{Base: v.Alone("Your company's account"), Action: back.to(startPath), Host: origin.Host,
		Vendor: vendor.Name, Address: email, Invite: invite, Password: back.to("/login")}
	page.FormTargets = []string{info.Origin}
	if invite != "" || info.Required {
		page.Password = ""
	}
	if invite != "" {
		page.Person = nil
	}
	c.UI.Page(w, r, http.StatusOK, "company", page)
	return nil
}

// startCompany sends the browser to the provider.
func (c *Console) startCompany(w http.ResponseWriter, r *http.Request, v *visit) error {
	back, email := c.returning(r), r.PostForm.Get("email")
	start := auth.ProviderStart{Vendor: r.PostForm.Get("vendor"), Email: email, Return: back.id, Invite: r.PostForm.Get("invite")}
	if start.Vendor == "" {
		vendor, _ := companyOf(v.Snapshot, email)
		if vendor == nil {
			return c.chooseCompany(w, r, v)
		}
		start.Vendor = vendor.Name
	}
	to, value, err := c.Auth.StartProvider(r.Context(), start)
	if errors.Is(err, auth.ErrNoProvider) {
		http.Redirect(w, r, back.to(companyPath), http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return companyError(err)
	}
	setCookie(w, auth.ProviderCookie, value, int(companyFor.Seconds()))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// companyFor is how long a person may take at the provider.
const companyFor = 10 * time.Minute

// companyCallback is where providers send people back to.
func (c *Console) companyCallback(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := c.Auth.FinishProvider(r.Context(), v.Origin, r.PathValue("vendor"), cookie(r, auth.ProviderCookie), r.URL.Query())
	back := c.returningTo(f.Return)
	if errors.Is(err, auth.ErrFlowEnded) {
		// The cookie stays: an answer that a stranger made up must not end the
		// sign-in that is under way in this browser.
		return &ui.Error{Status: http.StatusBadRequest, Code: "sign_in_ended", Title: "Please start again", Err: err,
			Detail: "This answer of your company's sign-in belongs to no sign-in that this browser has begun in the last ten minutes, or it was used already. Open the sign-in page and begin anew."}
	}
	dropCookie(w, auth.ProviderCookie)
	if err != nil {
		return companyError(err)
	}
	switch {
	case f.Enrol != "":
		setCookie(w, auth.EnrolCookie, f.Enrol, 0)
		http.Redirect(w, r, "/enrol/authenticator", http.StatusSeeOther)
	case f.Session != nil:
		// Whatever this browser held before is no part of the new session.
		dropCookie(w, auth.LoginCookie)
		c.signIn(w, r, f.Cookie, f.Session)
		return c.proceed(w, r, v, f.Session, back)
	default:
		dropCookie(w, auth.SessionCookie)
		setCookie(w, auth.LoginCookie, f.Flow, 0)
		http.Redirect(w, r, back.to("/login/code"), http.StatusSeeOther)
	}
	return nil
}

// companyError words what went wrong on the way to a provider or back.
func companyError(err error) error {
	if errors.Is(err, auth.ErrBadCredentials) {
		return &ui.Error{Status: http.StatusForbidden, Code: "account_not_admitted", Title: "This account cannot sign in here", Err: err,
			Detail: "Your company has confirmed who you are, but there is no active account here that belongs to this person. If you expected one, ask whoever invited you, and give them the request id."}
	}
	if errors.Is(err, auth.ErrInviteInvalid) {
		return inviteError(err)
	}
	if errors.Is(err, auth.ErrNoProvider) {
		return &ui.Error{Status: http.StatusNotFound, Title: "No company sign-in is set up", Err: err,
			Detail: "This company has no sign-in of its own here. Sign in with your e-mail address and your password."}
	}
	p, ok := errors.AsType[*auth.ProviderError](err)
	if !ok {
		return authError(err, "signing in through a company")
	}
	switch p.Result {
	case "provider_unavailable":
		return &ui.Error{Status: http.StatusServiceUnavailable, Code: p.Result, Title: "Your company's sign-in does not answer", RetryAfter: 30 * time.Second, Err: err,
			Detail: "It could not be reached just now, so nobody can vouch for you. Please try again in a minute; if it stays so, tell your company's help desk."}
	case "provider_refused":
		return &ui.Error{Status: http.StatusForbidden, Code: p.Result, Title: "Your company's sign-in said no", Err: err,
			Detail: "The sign-in was cancelled there, or your company does not let you use it for this. Open the sign-in page and try again, or ask your company's help desk."}
	case "email_not_verified", "email_missing":
		return &ui.Error{Status: http.StatusForbidden, Code: p.Result, Title: "Your company does not vouch for your address", Err: err,
			Detail: "Its sign-in did not confirm your e-mail address, which is how your account is found here. Ask your company's help desk to confirm it there."}
	}
	return &ui.Error{Status: http.StatusBadGateway, Code: p.Result, Title: "The answer of your company's sign-in cannot be used", Err: err,
		Detail: "It did not pass the checks that every sign-in has to pass, so it was refused and recorded. Open the sign-in page and try again; if it happens again, give an administrator the request id."}
}

// enrolCompany accepts an invitation through the company's sign-in.
func (c *Console) enrolCompany(w http.ResponseWriter, r *http.Request, v *visit) error {
	token := r.PostForm.Get("invite")
	info, err := c.Auth.OpenInvite(r.Context(), token)
	if err != nil {
		return inviteError(err)
	}
	vendor := find(v.Snapshot.Directory().Vendors, vendorNamed(info.Provider))
	if info.Provider == "" || vendor == nil {
		return companyError(auth.ErrNoProvider)
	}
	return c.leadToCompany(w, r, v, returning{}, vendor, info.Email, token)
}

// companyName is what people call a vendor.
func companyName(v *directory.Vendor) string { return cmp.Or(v.Title, v.Name) }
