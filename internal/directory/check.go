package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxContractorTerm is how far ahead a contractor's account may end when that
// end is set.
const MaxContractorTerm = 180 * 24 * time.Hour

// Rules is what [Directory.Check] needs to know beside the directory itself.
// The zero value checks the directory alone.
type Rules struct {
	GateHost string // no cluster may use it; empty: not checked
	// Have is the directory that is replaced, itself checked before: rules about change, such as that
	// agreements' versions only rise, are checked against it. Nil: not checked.
	Have *Directory
	Now  time.Time // with Have: ends of contractors are checked against it
}

// Validate checks the directory alone: [Directory.Check] with no [Rules].
func (d *Directory) Validate() error { return d.Check(Rules{}) }

// Check returns everything that is wrong with the directory, as [Faults].
func (d *Directory) Check(r Rules) error {
	c := newChecker(d, "", nil)
	c.have = r.Have
	c.objects(r.GateHost)
	c.references()
	if r.Have != nil {
		c.transition(r.Have, r.Now)
	}
	return c.faults.err()
}

// A checker gathers the faults of one directory.
type checker struct {
	d      *Directory
	file   string
	lines  *lines     // nil when the directory was not read from a file
	have   *Directory // what is replaced, checked before; nil when nothing is
	faults Faults

	vendors     map[string]*Vendor
	agreements  map[string]*Agreement
	engagements map[string]*Engagement
	clusters    map[string]*Cluster
	accounts    map[string]*Account // by e-mail
	covered     map[covering]bool   // as asked so far
	domains     map[string]string   // of identity providers: the vendor's name
}

// covering asks whether an engagement covers a cluster.
type covering struct{ engagement, cluster string }

func newChecker(d *Directory, file string, l *lines) *checker {
	return &checker{
		d: d, file: file, lines: l,
		vendors:     make(map[string]*Vendor, len(d.Vendors)),
		agreements:  make(map[string]*Agreement, len(d.Agreements)),
		engagements: make(map[string]*Engagement, len(d.Engagements)),
		clusters:    make(map[string]*Cluster, len(d.Clusters)),
		accounts:    make(map[string]*Account, len(d.Accounts)),
		covered:     map[covering]bool{},
		domains:     map[string]string{},
	}
}

// An object is what faults are reported against.
type object struct {
	c     *checker
	kind  string
	index int
}

// label names the object to people.
func (o object) label() string { return o.kind + " " + o.name() }

func (o object) fault(field, format string, args ...any) {
	f := Fault{Field: field, Message: fmt.Sprintf(format, args...), Object: o.label()}
	if l := o.c.lines; l != nil {
		line, told := l.of(o.kind, o.index, field)
		if told {
			return
		}
		f.File, f.Line = o.c.file, line
	}
	o.c.faults = append(o.c.faults, f)
}

// name returns what the object is known by, or its place in the list.
func (o object) name() string {
	d, name := o.c.d, ""
	switch o.kind {
	case kindVendor:
		name = d.Vendors[o.index].Name
	case kindAgreement:
		name = d.Agreements[o.index].Name
	case kindEngagement:
		name = d.Engagements[o.index].Name
	case kindCluster:
		name = d.Clusters[o.index].Name
	case kindAccount:
		name = d.Accounts[o.index].Email
	case kindAssignment:
		if a := &d.Assignments[o.index]; a.Account != "" || a.Cluster != "" {
			name = a.Account + "/" + a.Cluster
		}
	}
	if name == "" {
		return strconv.Itoa(o.index + 1)
	}
	return name
}

func (c *checker) vendor(i int) object     { return object{c, kindVendor, i} }
func (c *checker) agreement(i int) object  { return object{c, kindAgreement, i} }
func (c *checker) engagement(i int) object { return object{c, kindEngagement, i} }
func (c *checker) cluster(i int) object    { return object{c, kindCluster, i} }
func (c *checker) account(i int) object    { return object{c, kindAccount, i} }
func (c *checker) assignment(i int) object { return object{c, kindAssignment, i} }

// Kinds of objects, as in [Change.Kind].
const (
	kindVendor     = "vendor"
	kindAgreement  = "agreement"
	kindEngagement = "engagement"
	kindCluster    = "cluster"
	kindAccount    = "account"
	kindAssignment = "assignment"
)

// Directories hold dates within these years, so that every one of them fits
// the nanoseconds that policies compute with.
const firstYear, lastYear = 2000, 2199

func (o object) name63(s string) {
	switch {
	case s == "":
		o.fault("name", "is missing")
	case !ValidName(s):
		o.fault("name", "%q must be 1 to 63 of a-z, 0-9 and -, not beginning with -", s)
	}
}

// text checks a line for people to read.
func (o object) text(field, s string, max int) {
	switch bad := badRune(s, ""); {
	case s == "":
		o.fault(field, "is missing")
	case bad != "":
		o.fault(field, "contains %s", bad)
	case strings.TrimSpace(s) != s:
		o.fault(field, "begins or ends with a space")
	case len(s) > max:
		o.fault(field, "is longer than %d bytes", max)
	}
}

func (o object) email(field, s string) {
	if s == "" {
		o.fault(field, "is missing")
		return
	}
	switch c, err := CanonicalEmail(s); {
	case err != nil:
		o.fault(field, "%v", err)
	case c != s:
		o.fault(field, "%q must be written %q", s, c)
	}
}

func (o object) time(field string, t time.Time) {
	if y := t.UTC().Year(); y < firstYear || y > lastYear {
		o.fault(field, "the year must be between %d and %d", firstYear, lastYear)
	}
}

// period checks a start and an end, both demanded.
func (o object) period(starts, ends time.Time) {
	switch {
	case starts.IsZero():
		o.fault("starts", "is missing")
	default:
		o.time("starts", starts)
	}
	switch {
	case ends.IsZero():
		o.fault("ends", "is missing")
	default:
		o.time("ends", ends)
	}
	if !starts.IsZero() && !ends.IsZero() && !starts.Before(ends) {
		o.fault("ends", "must be after starts (%s)", starts.UTC().Format(time.RFC3339))
	}
}

// each calls f for every entry of a list that must not repeat itself.
func (o object) each(field string, list []string, f func(field, s string)) {
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		repeated := false
		for _, before := range list[:i] {
			repeated = repeated || before == s
		}
		if repeated {
			o.fault(at, "%q is there twice", s)
			continue
		}
		f(at, s)
	}
}
