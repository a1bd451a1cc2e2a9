package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// refusedPage is the data of the page "refused".
type refusedPage struct {
	Base
	Heading ui.Text
	Lede    ui.Text
	Cluster string // its title; empty when there is none
	Reasons []reason
	Ask     []helper
	Facts   []fact
	Action  ui.Link // what to do now
}

// A helper is somebody who can help.
type helper struct {
	policy.Person
	For  ui.Text // what they can do
	Mail string  // a mailto link
}

// A fact is one line of what was refused.
type fact struct{ Name, Value ui.Text }

// A reason is one of a decision as people read it.
type reason struct {
	Code          string
	Message, Help ui.Text
}

// Refuse answers a request on a cluster's host that is not served. People get
// a page or are led to what they have to do first; programs get JSON.
func (c *Console) Refuse(w http.ResponseWriter, r *http.Request, f policy.Refusal) {
	ui.SecureHeaders(w.Header())
	ui.SetRetryAfter(w.Header(), time.Duration(f.RetryAfter)*time.Second)
	if f.Status < 400 || f.Status > 599 {
		f.Status = http.StatusForbidden
	}
	first := c.firstStep(f)
	switch {
	case !isNavigation(r):
		c.refuseProgram(w, r, f, first)
	case first != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) && localURI(r.URL.RequestURI()):
		http.Redirect(w, r, c.leadTo(w, r, first, r.URL.RequestURI()), http.StatusFound)
	default:
		c.refusePerson(w, r, f, first)
	}
}

// steps are the pages of the gate on which a challenge is met.
var steps = map[string]string{
	policy.ReasonSignIn:       "/login",
	policy.ReasonCodeStale:    "/confirm",
	policy.ReasonSecondFactor: "/confirm",

	policy.ReasonPhishingResistant: "/confirm/key",

	policy.ReasonAgreementMissing: "/agreements",
}

// firstStep returns the page that meets the refusal's challenge, empty for a denial.
func (c *Console) firstStep(f policy.Refusal) string {
	if f.Decision.Effect != policy.Challenge || f.Cluster == "" {
		return ""
	}
	for _, r := range f.Decision.Reasons {
		if p, ok := steps[r.Code]; ok {
			return p
		}
	}
	return ""
}

// leadTo returns the address of the gate's page at path that brings the person
// back to uri on this host, and ties the way back to this browser.
func (c *Console) leadTo(w http.ResponseWriter, r *http.Request, path, uri string) string {
	secret := cookie(r, auth.StartCookie)
	if len(secret) < 32 || len(secret) > 64 {
		secret = auth.NewSecret()
		setCookie(w, auth.StartCookie, secret, 0)
	}
	to := returning{id: c.Auth.SaveTarget(canonicalHost(r), uri, secret)}
	return c.hostURL(c.gateHost) + to.to(path)
}

// isNavigation reports whether a person is looking at the answer.
func isNavigation(r *http.Request) bool {
	if r.Header.Get("Upgrade") != "" || r.Header.Get("Authorization") != "" {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// refusalJSON is the body that programs get.
type refusalJSON struct {
	Error struct {
		Code      string          `json:"code"`
		Message   string          `json:"message"`
		RequestID string          `json:"request_id"`
		Cluster   string          `json:"cluster,omitempty"`
		Reasons   []policy.Reason `json:"reasons"`
		SignIn    string          `json:"sign_in,omitempty"`
	} `json:"error"`
}

func (c *Console) refuseProgram(w http.ResponseWriter, r *http.Request, f policy.Refusal, first string) {
	var body refusalJSON
	e := &body.Error
	e.RequestID, e.Cluster, e.Reasons = f.RequestID, f.Cluster, f.Decision.Reasons
	if e.Reasons == nil {
		e.Reasons = []policy.Reason{}
	}
	generic := ui.AsError(&ui.Error{Status: f.Status})
	e.Code, e.Message = generic.Code, generic.Detail.String()
	if len(e.Reasons) > 0 {
		e.Code, e.Message = e.Reasons[0].Code, e.Reasons[0].Message
	}
	if first != "" {
		e.SignIn = c.hostURL(c.gateHost) + first
	}
	if f.Status == http.StatusUnauthorized {
		for _, challenge := range tokenChallenges(f) {
			w.Header().Add("WWW-Authenticate", challenge)
		}
		if r.Header.Get("Sec-Fetch-Mode") == "" {
			// git and others offer their token only when asked for Basic; a
			// browser would show a password prompt of its own.
			w.Header().Add("WWW-Authenticate", `Basic realm="Ringfence", charset="UTF-8"`)
		}
	}
	writeJSON(w, f.Status, body)
}

func (c *Console) refusePerson(w http.ResponseWriter, r *http.Request, f policy.Refusal, first string) {
	page := refusedPage{Base: Base{c.clusterFrame("")}, Cluster: orElse(f.Title, f.Cluster)}
	for _, r := range f.Decision.Reasons {
		page.Reasons = append(page.Reasons, reason{r.Code, ui.Known(r.Message), ui.Known(r.Help)})
	}
	page.Heading, page.Lede = refusalWords(f, page.Cluster, first)
	page.Title = page.Heading
	if !f.Subject.IsAnonymous() {
		page.Person = &ui.Person{Name: f.Subject.Email, Email: f.Subject.Email}
		page.FormTargets = []string{page.Gate}
	}
	if f.Status == http.StatusForbidden || f.Status == http.StatusUnauthorized {
		page.Facts = append(page.Facts, fact{"Request", ui.Verbatim(r.Method + " " + clip(r.URL.Path, 200))})
		page.Ask = helpers(f, page.Cluster)
	}
	page.Facts = append(page.Facts, fact{"Time", ui.Instant(c.Now())}, fact{"Request id", ui.Verbatim(f.RequestID)})
	switch {
	case first != "":
		back := "/"
		if u, err := url.Parse(r.Referer()); err == nil && strings.EqualFold(u.Host, r.Host) && localURI(u.RequestURI()) {
			back = u.RequestURI()
		}
		page.Action = ui.Link{Label: stepLabels[first], URL: c.leadTo(w, r, first, back)}
	case f.Status >= 500 || f.Status == http.StatusTooManyRequests:
		page.Action = ui.Link{Label: "Try again", URL: "/"}
		if r.Method == http.MethodGet && localURI(r.URL.RequestURI()) {
			page.Action.URL = r.URL.RequestURI()
		}
	default:
		page.Action = ui.Link{Label: "To my clusters", URL: page.Gate + "/"}
	}
	c.UI.Page(w, r, f.Status, "refused", page)
}

var stepLabels = map[string]ui.Text{"/login": "Sign in", "/confirm": "Give a fresh code", "/confirm/key": "Use your passkey or security key", "/agreements": "Read the agreement"}

// headings say what happened, by the first reason's code; the rest follows from the status.
var headings = map[string][2]ui.Text{
	policy.ReasonUpstreamDown:     {"{1} does not answer", "Ringfence let your request through, but the system behind it cannot be reached. Nothing is wrong with your access."},
	policy.ReasonLogUnavailable:   {"{1} is closed for a moment", "Requests cannot be recorded right now, and nothing is served unrecorded. Please try again shortly."},
	policy.ReasonUnknownRoute:     {"Nothing is here", "{1} has no system at this address."},
	policy.ReasonRequestAmbiguous: {"That address is not clear", "The address can be read in more than one way, so it is not passed on. Check it and try again."},
	policy.ReasonRequestTooLarge:  {"That is too large", "The request is larger than this cluster accepts."},
	policy.ReasonResponseTooLarge: {"That answer is too large", "The answer is larger than your access to {1} allows."},
	policy.ReasonRateLimited:      {"Please wait a moment", "There were more requests than are accepted at once."},
	policy.ReasonCrossOrigin:      {"That came from another site", "Another site tried to send something to {1} in your name. It was not passed on."},
}

// refusalWords returns heading and first sentence of a refusal.
func refusalWords(f policy.Refusal, title, first string) (heading, lede ui.Text) {
	cluster := ui.Text("This cluster")
	if title != "" {
		cluster = ui.Verbatim(title)
	}
	for _, r := range f.Decision.Reasons {
		if h, ok := headings[r.Code]; ok {
			return ui.Say(h[0], cluster), ui.Say(h[1], cluster)
		}
	}
	switch {
	case f.Status == http.StatusMisdirectedRequest:
		return "No cluster has this name", "The address leads to Ringfence, but no cluster of that name is behind it. Check the spelling, or start from your own list."
	case first != "":
		return "One thing first", ui.Say("What you sent was not passed on to {1}, and it is not kept. Do this first: you come back to the page before, where you send it again.", cluster)
	case f.Status >= 500:
		return ui.Say("{1} cannot be opened right now", cluster), "That is a fault on this side. Please try again in a moment."
	case f.Status == http.StatusForbidden || f.Status == http.StatusUnauthorized:
		return ui.Say("You cannot open this in {1}", cluster), "You are signed in, but the rules of this cluster do not allow this request. It was recorded, like every other."
	}
	e := ui.AsError(&ui.Error{Status: f.Status})
	return e.Title, e.Detail
}

// helpers returns who can help with a denial, each person once.
func helpers(f policy.Refusal, cluster string) []helper {
	var list []helper
	add := func(p policy.Person, what ui.Text) {
		if p.Email == "" && p.Name == "" {
			return
		}
		if i := slices.IndexFunc(list, func(h helper) bool { return h.Person == p }); i >= 0 {
			list[i].For = ui.Say("{1} and {2}", list[i].For, what)
			return
		}
		h := helper{Person: p, For: what}
		if p.Email != "" {
			h.Mail = "mailto:" + url.PathEscape(p.Email) + "?" + mailQuery("Access to "+cluster, "Request id: "+f.RequestID)
		}
		list = append(list, h)
	}
	if f.Facts != nil && f.Facts.Vendor != nil {
		add(f.Facts.Vendor.Owner, ui.Say("answers for {1} here", orElse(f.Facts.Vendor.Title, f.Facts.Vendor.Name)))
	}
	if cluster == "" {
		add(f.Owner, "owns this cluster")
	} else {
		add(f.Owner, ui.Say("owns {1}", cluster))
	}
	return list
}

// mailQuery writes the fields of a mailto link, where a plus is a plus.
func mailQuery(subject, body string) string {
	return "subject=" + url.PathEscape(subject) + "&body=" + url.PathEscape(body)
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
