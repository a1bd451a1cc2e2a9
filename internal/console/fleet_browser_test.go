package console

import (
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowser_Fleet narrows the search of every gateway by a facet.
func TestBrowser_Fleet(t *testing.T) {
	o := newOffice(t, plainText)
	o.Shared, o.Deliver = memoryShared{}, newMemoryDeliveries(plainText)
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+fleetPath))
	b.sees("gate.test/gw2")
	b.seen("fleet")
	b.do(chromedp.Click(chromedp.CSS(".fleet-facets .facet-value")))
	b.waits(`document.querySelector("#f-q").value.startsWith("node:gw-1")`)
	b.do(chromedp.Navigate(officeGate + deliveryPath))
	b.seen("delivery")
	b.quiet()
}
