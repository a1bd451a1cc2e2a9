package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// inEditor is the editor of a draft on its page.
const inEditor = `document.querySelector(".policy-editor")?.shadowRoot.querySelector(".cm-content")`

// waits waits until a JavaScript expression holds.
func (w *window) waits(expression string) {
	w.t.Helper()
	eventually(w.t, 20*time.Second, expression, func() bool { return ask[bool](w, "!!("+expression+")") })
}

// says waits until the line below the editor has a text.
func (w *window) says(text string) {
	w.t.Helper()
	w.waits(fmt.Sprintf(`document.querySelector("[data-status]").textContent.includes(%q)`, text))
}

// TestBrowser_PolicyStudio is a change of policies on the built program: a draft
// written in the editor and replayed over a recorded request that becomes its
// test, read and approved by a second person, in force at once, and rolled back
// alone in an emergency.
func TestBrowser_PolicyStudio(t *testing.T) {
	t.Parallel()
	a, w := chromium(t), chromium(t)
	p := startDemo(t)
	kim := p.signIn(t, "kim@northwind.example", 0)
	claims := p.cluster(t, "claims") + "/claims/CL-20418"
	if got := kim.get(claims).status; got != 200 {
		t.Fatalf("before the change the claims answer %d", got)
	}
	kim.accept = "application/json"
	first := t.TempDir()
	if err := os.Mkdir(filepath.Join(first, "all"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(first, "all", "first.rego"), []byte("package ringfence.all\n\nimport rego.v2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "policy", "publish", first, "--title", "First", "--reason", "to begin", "--data", p.ready.Data)

	a.signIn(p, "ada@harbour.example")
	a.open(p.ready.Gate + "/console/policies/new")
	a.do(chromedp.SendKeys(chromedp.CSS(`main [name=title]`), "Close the claims"), chromedp.SendKeys(chromedp.CSS(`main [name=reason]`), "Asked for by their owner"))
	a.press(`document.querySelector('main form[action="/console/policies/new"] button')`)
	a.waits(inEditor)
	ask[any](a, "void "+inEditor+".focus()")
	a.do(chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(`deny contains {"code":"closed_today","message":"Closed.","help":"Ask."} if input.request.pth`))
	a.says("Errors: 1")
	a.do(chromedp.KeyEvent(strings.Repeat(kb.Backspace, 2)), chromedp.KeyEvent(`ath[0]=="claims"`))
	a.says("Nothing is wrong")
	a.do(chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
	a.waits(`document.querySelector("[data-note]").textContent === "Saved in the draft"`)
	a.press(`document.querySelector('.policy-beside a[href$="/replay"]')`)
	a.press(`document.querySelector('form.trial-ask button')`)
	a.waits(`document.querySelector('form[action$="/test"] [value=new]')`)
	a.press(`document.querySelector('form[action$="/test"] [value=new]').form.querySelector("button")`)
	a.press(`document.querySelector('main .eyebrow a')`)
	a.waits(`document.querySelector('form[action$="/submit"]')`)
	a.shoot("policy-draft")
	a.press(`document.querySelector('form[action$="/submit"] button')`)

	w.signIn(p, "ben@harbour.example")
	w.open(p.ready.Gate + "/console/")
	w.press(`[...document.querySelectorAll('.attention a')].find(a => a.textContent.includes('Close the claims'))`)
	for _, words := range []string{"It waits for you", "Asked for by their owner", "closed_today", "The knock-out test found no hole"} {
		if !strings.Contains(w.text(), words) {
			t.Errorf("the review lacks %q:\n%s", words, w.text())
		}
	}
	w.shoot("policy-review")
	w.fitsPhone("the review")
	w.press(`document.querySelector('form[action$="/approve"] button')`)
	if text := w.text(); !strings.Contains(text, "is published and in force") || !strings.Contains(text, "everything on this page is as it was signed") {
		t.Fatalf("after the approval at %s:\n%s", w.at(), text)
	}
	eventually(t, time.Second, "the policy holds", func() bool { return kim.get(claims).status == 403 })
	w.shoot("policy-revision")
	w.fitsPhone("the revision")

	w.open(p.ready.Gate + "/console/policies")
	w.shoot("policies")
	w.fitsPhone("the policies")
	w.open(p.ready.Gate + "/console/policies/revisions")
	w.press(`[...document.querySelectorAll('tbody th a')][1]`)
	w.press(`document.querySelector('main a[href$="/rollback-alone"]')`)
	w.submit("reason", "Nobody can work on the claims")
	eventually(t, time.Second, "the earlier revision is in force", func() bool { return kim.get(claims).status == 200 })
	w.open(p.ready.Gate + "/console/")
	if !strings.Contains(w.text(), "without a second person: Nobody can work on the claims") {
		t.Errorf("the start page does not say that one person did it:\n%s", w.text())
	}
	w.open(p.ready.Gate + "/console/policies")
	if !strings.Contains(w.text(), "Published by one person alone") {
		t.Errorf("the overview does not say that one person did it:\n%s", w.text())
	}
}
