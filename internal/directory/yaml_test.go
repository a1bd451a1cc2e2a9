package directory

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestYAML_RoundTrip(t *testing.T) {
	d := example(t)
	b, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseYAML("again.yaml", b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if c := Diff(d, again); len(c) > 0 {
		t.Errorf("changed by writing and reading: %v\n%s", c, b)
	}
	if c := Diff(again, d); len(c) > 0 {
		t.Errorf("changed by writing and reading: %v\n%s", c, b)
	}
	second, err := again.YAML()
	if err != nil || !bytes.Equal(b, second) {
		t.Errorf("written differently the second time (%v):\n%s\n%s", err, b, second)
	}
}

func TestYAML_Golden(t *testing.T) {
	b, err := example(t).YAML()
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/example.golden.yaml"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
}

// Every awkward text must come back byte for byte.
func TestYAML_Texts(t *testing.T) {
	for _, text := range []string{
		"plain", "true", "Null", "~", "12", "1e3", "0x1f", "2026-01-31", "a: b", "a #b", "- a", "? a", "[a]", "{a: b}", `"q"`, "'q'", "*a", "&a", "!a", "%a", "@a", "`a`", "|", ">",
		"a\nb", "a\nb\n", "a\n\nb\n", "\na", "a\n\n", " a\nb", "a \nb", "a\n b\n  c", "a\tb\nc", "\ta\nb", "a\n\tb\n", "---\na", "a\n---\nb", "a\n...\n", "# h\n\ntext\n", "a\n# b\n",
		"emoji 🙂\nzwj \u200d", "\u00a0a\nb", "back\\slash \"quote\"", "<&>", "ends with:", "a,b", "-", "=", "<<", "a\n- b\n- c\n", "key: |\n  x\n", "x: y\n", "üñï\n\n\n\nb",
	} {
		d := example(t)
		d.Agreements[0].Text = text
		d.Assignments[0].Reason = strings.TrimSpace(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
		b, err := d.YAML()
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		again, err := ParseYAML("x.yaml", b)
		if err != nil {
			t.Errorf("%q: %v\n%s", text, err, b)
			continue
		}
		if c := Diff(d, again); len(c) > 0 {
			t.Errorf("%q came back as %q: %v", text, again.Agreements[1].Text, c)
		}
	}
}

// Each document and the faults that it must give, all of them at once.
func TestParseYAML_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"empty":           {"", []string{`f.yaml:1: the file is empty: begin with version: 1`}},
		"comment only":    {"# nothing\n", []string{`f.yaml:1: the file is empty: begin with version: 1`}},
		"no version":      {"vendors: []\n", []string{`f.yaml:1: version: is missing: begin with version: 1`}},
		"other version":   {"vendors: []\nversion: 2\n", []string{`f.yaml:2: version: 2 is not known: this program reads version 1`}},
		"version as text": {"version: \"1\"\n", []string{`f.yaml:1: version: must be a whole number`}},
		"unknown section": {"version: 1\nusers: []\n", []string{`f.yaml:2: unknown field "users": known are version, vendors, agreements, clusters, engagements, accounts, assignments`}},
		"not a mapping":   {"- a\n", []string{`f.yaml:1: must be a mapping of fields, such as version: …`}},
		"syntax":          {"version: 1\nvendors: [\n", []string{`f.yaml:2: sequence end token ']' not found`}},
		"two documents":   {"version: 1\n---\nversion: 1\n", []string{`f.yaml:3: only one document is allowed in a file`}},
		"not UTF-8":       {"version: 1\n# \xff\n", []string{`f.yaml:2: the file is not UTF-8`}},
		"duplicate section": {"version: 1\nvendors: []\nvendors: []\n", []string{
			`f.yaml:3: vendors: is given twice, first on line 2`}},
		"null section":  {"version: 1\nvendors:\n", []string{`f.yaml:2: vendors: must be a list`}},
		"object a word": {"version: 1\nvendors:\n  - northwind\n", []string{`f.yaml:3: vendors[0]: must be a mapping of fields, such as name: …`}},
		"anchor and alias": {"version: 1\nvendors:\n  - name: &n a\n    title: *n\n    owner: {name: A, email: a@example.com}\n", []string{
			`f.yaml:3: vendors[0].name: must be text, not an anchor or alias, which are not supported`,
			`f.yaml:4: vendors[0].title: must be text, not an anchor or alias, which are not supported`}},
		"tag": {"version: 1\nvendors:\n  - name: !!str a\n    title: A\n    owner: {name: A, email: a@example.com}\n", []string{
			`f.yaml:3: vendors[0].name: must be text, not a tag, which are not supported`}},
		"every fault of a vendor": {"version: 1\nvendors:\n  - name: North Wind\n    titel: N\n    owner:\n      name: 12\n      email: Kim@Example.com\n    suspended: yes please\n    name: b\n", []string{
			`f.yaml:4: vendors[0]: unknown field "titel": known are name, title, owner, suspended, suspended_reason, identity_provider`,
			`f.yaml:6: vendors[0].owner.name: must be text: put 12 in quotes`,
			`f.yaml:8: vendors[0].suspended: must be true or false`,
			`f.yaml:9: vendors[0].name: is given twice, first on line 3`,
			`f.yaml:3: vendor North Wind: name: "North Wind" must be 1 to 63 of a-z, 0-9 and -, not beginning with -`,
			`f.yaml:3: vendor North Wind: title: is missing`,
			`f.yaml:7: vendor North Wind: owner.email: "Kim@Example.com" must be written "kim@example.com"`}},
		"same name": {"version: 1\nvendors:\n  - {name: a, title: A, owner: {name: A, email: a@example.com}}\n  - {name: a, title: A, owner: {name: A, email: a@example.com}}\n", []string{
			`f.yaml:4: vendor a: name: "a" is there twice`}},
		"engagement": {"version: 1\nengagements:\n  - name: e\n    vendor: v\n    title: E\n    starts: 2026-02-30\n    ends: 31.1.2026\n    clusters: [a, 5, a]\n    agreements: nda\n", []string{
			`f.yaml:6: engagements[0].starts: "2026-02-30" is no date: write it as 2026-01-31 or 2026-01-31T18:00:00Z`,
			`f.yaml:7: engagements[0].ends: "31.1.2026" is no date: write it as 2026-01-31 or 2026-01-31T18:00:00Z`,
			`f.yaml:8: engagements[0].clusters[1]: must be text: put 5 in quotes`,
			`f.yaml:9: engagements[0].agreements: must be a list`}},
		"dates": {"version: 1\nengagements:\n  - {name: e, vendor: v, title: E, clusters: [c], starts: 2026-02-02, ends: 2026-02-01}\n  - {name: f, vendor: v, title: F, clusters: [c], starts: 1812-02-02, ends: 9999-02-01}\n", []string{
			`f.yaml:4: engagements[1].starts: the year of "1812-02-02" must be between 2000 and 2199`,
			`f.yaml:4: engagements[1].ends: the year of "9999-02-01" must be between 2000 and 2199`,
			`f.yaml:3: engagement e: ends: must be after starts (2026-02-02T00:00:00Z)`}},
		"cluster": {"version: 1\nclusters:\n  - name: c\n    title: C\n    classification: secret\n    owner: {name: A, email: a@example.com}\n    hosts: [C.example.com, \"c.example.com:443\", 10.0.0.1]\n    routes:\n      - name: a\n        path: /a/../b\n        upstreams: [ftp://x, \"http://u:hunter2@x\", http://x/base]\n        timeout: 30\n      - name: a\n        path: api\n        upstreams: []\n        timeout: soon\n", []string{
			`f.yaml:12: clusters[0].routes[0].timeout: must be text: put 30 in quotes`,
			`f.yaml:16: clusters[0].routes[1].timeout: "soon" is no duration: write it as 30s or 2m`,
			`f.yaml:5: cluster c: classification: "secret" must be one of public, internal, confidential, restricted`,
			`f.yaml:7: cluster c: hosts[0]: "C.example.com" must be written "c.example.com"`,
			`f.yaml:7: cluster c: hosts[1]: "c.example.com:443" is no host name: leave out scheme, port and path`,
			`f.yaml:7: cluster c: hosts[2]: "10.0.0.1" is an IP address: give a host name`,
			`f.yaml:10: cluster c: routes[0].path: "/a/../b" must not hold empty, . or .. segments`,
			`f.yaml:11: cluster c: routes[0].upstreams[0]: "ftp://x" must begin with http://, https:// or h2c://`,
			`f.yaml:11: cluster c: routes[0].upstreams[1]: an upstream's URL holds no name or password`,
			`f.yaml:11: cluster c: routes[0].upstreams[2]: "http://x/base" must be scheme, host and port alone`,
			`f.yaml:14: cluster c: routes[1].path: "api" must begin with /`,
			`f.yaml:13: cluster c: routes[1].name: "a" is there twice`,
			`f.yaml:15: cluster c: routes[1].upstreams: is missing: a route has at least one upstream`}},
		"account": {"version: 1\naccounts:\n  - {email: a@example.com, name: A, roles: [contractor, administrator, owner]}\n  - {email: b@example.com, name: B, vendor: v, roles: [reviewer, reviewer]}\n  - {id: x, email: nobody, name: N, roles: [reviewer]}\n", []string{
			`f.yaml:5: accounts[2]: unknown field "id": known are email, name, vendor, roles, ends, time_zone, log_clusters, disabled`,
			`f.yaml:3: account a@example.com: roles[2]: "owner" must be one of contractor, administrator, approver, reviewer`,
			`f.yaml:3: account a@example.com: roles: a contractor holds no other role`,
			`f.yaml:3: account a@example.com: vendor: is missing: a contractor belongs to a vendor`,
			`f.yaml:3: account a@example.com: ends: is missing: a contractor's account has an end`,
			`f.yaml:4: account b@example.com: roles[1]: "reviewer" is there twice`,
			`f.yaml:4: account b@example.com: vendor: is given, but only contractors belong to a vendor`,
			`f.yaml:5: account nobody: email: "nobody" is no e-mail address: write it as name@example.com`}},
		"assignment": {"version: 1\nassignments:\n  - {account: a@example.com, cluster: c, engagement: e, starts: 2026-01-01, ends: 2026-02-01, access: admin, methods: [get], paths: [/a/, /%2e], reason: r, given_by: me}\n  - {account: a@example.com, cluster: c, engagement: e, starts: 2026-01-01, ends: 2026-02-01, access: read, methods: [POST], reason: r}\n", []string{
			`f.yaml:3: assignments[0]: unknown field "given_by": known are account, cluster, engagement, starts, ends, access, methods, paths, reason`,
			`f.yaml:3: assignment a@example.com/c: access: "admin" must be read or write`,
			`f.yaml:3: assignment a@example.com/c: methods[0]: "get" must be one of GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK, REPORT, SEARCH`,
			`f.yaml:3: assignment a@example.com/c: paths[0]: "/a/" must not end with /: it covers whatever is below it`,
			`f.yaml:3: assignment a@example.com/c: paths[1]: "/%2e" must be plain: without % ? # ; \ and *`,
			`f.yaml:4: assignment a@example.com/c: is there twice: an account has at most one assignment on a cluster`,
			`f.yaml:4: assignment a@example.com/c: methods[0]: "POST" is not within read access`}},
		"provider": {"version: 1\nvendors:\n  - name: a\n    title: A\n    owner: {name: O, email: o@example.com}\n    identity_provider:\n      issuer: http://login.example\n      client_id: c\n" +
			"      client_secret: plain\n      client_secret_file: f\n      client_secret_env: E\n      domains: [a.example, A.example, a.example, localhost, '*.example']\n      trusted_amr: [m fa]\n      required: yes please\n      ca: none\n" +
			"  - name: b\n    title: B\n    owner: {name: O, email: o@example.com}\n    identity_provider: {issuer: https://u:p@x.example, domains: [a.example]}\n" +
			"  - {name: c, title: C, owner: {name: O, email: o@example.com}, identity_provider: off}\n",
			[]string{`f.yaml:9: vendors[0].identity_provider: unknown field "client_secret": known are issuer, client_id, client_secret_file, client_secret_env, scopes, domains, trusted_amr, required, ca`,
				`f.yaml:14: vendors[0].identity_provider.required: must be true or false`,
				`f.yaml:20: vendors[2].identity_provider: must be a mapping of fields, or the word none to take the provider away`,
				`f.yaml:7: vendor a: identity_provider.issuer: "http://login.example" is not https: write it as https://login.example.com`,
				`f.yaml:11: vendor a: identity_provider.client_secret_env: and client_secret_file exclude each other`,
				`f.yaml:13: vendor a: identity_provider.trusted_amr[0]: "m fa" must be a word without spaces or quotes`,
				`f.yaml:12: vendor a: identity_provider.domains[1]: "A.example" must be written "a.example"`,
				`f.yaml:12: vendor a: identity_provider.domains[2]: "a.example" is there twice`,
				`f.yaml:12: vendor a: identity_provider.domains[3]: "localhost" is no mail domain`,
				`f.yaml:12: vendor a: identity_provider.domains[4]: "*.example" has a wildcard: name each host`,
				`f.yaml:15: vendor a: identity_provider.ca: holds no certificate in PEM form`,
				`f.yaml:19: vendor b: identity_provider.issuer: holds a name or a password`,
				`f.yaml:19: vendor b: identity_provider.client_id: is missing`,
				`f.yaml:19: vendor b: identity_provider.domains[0]: "a.example" is a domain of vendor a already`}},
		"too deep": {"version: 1\nvendors: " + strings.Repeat("[", 100000), []string{`f.yaml:2: the file is nested too deeply`}},
	} {
		d, err := ParseYAML("f.yaml", []byte(c.file))
		var faults Faults
		if d != nil || !errors.As(err, &faults) {
			t.Errorf("%s: got %v, %v", name, d, err)
			continue
		}
		if got, want := err.Error(), strings.Join(c.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// A file that holds a part of a directory is read; what it refers to may be stored already.
func TestParseYAML_Part(t *testing.T) {
	d, err := ParseYAML("f.yaml", []byte("version: 1\nassignments:\n  - {account: a@example.com, cluster: c, engagement: e, starts: 2026-01-31, ends: 2026-01-31, access: read, reason: one day}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := d.Assignments[0]
	if want := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC); !a.Starts.Equal(want) {
		t.Errorf("starts %v, want %v", a.Starts, want)
	}
	if want := time.Date(2026, 1, 31, 23, 59, 59, 0, time.UTC); !a.Ends.Equal(want) {
		t.Errorf("ends %v, want %v", a.Ends, want)
	}
	if err := d.Validate(); err == nil || !strings.Contains(err.Error(), `there is no cluster "c"`) {
		t.Errorf("references are not checked: %v", err)
	}
}

// A directory that could not be read back is not written.
func TestYAML_RefusesInvalid(t *testing.T) {
	d := example(t)
	d.Clusters[0].Title = "two\nlines"
	if b, err := d.YAML(); err == nil {
		t.Errorf("wrote\n%s", b)
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add(exampleFile(f))
	for _, s := range []string{
		"version: 1\n", "version: 1\nvendors: [{name: a, title: \"\\u263a\", owner: {name: a, email: a@b.c}}]\n",
		"version: 1\nagreements:\n- name: a\n  title: t\n  version: 1\n  text: >-\n    a\n     b\n\n    c\n",
		"version: 1\naccounts:\n- {email: a@b.c, name: 'it''s', roles: [approver], ends: 2026-01-01T00:00:00.5Z}\n",
		"version: 1\r\nvendors: []\r\n", "? a\n: b\n", "a: &x [*x]\n", "%YAML 1.2\n---\nversion: 1\n", "\ufeffversion: 1\n",
		"version: 1\nagreements: [{name: a, title: t, version: 0x1, text: \"a\\tb\\n\\n c\"}]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseYAML("f.yaml", b)
		if (d == nil) == (err == nil) {
			t.Fatalf("got %v and %v", d, err)
		}
		if err != nil {
			return
		}
		out, err := d.YAML()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, err := ParseYAML("again.yaml", out)
		if err != nil {
			t.Fatalf("not read back: %v\n%s", err, out)
		}
		if c := Diff(d, again); len(c) > 0 {
			t.Fatalf("changed by writing and reading: %v\n%s", c, out)
		}
		if second, err := again.YAML(); err != nil || !bytes.Equal(out, second) {
			t.Fatalf("written differently the second time (%v):\n%s\n%s", err, out, second)
		}
	})
}
