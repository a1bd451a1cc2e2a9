package console

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// reaches presses the tabulator until what the selector names has the focus.
func (b *tab) reaches(selector string) {
	b.t.Helper()
	for range 150 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			if !evaluate[bool](b, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 })()`) {
				b.t.Errorf("nobody sees that %s has the focus", selector)
			}
			return
		}
	}
	b.fatal("the tabulator never reaches " + selector)
}

// slash presses the key as a keyboard does: nothing is typed where the page
// takes the key for itself.
func slash() chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "/", Code: "Slash", WindowsVirtualKeyCode: 191})
		return err
	})
}

// TestBrowser_LogByKeyboard searches with suggestions, narrows by a facet and by
// a bar of the picture, checks a proof and pauses the live view: all of it with
// the keyboard alone.
func TestBrowser_LogByKeyboard(t *testing.T) {
	o := newOffice(t, plainText)
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+"/console/log"))
	b.sees("Readings of this log")
	b.do(slash(), chromedp.KeyEvent("eff"), chromedp.KeyEvent(kb.ArrowDown), enter(), chromedp.KeyEvent("de"), chromedp.KeyEvent(kb.ArrowDown), enter(), chromedp.KeyEvent(kb.Enter))
	b.sees("16 lines")
	asked := func() string { return evaluate[string](b, `new URL(location).searchParams.get("q")`) }
	if q := asked(); q != "effect:deny" {
		t.Fatalf("the query is %q", q)
	}
	b.reaches(".as-numbers > summary")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.reaches(".as-numbers a")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees("Wider")
	if q := asked(); !strings.HasPrefix(q, "effect:deny since:") {
		t.Errorf("a bar leads to %q", q)
	}
	b.reaches(".facet-value")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.waits(`new URL(location).searchParams.get("q").includes("cluster:claims")`)
	b.reaches(".chips a")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.waits(`!new URL(location).searchParams.get("q").includes("effect:deny")`)

	live, log := signedLog(t, 30)
	b = newTab(t, live.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+"/console/log/21"))
	b.sees("that the newest checkpoint signs")
	b.reaches(".proof-browser button")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.sees("Your browser computed every step itself")
	b.do(chromedp.Navigate(officeGate + "/console/log/live?q=type:request"))
	b.sees("Connected")
	b.reaches(".live-pause")
	b.do(chromedp.KeyEvent(" "))
	b.sees("Paused")
	if _, err := log.Record(t.Context(), liveRecord("later", 777)); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.KeyEvent(" "))
	b.sees("GET /reports/777")
	live.StopTails()
	b.quiet()
}
