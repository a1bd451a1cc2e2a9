package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Each edit of a faultless directory, and the one fault that it must give.
func TestCheck_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(d *Directory)
		want string
	}{
		"vendor twice":              {func(d *Directory) { d.Vendors = append(d.Vendors, d.Vendors[0]) }, `vendor northwind: name: "northwind" is there twice`},
		"vendor without owner":      {func(d *Directory) { d.Vendors[0].Owner.Email = "" }, `vendor northwind: owner.email: is missing`},
		"reason without suspension": {func(d *Directory) { d.Vendors[0].SuspendedReason = "x" }, `vendor northwind: suspended_reason: is given, but the vendor is not suspended`},
		"long name":                 {func(d *Directory) { d.Engagements[2].Name = strings.Repeat("a", 64) }, `engagement ` + strings.Repeat("a", 64) + `: name: "` + strings.Repeat("a", 64) + `" must be 1 to 63 of a-z, 0-9 and -, not beginning with -`},
		"control in title":          {func(d *Directory) { d.Vendors[0].Title = "a\x1b[31mb" }, `vendor northwind: title: contains the character U+001B`},
		"text that runs backwards":  {func(d *Directory) { d.Accounts[0].Name = "a\u202eb" }, `account ines.okafor@example.com: name: contains the character U+202E`},
		"not UTF-8":                 {func(d *Directory) { d.Vendors[0].Title = "\xff" }, `vendor northwind: title: contains bytes that are not UTF-8`},
		"agreement version 0":       {func(d *Directory) { d.Agreements[0].Version = 0 }, `agreement nda: version: must be a whole number from 1`},
		"agreement blank":           {func(d *Directory) { d.Agreements[0].Text = " \n" }, `agreement nda: text: is missing`},
		"unknown vendor":            {func(d *Directory) { d.Engagements[2].Vendor = "nobody" }, `engagement claims-2025: vendor: there is no vendor "nobody"`},
		"unknown cluster":           {func(d *Directory) { d.Engagements[2].Clusters = []string{"claims", "x"} }, `engagement claims-2025: clusters[1]: there is no cluster "x"`},
		"unknown agreement":         {func(d *Directory) { d.Engagements[2].Agreements = []string{"x"} }, `engagement claims-2025: agreements[0]: there is no agreement "x"`},
		"no end":                    {func(d *Directory) { d.Engagements[2].Ends = time.Time{} }, `engagement claims-2025: ends: is missing`},
		"far future":                {func(d *Directory) { d.Engagements[2].Ends = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }, `engagement claims-2025: ends: the year must be between 2000 and 2199`},
		"gate's host":               {func(d *Directory) { d.Clusters[0].Hosts[0] = "gate.example.com" }, `cluster claims: hosts[0]: "gate.example.com" is the gate's own host`},
		"gate's host in capitals":   {func(d *Directory) { d.Clusters[0].Hosts[0] = "GATE.example.com" }, `cluster claims: hosts[0]: "GATE.example.com" must be written "gate.example.com"` + "\n" + `cluster claims: hosts[0]: "GATE.example.com" is the gate's own host`},
		"host of another cluster":   {func(d *Directory) { d.Clusters[1].Hosts[1] = "claims.example.com" }, `cluster source: hosts[1]: "claims.example.com" is a host of cluster claims already`},
		"host with trailing dot":    {func(d *Directory) { d.Clusters[0].Hosts[0] = "claims.example.com." }, `cluster claims: hosts[0]: "claims.example.com." must be written "claims.example.com"`},
		"same path twice":           {func(d *Directory) { d.Clusters[0].Routes[1].Path = "/" }, `cluster claims: routes[1].path: "/" is the path of route app already`},
		"no certificate":            {func(d *Directory) { d.Clusters[0].Routes[0].UpstreamCA = "hello" }, `cluster claims: routes[0].upstream_ca: holds no certificate in PEM form`},
		"private key":               {func(d *Directory) { d.Clusters[0].Routes[0].UpstreamCA = pemKey }, `cluster claims: routes[0].upstream_ca: holds a PRIVATE KEY: only certificates belong here`},
		"negative timeout":          {func(d *Directory) { d.Clusters[0].Routes[0].Timeout = -1 }, `cluster claims: routes[0].timeout: must be between 0 and 1h`},
		"account twice":             {func(d *Directory) { d.Accounts = append(d.Accounts, d.Accounts[0]) }, `account ines.okafor@example.com: email: "ines.okafor@example.com" is there twice`},
		"id of the operator":        {func(d *Directory) { d.Accounts[0].ID = "operator" }, `account ines.okafor@example.com: id: "operator" cannot be an account's id`},
		"id twice":                  {func(d *Directory) { d.Accounts[0].ID, d.Accounts[1].ID = "x", "x" }, `account piet.devries@example.com: id: "x" is the id of another account`},
		"contractor with a role":    {func(d *Directory) { d.Accounts[3].Roles = append(d.Accounts[3].Roles, policy.Reviewer) }, `account kim@northwind.example: roles: a contractor holds no other role`},
		"assigned administrator":    {func(d *Directory) { d.Assignments[2].Account = "rosa.lindqvist@example.com" }, `assignment rosa.lindqvist@example.com/claims: account: only contractors are assigned to clusters` + "\n" + `assignment rosa.lindqvist@example.com/claims: engagement: "claims-2026" is an engagement of vendor "northwind", the account belongs to ""`},
		"unknown account":           {func(d *Directory) { d.Assignments[2].Account = "x@example.com" }, `assignment x@example.com/claims: account: there is no account "x@example.com"`},
		"unknown engagement":        {func(d *Directory) { d.Assignments[2].Engagement = "x" }, `assignment amara@northwind.example/claims: engagement: there is no engagement "x"`},
		"not covered":               {func(d *Directory) { d.Assignments[2].Cluster = "ratings" }, `assignment amara@northwind.example/ratings: engagement: "claims-2026" does not cover cluster "ratings"`},
		"another vendor's":          {func(d *Directory) { d.Accounts[4].Vendor = "tallgrass" }, `assignment amara@northwind.example/claims: engagement: "claims-2026" is an engagement of vendor "northwind", the account belongs to "tallgrass"`},
		"before the engagement":     {func(d *Directory) { d.Assignments[2].Starts = d.Engagements[0].Starts.Add(-1) }, `assignment amara@northwind.example/claims: starts: is before the engagement's start (2026-10-01T00:00:00Z)`},
		"after the engagement": {func(d *Directory) {
			d.Accounts[4].Ends = d.Engagements[0].Ends.Add(1)
			d.Assignments[2].Ends = d.Engagements[0].Ends.Add(1)
		}, `assignment amara@northwind.example/claims: ends: is after the engagement's end (2027-03-31T23:59:59Z)`},
		"after the account":  {func(d *Directory) { d.Assignments[2].Ends = d.Accounts[4].Ends.Add(1) }, `assignment amara@northwind.example/claims: ends: is after the account's end (2027-01-31T23:59:59Z)`},
		"without reason":     {func(d *Directory) { d.Assignments[2].Reason = "" }, `assignment amara@northwind.example/claims: reason: is missing`},
		"older version":      {func(d *Directory) { d.Agreements[0].Version = 1 }, `agreement nda: version: 1 is below the version in force, 2: versions only rise`},
		"text of a version":  {func(d *Directory) { d.Agreements[0].Text += "\nand your car" }, `agreement nda: text: the text of version 2 never changes: raise the version`},
		"contractor's end":   {func(d *Directory) { d.Accounts[3].Ends = day.Add(MaxContractorTerm + time.Second) }, `account kim@northwind.example: ends: is more than 180 days ahead: a contractor's account ends by 2027-05-21`},
		"nothing":            {func(d *Directory) {}, ``},
		"higher version":     {func(d *Directory) { d.Agreements[0].Version, d.Agreements[0].Text = 3, "new" }, ``},
		"180 days":           {func(d *Directory) { d.Accounts[3].Ends = day.Add(MaxContractorTerm) }, ``},
		"agreement retitled": {func(d *Directory) { d.Agreements[0].Title = "NDA" }, ``},
	} {
		have := example(t)
		d := have.Clone()
		c.edit(d)
		err := d.Check(Rules{GateHost: "gate.example.com", Have: have, Now: day})
		var faults Faults
		if err != nil && !errors.As(err, &faults) {
			t.Errorf("%s: got %T", name, err)
		}
		if got := faults.Error(); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// What is checked only where it changed is checked against what did not.
func TestCheck_AssignmentTwice(t *testing.T) {
	for name, edit := range map[string]func(d *Directory){
		"added at the end": func(d *Directory) { d.Assignments = append(d.Assignments, d.Assignments[1]) },
		"added in front":   func(d *Directory) { d.Assignments = append([]Assignment{d.Assignments[1]}, d.Assignments...) },
		"made alike":       func(d *Directory) { d.Assignments[0].Cluster = "source" },
		"two new": func(d *Directory) {
			a := d.Assignments[2]
			a.Cluster = "source"
			d.Assignments = append(d.Assignments, a, a)
		},
	} {
		have := example(t)
		d := have.Clone()
		edit(d)
		err := d.Check(Rules{Have: have, Now: day})
		if err == nil || strings.Count(err.Error(), "is there twice") != 1 {
			t.Errorf("%s: got %v", name, err)
		}
		if alone := d.Validate(); alone == nil || strings.Count(alone.Error(), "is there twice") != 1 {
			t.Errorf("%s, alone: got %v", name, alone)
		}
	}
}

const pemKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

// An end further ahead than may be set now stays valid while it is not touched.
func TestCheck_StoredEndStays(t *testing.T) {
	have := example(t)
	have.Accounts[3].Ends = day.Add(2 * MaxContractorTerm)
	want := have.Clone()
	want.Accounts[3].Name = "Kim Berg"
	if err := want.Check(Rules{Have: have, Now: day}); err != nil {
		t.Error(err)
	}
	want.Accounts[3].Ends = want.Accounts[3].Ends.Add(time.Hour)
	if err := want.Check(Rules{Have: have, Now: day}); err == nil {
		t.Error("a later end was let through")
	}
}

func TestFaults_ManyAreCounted(t *testing.T) {
	f := make(Faults, 250)
	if got := strings.Count(f.Error(), "\n"); got != 100 || !strings.HasSuffix(f.Error(), "and 150 more") {
		t.Errorf("%d lines: %s", got, f.Error()[len(f.Error())-20:])
	}
}

// Aliases of one account: every spelling of an address is one address.
func TestCanonicalEmail_AliasesOfOneAccount(t *testing.T) {
	const want = "kim.berg@example.com"
	for _, s := range []string{
		want, "Kim.Berg@Example.COM", "  kim.berg@example.com\t", "\u212aim.berg@example.com", // Kelvin sign
		"ｋｉｍ．ｂｅｒｇ＠ｅｘａｍｐｌｅ．ｃｏｍ", "kim.ber\u1d4d@example.com",
	} {
		got, err := CanonicalEmail(s)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", " ", "kim", "@example.com", "kim@", "a@b@c", "kim berg@example.com", "Kim <kim@example.com>", "kim@example.com,x@example.com",
		"kim\x00@example.com", "kim\n@example.com", "kim\u200b@example.com", "kim\u202e@example.com", `"kim"@example.com`, "kim/x@example.com",
		"kim@[10.0.0.1]", strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("b.", 130) + "com", "\xff@example.com", ".kim@example.com", "kim..x@example.com",
	} {
		if got, err := CanonicalEmail(s); err == nil {
			t.Errorf("%q: got %q", s, got)
		}
	}
}

func FuzzCanonicalEmail(f *testing.F) {
	for _, s := range []string{"Kim@Example.com", "ǅ@x.y", "İ@x.y", "ﬁ@x.y", "ẞ@ß.de", "a\u0301@b.c", "Σς@x.y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := CanonicalEmail(s)
		if err != nil {
			return
		}
		again, err := CanonicalEmail(c)
		if err != nil || again != c {
			t.Errorf("%q gives %q, which gives %q, %v", s, c, again, err)
		}
		if up, err := CanonicalEmail(strings.ToUpper(c)); err == nil && up != c && strings.EqualFold(up, c) {
			t.Errorf("%q and its upper case differ: %q", c, up)
		}
	})
}

func TestCanonicalHost(t *testing.T) {
	for in, want := range map[string]string{
		"claims.example.com": "claims.example.com", "CLAIMS.Example.com.": "claims.example.com", "localhost": "localhost",
		"bücher.example": "xn--bcher-kva.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "a-b.c0": "a-b.c0",
	} {
		if got, err := CanonicalHost(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	for _, s := range []string{"", ".", "a..b", "-a.b", "a-.b", "a_b.c", "*.example.com", "example.com:443", "http://a", "a/b", "a b", "10.0.0.1", "[::1]", "::1", "1.2.3", "a.0x1f", "a@b", "a\x00b", strings.Repeat("a", 64) + ".b", strings.Repeat("a.", 127) + "com"} {
		if got, err := CanonicalHost(s); err == nil {
			t.Errorf("%q: got %q", s, got)
		}
	}
}

// SSRF and spoofing corpus: an upstream is scheme, host and port alone.
func TestCheck_UpstreamSSRF(t *testing.T) {
	for _, s := range []string{
		"", "x", "//x", "file:///etc/passwd", "gopher://x", "unix:///run/x", "http://", "http:///x", "http:x", "http://x:0", "http://x:65536", "http://x:", "http://x:http",
		"http://a:b@x", "http://x?q", "http://x#f", "http://x#", "http://x?", "http://x/p", "http://x\r\nHost: y", "http://x y", "http://[::1", "http://[::1]x", "http://x%2fy", "HTTP://",
		"http://0x7f000001", "http://127.1", "http://2130706433", "javascript:alert(1)", "http://\u202ex",
	} {
		if badUpstream(s) == "" {
			t.Errorf("%q was let through", s)
		}
	}
	for _, s := range []string{"http://x", "https://x.y:8443", "h2c://10.0.0.1:50051", "http://[::1]:80", "http://my_service:80", "http://x/"} {
		if why := badUpstream(s); why != "" {
			t.Errorf("%q: %s", s, why)
		}
	}
	if why := badUpstream("http://kim:hunter2@x"); strings.Contains(why, "hunter2") {
		t.Errorf("the password is repeated: %s", why)
	}
}

func TestCheck_PathPrefixes(t *testing.T) {
	for _, s := range []string{"", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a%2fb", "/a?b", "/a#b", "/a;b", `/a\b`, "/a\x00", "/a\x7f", "/*", "/\u202e", "/" + strings.Repeat("a", 2048)} {
		if badPrefix(s) == "" {
			t.Errorf("%q was let through", s)
		}
	}
	for _, s := range []string{"/", "/a", "/a/b.c", "/a b", "/...", "/ä"} {
		if why := badPrefix(s); why != "" {
			t.Errorf("%q: %s", s, why)
		}
	}
}

func TestClone_IsDeep(t *testing.T) {
	d := example(t)
	b, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	c := d.Clone()
	c.Clusters[0].Hosts[0], c.Clusters[0].Routes[0].Name, c.Clusters[0].Routes[0].Upstreams[0] = "x", "x", "x"
	c.Engagements[0].Clusters[0], c.Engagements[0].Agreements[0] = "x", "x"
	c.Accounts[0].Roles[0] = "x"
	c.Assignments[0].Paths[0], c.Assignments[2].Methods[0] = "x", "x"
	c.Vendors[0].Name, c.Agreements[0].Name = "x", "x"
	after, err := d.YAML()
	if err != nil || !slices.Equal(b, after) {
		t.Errorf("the original changed (%v)", err)
	}
}
