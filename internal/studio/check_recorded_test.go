package studio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// TestCheck_RecordedDenials: a field whose absence lifts a recorded denial is a
// hole, though no test has it; a log that cannot be read lets nothing pass.
func TestCheck_RecordedDenials(t *testing.T) {
	src := rego.Source{"all/x.rego": `package ringfence.all

import rego.v2

deny contains {"code": "play", "message": "Nobody plays here.", "help": "Ask the owner."} if input.request.headers["x-purpose"] == "play"
`}
	l := accesslogtest.New(t, 0)
	j, err := rego.NewJudge(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		in := recordedInput(t, n, func(in *policy.Input) {
			if n == 200 {
				in.Request.Headers["x-purpose"] = "play"
			}
		})
		l.Add(t, accesslogtest.Request(in, j.Decide(t.Context(), in)))
	}
	garbage := t.TempDir()
	if err := os.WriteFile(filepath.Join(garbage, "00000000000000000000.log"), []byte("no log"), 0o600); err != nil {
		t.Fatal(err)
	}
	month := time.Now().Add(-30 * 24 * time.Hour)
	for _, c := range []struct {
		name, log string
		since     time.Time
		holes     int
		fault     string
	}{
		{"recorded", l.Dir, month, 2, ""}, // without the header, and without any
		{"too long ago", l.Dir, time.Now(), 0, ""},
		{"no log asked for", "", month, 0, ""},
		{"no log there", filepath.Join(t.TempDir(), "none"), month, 0, "none"},
		{"no log at all", garbage, month, 0, garbage},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := New(Config{}).Check(t.Context(), CheckRequest{Modules: src, Log: c.log, Since: c.since})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Knockout.Holes) != c.holes || (got.LogFault != "") != (c.fault != "") || !strings.Contains(got.LogFault, c.fault) || got.Publishable() != (c.holes == 0 && c.fault == "") {
				t.Fatalf("%d holes, fault %q, publishable %v", len(got.Knockout.Holes), got.LogFault, got.Publishable())
			}
			for _, h := range got.Knockout.Holes {
				if h.Rule != "deny play" || !strings.HasPrefix(h.Field, "request.headers") || h.Repair == "" || h.Entry == nil {
					t.Errorf("hole %+v", h)
				}
			}
		})
	}
}
