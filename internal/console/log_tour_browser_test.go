package console

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

// spread measures the page: how wide it is, and what of it reaches out of it
// where nothing scrolls it, and which cells of a table are squeezed or lie over others.
const spread = `(() => {
	const wide = document.documentElement.clientWidth, out = [];
	for (const e of document.querySelectorAll("main *")) {
		const r = e.getBoundingClientRect();
		if (!r.width || !r.height || r.right <= wide + 1) continue;
		let up = e.parentElement, held = false;
		for (; up && up !== document.body; up = up.parentElement) if (/auto|scroll|hidden|clip/.test(getComputedStyle(up).overflowX)) { held = true; break; }
		if (!held && !/absolute|fixed/.test(getComputedStyle(e).position)) out.push(e.tagName + "." + e.className + " to " + Math.round(r.right));
	}
	for (const row of document.querySelectorAll("main tbody tr")) {
		const cells = [...row.cells].filter((c) => c.checkVisibility()).map((c) => [c, c.getBoundingClientRect()]);
		for (const [one, a] of cells) if (a.width < 40 && one.innerText.trim().length > 6) out.push("letter by letter: " + one.innerText);
		for (const [one, a] of cells) for (const [other, b] of cells) {
			if (one !== other && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2) out.push(one.innerText + " lies over " + other.innerText);
		}
	}
	return document.documentElement.scrollWidth > wide || out.length ? [document.documentElement.scrollWidth + " of " + wide, ...out.slice(0, 5)].join("; ") : "";
})()`

// A stop is one page of the tour, made ready by its own do.
type stop struct {
	name, as, path string
	do             func()
}

// tourOffice has something in every list, for pages about the access log.
func tourOffice(t *testing.T) (*office, []stop) {
	o, _ := withPrivacy(t, plainText)
	m := &memoryRetention{archive: "https://s3.example.com/ringfence-archive-of-the-production-gateways", state: retention.State{At: sampleNow, Removed: 12,
		Fault: "archiving entries 0 to 987 in https://s3.example.com/ringfence-archive: no answer",
		Plan:  retention.Plan{Oldest: &accesslog.SealedSegment{First: 4711}, Until: sampleNow.Add(48 * time.Hour)}}}
	o.Console.Retention, o.Console.LogFolder = m, t.TempDir()
	o.reviews.searches = []review.Search{
		{ID: 1, Owner: "rae", Email: "rae@example.com", Title: "Refused requests to confidential clusters", Query: "effect:deny,challenge classification:confidential", Shared: true, Daily: true, Version: 1, Changed: o.now},
		{ID: 2, Owner: "ada", Email: "ada@example.com", Title: "Exports", Query: `path:/export*,"/api/v2/a-rather-long-path-without-any-space-in-it-that-goes-on"* bytes_out:>=10485760`, Shared: true, Version: 1, Changed: o.now},
		{ID: 3, Owner: "rae", Email: "rae@example.com", Title: "Changes", Query: "type:admin", Daily: true, Version: 1, Changed: o.now},
	}
	o.post("rae", reviewsPath, url.Values{"q": {"effect:deny,challenge classification:confidential"}, "first": {"0"}, "past": {"40"}, "search": {"1"}, "note": {"Each is the migration's own test run.\nOne odd path was asked about: /admin, ticket DATA-118."}})
	for _, r := range []policy.Record{{Actor: "rae", Account: "rae", Email: "rae@example.com", Action: "log.query", Detail: map[string]string{"query": "account:kim"}},
		{Actor: "ada", Account: "ada", Email: "ada@example.com", Action: "log.export", Detail: map[string]string{"query": "cluster:claims"}}} {
		r.Type, r.Time = policy.RecordLog, o.now
		o.entries.add(r, nil)
	}
	ready := exported(t, o, "rae", "effect:deny,challenge classification:confidential since:7d", "parquet")
	done := exported(t, o, "rae", "cluster:claims", "csv")
	fetched(o, "rae", done)
	running := exported(t, o, "rae", "type:request", "json")
	failed := exported(t, o, "rae", "type:request account:kim", "csv")
	job := o.Console.exports.all[2]
	job.state, job.began, job.at, job.entries = exportRunning, o.now.Add(-20*time.Second), job.Past/2, 1_234_567
	o.entries.broken = accesslog.ErrUnavailable
	fetched(o, "rae", failed)
	o.entries.broken = nil
	o.alarms.found = alarm.Trial{Entries: 4711, Total: 2, Alarms: o.alarms.alarms[:2]}
	day := o.now.AddDate(0, 0, -1).Format(time.DateOnly)
	return o, []stop{
		{"log", "rae", "/console/log", nil},
		{"log-narrowed", "rae", "/console/log?q=account:kim+effect:deny,challenge+since:1d", nil},
		{"log-facets", "rae", "/console/log?q=cluster:claims&facets=more", nil},
		{"log-none", "rae", "/console/log?q=nowhere", nil},
		{"log-fault", "rae", "/console/log?q=account:kim+cluter:claims+since:1d", nil},
		{"entry-request", "rae", "/console/log/1", nil}, {"entry-denied", "rae", "/console/log/5", nil}, {"entry-explained", "rae", "/console/log/5?explain=yes", nil}, {"entry-facts", "rae", "/console/log/0", nil},
		{"session", "rae", "/console/log/session/ses_kim", nil}, {"account", "rae", "/console/log/account/kim", nil}, {"session-none", "rae", "/console/log/session/none", nil},
		{"searches", "rae", searchesPath, nil}, {"search-new", "rae", searchesPath + "/new?q=effect:deny", nil}, {"search-edit", "rae", savedSearchPath(1) + "/edit", nil},
		{"queue", "rae", queuePath, nil}, {"signoff", "rae", reviewsPath + "/new?search=1&day=" + day, nil}, {"reviews", "rae", reviewsPath, nil},
		{"export-new", "rae", exportsPath + "/new?q=cluster:claims", nil}, {"export-ready", "rae", ready, nil}, {"export-done", "rae", done, nil}, {"export-running", "rae", running, nil}, {"export-failed", "rae", failed, nil},
		{"fleet", "rae", fleetPath, nil}, {"fleet-entry", "rae", fleetPath + "/entry?origin=gate.test/gw2&index=9", nil}, {"fleet-none", "rae", fleetPath, func() { o.Console.Shared = nil }},
		{"delivery", "ada", deliveryPath, func() { o.Console.Shared = memoryShared{} }}, {"delivery-none", "ada", deliveryPath, func() { o.Console.Deliver, o.Console.Shared = nil, nil }},
		{"witnesses", "rae", witnessesPath, func() { o.Console.Witnesses = &memoryWitnesses{status: allStates()} }}, {"witnesses-none", "rae", witnessesPath, func() { o.Console.Witnesses = nil }},
		{"retention", "ada", retentionPath, nil}, {"retention-prune", "ada", retentionPath + "/prune", nil},
		{"holds-none", "ada", holdsPath, nil},
		{"holds", "ada", holdsPath, func() {
			o.post("ada", holdsPath, url.Values{"email": {"kim@example.com"}, "reason": {"Case 2026-118, asked for by the legal department."}})
			o.post("ada", holdsPath, url.Values{"engagement": {"migration"}, "reason": {"audit"}})
		}},
		{"hold-lift", "ada", holdsPath + "/1/lift", nil}, {"erase", "ada", "/console/people/lee/erase", nil},
		{"alarms", "rae", alarmsPath, nil}, {"alarms-all", "ada", alarmsPath + "?show=all", nil}, {"alarm", "rae", alarmsPath + "/kim", nil}, {"alarm-done", "rae", alarmsPath + "/a3", nil},
		{"alarm-rules", "ada", alarmRulesPath, nil}, {"alarm-rule", "ada", alarmRulesPath + "/denials", nil}, {"alarm-rule-new", "ada", alarmRulesPath + "/new", nil},
		{"alarm-try", "ada", alarmRulesPath + "/denials?tried=yes", func() {
			o.post("ada", alarmRulesPath+"/denials/try", ruleValues())
			<-o.desk.trials.newest(trialOfRule("denials"), trialSet{}).done
		}},
		{"alarm-receivers", "ada", receiversPath, nil}, {"alarm-receiver-new", "ada", receiversPath + "/new", nil},
		{"alarms-none", "rae", alarmsPath, func() { o.alarms.alarms = nil }},
		{"recorded", "kim", recordedPath, nil}, {"readers", "kim", readersPath, nil},
		{"live", "rae", livePath + "?q=effect:deny", nil},
	}
}

// TestBrowser_LogTour opens every page about the access log, narrow and wide,
// in the language with the longer words: nothing reaches out of the screen, no
// cell of a table is squeezed or lies over another, and the content security policy stops
// nothing. RINGFENCE_TEST_PICTURES keeps pictures, in both languages and
// schemes; RINGFENCE_TEST_TOUR names the stops, all by default.
func TestBrowser_LogTour(t *testing.T) {
	o, stops := tourOffice(t)
	var who, language atomic.Value
	who.Store("rae")
	language.Store("en")
	inner := o.signedIn(&who)
	b := newTab(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Accept-Language", language.Load().(string))
		inner.ServeHTTP(w, r)
	}))
	tags := []string{"de"}
	pictures, only := os.Getenv("RINGFENCE_TEST_PICTURES"), os.Getenv("RINGFENCE_TEST_TOUR")
	if pictures != "" {
		tags = []string{"en", "de"}
	}
	shoot := func(name string) {
		if pictures == "" {
			return
		}
		for _, scheme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
				t.Fatal(err)
			}
			b.waits(`document.getAnimations().length === 0`)
			png, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
			if err != nil {
				b.fatal(err)
			}
			if err := os.WriteFile(filepath.Join(pictures, name+"-"+scheme+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range stops {
		if s.do != nil {
			s.do()
		}
		if only != "" && !strings.Contains(" "+only+" ", " "+s.name+" ") {
			continue
		}
		who.Store(s.as)
		for _, tag := range tags {
			language.Store(tag)
			b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+s.path))
			if evaluate[string](b, `document.documentElement.lang`) != tag || !evaluate[bool](b, `!!document.querySelector("main h1") && !document.querySelector(".error-page")`) {
				b.fatal(s.name + " is not what it should be")
			}
			for suffix, width := range map[string]int64{"wide": 1280, "narrow": 360} {
				b.do(chromedp.EmulateViewport(width, 900))
				if out := evaluate[string](b, spread); out != "" {
					t.Errorf("%s in %s at %d: %s", s.name, tag, width, out)
				}
				shoot(s.name + "-" + tag + "-" + suffix)
			}
		}
	}
	b.quiet()
}
