package console

import (
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/ringfence/ringfence/internal/change"
)

// TestBrowser_PolicyTrialsFit opens the pages of replay, matrix and shadow on a
// phone and on a desk, light and dark: nothing needs scrolling sideways, and
// the content security policy stops nothing.
func TestBrowser_PolicyTrialsFit(t *testing.T) {
	o := newTrialOffice(t)
	letIn, _ := o.filled()
	closed := studioHead + `deny contains {"code": "closed", "message": "That is closed.", "help": "Ask."} if input.resource.cluster == "maps"` + "\n"
	if _, err := o.changes.Save(t.Context(), officeAda, 1, 2, change.Edit{Write: map[string]string{"all/closed.rego": closed}}); err != nil {
		t.Fatal(err)
	}
	o.post("ada", replayOf1, fromBeginning)
	o.ends("replay")
	o.post("ada", matrixPath, url.Values{"draft": {"1"}, "source": {"198.51.100.24"}})
	o.ends("matrix")
	o.shadows.found = []change.Difference{{Count: 12, First: sampleNow.Add(-1e12), Last: sampleNow, Entries: []uint64{letIn}, DifferenceKey: change.DifferenceKey{Turn: "widened", Account: "kim",
		Email: "kim@example.com", Vendor: "acme", Cluster: "claims", Route: "web", OldEffect: "deny", OldReasons: "no_secrets", NewEffect: "allow"}}}
	o.post("ada", shadowPath, url.Values{"of": {"draft:1"}})
	var who atomic.Value
	who.Store("ada")
	b := newTab(t, o.signedIn(&who))
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		for name, path := range map[string]string{"replay": replayOf1, "matrix": matrixPath + "?draft=1", "shadow": shadowPath} {
			b.do(chromedp.Navigate(officeGate + path))
			evaluate[bool](b, `document.querySelectorAll("details.difference").forEach(d => d.open = true) || true`)
			for _, width := range []int64{320, 390, 1280} {
				b.do(chromedp.EmulateViewport(width, 900))
				if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s is %v pixels wide on a screen of %d", name, wide, width)
				}
				if width == 390 && scheme == "light" || width == 1280 {
					b.picture(name + "-" + scheme + map[int64]string{390: "-390", 1280: ""}[width])
				}
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		t.Errorf("the browser complains: %s", c)
	}
}
