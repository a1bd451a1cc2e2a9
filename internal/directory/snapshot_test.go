package directory

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

var zones = []Zone{
	{"office", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}},
	{"lab", []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}},
}

func snapshot(t testing.TB, d *Directory, a ...Acceptance) *Snapshot {
	t.Helper()
	s, err := NewSnapshot(d, a, zones)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kim is the example's contractor with two clusters.
const kim, amara, jonas, ines = "id-d", "id-e", "id-f", "id-a"

func TestSnapshot_Facts(t *testing.T) {
	s := snapshot(t, withIDs(example(t)), Acceptance{Account: kim, Agreement: "nda", Version: 1, At: day},
		Acceptance{Account: kim, Agreement: "data-access", Version: 1, At: day}, Acceptance{Account: "gone", Agreement: "nda", Version: 2, At: day})
	got := s.Facts(kim, "claims", netip.MustParseAddr("10.9.1.1"))
	want := `{"account":{"id":"id-d","email":"kim@northwind.example","status":"active","roles":["contractor"],"ends_ns":1806537599000000000,"time_zone":"Europe/Copenhagen",` +
		`"clusters":[{"name":"claims","starts_ns":1791158400000000000,"ends_ns":1806537599000000000},{"name":"source","starts_ns":1791158400000000000,"ends_ns":1806537599000000000}]},` +
		`"vendor":{"name":"northwind","title":"Northwind Development Ltd","status":"active","owner":{"name":"Ines Okafor","email":"ines.okafor@example.com"}},` +
		`"engagement":{"name":"claims-2026","status":"active","starts_ns":1790812800000000000,"ends_ns":1806537599000000000,"clusters":["claims","source"],"phishing_resistant":false},` +
		`"assignment":{"starts_ns":1791158400000000000,"ends_ns":1806537599000000000,"access":"write","methods":[],"paths":[["api"],["reports"]],"reason":"Builds the new claims intake (CLAIMS-214)"},` +
		`"agreements":[{"name":"nda","version":2,"accepted_version":1,"accepted_ns":1795348800000000000},{"name":"data-access","version":1,"accepted_version":1,"accepted_ns":1795348800000000000}],"zone":"lab"}`
	if string(got.JSON()) != want {
		t.Errorf("got\n%s\nwant\n%s", got.JSON(), want)
	}
	// Everything is given as [[]], a whole cluster without paths.
	if f := s.Facts(kim, "source", netip.Addr{}).Facts(); len(f.Assignment.Paths) != 1 || f.Assignment.Paths[0] == nil || len(f.Assignment.Paths[0]) != 0 || f.Zone != "" {
		t.Errorf("got %+v", f)
	}
	// What is not assigned has an account and a vendor, and no contract.
	if f := s.Facts(kim, "ratings", netip.MustParseAddr("::ffff:10.1.1.1")).Facts(); f.Account == nil || f.Vendor == nil || f.Assignment != nil || f.Engagement != nil || f.Zone != "office" {
		t.Errorf("got %+v", f)
	}
	if f := s.Facts(ines, "claims", netip.MustParseAddr("fd00::1")).Facts(); f.Vendor != nil || f.Assignment != nil || f.Zone != "office" {
		t.Errorf("got %+v", f)
	}
	if s.Facts("nobody", "claims", netip.Addr{}) != nil || s.Facts(kim, "nothing", netip.Addr{}) != nil || s.Facts("", "", netip.Addr{}) != nil {
		t.Error("something is known of nothing")
	}
	if a, b := s.Facts(kim, "claims", netip.MustParseAddr("10.9.1.1")), s.Facts(kim, "claims", netip.MustParseAddr("10.9.2.2")); a != b || a != got {
		t.Error("a document is not kept")
	}
}

// Policy data missing: each revocation shows in the facts, and what does not hold together is absent.
func TestSnapshot_RevocationsShow(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Directory)
		see  func(*policy.Facts) bool
	}{
		"disabled":           {func(d *Directory) { d.Accounts[3].Disabled = true }, func(f *policy.Facts) bool { return f.Account.Status == policy.StatusDisabled }},
		"not enrolled":       {func(d *Directory) { d.Accounts[3].Status = policy.StatusInvited }, func(f *policy.Facts) bool { return f.Account.Status == policy.StatusInvited }},
		"status unknown":     {func(d *Directory) { d.Accounts[3].Status = "" }, func(f *policy.Facts) bool { return f.Account.Status != policy.StatusActive }},
		"suspended":          {func(d *Directory) { d.Vendors[0].Suspended = true }, func(f *policy.Facts) bool { return f.Vendor.Status == policy.StatusSuspended }},
		"closed":             {func(d *Directory) { d.Engagements[0].Closed = true }, func(f *policy.Facts) bool { return f.Engagement.Status == policy.StatusClosed }},
		"vendor unknown":     {func(d *Directory) { d.Vendors = nil }, func(f *policy.Facts) bool { return f.Vendor == nil }},
		"engagement unknown": {func(d *Directory) { d.Engagements = nil }, func(f *policy.Facts) bool { return f.Engagement == nil }},
		"another vendor's":   {func(d *Directory) { d.Engagements[0].Vendor = "tallgrass" }, func(f *policy.Facts) bool { return f.Engagement == nil }},
		"agreement unknown": {func(d *Directory) { d.Agreements = nil }, func(f *policy.Facts) bool {
			return f.Agreements[0].Version > 1<<30 && f.Agreements[0].AcceptedVersion == 0
		}},
		"no longer assigned":   {func(d *Directory) { d.Assignments = d.Assignments[1:] }, func(f *policy.Facts) bool { return f.Assignment == nil }},
		"engagement uncovered": {func(d *Directory) { d.Engagements[0].Clusters = []string{"source"} }, func(f *policy.Facts) bool { return len(f.Engagement.Clusters) == 1 }},
	} {
		d := withIDs(example(t))
		c.edit(d)
		if f := snapshot(t, d).Facts(kim, "claims", netip.Addr{}).Facts(); !c.see(f) {
			t.Errorf("%s does not show: %+v", name, f)
		}
	}
}

func clusterNames(a []Access) string {
	var s []string
	for _, x := range a {
		s = append(s, x.Cluster.Name)
	}
	return strings.Join(s, " ")
}

func TestSnapshot_ClustersOf(t *testing.T) {
	end := example(t).Assignments[0].Ends
	for name, c := range map[string]struct {
		edit func(*Directory)
		at   time.Time
		want string
	}{
		"in force":            {func(*Directory) {}, day, "claims source"},
		"not yet":             {func(*Directory) {}, time.Date(2026, 10, 4, 23, 59, 59, 0, time.UTC), ""},
		"first moment":        {func(*Directory) {}, time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC), "claims source"},
		"last moment":         {func(*Directory) {}, end.Add(-1), "claims source"},
		"ended":               {func(*Directory) {}, end, ""},
		"one ended":           {func(d *Directory) { d.Assignments[0].Ends = day }, day, "source"},
		"account ended":       {func(d *Directory) { d.Accounts[3].Ends = day }, day, ""},
		"disabled":            {func(d *Directory) { d.Accounts[3].Disabled = true }, day, ""},
		"vendor suspended":    {func(d *Directory) { d.Vendors[0].Suspended = true }, day, ""},
		"engagement closed":   {func(d *Directory) { d.Engagements[0].Closed = true }, day, ""},
		"engagement ended":    {func(d *Directory) { d.Engagements[0].Ends = day }, day, ""},
		"engagement pending":  {func(d *Directory) { d.Engagements[0].Starts = day.Add(1) }, day, ""},
		"cluster not covered": {func(d *Directory) { d.Engagements[0].Clusters = []string{"source"} }, day, "source"},
		"another vendor's":    {func(d *Directory) { d.Engagements[0].Vendor = "tallgrass" }, day, ""},
	} {
		d := withIDs(example(t))
		c.edit(d)
		if got := clusterNames(snapshot(t, d).ClustersOf(kim, c.at)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	s := snapshot(t, withIDs(example(t)))
	if got := clusterNames(s.ClustersOf(ines, day)) + clusterNames(s.ClustersOf(jonas, day)) + clusterNames(s.ClustersOf("nobody", day)); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestSnapshot_Demanded(t *testing.T) {
	s := snapshot(t, withIDs(example(t)), Acceptance{Account: kim, Agreement: "nda", Version: 1, At: day}, Acceptance{Account: kim, Agreement: "nda", Version: 2, At: day.Add(1)})
	got := s.Demanded(kim)
	if len(got) != 2 || got[0].Agreement.Name != "data-access" || !got[0].Outstanding() || got[1].AcceptedVersion != 2 || got[1].Outstanding() || !got[1].AcceptedAt.Equal(day.Add(1)) {
		t.Errorf("got %+v", got)
	}
	if n := len(s.DemandedAt(kim, example(t).Engagements[0].Ends)); n != 0 {
		t.Errorf("an ended engagement demands %d agreements", n)
	}
	if n := len(s.Demanded(ines)) + len(s.Demanded("nobody")); n != 0 {
		t.Errorf("%d agreements demanded of nobody", n)
	}
}

func TestSnapshot_Lookups(t *testing.T) {
	s := snapshot(t, withIDs(example(t)))
	a, ok := s.Account(kim)
	b, ok2 := s.AccountByEmail("kim@northwind.example")
	if !ok || !ok2 || a != b {
		t.Errorf("%v %v", a, b)
	}
	if c, ok := s.ClusterByHost("git.example.com"); !ok || c.Name != "source" {
		t.Errorf("got %v", c)
	}
	for name, ok := range map[string]bool{"account": second(s.Account("x")), "email": second(s.AccountByEmail("x")), "host": second(s.ClusterByHost("x")), "cluster": second(s.Cluster("x"))} {
		if ok {
			t.Errorf("an unknown %s was found", name)
		}
	}
}

func second[T any](_ T, ok bool) bool { return ok }

func TestNewSnapshot_RefusesTwice(t *testing.T) {
	for name, edit := range map[string]func(*Directory){
		"host":    func(d *Directory) { d.Clusters[1].Hosts[0] = "claims.example.com" },
		"cluster": func(d *Directory) { d.Clusters[1].Name = "claims" },
		"vendor":  func(d *Directory) { d.Vendors[1].Name = "northwind" },
		"email":   func(d *Directory) { d.Accounts[1].Email = d.Accounts[0].Email },
		"id":      func(d *Directory) { d.Accounts[1].ID = d.Accounts[0].ID },
		"no id":   func(d *Directory) { d.Accounts[1].ID = "" },
	} {
		d := withIDs(example(t))
		edit(d)
		if s, err := NewSnapshot(d, nil, nil); err == nil || s != nil {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
}

// First uses that race get one document.
func TestSnapshot_FactsConcurrently(t *testing.T) {
	s := snapshot(t, withIDs(example(t)))
	got := make([]*policy.Document, 32)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = s.Facts(kim, "claims", netip.Addr{}) })
	}
	wg.Wait()
	for _, g := range got {
		if g == nil || g != got[0] {
			t.Fatal("documents differ")
		}
	}
}

// large returns a directory of accounts contractors with perAccount assignments each.
func large(accounts, perAccount int) *Directory {
	d := &Directory{Agreements: []Agreement{{Name: "nda", Title: "NDA", Version: 1, Text: "text"}}}
	starts, ends := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
	owner := policy.Person{Name: "Owner", Email: "owner@example.com"}
	var clusters []string
	for i := range 200 {
		n := fmt.Sprintf("cluster-%d", i)
		clusters = append(clusters, n)
		d.Clusters = append(d.Clusters, Cluster{Name: n, Title: n, Classification: "internal", Owner: owner, Hosts: []string{n + ".example.com"},
			Routes: []Route{{Name: "app", Path: "/", Upstreams: []string{"http://10.0.0.1:80"}}}})
	}
	for i := range 50 {
		n := fmt.Sprintf("vendor-%d", i)
		d.Vendors = append(d.Vendors, Vendor{Name: n, Title: n, Owner: owner})
		d.Engagements = append(d.Engagements, Engagement{Name: "work-" + n, Vendor: n, Title: n, Starts: starts, Ends: ends, Clusters: clusters, Agreements: []string{"nda"}})
	}
	for i := range accounts {
		v := i % 50
		email := fmt.Sprintf("person-%06d@vendor-%d.example", i, v)
		d.Accounts = append(d.Accounts, Account{ID: fmt.Sprintf("a%019d", i), Email: email, Name: "Person", Vendor: d.Vendors[v].Name, Roles: []policy.Role{policy.Contractor}, Ends: ends, Status: policy.StatusActive})
		for j := range perAccount {
			d.Assignments = append(d.Assignments, Assignment{Account: email, Cluster: clusters[(i+j)%200], Engagement: d.Engagements[v].Name, Starts: starts, Ends: ends, Access: policy.AccessWrite, Reason: "Work"})
		}
	}
	return d
}

func TestSnapshot_FactsAllocateNothing(t *testing.T) {
	s := snapshot(t, withIDs(example(t)))
	source := netip.MustParseAddr("10.9.1.1")
	s.Facts(kim, "claims", source)
	s.Facts(kim, "ratings", source)
	if n := testing.AllocsPerRun(1000, func() {
		s.Facts(kim, "claims", source)
		s.Facts(kim, "ratings", source)
		s.Facts("nobody", "claims", source)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFacts(b *testing.B) {
	s, err := NewSnapshot(large(100_000, 5), nil, zones)
	if err != nil {
		b.Fatal(err)
	}
	source := netip.MustParseAddr("10.9.1.1")
	ids := make([]string, 1024)
	for i := range ids {
		ids[i] = s.d.Accounts[i*97].ID
		s.Facts(ids[i], s.d.Assignments[i*97*5].Cluster, source)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		k := i & 1023
		if s.Facts(ids[k], s.d.Assignments[k*97*5].Cluster, source) == nil {
			b.Fatal("nothing known")
		}
		i++
	}
}

func BenchmarkNewSnapshot(b *testing.B) {
	d := large(100_000, 5)
	for b.Loop() {
		if _, err := NewSnapshot(d, nil, zones); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	d := large(100_000, 5)
	for b.Loop() {
		if err := d.Check(Rules{Have: d, Now: day}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckAlone(b *testing.B) {
	d := large(100_000, 5)
	for b.Loop() {
		if err := d.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiff(b *testing.B) {
	d := large(100_000, 5)
	want := d.Clone()
	want.Assignments[250_000].Reason = "Other work"
	for b.Loop() {
		if len(Diff(d, want)) != 1 {
			b.Fatal("not one change")
		}
	}
}
