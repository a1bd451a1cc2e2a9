package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// TestBrowser_Reviewer is a reviewer at the program itself: a search by typing,
// an entry with its proof computed in the browser, the account's timeline, and
// a denial seen live as it happens.
func TestBrowser_Reviewer(t *testing.T) {
	t.Parallel()
	slow(t)
	w := chromium(t)
	p := startDemo(t)
	kim := p.signIn(t, "kim@northwind.example", 0)
	kim.get(p.cluster(t, "claims") + "/claims/CL-20418")
	kim.get(p.cluster(t, "billing") + "/invoices")
	w.signIn(p, "cleo@harbour.example")
	w.open(p.ready.Gate + "/console/log")
	w.submit("q", "who:kim effect:deny")
	if at := w.at(); at.Query().Get("q") != "account:kim effect:deny" || !strings.Contains(w.text(), "/invoices") {
		t.Fatalf("at %s:\n%s", at, w.text())
	}
	w.shoot("log-search")
	w.fitsPhone("the search")
	w.press(`[...document.querySelectorAll('main a')].find(a => /\/console\/log\/\d+$/.test(a.href))`)
	entry := w.at().String()
	eventually(t, 10*time.Second, "a checkpoint covers the entry", func() bool {
		w.open(entry)
		return strings.Contains(w.text(), "that the newest checkpoint signs")
	})
	ask[any](w, `void document.querySelector(".proof-browser button").click()`)
	eventually(t, 10*time.Second, "the browser computes the proof", func() bool {
		return strings.Contains(w.text(), "Your browser computed every step itself")
	})
	w.shoot("log-proof")
	w.fitsPhone("an entry with its proof")
	w.press(`[...document.querySelectorAll('main a')].find(a => a.href.includes('/console/log/account/'))`)
	if !strings.Contains(w.text(), "/invoices") {
		t.Errorf("the timeline lacks the denial:\n%s", w.text())
	}
	w.shoot("log-timeline")
	w.fitsPhone("the timeline")
	w.open(p.ready.Gate + "/console/log/live?q=effect:deny")
	eventually(t, 10*time.Second, "the live view is connected", func() bool { return strings.Contains(w.text(), "Connected") })
	kim.get(p.cluster(t, "billing") + "/seen-live")
	eventually(t, 5*time.Second, "the denial is seen as it happens", func() bool { return strings.Contains(w.text(), "/seen-live") })
	w.shoot("log-live")
	w.fitsPhone("the live view")
	w.open(p.ready.Gate + "/console/log/witnesses")
	if !strings.Contains(w.text(), "Nobody witnesses this log") {
		t.Errorf("the demo has no witnesses:\n%s", w.text())
	}
	w.open(p.ready.Gate + "/log/checkpoint")
	if size, err := accesslog.CheckpointSize([]byte(w.text())); err != nil || size == 0 {
		t.Errorf("the checkpoint at the gate: %v\n%s", err, w.text())
	}
}
