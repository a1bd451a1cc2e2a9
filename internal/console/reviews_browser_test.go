package console

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

// TestBrowser_ReviewPagesFit opens the pages of saved searches, reviews, exports
// and one's own entries on a phone and on a desk, light and dark: nothing needs
// scrolling sideways, and the content security policy stops nothing.
func TestBrowser_ReviewPagesFit(t *testing.T) {
	if testing.Short() {
		t.Skip("opens every page many times")
	}
	o := newOffice(t, plainText)
	o.reviews.searches = []review.Search{
		{ID: 1, Owner: "rae", Email: "rae@example.com", Title: "Refused requests to confidential clusters", Query: "effect:deny,challenge classification:confidential", Shared: true, Daily: true, Version: 1, Changed: o.now},
		{ID: 2, Owner: "ada", Email: "ada@example.com", Title: "Exports", Query: `path:/export*,"/api/v2/a-rather-long-path-without-any-space-in-it-that-goes-on"* bytes_out:>=10485760`, Shared: true, Version: 1, Changed: o.now},
		{ID: 3, Owner: "rae", Email: "rae@example.com", Title: "Changes", Query: "type:admin", Daily: true, Version: 1, Changed: o.now},
	}
	o.post("rae", reviewsPath, url.Values{"q": {"effect:deny,challenge classification:confidential"}, "first": {"0"}, "past": {"40"}, "search": {"1"}, "note": {"Each is the migration's own test run.\nOne odd path was asked about: /admin, ticket DATA-118."}})
	read := policy.Record{Type: policy.RecordLog, Time: o.now, Action: "log.query", Actor: "rae", Account: "rae", Email: "rae@example.com", Detail: map[string]string{"query": "account:kim"}}
	o.entries.add(read, nil)
	read.Actor, read.Account, read.Email, read.Action, read.Detail = "ada", "ada", "ada@example.com", "log.export", map[string]string{"query": "cluster:claims"}
	o.entries.add(read, nil)
	read.Actor, read.Account, read.Email, read.Detail = "operator", "", "", map[string]string{"filter": "text=two words"}
	o.entries.add(read, nil)
	waiting := exported(t, o, "rae", "effect:deny,challenge classification:confidential since:7d", "parquet")
	done := exported(t, o, "rae", "cluster:claims", "csv")
	fetched(o, "rae", done)
	day := o.now.AddDate(0, 0, -1).Format(time.DateOnly)
	pages := []struct{ name, as, path string }{
		{"searches", "rae", searchesPath}, {"search-edit", "rae", savedSearchPath(1) + "/edit"}, {"queue", "rae", queuePath}, {"review", "rae", reviewsPath + "/new?search=1&day=" + day},
		{"reviews", "rae", reviewsPath}, {"export", "rae", exportsPath + "/new?q=cluster:claims"}, {"export-ready", "rae", waiting}, {"export-done", "rae", done},
		{"recorded", "kim", recordedPath}, {"readers", "kim", readersPath}, {"log", "rae", "/console/log"},
	}
	var who atomic.Value
	who.Store("rae")
	b := newTab(t, o.signedIn(&who))
	for _, scheme := range []string{"light", "dark"} {
		if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			who.Store(p.as)
			if w := o.get(p.as, p.path); w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", p.name, w.Code)
			}
			b.do(chromedp.Navigate(officeGate + p.path))
			evaluate[bool](b, `(() => { const all = document.querySelectorAll("main details"); if (all.length) { all[0].open = true; all[Math.min(1, all.length - 1)].open = true; } return true; })()`)
			for _, width := range []int64{320, 390, 1280} {
				b.do(chromedp.EmulateViewport(width, 900))
				if wide := evaluate[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
					t.Errorf("%s is %v pixels wide on a screen of %d", p.name, wide, width)
				}
				if width == 390 && scheme == "light" || width == 1280 {
					b.picture(p.name + "-" + scheme + map[int64]string{390: "-390", 1280: ""}[width])
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
