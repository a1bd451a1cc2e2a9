package console

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowser_Witnesses looks at the witnesses of a log, reads the checkpoint
// that they cosigned, and has a proof under it computed in the browser.
func TestBrowser_Witnesses(t *testing.T) {
	o, log := signedLog(t, 40)
	c := witnessed(t, o, log, "audit", "old")
	if good, errs := c.Round(t.Context()); good != 2 {
		t.Fatal(errs)
	}
	o.Console.Witnesses = c
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+"/console/log/21"))
	b.sees("Cosigned by")
	b.do(chromedp.Click(chromedp.CSS(".proof-browser button")))
	b.sees("Your browser computed every step itself")
	if !strings.Contains(evaluate[string](b, `document.querySelector(".proof-browser [role=status]").textContent`), "Your browser checked the signature.") {
		t.Error("the log's own signature was not checked among those of witnesses")
	}
	b.seen("entry-cosigned")
	o.Console.Witnesses = &memoryWitnesses{allStates(), c.Cosigned()}
	b.do(chromedp.Navigate(officeGate + witnessesPath))
	b.sees("witness fork has a checkpoint")
	b.seen("witnesses")
	b.do(chromedp.Click(chromedp.CSS(`a[href="/log/checkpoint"]`)))
	b.sees("audit.example.org/1")
	o.Console.Witnesses = nil
	b.do(chromedp.Navigate(officeGate + witnessesPath))
	b.sees("Nobody witnesses this log")
	b.seen("witnesses-none")
}
