package console

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
)

// TestBrowser_Retention: the page fits screens of every width.
func TestBrowser_Retention(t *testing.T) {
	o, m := withRetention(t)
	m.archive = "https://s3.example.com/ringfence-archive-of-the-production-gateways"
	m.state = retention.State{At: sampleNow, Removed: 12, Fault: "archiving entries 0 to 987 in https://s3.example.com/ringfence-archive: no answer",
		Plan: retention.Plan{Oldest: &accesslog.SealedSegment{First: 4711}, Until: sampleNow.Add(48 * time.Hour)}}
	m.kept = []directory.RetentionRule{
		{ID: 2, Kind: directory.RetainClassification, Subject: "confidential", Days: 60, Reason: "The works council agreed with the vendors on two months at most", State: directory.RetainWaiting, Asked: sampleNow, AskedBy: "eve"},
		{ID: 1, Kind: directory.RetainRest, Days: 500, State: directory.RetainStanding, Asked: sampleNow, AskedBy: "ada"}}
	var who atomic.Value
	who.Store("ada")
	b := newTab(t, o.signedIn(&who))
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(officeGate+retentionPath))
	b.sees("no answer")
	b.looks("retention")
}
