package directory

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

func lines2(c []Change) string {
	s := make([]string, len(c))
	for i := range c {
		s[i] = c[i].String()
	}
	return strings.Join(s, "\n")
}

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(d *Directory)
		want string
	}{
		"nothing":   {func(d *Directory) {}, ""},
		"reordered": {func(d *Directory) { slices.Reverse(d.Accounts); slices.Reverse(d.Assignments) }, ""},
		"suspend": {func(d *Directory) { d.Vendors[0].Suspended, d.Vendors[0].SuspendedReason = true, "audit" },
			"suspend vendor northwind: suspended false -> true, suspended_reason  -> audit"},
		"resume":  {func(d *Directory) { d.Vendors[1].Suspended = false }, "resume vendor tallgrass: suspended true -> false"},
		"close":   {func(d *Directory) { d.Engagements[0].Closed = true }, "close engagement claims-2026: closed false -> true"},
		"reopen":  {func(d *Directory) { d.Engagements[2].Closed = false }, "reopen engagement claims-2025: closed true -> false"},
		"disable": {func(d *Directory) { d.Accounts[3].Disabled = true }, "disable account kim@northwind.example: disabled false -> true"},
		"enable":  {func(d *Directory) { d.Accounts[5].Disabled = false }, "enable account jonas@tallgrass.example: disabled true -> false"},
		"longer assignment": {func(d *Directory) {
			d.Assignments[2].Ends = d.Assignments[2].Ends.Add(-time.Hour)
			d.Assignments[2].Paths = []string{"/a"}
		},
			"update assignment amara@northwind.example/claims: ends 2027-01-31T23:59:59Z -> 2027-01-31T22:59:59Z, paths  -> /a"},
		"delete first": {func(d *Directory) { d.Accounts, d.Assignments = d.Accounts[1:], d.Assignments[1:] },
			"delete account ines.okafor@example.com\ndelete assignment kim@northwind.example/claims"},
		"create": {func(d *Directory) {
			d.Accounts = append(d.Accounts, Account{Email: "new@example.com", Roles: []policy.Role{policy.Reviewer}})
		},
			"create account new@example.com"},
		"new text": {func(d *Directory) { d.Agreements[0].Version, d.Agreements[0].Text = 3, "new" },
			"update agreement nda: version 2 -> 3, text " + TextHash(example(t).Agreements[0].Text) + " -> " + TextHash("new")},
		// An account that takes a new address stays itself, and so do its assignments.
		"renamed": {func(d *Directory) {
			d.Accounts[3].Email, d.Assignments[0].Account, d.Assignments[1].Account = "k@x.y", "k@x.y", "k@x.y"
		},
			"update account k@x.y: email kim@northwind.example -> k@x.y"},
		// An assignment does not follow an address to another account.
		"address passed on": {func(d *Directory) {
			d.Accounts[3].Email, d.Accounts[4].Email = d.Accounts[4].Email, d.Accounts[3].Email
		}, "update account amara@northwind.example: email kim@northwind.example -> amara@northwind.example\n" +
			"update account kim@northwind.example: email amara@northwind.example -> kim@northwind.example\n" +
			"update assignment amara@northwind.example/claims: starts 2026-10-05T00:00:00Z -> 2026-11-01T00:00:00Z, ends 2027-03-31T23:59:59Z -> 2027-01-31T23:59:59Z, access write -> read, methods  -> GET HEAD, paths /api /reports -> , reason Builds the new claims intake (CLAIMS-214) -> Test data review for the migration\n" +
			"update assignment kim@northwind.example/claims: starts 2026-11-01T00:00:00Z -> 2026-10-05T00:00:00Z, ends 2027-01-31T23:59:59Z -> 2027-03-31T23:59:59Z, access read -> write, methods GET HEAD -> , paths  -> /api /reports, reason Test data review for the migration -> Builds the new claims intake (CLAIMS-214)\n" +
			"delete assignment kim@northwind.example/source\ncreate assignment kim@northwind.example/source"},
	} {
		have := withIDs(example(t))
		want := have.Clone()
		c.edit(want)
		got := lines2(Diff(have, want))
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// Every field that a person can set is compared and told: a forgotten one would
// be changed without a trace, or not at all.
func TestDiff_EveryField(t *testing.T) {
	readOnly := []string{"Account.ID", "Account.Status", "Account.LastLogin", "Account.Created"}
	base := withIDs(example(t))
	for _, kind := range []string{"Vendors", "Agreements", "Engagements", "Clusters", "Accounts", "Assignments"} {
		typ := reflect.ValueOf(base).Elem().FieldByName(kind).Type().Elem()
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() || slices.Contains(readOnly, typ.Name()+"."+f.Name) {
				continue
			}
			want := base.Clone()
			if !touch(reflect.ValueOf(want).Elem().FieldByName(kind).Index(0).Field(i)) {
				t.Fatalf("%s.%s: cannot be touched", typ.Name(), f.Name)
			}
			if len(Diff(base, want)) == 0 {
				t.Errorf("%s.%s changes unseen", typ.Name(), f.Name)
			}
		}
	}
	base.Vendors[0].IdentityProvider = &IdentityProvider{Issuer: "https://login.example", ClientID: "c", Domains: []string{"x.example"}}
	for p, i := reflect.TypeFor[IdentityProvider](), 0; i < p.NumField(); i++ {
		if name := p.Field(i).Name; name == "SecretFile" || name == "SecretEnv" { // where to read from, not what is kept
			continue
		}
		want := base.Clone()
		if !touch(reflect.ValueOf(want.Vendors[0].IdentityProvider).Elem().Field(i)) {
			t.Fatalf("IdentityProvider.%s: cannot be touched", p.Field(i).Name)
		}
		if c := Diff(base, want); len(c) != 1 || len(c[0].Fields) != 1 {
			t.Errorf("IdentityProvider.%s changes unseen: %v", p.Field(i).Name, c)
		}
	}
	route := reflect.TypeFor[Route]()
	for i := range route.NumField() {
		want := base.Clone()
		touch(reflect.ValueOf(&want.Clusters[0].Routes[0]).Elem().Field(i))
		if c := Diff(base, want); len(c) != 1 || len(c[0].Fields) != 1 {
			t.Errorf("Route.%s changes unseen: %v", route.Field(i).Name, c)
		}
	}
}

func touch(v reflect.Value) bool {
	switch v.Interface().(type) {
	case string, policy.Role:
		v.SetString(v.String() + "x")
	case bool:
		v.SetBool(!v.Bool())
	case int, time.Duration:
		v.SetInt(v.Int() + 1)
	case time.Time:
		v.Set(reflect.ValueOf(v.Interface().(time.Time).Add(time.Second)))
	case []byte:
		v.Set(reflect.ValueOf([]byte("sealed")))
	case []string:
		v.Set(reflect.ValueOf(append(slices.Clone(v.Interface().([]string)), "x")))
	case []policy.Role:
		v.Set(reflect.ValueOf([]policy.Role{"x"}))
	case []Route:
		v.Set(reflect.ValueOf([]Route{}))
	case *IdentityProvider:
		v.Set(reflect.ValueOf(&IdentityProvider{Issuer: "https://x.example"}))
	case SessionLimits:
		v.Set(reflect.ValueOf(SessionLimits{Idle: time.Hour}))
	case policy.Person:
		v.Set(reflect.ValueOf(policy.Person{Name: "x"}))
	default:
		return false
	}
	return true
}

// Secrets in logs: certificates and texts are told as hashes, long values cut.
func TestDiff_DetailIsShort(t *testing.T) {
	have := example(t)
	want := have.Clone()
	want.Clusters[0].Routes[0].UpstreamCA = strings.Repeat("CERT", 1000)
	for i := range 200 {
		want.Engagements[0].Clusters = append(want.Engagements[0].Clusters, fmt.Sprintf("cluster-%d", i))
	}
	for _, c := range Diff(have, want) {
		for f, v := range c.Detail {
			if strings.Contains(v, "CERTCERT") || len(v) > 2100 {
				t.Errorf("%s %s: %s", c.Object(), f, v)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	have := withIDs(example(t))
	have.Accounts[3].Created, have.Assignments[0].GivenBy = day, "ines.okafor@example.com"
	same := Merge(have, example(t), true)
	if c := Diff(have, same); len(c) > 0 {
		t.Errorf("applying the same file changes %v", c)
	}
	if !reflect.DeepEqual(same.Accounts[3].Created, day) || same.Accounts[3].ID != have.Accounts[3].ID {
		t.Errorf("the account lost what is its own: %+v", same.Accounts[3])
	}
	part := &Directory{Vendors: []Vendor{{Name: "northwind", Title: "New title", Owner: have.Vendors[0].Owner}},
		Accounts: []Account{{Email: "new@example.com", Name: "New", Roles: []policy.Role{policy.Reviewer}}}}
	if got, want := lines2(Diff(have, Merge(have, part, false))),
		"update vendor northwind: title Northwind Development Ltd -> New title\ncreate account new@example.com"; got != want {
		t.Errorf("without prune:\n%s\nwant\n%s", got, want)
	}
	if n := len(Merge(have, part, true).Accounts); n != 1 {
		t.Errorf("prune left %d accounts", n)
	}
	twice := &Directory{Vendors: []Vendor{have.Vendors[0], have.Vendors[0]}}
	if err := Merge(have, twice, false).Check(Rules{}); err == nil {
		t.Error("an object that is twice in a file was let through")
	}
}

// Applying a file never undoes a revocation by leaving it out.
func TestMerge_RevocationStays(t *testing.T) {
	have := withIDs(example(t))
	have.Accounts[3].Disabled = true
	have.Vendors[0].Suspended, have.Vendors[0].SuspendedReason = true, "audit"
	have.Engagements[0].Closed = true
	if got := Diff(have, Merge(have, example(t), false)); len(got) > 0 {
		t.Errorf("undone: %v", got)
	}
	said := strings.NewReplacer(
		"    roles: [contractor]\n    ends: 2027-03-31\n", "    roles: [contractor]\n    ends: 2027-03-31\n    disabled: false\n",
		"    title: Northwind Development Ltd\n", "    title: Northwind Development Ltd\n    suspended: false\n",
		"    title: Claims modernisation, phase 2\n", "    title: Claims modernisation, phase 2\n    closed: false\n",
	).Replace(string(exampleFile(t)))
	file, err := ParseYAML("f.yaml", []byte(said))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(Diff(have, Merge(have, file, false))), 3; got != want {
		t.Errorf("%d changes, want %d", got, want)
	}
}
