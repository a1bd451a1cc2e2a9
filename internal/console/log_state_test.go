package console

import (
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// TestOverview_LogGettingWorse: a disk that fills up and commits that came too
// late show on the overview before nothing is served any more.
func TestOverview_LogGettingWorse(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/"), 200, "enough room", "The last took 1.2ms")
	o.entries.space = accesslog.Space{Free: 12 << 30, Total: 100 << 30, Level: accesslog.SpaceLow}
	o.entries.missed = 1
	shows(t, o.get("ada", "/console/"), 200, "12 % is free", "12 GiB", "getting full", "1 request was refused")
	o.entries.space = accesslog.Space{Free: 500 << 20, Total: 100 << 30, Level: accesslog.SpaceCritical}
	o.entries.missed = 7
	shows(t, o.get("ada", "/console/"), 200, "urgent", "500 MiB", "almost full", "7 requests were refused")
}

// TestCluster_LogMode: the form says what a mode costs; what is not said is strict.
func TestCluster_LogMode(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("ada", "/console/clusters/claims"), 200, "Strict: each request is forwarded once")
	fields := clusterValues(find(o.dir.d.Clusters, clusterNamed("claims")))
	mode := func() string { return find(o.dir.d.Clusters, clusterNamed("claims")).LogMode }
	save := func(value string) {
		t.Helper()
		fields = clusterValues(find(o.dir.d.Clusters, clusterNamed("claims")))
		if fields.Set("log_mode", value); value == "" {
			fields.Del("log_mode")
		}
		leadsTo(t, o.post("ada", "/console/clusters/claims/edit", fields), "/console/clusters/claims")
	}
	save(policy.ModeRelaxed)
	if mode() != policy.ModeRelaxed {
		t.Fatalf("mode %q", mode())
	}
	shows(t, o.get("ada", "/console/clusters/claims"), 200, "Relaxed: requests are forwarded while")
	shows(t, o.get("ada", "/console/clusters/claims/edit"), 200, "entries of the last moment can be missing")
	save("")
	if mode() != "" {
		t.Errorf("mode %q after a form that does not say", mode())
	}
	shows(t, o.post("ada", "/console/clusters/claims/edit", plus(clusterValues(find(o.dir.d.Clusters, clusterNamed("claims"))), "log_mode", "sometimes")), 422, "not among the choices")
}
