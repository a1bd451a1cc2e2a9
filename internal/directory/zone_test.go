package directory

import (
	"net/netip"
	"testing"
	"time"
)

// TestValidTimeZone: what another machine would read otherwise is no zone.
func TestValidTimeZone(t *testing.T) {
	for name, want := range map[string]bool{
		"Europe/Berlin": true, "UTC": true, "America/Argentina/Buenos_Aires": true, "Etc/GMT+5": true,
		"": false, "Local": false, "local": false, "../../etc/passwd": false, "/etc/localtime": false, "Europe/Atlantis": false, "+02:00": false,
		"Europe/Berlin\x1f": false, "Europe//Berlin": false,
	} {
		if got := ValidTimeZone(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	d := example(t)
	d.Accounts[0].TimeZone = "Mars/Olympus"
	if err := d.Check(Rules{Now: day}); err == nil {
		t.Error("an account with an unknown time zone passes")
	}
}

// TestFacts_Clusters: the list says what stands, and from when until when.
func TestFacts_Clusters(t *testing.T) {
	at := func(n int) time.Time { return day.AddDate(0, 0, n) }
	d := withIDs(example(t))
	for i := range d.Engagements {
		if e := &d.Engagements[i]; e.Name == "claims-2026" {
			e.Starts, e.Ends = at(-5), at(5)
		}
	}
	for i := range d.Assignments {
		if a := &d.Assignments[i]; a.Account == "kim@northwind.example" {
			a.Starts, a.Ends = at(-9), at(3)
		}
	}
	clusters := snapshot(t, d).Facts(kim, "claims", netip.Addr{}).Facts().Account.Clusters
	if len(clusters) != 2 || clusters[0].Name != "claims" || clusters[0].StartsNS != at(-5).UnixNano() || clusters[0].EndsNS != at(3).UnixNano() {
		t.Errorf("got %+v", clusters)
	}
	for i := range d.Engagements {
		d.Engagements[i].Closed = true
	}
	if got := snapshot(t, d).Facts(kim, "claims", netip.Addr{}).Facts().Account.Clusters; got == nil || len(got) != 0 {
		t.Errorf("under closed engagements: %+v", got)
	}
}
