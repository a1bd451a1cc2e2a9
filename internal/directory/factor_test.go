package directory

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// resistant is the example with an engagement that demands a key.
func resistant(t *testing.T) *Directory {
	t.Helper()
	d := example(t)
	for i := range d.Engagements {
		if d.Engagements[i].Name == "claims-2026" {
			d.Engagements[i].PhishingResistant = true
			return d
		}
	}
	t.Fatal("the example has no claims-2026")
	return nil
}

// What an engagement demands survives export and apply, and a file that says
// nothing of it takes nothing away.
func TestPhishingResistant_RoundTrip(t *testing.T) {
	d := resistant(t)
	b, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(b), "phishing_resistant: true\n") != 1 {
		t.Fatalf("wrote\n%s", b)
	}
	again, err := ParseYAML("f.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(d, Merge(d, again, true)); len(diff) != 0 {
		t.Errorf("a round trip changes %+v", diff)
	}
	for text, want := range map[string]bool{"": true, "    phishing_resistant: false\n": false, "    phishing_resistant: true\n": true} {
		file := strings.Replace(string(b), "    phishing_resistant: true\n", text, 1)
		next, err := ParseYAML("f.yaml", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		merged := Merge(d, next, true)
		i := slices.IndexFunc(merged.Engagements, func(e Engagement) bool { return e.Name == "claims-2026" })
		if merged.Engagements[i].PhishingResistant != want {
			t.Errorf("%q: %v", text, merged.Engagements[i].PhishingResistant)
		}
		if changes := Diff(d, merged); (len(changes) == 1) == want {
			t.Errorf("%q changes %+v", text, changes)
		} else if !want && changes[0].Detail["phishing_resistant"] != "true -> false" {
			t.Errorf("%q is told as %+v", text, changes[0].Detail)
		}
	}
	if _, err := ParseYAML("f.yaml", []byte(strings.Replace(string(b), "phishing_resistant: true", "phishing_resistant: perhaps", 1))); err == nil {
		t.Error("perhaps was read")
	}
}

// The facts say what the engagement demands, and so does the snapshot of an
// account, until the engagement or the assignment has ended.
func TestPhishingResistant_Snapshot(t *testing.T) {
	d := resistant(t)
	s := snapshot(t, withIDs(d))
	var a *Assignment
	for i := range d.Assignments {
		if d.Assignments[i].Engagement == "claims-2026" {
			a = &d.Assignments[i]
			break
		}
	}
	i := slices.IndexFunc(d.Accounts, func(x Account) bool { return x.Email == a.Account })
	id := d.Accounts[i].ID
	if f := s.Facts(id, a.Cluster, netip.Addr{}).Facts(); !f.Engagement.PhishingResistant {
		t.Errorf("facts %+v", f.Engagement)
	}
	if !s.PhishingResistant(id, a.Starts.Add(-time.Hour)) || s.PhishingResistant(id, a.Ends.AddDate(9, 0, 0)) || s.PhishingResistant("nobody", a.Starts) {
		t.Error("what the engagement demands is not what the account is asked")
	}
}
