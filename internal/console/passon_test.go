package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// A fakeMail keeps what it is given.
type fakeMail struct {
	sent  []auth.Invited
	to    []string
	err   error
	state MailState
}

func (m *fakeMail) Invite(_ context.Context, a *directory.Account, i auth.Invited) error {
	if m.err == nil {
		m.sent, m.to = append(m.sent, i), append(m.to, a.Email)
	}
	return m.err
}

func (m *fakeMail) State() MailState { return m.state }

var phoneCode = regexp.MustCompile(`<code>(\d{6})</code>`)

func TestInvite_ByMailAndTelephone(t *testing.T) {
	o := newOffice(t, plainText)
	if body := o.get("ada", "/console/people/invite").Body.String(); strings.Contains(body, "Send the link by mail") || !strings.Contains(body, "which I tell by telephone") {
		t.Error("mail is offered where there is none")
	}
	m := &fakeMail{}
	o.Console.Mail = m
	shows(t, o.get("ada", "/console/people/invite"), 200, "Send the link by mail")
	fields := url.Values{"email": {"noor@example.com"}, "name": {"Noor Haddad"}, "vendor": {"acme"}, "roles": {"contractor"}, "ends": {"2026-05-31"}, "pass_on": {"phone", "mail"}}
	leadsTo(t, o.post("ada", "/console/people/invite", fields), "/console/people/new-noor/invitation")
	w := o.get("ada", "/console/people/new-noor/invitation")
	shows(t, w, 200, "The link is being sent to", "noor@example.com", "by telephone")
	number := phoneCode.FindStringSubmatch(w.Body.String())
	if number == nil || strings.Contains(w.Body.String(), "invite=") {
		t.Fatal("the page shows no number, or the link as well")
	}
	if len(m.sent) != 1 || m.to[0] != "noor@example.com" || m.sent[0].PhoneCode != number[1] {
		t.Fatalf("sent %v to %v", m.sent, m.to)
	}
	text := Letterhead{Organisation: "Northwind Mutual", Gate: officeGate}.Invitation("Noor Haddad", m.sent[0].Link, m.sent[0].Expires, true)
	if !strings.Contains(text.Text, m.sent[0].Link) || strings.Contains(text.Subject+text.Text, number[1]) {
		t.Error("the mail lacks the link, or holds the number")
	}
	shows(t, o.get("ada", "/console/people/new-noor/invitation"), 200, "The link was shown before")
	// A mail that cannot be queued leaves the link to be passed on by hand.
	m.err = errors.New("disk full")
	leadsTo(t, o.post("ada", "/console/people/new-noor/invite", url.Values{"pass_on": {"mail"}}), "/console/people/new-noor/invitation")
	shows(t, o.get("ada", "/console/people/new-noor/invitation"), 200, "/enrol?invite=", "by telephone")
}

func TestInvite_PhoneCodeInTheBrowser(t *testing.T) {
	w := newWorld(t)
	i, err := w.Auth.InviteWith(t.Context(), auth.Actor{Account: auth.Operator}, "lee", auth.InviteOptions{PhoneCode: true})
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.visit(i.Link).has(200, "The number that you were told by telephone").lacks(i.PhoneCode)
	b.submit(map[string]string{"phone": "12 34", "password": password, "again": password}).has(422, "That is not the number that you were told")
	b.submit(map[string]string{"phone": i.PhoneCode, "password": password, "again": password}).has(200, "Connect your authenticator app")
}

func TestOverview_WarningsToPassOn(t *testing.T) {
	w := newWorld(t).enrolled("kim", "ada", "rae")
	b := w.browser()
	b.signIn("ada").has(200, "Overview").lacks("Warnings to pass on")
	if err := w.store.PutWarning(t.Context(), auth.Warning{Notice: auth.Notice{ID: "not_1", Account: "kim", Kind: auth.NoticeWrongCodes, At: w.clock(), IP: "203.0.113.9", UserAgent: "curl/8"},
		Email: "kim@example.com", Vendor: "acme"}); err != nil {
		t.Fatal(err)
	}
	b.visit("/console/").has(200, "Warnings to pass on", "Somebody knew the password, but not the code", "Kim Larsen", "Acme Analytics", "Tell Ines Okafor", "203.0.113.9")
	rae := w.browser()
	rae.signIn("rae").lacks("Warnings to pass on")
	res, err := rae.PostForm(gateURL+"/console/warnings/not_1/pass", nil)
	rae.take(res, err).has(http.StatusForbidden)
	res, err = b.PostForm(gateURL+"/console/warnings/not_1/pass", nil)
	b.take(res, err).has(200, "It is noted that you passed it on").lacks("Warnings to pass on")
	res, err = b.PostForm(gateURL+"/console/warnings/not_1/pass", nil)
	b.take(res, err).has(http.StatusNotFound)
}

func TestOverview_MailFaults(t *testing.T) {
	o := newOffice(t, plainText)
	o.Console.Mail = &fakeMail{state: MailState{Waiting: 3, Oldest: sampleNow.Add(-time.Hour), Fault: "dial tcp: connection refused",
		GivenUp: []MailFault{{To: "lee@acme.example", Kind: "invitation", Fault: "550 no such mailbox", At: sampleNow}}}}
	shows(t, o.get("ada", "/console/"), 200, "3 mails", "connection refused", "lee@acme.example", "550 no such mailbox")
	for _, who := range []string{"abe", "rae"} {
		if strings.Contains(o.get(who, "/console/").Body.String(), "lee@acme.example") {
			t.Errorf("%s sees whom mails go to", who)
		}
	}
}

// Mails say what is needed, hold no secret, and are one person's whatever names hold.
func TestMailTexts(t *testing.T) {
	h := Letterhead{Organisation: "Northwind\r\nBcc: all@evil.example", Gate: "https://gate.example.com"}
	evil := "Kim\r\nBcc: all@evil.example\r\n\r\n.\r\n"
	n := &auth.Notice{Kind: auth.NoticeWrongCodes, At: sampleNow, IP: "203.0.113.9", UserAgent: "curl/8\r\nx", Detail: map[string]string{"codes": "4\r\nBcc: x"}}
	for _, m := range []MailText{
		h.Notice(evil, n),
		h.Notice("", &auth.Notice{Kind: "of_the_future", At: sampleNow}),
		h.Warning(policy.Person{Name: evil, Email: "o@example.com"}, auth.Account{Name: evil, Email: "kim@example.com"}, evil, n),
		h.PolicyWarning(policy.Person{Name: evil, Email: "o@example.com"}, evil, n),
		h.Invitation(evil, "https://gate.example.com/enrol?invite=x", sampleNow, false),
		h.Test(),
	} {
		if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.Text, "\r") || strings.Contains(m.Text, "\nBcc:") || m.Subject == "" || !strings.HasSuffix(m.Text, "\n") {
			t.Errorf("the mail\n%q\n%s", m.Subject, m.Text)
		}
		if !strings.Contains(m.Text, "https://gate.example.com") || strings.Contains(m.Text, "{") {
			t.Errorf("the mail\n%s", m.Text)
		}
	}
	for kind := range warningTitles {
		if !auth.Warned(kind) || warningHelps[kind] == "" {
			t.Errorf("%s is worded, but not warned of, or without help", kind)
		}
	}
	for kind := range noticeTexts {
		if auth.Warned(kind) && warningTitles[kind] == "" {
			t.Errorf("%s is warned of without words", kind)
		}
	}
}
