package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// plugIn gives the browser a security key that somebody touches whenever it asks.
func (w *window) plugIn() webauthn.AuthenticatorID {
	w.t.Helper()
	if _, err := chromedp.Call(w.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		w.fail(err)
	}
	r, err := chromedp.Call(w.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: true, HasUserVerification: true,
		AutomaticPresenceSimulation: true, IsUserVerified: true,
	}})
	if err != nil {
		w.fail(err)
	}
	return r.AuthenticatorID
}

// useKey presses the button of the page's form that a key answers.
func (w *window) useKey() {
	w.t.Helper()
	w.do(chromedp.WaitVisible(chromedp.CSS(`form[data-key] button`)))
	w.press(`document.querySelector('form[data-key] button')`)
}

// TestBrowser_Passkey adds a key, signs in with it, steps up with it, and
// reaches a cluster whose engagement demands one; a colleague without a key is
// stopped, however fresh the code, until an administrator lets her add one.
func TestBrowser_Passkey(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	key := w.plugIn()
	p := startDemo(t)
	kim := p.account(t, "kim@northwind.example")
	w.signIn(p, kim.Email)
	w.open(p.ready.Gate + "/factors/keys")
	w.shoot("keys-none")
	w.press(`document.querySelector('main a[href="/factors/keys/new"]')`)
	w.shoot("key-new")
	w.fitsPhone("the page of a new key")
	w.do(chromedp.WaitVisible(chromedp.CSS(`form[data-key] button`)))
	ask[any](w, `void (document.querySelector('main [name="name"]').value = "Blue key")`)
	w.useKey()
	if at := w.at(); at.Path != "/confirm/key" || !strings.Contains(w.text(), "“Blue key” is added.") {
		t.Fatalf("after adding at %s:\n%s", at, w.text())
	}
	w.shoot("key-added")
	w.useKey() // once, to see that it works
	if at := w.at(); at.Path != "/factors" || !strings.Contains(w.text(), "Blue key") {
		t.Fatalf("after using it at %s:\n%s", at, w.text())
	}
	w.shoot("keys")
	w.fitsPhone("the list of keys")
	r, err := chromedp.Call(w.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: key})
	if err != nil || len(r.Credentials) != 1 || r.Credentials[0].RpID != "gate.localhost" {
		t.Fatalf("the key holds %+v, %v", r.Credentials, err)
	}

	// Sign out and in again, with the key in place of the code, on the way to a cluster.
	w.press(`document.querySelector('header form button')`)
	w.demandKey(p)
	w.open(p.cluster(t, "claims") + "/claims/CL-20418")
	w.submit("email", kim.Email, "password", kim.Password)
	w.do(chromedp.WaitVisible(chromedp.CSS(`form[data-key] button`)))
	w.shoot("code-key")
	w.fitsPhone("the page of the code with a key")
	w.useKey()
	if at := w.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host || at.Path != "/claims/CL-20418" {
		t.Fatalf("after the key at %s:\n%s", at, w.text())
	}

	// With the code alone the same cluster asks for the key, and then opens.
	w.open(p.ready.Gate + "/")
	w.press(`document.querySelector('header form button')`)
	w.open(p.cluster(t, "claims") + "/claims/CL-20418")
	w.submit("email", kim.Email, "password", kim.Password)
	w.submit("code", code(t, kim, 1))
	if at := w.at(); at.Path != "/confirm/key" || strings.Contains(w.text(), "authenticator app") {
		t.Fatalf("with a code alone at %s:\n%s", at, w.text())
	}
	w.shoot("confirm-key")
	w.fitsPhone("the page that asks for the key")
	w.useKey()
	if at := w.at(); at.Path != "/claims/CL-20418" {
		t.Fatalf("after stepping up at %s:\n%s", at, w.text())
	}
	var listed bool
	for line := range strings.Lines(ringfence(t, "account", "list", "--json", "--data", p.ready.Data)) {
		var a struct {
			Email   string
			Factors []struct{ Kind, Name string }
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		listed = listed || a.Email == kim.Email && len(a.Factors) == 2 && a.Factors[1].Kind == "webauthn" && a.Factors[1].Name == "Blue key"
	}
	if !listed {
		t.Error("account list does not show the key")
	}
	w.colleagueWithoutKey(p)
}

// demandKey has the administrator demand a key in a browser of her own.
func (w *window) demandKey(p *process) {
	w.t.Helper()
	ada := chromium(w.t)
	ada.signIn(p, "ada@harbour.example")
	ada.open(p.ready.Gate + "/console/engagements/northwind-2026/edit")
	ada.do(chromedp.Click(chromedp.CSS(`main input[name="factor"]`)))
	ada.shoot("engagement-key")
	ada.press(`document.querySelector('main form.edit button')`)
	if !strings.Contains(ada.text(), "Only a passkey or security key") {
		w.t.Fatalf("the engagement demands no key:\n%s", ada.text())
	}
}

func (w *window) colleagueWithoutKey(p *process) {
	w.t.Helper()
	lee := chromium(w.t)
	lee.plugIn()
	lee.signIn(p, "lee@northwind.example")
	lee.shoot("portal-key")
	lee.open(p.cluster(w.t, "claims") + "/")
	if at := lee.at(); at.Path != "/factors/keys/new" || !strings.Contains(lee.text(), "a code is not enough to add the first one") {
		w.t.Fatalf("without a key at %s:\n%s", at, lee.text())
	}
	lee.shoot("key-ask")
	lee.fitsPhone("the page that says whom to ask")

	ada := chromium(w.t)
	a := p.account(w.t, "ada@harbour.example")
	ada.open(p.ready.Gate + "/login")
	ada.submit("email", a.Email, "password", a.Password)
	ada.submit("code", code(w.t, a, 1)) // the one before was used for the engagement
	ada.open(p.ready.Gate + "/console/people")
	ada.press(`[...document.querySelectorAll('main a')].find(a => a.textContent.includes('Kim Larsen'))`)
	ada.shoot("person-key")
	ada.open(p.ready.Gate + "/console/people")
	ada.press(`[...document.querySelectorAll('main a')].find(a => a.textContent.includes('Lee'))`)
	ada.press(`document.querySelector('main a[href$="/allow-key"]')`)
	ada.shoot("allow-key")
	ada.press(`document.querySelector('main form[action$="/allow-key"] button')`)

	lee.open(p.cluster(w.t, "claims") + "/")
	lee.useKey()
	lee.useKey()
	if at := lee.at(); at.Host != mustURL(w.t, p.cluster(w.t, "claims")).Host {
		w.t.Fatalf("with the new key at %s:\n%s", at, lee.text())
	}
}
