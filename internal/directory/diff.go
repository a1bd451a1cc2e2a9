package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Values of [Change.Action].
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// A Change is one object that differs between two directories.
type Change struct {
	Action string   // Create, Update or Delete
	Kind   string   // vendor, agreement, engagement, cluster, account or assignment
	Name   string   // the object's key: a name, an e-mail, or "EMAIL/CLUSTER" for an assignment
	Fields []string // what differs, in the order of the YAML form; every field that is set for Create and Delete
	// Detail holds for each of Fields "old -> new", the new value for Create,
	// the old one for Delete. Long texts and certificates are given as hashes.
	Detail map[string]string

	before, after any // pointers to the object, nil when there is none
}

// Before returns a pointer to the object as it was, such as *[Vendor]; nil for
// Create. It must not be changed.
func (c Change) Before() any { return c.before }

// After returns a pointer to the object as it becomes; nil for Delete. It must
// not be changed.
func (c Change) After() any { return c.after }

// Verb returns what a person would call the change: suspend, resume, disable,
// enable, close or reopen where such a field changed, else [Change.Action].
func (c Change) Verb() string {
	if c.Action == Update {
		for _, v := range [...]struct{ kind, field, on, off string }{
			{kindVendor, "suspended", "suspend", "resume"},
			{kindAccount, "disabled", "disable", "enable"},
			{kindEngagement, "closed", "close", "reopen"},
		} {
			if c.Kind == v.kind && slices.Contains(c.Fields, v.field) {
				if strings.HasSuffix(c.Detail[v.field], "true") {
					return v.on
				}
				return v.off
			}
		}
	}
	return c.Action
}

// Object names the changed object as access-log entries do, such as "vendor:northwind".
func (c Change) Object() string { return c.Kind + ":" + c.Name }

// String returns the change in one line for people.
func (c Change) String() string {
	s := c.Verb() + " " + c.Kind + " " + c.Name
	if c.Action != Update {
		return s
	}
	parts := make([]string, len(c.Fields))
	for i, f := range c.Fields {
		parts[i] = f + " " + c.Detail[f]
	}
	return s + ": " + strings.Join(parts, ", ")
}

// Diff returns what changes have into want, in the order in which the kinds
// depend on one another and by name within a kind. Accounts are the same when
// their ids are, or their e-mails where want gives no id. Read-only fields are not compared.
func Diff(have, want *Directory) []Change {
	var all []Change
	all = append(all, diff(kindVendor, have.Vendors, want.Vendors, sameVendor, vendorKey, vendorKey, vendorKey, vendorFields)...)
	all = append(all, diff(kindAgreement, have.Agreements, want.Agreements, sameAgreement, agreementKey, agreementKey, agreementKey, agreementFields)...)
	all = append(all, diff(kindCluster, have.Clusters, want.Clusters, sameCluster, clusterKey, clusterKey, clusterKey, clusterFields)...)
	all = append(all, diff(kindEngagement, have.Engagements, want.Engagements, sameEngagement, engagementKey, engagementKey, engagementKey, engagementFields)...)
	x := identify(have, want)
	all = append(all, diff(kindAccount, have.Accounts, want.Accounts, sameAccount,
		func(a *Account) string { return a.Email },
		func(a *Account) string { return key(x.have, a.Email) },
		func(a *Account) string { return key(x.want, a.Email) }, accountFields)...)
	// An assignment belongs to the account, not to the address: it stays the
	// same when the address changes, and not when the address passes to another.
	return append(all, diff(kindAssignment, have.Assignments, want.Assignments,
		func(a, b *Assignment) bool { return sameAssignment(a, b) && !x.moved(a.Account) },
		func(a *Assignment) string { return a.Account + "/" + a.Cluster },
		func(a *Assignment) string { return key(x.have, a.Account) + "\x00" + a.Cluster },
		func(a *Assignment) string { return key(x.want, a.Account) + "\x00" + a.Cluster }, assignmentFields)...)
}

func vendorKey(v *Vendor) string         { return v.Name }
func agreementKey(a *Agreement) string   { return a.Name }
func clusterKey(c *Cluster) string       { return c.Name }
func engagementKey(e *Engagement) string { return e.Name }

// diff compares two lists of one kind. Edits leave most of a list as it is, so
// what is equal at both ends of the lists is passed over without building an index.
func diff[T any](kind string, have, want []T, same func(a, b *T) bool, name, haveKey, wantKey func(*T) string, fields func(*T) []field) []Change {
	for len(have) > 0 && len(want) > 0 && same(&have[0], &want[0]) {
		have, want = have[1:], want[1:]
	}
	for len(have) > 0 && len(want) > 0 && same(&have[len(have)-1], &want[len(want)-1]) {
		have, want = have[:len(have)-1], want[:len(want)-1]
	}
	if len(have) == len(want) {
		have, want = differing(have, want, same)
	}
	old := make(map[string]*T, len(have))
	for i := range have {
		old[haveKey(&have[i])] = &have[i]
	}
	var all []Change
	for i := range want {
		w, k := &want[i], wantKey(&want[i])
		h := old[k]
		delete(old, k)
		switch {
		case h == nil:
			c := change(Create, kind, name(w), nil, fields(w))
			c.after = w
			all = append(all, c)
		case !same(h, w):
			if c := change(Update, kind, name(w), fields(h), fields(w)); len(c.Fields) > 0 {
				c.before, c.after = h, w
				all = append(all, c)
			}
		}
	}
	for _, h := range old {
		c := change(Delete, kind, name(h), fields(h), nil)
		c.before = h
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Change) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(b.Action, a.Action))
	})
	return all
}

// differing keeps of two lists of equal length the places where they differ.
func differing[T any](have, want []T, same func(a, b *T) bool) (h, w []T) {
	for i := range have {
		if !same(&have[i], &want[i]) {
			h, w = append(h, have[i]), append(w, want[i])
		}
	}
	return h, w
}

// maxDetail is how many bytes of a value a change tells.
const maxDetail = 1000

func change(action, kind, name string, old, new []field) Change {
	c := Change{Action: action, Kind: kind, Name: name, Detail: map[string]string{}}
	for i := range max(len(old), len(new)) {
		var f string
		var o, n string
		if old != nil {
			f, o = old[i].name, shorten(old[i].value)
		}
		if new != nil {
			f, n = new[i].name, shorten(new[i].value)
		}
		switch {
		case action == Update && old[i].value != new[i].value:
			c.Detail[f] = o + " -> " + n
		case action == Create && n != "":
			c.Detail[f] = n
		case action == Delete && o != "":
			c.Detail[f] = o
		default:
			continue
		}
		c.Fields = append(c.Fields, f)
	}
	return c
}

func shorten(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail-100], "") + fmt.Sprintf("… (%d bytes, %s)", len(s), TextHash(s))
}

// identities tells by e-mail which account is meant, before and after, for the
// accounts that do not stand unchanged in the same place of both directories.
type identities struct{ have, want map[string]string }

func identify(have, want *Directory) identities {
	x := identities{map[string]string{}, map[string]string{}}
	stands := func(i int) bool {
		return i < len(have.Accounts) && i < len(want.Accounts) &&
			have.Accounts[i].ID == want.Accounts[i].ID && have.Accounts[i].Email == want.Accounts[i].Email
	}
	for i := range have.Accounts {
		if a := &have.Accounts[i]; !stands(i) && a.ID != "" {
			x.have[a.Email] = "#" + a.ID
		}
	}
	for i := range want.Accounts {
		a := &want.Accounts[i]
		switch {
		case stands(i):
		case a.ID != "":
			x.want[a.Email] = "#" + a.ID
		case x.have[a.Email] != "":
			x.want[a.Email] = x.have[a.Email]
		}
	}
	return x
}

// moved reports whether an address passes from one account to another.
func (x identities) moved(email string) bool { return x.have[email] != x.want[email] }

// key returns what an account is known by: its id where that matters.
func key(ids map[string]string, email string) string {
	if k, ok := ids[email]; ok {
		return k
	}
	return email
}
