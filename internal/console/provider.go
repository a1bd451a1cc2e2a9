package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// providerRoutes are the pages with which administrators set up a vendor's
// identity provider. Whoever sets it up says who vouches for the vendor's
// people, so each change asks for a fresh code.
func (c *Console) providerRoutes() []route {
	const at = "/console/vendors/{name}/provider"
	return []route{
		{pattern: "GET " + at, need: mayManage, handle: c.providerForm, fresh: true},
		{pattern: "POST " + at, need: mayManage, handle: c.saveProvider, fresh: true, act: "Save the company's sign-in", secret: true, maxBody: bodyOfForm},
		{pattern: "GET " + at + "/remove", need: mayManage, handle: c.askRemoveProvider, fresh: true},
		{pattern: "POST " + at + "/remove", need: mayManage, handle: c.removeProvider, fresh: true, act: "Remove the company's sign-in"},
		{pattern: "POST " + at + "/try", need: mayManage, handle: c.tryProvider},
		{pattern: "GET /console/people/{id}/unpin", need: mayManage, handle: c.askUnpin, fresh: true},
		{pattern: "POST /console/people/{id}/unpin", need: mayManage, handle: c.unpin, fresh: true, act: "Forget the company account"},
	}
}

// A providerView is what a vendor's page shows of its provider. Its secret is
// never shown, only whether there is one.
type providerView struct {
	Issuer, ClientID            string
	Secret, Required, Authority bool
	Scopes, Domains, TrustedAMR string
	Redirect                    string // to register at the provider
	Link                        string // for the vendor's people
	EditURL, TryURL, RemoveURL  string // empty when they may not be used
	Trial                       *trialView
}

// A trialView is how a try of the connection went.
type trialView struct {
	Fault string // why it did not work; empty when it did
	auth.ProviderTrial
	Signatures string
}

func (c *Console) providerView(v *visit, vendor *directory.Vendor) *providerView {
	p := vendor.IdentityProvider
	if p == nil {
		return nil
	}
	view := &providerView{Issuer: p.Issuer, ClientID: p.ClientID, Secret: len(p.Sealed) > 0, Required: p.Required, Authority: p.CA != "",
		Scopes: "openid " + cmp.Or(strings.Join(p.Scopes, " "), "email"), Domains: strings.Join(p.Domains, ", "), TrustedAMR: strings.Join(p.TrustedAMR, ", "),
		Redirect: c.Auth.ProviderRedirect(vendor.Name), Link: c.hostURL(c.gateHost) + companyPath + "/" + url.PathEscape(vendor.Name)}
	if v.mayChange() {
		at := providerURL(vendor.Name)
		view.EditURL, view.TryURL, view.RemoveURL = at, at+"/try", at+"/remove"
	}
	return view
}

func providerURL(vendor string) string { return vendorURL(vendor) + "/provider" }

// providerFields are the form's fields for those of a vendor's provider.
var providerFields = fieldMap(map[string]string{"identity_provider.issuer": "issuer", "identity_provider.client_id": "client_id", "identity_provider.client_secret": "client_secret",
	"identity_provider.scopes": "scopes", "identity_provider.domains": "domains", "identity_provider.trusted_amr": "trusted_amr", "identity_provider.ca": "ca"})

func (c *Console) providerForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("name")))
	if have == nil {
		return ui.NotFound()
	}
	values := url.Values{"seen": {fingerprint(have)}}
	if p := have.IdentityProvider; p != nil {
		values = url.Values{"seen": {fingerprint(have)}, "issuer": {p.Issuer}, "client_id": {p.ClientID}, "scopes": {strings.Join(p.Scopes, "\n")},
			"domains": {strings.Join(p.Domains, "\n")}, "trusted_amr": {strings.Join(p.TrustedAMR, "\n")}, "ca": {p.CA}}
		if p.Required {
			values.Set("required", "yes")
		}
	}
	return c.showProvider(w, r, v, have, newForm(values))
}

func (c *Console) showProvider(w http.ResponseWriter, r *http.Request, v *visit, have *directory.Vendor, f *form) error {
	title := companyName(have)
	stored := have.IdentityProvider != nil && len(have.IdentityProvider.Sealed) > 0
	return c.showEdit(w, r, f, editPage{Base: v.page(ui.Say("Company sign-in of {1}", title)), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Lede:   "With it, this vendor's people sign in at their own company first. A second factor is asked for here as ever, unless an engagement trusts the company's.",
		Groups: providerGroups(f, c.Auth.ProviderRedirect(have.Name), stored), Seen: f.Value("seen"), Submit: "Save", URL: providerURL(have.Name), Back: vendorURL(have.Name)})
}

func providerGroups(f *form, redirect string, stored bool) []group {
	secretHint := ui.Text("As the provider gave it. It is kept encrypted and never shown again. Leave it empty for a client without a secret.")
	if stored {
		secretHint = "One is stored. Leave this empty to keep it; a new issuer or client ID needs the secret again."
	}
	return []group{
		{Title: "The provider", Hint: ui.Say("Register this address at the provider as the only redirect URI: {1}", redirect), Controls: controls(
			with(f.text("issuer", "Issuer"), func(u *ui.Field) {
				u.Required, u.MaxLength, u.Mono, u.Placeholder, u.Hint = true, 1024, true, "https://login.example.com", "The https address under which the provider publishes its OpenID Connect discovery document, exactly as the document says it."
			}),
			with(f.text("client_id", "Client ID"), func(u *ui.Field) { u.Required, u.MaxLength, u.Mono = true, 200, true }),
			with(f.text("client_secret", "Client secret"), func(u *ui.Field) {
				// What was typed is not sent back, not even beside a fault.
				u.Type, u.Value, u.Autocomplete, u.MaxLength, u.Mono, u.Hint = "password", "", "off", 1024, true, secretHint
			}),
			with(f.area("scopes", "Scopes", 2), func(u *ui.Field) {
				u.Mono, u.Hint = true, "One a line, beside openid. Empty means email."
			}),
			with(f.area("ca", "Authority of the provider's certificate", 3), func(u *ui.Field) {
				u.Mono, u.Hint = true, "PEM certificates, for a provider with an authority of its own. Empty means the usual public ones."
			}),
		)},
		{Title: "Whom it vouches for", Controls: controls(
			with(f.area("domains", "Mail domains", 2), func(u *ui.Field) {
				u.Required, u.Mono, u.Placeholder, u.Hint = true, true, "acme.example", "One a line. The provider may vouch for addresses of exactly these domains, and only for accounts of this vendor."
			}),
			f.boxes("required", "Passwords", []choice{{Value: "yes", Label: "This vendor's people have no password here", Hint: "They sign in at their company only. While its sign-in does not answer, nobody of this vendor can sign in."}}),
		)},
		{Title: "The company's second factor", Hint: "It counts only under engagements that say so, and only when it was given within the last hour.", Controls: controls(
			with(f.area("trusted_amr", "Values of amr that stand for a second factor", 2), func(u *ui.Field) {
				u.Mono, u.Placeholder, u.Hint = true, "mfa", "One a line, as the provider writes them into its ID tokens, such as mfa, otp or hwk. Empty: none counts."
			}),
		)},
	}
}

func (c *Console) saveProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	name, f := r.PathValue("name"), posted(r)
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(name))
	if have == nil {
		return ui.NotFound()
	}
	want := &directory.IdentityProvider{
		Issuer: f.line("issuer", "the issuer", 1024, true), ClientID: f.line("client_id", "the client ID", 200, true),
		ClientSecret: f.line("client_secret", "the client secret", 1024, false),
		Scopes:       f.lines("scopes"), TrustedAMR: f.lines("trusted_amr"), Required: f.Checked("required", "yes"), CA: pemText(f.Value("ca")),
	}
	for _, d := range f.lines("domains") {
		if canonical, err := directory.CanonicalHost(strings.TrimPrefix(d, "@")); err == nil {
			d = canonical
		}
		want.Domains = append(want.Domains, d)
	}
	return c.save(w, r, v, f, saving{
		object: "vendor " + name, field: providerFields,
		change: func(d *directory.Directory) error {
			vendor := find(d.Vendors, vendorNamed(name))
			if vendor == nil {
				return errGone
			}
			next := *vendor
			next.IdentityProvider = want
			return replace(vendor, f.Value("seen"), next)
		},
		again: func() error { return c.showProvider(w, r, v, have, f) },
		to:    vendorURL(name), said: "The company sign-in is saved. Try the connection before you tell people about it.",
	})
}

// pemText is a text area's text with plain line ends; nothing but space is empty.
func pemText(s string) string {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	if s == "" {
		return ""
	}
	return s + "\n"
}

func (c *Console) askRemoveProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	have := find(v.Snapshot.Directory().Vendors, vendorNamed(r.PathValue("name")))
	if have == nil || have.IdentityProvider == nil {
		return ui.NotFound()
	}
	title := companyName(have)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Remove the company sign-in of {1}", title)), Question: ui.Say("Remove the company sign-in of {1}?", title), About: ui.Link{Label: ui.Verbatim(have.Name), URL: vendorURL(have.Name)},
		Effects: []ui.Text{
			"People of this vendor can no longer sign in through their company.",
			"Those who have a password here sign in with it. Those who have none need a new invitation, by a reset of their sign-in.",
			"The client secret is deleted. Sessions that are open stay open.",
		},
		Action: "Remove", URL: providerURL(have.Name) + "/remove", Back: vendorURL(have.Name), Danger: true,
	})
}

func (c *Console) removeProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	err := c.edit(r, v, func(d *directory.Directory) error {
		have := find(d.Vendors, vendorNamed(name))
		if have == nil {
			return errGone
		}
		have.IdentityProvider = nil
		return nil
	})
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, vendorURL(name), "The company sign-in is removed.")
}

// tryProvider asks the provider for its discovery document, and nothing else.
func (c *Console) tryProvider(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("name")
	t, err := c.Auth.TryProvider(r.Context(), name)
	trial := &trialView{ProviderTrial: t, Signatures: strings.Join(t.Algorithms, ", ")}
	if p, ok := errors.AsType[*auth.ProviderError](err); ok {
		trial.Fault = sentence(rootCause(p))
	} else if errors.Is(err, auth.ErrNoProvider) {
		return ui.NotFound()
	} else if err != nil {
		return authError(err, "trying a company sign-in")
	}
	return c.showVendor(w, r, v, trial)
}

// rootCause returns the innermost error's text: what is wrong, without what
// was being done.
func rootCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

func (c *Console) askUnpin(w http.ResponseWriter, r *http.Request, v *visit) error {
	a := find(v.Snapshot.Directory().Accounts, accountWithID(r.PathValue("id")))
	if a == nil {
		return ui.NotFound()
	}
	if _, err := c.Auth.Pinned(r.Context(), a.ID); err != nil {
		return authError(err, "reading who an account is at its company")
	}
	name := cmp.Or(a.Name, a.Email)
	return c.show(w, r, http.StatusOK, "ask", askPage{
		Base: v.page(ui.Say("Forget the company account of {1}", name)), Question: ui.Say("Forget the company account of {1}?", name), About: ui.Link{Label: ui.Verbatim(name), URL: personURL(a.ID)},
		Effects: []ui.Text{
			ui.Say("Whoever signs in next at the company with the address {1} becomes the owner of this account, once they give a code of its authenticator app.", a.Email),
			"Do this when the company has moved to another sign-in, or has given the same person a new account. When the address went to another person, disable this account and invite that person anew.",
			"The owner is told.",
		},
		Action: "Forget it", URL: personURL(a.ID) + "/unpin", Back: personURL(a.ID), Danger: true,
	})
}

func (c *Console) unpin(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := r.PathValue("id")
	if err := c.Auth.Unpin(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "forgetting who an account is at its company")
	}
	return c.seeOther(w, r, v, personURL(id), "The company account is forgotten. The next sign-in through the company sets it anew.")
}

// pinnedSince says since when an account belongs to a person at its company;
// empty when it does not.
func (c *Console) pinnedSince(r *http.Request, account string) (ui.Text, error) {
	p, err := c.Auth.Pinned(r.Context(), account)
	if errors.Is(err, auth.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", authError(err, "reading who an account is at its company")
	}
	return ui.Say("{1}, since {2}", p.Issuer, clock(p.At)), nil
}

// trusting is the box of an engagement's form about its vendor's second factor.
func trusting(d *directory.Directory, f *form, vendor string) []control {
	if vendor != "" && !slices.ContainsFunc(d.Vendors, func(v directory.Vendor) bool { return v.Name == vendor && v.IdentityProvider != nil }) && !f.Checked("trust", "yes") {
		return nil // there is nothing to trust
	}
	return controls(f.boxes("trust", "Company sign-in", []choice{{Value: "yes", Label: "The vendor's own second factor counts",
		Hint: "People who gave one at their company's sign-in reach the clusters covered without a code of ours. Which kinds count is said at the vendor."}}))
}
