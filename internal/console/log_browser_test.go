package console

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// seen keeps pictures of the page and leaves it as wide as it was.
func (b *tab) seen(name string) {
	b.t.Helper()
	b.looks(name)
	b.do(chromedp.EmulateViewport(1280, 900))
}

// TestBrowser_LogSearch types a query with the help of suggestions, mends a
// mistake by the link that is offered, and narrows it by dragging.
func TestBrowser_LogSearch(t *testing.T) {
	o := newOffice(t, plainText)
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+"/console/log"))
	b.sees("Readings of this log")
	b.seen("log")
	first := chromedp.CSS(".suggestions li")
	b.do(chromedp.Focus("#f-q"), chromedp.KeyEvent("eff"), chromedp.Click(first), chromedp.KeyEvent("de"))
	b.sees("effect:deny")
	b.seen("log-suggest")
	b.do(chromedp.Click(first), chromedp.KeyEvent("cluter:claims"), chromedp.KeyEvent(kb.Enter))
	b.sees("There is no field “cluter”")
	b.seen("log-mistake")
	b.do(chromedp.Click(chromedp.CSS(".query-fault a")))
	b.sees("16 lines")
	if q := evaluate[string](b, `document.querySelector("#f-q").value`); q != "effect:deny cluster:claims" {
		t.Errorf("the query is %q", q)
	}
	b.seen("log-narrowed")
	// Dragging over the right half leaves what is there, and one address for it.
	box := evaluate[[]float64](b, `(() => { const r = document.querySelector("svg.bars").getBoundingClientRect(); return [r.left, r.top, r.width, r.height] })()`)
	want := evaluate[float64](b, `(() => { const g = [...document.querySelectorAll("svg.bars g")]; const from = Math.floor(0.5 * g.length);
		return g.slice(from).reduce((n, x) => n + (x.querySelector("title") ? Number(x.querySelector("title").textContent.match(/(\d+) denied/)[1]) : 0), 0) })()`)
	mouse := func(kind input.DispatchMouseEventType, x float64) {
		t.Helper()
		if _, err := chromedp.Call(b.Context, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: box[0] + x*box[2], Y: box[1] + box[3]/2, Button: input.MouseButtonLeft, Buttons: 1, ClickCount: 1}); err != nil {
			t.Fatal(err)
		}
	}
	mouse(input.DispatchMouseEventTypeMousePressed, 0.501)
	mouse(input.DispatchMouseEventTypeMouseMoved, 0.7)
	mouse(input.DispatchMouseEventTypeMouseMoved, 0.999)
	mouse(input.DispatchMouseEventTypeMouseReleased, 0.999)
	b.sees("Wider")
	b.sees(fmt.Sprintf("%v lines", want))
	if at := evaluate[string](b, `location.href`); !strings.Contains(at, "q=effect:deny+cluster:claims+since:2026-") || !strings.Contains(at, "+until:2026-") {
		t.Errorf("dragging leads to %s", at)
	}
	b.seen("log-dragged")
	b.do(chromedp.Navigate(officeGate + "/console/log/account/kim"))
	b.seen("timeline")
	b.quiet()
}

// TestBrowser_ProofAndLive computes a proof in the browser, finds a changed
// hash there, and follows the log with a pause in between.
func TestBrowser_ProofAndLive(t *testing.T) {
	o, log := liveOffice(t)
	for i := range 40 {
		if _, err := log.Record(t.Context(), liveRecord(fmt.Sprintf("r%d", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900))
	for deadline := time.Now().Add(20 * time.Second); ; {
		b.do(chromedp.Navigate(officeGate + "/console/log/21"))
		if evaluate[bool](b, `!!document.querySelector(".proof-card")`) {
			break
		}
		if time.Now().After(deadline) {
			b.fatal("no checkpoint covers the entry")
		}
	}
	b.do(chromedp.Click(chromedp.CSS(".proof-browser button")))
	b.sees("Your browser computed every step itself")
	if !strings.Contains(evaluate[string](b, `document.querySelector(".proof-browser [role=status]").textContent`), "Your browser checked the signature.") {
		t.Error("the signature was not checked")
	}
	b.seen("entry-proof")
	evaluate[bool](b, `(() => { const c = document.querySelector(".proof-card"); c.dataset.payload = btoa(atob(c.dataset.payload).replace("/reports/", "/reporty/")); c.querySelector("button").click(); return true })()`)
	b.sees("Your browser came to something else")

	b.do(chromedp.Navigate(officeGate + "/console/log/live?q=type:request"))
	b.sees("Connected")
	add := func(from, to int) {
		for i := from; i < to; i++ {
			if err := log.Append(liveRecord(fmt.Sprintf("l%d", i), i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(100, 105)
	b.sees("GET /reports/104")
	b.do(chromedp.Click(chromedp.CSS(".live-pause")))
	b.sees("Paused")
	b.seen("live-paused")
	add(105, 1300) // more than the page keeps
	b.do(chromedp.Click(chromedp.CSS(".live-pause")))
	b.sees("GET /reports/1299")
	first := evaluate[string](b, `document.querySelector("tbody tr .what").textContent`)
	rows := evaluate[float64](b, `document.querySelectorAll("tbody tr").length`)
	if words := evaluate[string](b, `document.querySelector(".live-count").textContent`); first != "GET /reports/1299" || rows != 500 || words != "1200 since the page was loaded" {
		t.Errorf("%q first of %v rows: %s", first, rows, words)
	}
	b.seen("live")
	o.StopTails()
	b.quiet()
}
