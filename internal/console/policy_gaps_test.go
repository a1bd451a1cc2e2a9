package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/studio"
)

func (s trialStudio) Knockout(ctx context.Context, a studio.GapRequest, tell func(studio.Progress)) (studio.KnockoutReport, error) {
	if s.o.block != nil {
		tell(studio.Progress{Done: 40, Total: 100})
		<-ctx.Done()
		return studio.KnockoutReport{}, ctx.Err()
	}
	return runner.Knockout(ctx, a, tell)
}

const gapsOf1 = gapsPath + "?draft=1"

func gapForm(kind, days string) url.Values {
	return url.Values{"kind": {kind}, "days_" + kind: {days}, "draft": {"1"}}
}

// TestGaps_Page: each of the three looks is started, shows what is missing, and
// the reading of the log for it is recorded.
func TestGaps_Page(t *testing.T) {
	o := newTrialOffice(t)
	o.filled()
	ada := directory.Actor{Account: "ada", Email: "ada@example.com"}
	d, err := o.changes.Draft(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	const holed = "package ringfence.all\n\nimport rego.v2\n\ndeny contains {\"code\": \"from_home\", \"message\": \"Not from home.\", \"help\": \"\"} if input.facts.zone == \"home\"\n"
	const holedTest = "package ringfence.all\n\nimport rego.v2\n\ntest_home if \"from_home\" in {r.code | some r in deny} with input as {\"facts\": {\"zone\": \"home\"}}\n"
	if _, err := o.changes.Save(t.Context(), ada, 1, d.Version, change.Edit{Write: map[string]string{"all/home.rego": holed, "all/home_test.rego": holedTest}}); err != nil {
		t.Fatal(err)
	}
	shows(t, o.get("ada", gapsOf1), http.StatusOK, "Gaps", "Denials that vanish with a field")
	for _, kind := range gapKinds {
		if w := o.post("ada", gapsPath, gapForm(kind, "90")); w.Code != http.StatusSeeOther || w.Header().Get("Location") != gapsOf1+"#"+kind {
			t.Fatalf("%s: %d to %s", kind, w.Code, w.Header().Get("Location"))
		}
		o.ends(kind)
	}
	w := o.get("ada", gapsOf1)
	shows(t, w, http.StatusOK, "deny from_home", "input.facts.zone", "not is_string(input.facts.zone)", "A unit test shows it.", "the rule is not there", "10 recorded requests")
	reads := 0
	for range readsOf(t, o, "log.query") {
		reads++
	}
	if reads != len(gapKinds) {
		t.Errorf("the reading was recorded %d times", reads)
	}
	if w := o.post("kim", gapsPath, gapForm("knockout", "7")); w.Code != http.StatusForbidden {
		t.Errorf("a contractor looks: %d", w.Code)
	}
	for _, bad := range []url.Values{gapForm("x", "7"), gapForm("knockout", "8"), gapForm("unreached", "0"), {"kind": {"knockout"}, "days_knockout": {"7"}, "draft": {"9"}}} {
		if w := o.post("ada", gapsPath, bad); w.Code != http.StatusNotFound {
			t.Errorf("%v: %d", bad, w.Code)
		}
	}
}

// TestGaps_Stop: a look shows how far it is, loads itself again, and can be
// stopped by whoever may look.
func TestGaps_Stop(t *testing.T) {
	o := newTrialOffice(t)
	o.block = make(chan struct{})
	o.post("ada", gapsPath, gapForm("knockout", "0"))
	for end := time.Now().Add(time.Minute); ; {
		w := o.get("rae", gapsOf1)
		if strings.Contains(w.Body.String(), "40") && w.Header().Get("Refresh") != "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it does not say how far it is")
		}
	}
	o.post("abe", gapsPath+"/stop", gapForm("knockout", "0"))
	o.ends("knockout")
	w := o.get("ada", gapsOf1)
	shows(t, w, http.StatusOK, "This was stopped before it ended.")
	if w.Header().Get("Refresh") != "" {
		t.Error("it goes on loading itself")
	}
}
