package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

func (o *office) sessions(t *testing.T) []auth.Session {
	t.Helper()
	all, err := o.Auth.AllSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// alive reports whether the account's cookie still opens the gate.
func (o *office) alive(who string) bool {
	return o.get(who, "/sessions").Code == http.StatusOK
}

func TestEverybody_ListFilterPages(t *testing.T) {
	o := newOffice(t, plainText)
	page := o.get("rae", "/console/sessions")
	shows(t, page, 200, "Kim Larsen", "Firefox on Linux", "/console/people/kim", "this one")
	if strings.Contains(page.Body.String(), "/end") {
		t.Error("a reviewer is offered to end sessions")
	}
	shows(t, o.get("ada", "/console/sessions"), 200, "End everybody", "/console/sessions/end")
	only := func(query string, want, not string) {
		t.Helper()
		w := o.get("ada", "/console/sessions?"+query)
		shows(t, w, 200, want)
		if strings.Contains(w.Body.String(), not) {
			t.Errorf("%s shows %s", query, not)
		}
	}
	only("text=kim", "Kim Larsen", "Ada Brandt</a>")
	only("vendor=acme", "Kim Larsen", "Ada Brandt</a>")
	only("vendor=-", "Ada Brandt</a>", "Kim Larsen")
	only("state=paused", "No session matches", "Kim Larsen")
	only("text=nobody-at-all", "No session matches", "Kim Larsen")
	shows(t, o.get("ada", "/console/sessions?vendor=nowhere"), 422, "is not among the choices")
	shows(t, o.get("ada", "/console/sessions?color=red"), 422, "There is no field")
	shows(t, o.get("abe", "/console/sessions"), 403)

	for i := range rowsAPage + 3 {
		row := auth.StoredSession{ID: fmt.Sprint("ses_", i), Account: "kim", Epoch: 1, Created: o.now, LastSeen: o.now, Ends: o.now.Add(time.Hour), CodeFactor: "totp"}
		if err := o.store.PutSession(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Auth.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := len(o.sessions(t))
	shows(t, o.get("ada", "/console/sessions"), 200, fmt.Sprintf("1 to %d of %d sessions", rowsAPage, n), "/console/sessions?page=2")
	shows(t, o.get("ada", "/console/sessions?page=2"), 200, fmt.Sprintf("%d to %d of %d sessions", rowsAPage+1, n, n))
}

func TestEverybody_End(t *testing.T) {
	o := newOffice(t, plainText)
	before := len(o.sessions(t))
	if before < 3 {
		t.Fatalf("only %d sessions", before)
	}
	shows(t, o.get("ada", "/console/sessions/end"), 200, fmt.Sprintf("%d sessions will end at once", before-1), "Type the word everybody")
	for _, word := range []string{"", "all", "everybody else"} {
		shows(t, o.post("ada", "/console/sessions/end", url.Values{"word": {word}, "mine": {"keep"}}), 422, "so that this does not happen by mistake")
	}
	shows(t, o.post("ada", "/console/sessions/end", url.Values{"word": {"everybody"}, "mine": {"maybe"}}), 422, "Choose whether")
	shows(t, o.post("rae", "/console/sessions/end", url.Values{"word": {"everybody"}}), 403)
	if len(o.sessions(t)) != before {
		t.Fatal("sessions ended without the word")
	}
	leadsTo(t, o.post("ada", "/console/sessions/end", url.Values{"word": {" Everybody "}, "mine": {"keep"}}), "/console/sessions")
	shows(t, o.get("ada", "/console/sessions"), 200, fmt.Sprintf("%d sessions ended.", before-1))
	if o.alive("kim") || o.alive("rae") || !o.alive("ada") || len(o.sessions(t)) != 1 {
		t.Errorf("signed in: kim %v, rae %v, ada %v", o.alive("kim"), o.alive("rae"), o.alive("ada"))
	}
	leadsTo(t, o.post("ada", "/console/sessions/end", url.Values{"word": {"everybody"}, "mine": {"end"}}), "/login?note=out")
	if o.alive("ada") || len(o.sessions(t)) != 0 {
		t.Error("the administrator's own session goes on")
	}
}

func TestVendor_EndSessions(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/vendors/acme"), 200, "Firefox on Linux", "/console/vendors/acme/sessions/end")
	shows(t, o.get("ada", "/console/vendors/acme/sessions/end"), 200, "will end at once", "suspend the vendor")
	shows(t, o.post("rae", "/console/vendors/acme/sessions/end", nil), 403)
	shows(t, o.post("ada", "/console/vendors/nowhere/sessions/end", nil), 404)
	leadsTo(t, o.post("ada", "/console/vendors/acme/sessions/end", nil), "/console/vendors/acme")
	if o.alive("kim") || !o.alive("rae") || !o.alive("ada") {
		t.Error("not just the vendor's sessions ended")
	}
}

func TestEverybody_EndOne(t *testing.T) {
	o := newOffice(t, plainText)
	for _, s := range o.sessions(t) {
		if s.Account == "kim" {
			leadsTo(t, o.post("ada", endSessionURL(s.ID), nil), "/console/sessions")
			leadsTo(t, o.post("ada", endSessionURL(s.ID), nil), "/console/sessions")
			shows(t, o.get("ada", "/console/sessions"), 200, "That session had already ended.")
		}
	}
	if o.alive("kim") || !o.alive("rae") {
		t.Error("not just that session ended")
	}
	for _, s := range o.sessions(t) {
		if s.Account == "ada" {
			leadsTo(t, o.post("ada", endSessionURL(s.ID), nil), "/login?note=out")
		}
	}
}
