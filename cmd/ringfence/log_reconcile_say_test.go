package main

import (
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog/reconcile"
)

// TestSayReport_OtherLogs: requests that only claim to be another gateway's are
// not called fitting.
func TestSayReport_OtherLogs(t *testing.T) {
	for others, want := range map[string]string{"": "Everything fits.\n", "gate-2.example/log": "Compare with each of these too"} {
		rep := &reconcile.Report{Lines: 1, Others: map[string]int{}, Findings: map[string]int{}}
		if others != "" {
			rep.Others[others] = 1
		}
		var out strings.Builder
		if sayReport(&out, rep); !strings.Contains(out.String(), want) || others != "" && strings.Contains(out.String(), "Everything fits.") {
			t.Errorf("with %q: %s", others, out.String())
		}
	}
}
