package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowser_Agreements writes a new version in a real browser, with its
// preview and what changes, and accepts it as the person of whom it is demanded.
func TestBrowser_Agreements(t *testing.T) {
	t.Parallel()
	w := chromium(t)
	p := startDemo(t)
	w.signIn(p, "ada@harbour.example")
	console := p.ready.Gate + "/console"
	w.visit("console-overview", console+"/")
	w.visit("console-agreements", console+"/agreements")
	w.visit("console-agreement-new", console+"/agreements/new")
	w.visit("console-agreement", console+"/agreements/confidentiality")
	w.visit("console-agreement-remove", console+"/agreements/confidentiality/remove")
	w.visit("console-agreement-edit", console+"/agreements/confidentiality/edit")
	w.do(chromedp.SendKeys(chromedp.CSS(`main [name="text"]`), "\n\n## One thing more\n\n- Report what you **lose** within a day. <img src=x onerror=alert(1)>\n"))
	w.press(`document.querySelector('button[name="preview"]')`)
	if text := w.text(); !strings.Contains(text, "Report what you lose within a day.") || !strings.Contains(text, "What changes from version 1") || !strings.Contains(text, "Put version 2 in force") {
		t.Errorf("the preview shows:\n%s", text)
	}
	w.look("console-agreement-preview")
	w.press(`document.querySelector('main form .button')`)
	if text := w.text(); !strings.Contains(text, "Version 2 of Confidentiality and data access is in force") {
		t.Errorf("after putting it in force:\n%s", text)
	}
	w.look("console-agreement-changed")
	w.visit("console-agreement-version", console+"/agreements/confidentiality/versions/2")
	w.signOut()

	kim := p.account(t, "kim@northwind.example")
	w.open(p.cluster(t, "claims") + "/")
	w.submit("email", kim.Email, "password", kim.Password)
	w.submit("code", code(t, kim, 0))
	if w.at().Path != "/agreements" || !strings.Contains(w.text(), "has changed since you accepted version 1") {
		t.Fatalf("headed for the cluster, at %s:\n%s", w.at(), w.text())
	}
	w.look("agreements-due")
	w.do(chromedp.Click(chromedp.CSS(`main form input[type="checkbox"]`)))
	w.submit("name", "kim larsen")
	if at := w.at(); at.Host != mustURL(t, p.cluster(t, "claims")).Host {
		t.Errorf("after accepting at %s", at)
	}
	w.visit("agreements-own", p.ready.Gate+"/agreements")
	w.visit("agreements-accepted-version", p.ready.Gate+"/agreements/confidentiality/1")
}
