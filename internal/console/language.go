package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// languageKept is how long a browser keeps the language that was chosen.
const languageKept = deviceKept

// vocabulary are the words that other packages give as values and pages show:
// states, roles, effects. It makes them known to the catalogues; see ui.Known.
var vocabulary = []ui.Text{
	policy.StatusActive, policy.StatusInvited, policy.StatusDisabled, policy.StatusSuspended, policy.StatusClosed,
	"allow", "challenge", "deny", "outcome",
	"contractor", "administrator", "approver", "reviewer",
	"public", "internal", "confidential", "restricted", policy.ModeStrict, policy.ModeRelaxed,
	"ok", "failed", "refused", "session", "token",
	assignmentActive, assignmentPending, assignmentEnded, assignmentHeld, standingEnded, standingSuspended,
}

// here is where a visitor comes back to after changing the language: the page
// itself, or the page of the same address when a form was sent.
func (v *visit) here() string {
	if v.r.Method == http.MethodGet && v.c.isPage(v.r.URL) {
		if v.Session == nil {
			return v.strangersPage()
		}
		return v.r.URL.RequestURI()
	}
	if v.c.isPage(v.r.URL) {
		return v.r.URL.EscapedPath()
	}
	return "/"
}

// strangersPage is the address of a page that a stranger sees, with what the
// page itself needs and nothing else of what was asked: a link made elsewhere
// is not repeated.
func (v *visit) strangersPage() string {
	have, keep := v.r.URL.Query(), url.Values{}
	if id := have.Get("return"); v.c.returningTo(id).id != "" {
		keep.Set("return", id)
	}
	if token := have.Get("invite"); token != "" && len(token) <= 128 && !strings.ContainsFunc(token, notOfToken) {
		keep.Set("invite", token)
	}
	if note := have.Get("note"); loginNotes[note].Text != "" {
		keep.Set("note", note)
	}
	if len(keep) == 0 {
		return v.r.URL.EscapedPath()
	}
	return v.r.URL.EscapedPath() + "?" + keep.Encode()
}

// notOfToken reports whether r is in no token that this gate makes.
func notOfToken(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// isPage reports whether u, without a host, is one that the gate answers.
func (c *Console) isPage(u *url.URL) bool {
	if c.mux == nil {
		return false
	}
	_, pattern := c.mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: u.Path}, Host: c.gateHost})
	return pattern != "" && pattern != "/"
}

// chooseLanguage keeps the language that a person chose in a cookie of this
// host, and leads back to where they were. Nothing of the form is trusted: the
// language must be one that there is, the way back a page of the gate.
func (c *Console) chooseLanguage(w http.ResponseWriter, r *http.Request, v *visit) error {
	tag := r.PostForm.Get("language")
	if !c.UI.HasLanguage(tag) {
		return ui.BadRequest("There is no such language here.")
	}
	setCookie(w, ui.LanguageCookie, tag, int(languageKept.Seconds()))
	back := r.PostForm.Get("back")
	if u, err := url.ParseRequestURI(back); err != nil || !localURI(back) || u.Host != "" || !c.isPage(u) {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}
