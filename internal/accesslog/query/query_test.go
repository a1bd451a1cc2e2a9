package query

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func kims() *accesslog.Entry {
	return &accesslog.Entry{Index: 42, Node: "gw-1", Record: policy.Record{
		Type: policy.RecordRequest, Time: now.Add(-3 * 24 * time.Hour), RequestID: "01hq3", Account: "acc-7", Email: "kim@vendor.example",
		Vendor: "vendor", Cluster: "claims", Method: "GET", Host: "claims.example.com", Path: "/export/2026/all.csv",
		SourceIP: "10.1.2.3", UserAgent: "Über/1.0", Effect: "deny", Reasons: []string{"outside_hours", "route_not_allowed"},
		Status: 403, BytesOut: policy.Int64(0), Duration: policy.Int64(1500), Detail: map[string]string{"via": "mail"},
	}}
}

func TestCompile_Match(t *testing.T) {
	for _, tt := range []struct {
		query string
		want  bool
	}{
		{"", true},
		{"account:kim cluster:claims effect:deny path:/export* since:7d", true},
		{"account:kim cluster:claims effect:deny path:/export* since:2d", false},
		{"account:KIM@vendor.example", true},
		{"account:ki", false},
		{"account:ki*", true},
		{"account:acc-7", true},
		{"who:acc-8", false},
		{"email:kim*", true},
		{"effect:allow,deny", true},
		{"effect:allow or path:*2026*", true},
		{"effect:allow or path:*2025*", false},
		{"not effect:allow", true},
		{"-effect:deny", false},
		{"-(effect:deny cluster:other)", true},
		{"not not effect:deny", true},
		{"path:/export", false},
		{"path:*.csv", true},
		{"path:/*/*/all*", true},
		{`path:"/export*"`, false},
		{"reason:outside_hours", true},
		{"reason:mfa*", false},
		{`reasons:""`, false},
		{`agreements:""`, true},
		{"agreements:*", false},
		{`session:""`, true},
		{"session:*", false},
		{"not session:*", true},
		{"status:4xx", true},
		{"status:404..499", false},
		{"status:>=403 status:<404", true},
		{"duration:>1s", true},
		{"duration:<=1500ms", true},
		{"duration:>1500ms", false},
		{"bytes_out:0", true},
		{"bytes_in:0", false},
		{"bytes_in:>=0", false},
		{"ip:10.0.0.0/8", true},
		{"ip:10.2.0.0/16,10.1.0.0/16", true},
		{"ip:10.1.2.3", true},
		{"ip:10.1.*", true},
		{"index:42", true},
		{"until:2026-11-19", true},
		{"until:2026-11-18", false},
		{"since:2026-11-19T10:00:00Z until:2026-11-19T10:00:00.000000001Z", true},
		{"since:2026-11-19T12:00:00+02:00", true},
		{"until:2026-11-19T10:00:00Z", false},
		{"detail:via=*", true},
		{"detail:via=post", false},
		{"EXPORT/2026", true},
		{"üBER", true},
		{"via=MAIL", true},
		{"hours", true},
		{"nowhere", false},
		{`"all.csv" claims`, true},
	} {
		n, err := Parse(tt.query)
		if err != nil {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		f := Compile(n, now)
		e := kims()
		if got := f.Match(e); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.query, got, tt.want)
		}
		if s := f.Spans(); tt.want && (e.Time.UnixNano() < s.Oldest || e.Time.UnixNano() > s.Newest || e.Index < s.First || e.Index > s.Last) {
			t.Errorf("%s: the entry lies outside %+v", tt.query, s)
		}
		if again, err := Parse(Print(n)); err != nil || !Equal(n, again) {
			t.Errorf("%s: printed as %s, which is %#v, %v", tt.query, Print(n), again, err)
		}
		if !strings.Contains(tt.query, "detail") && testing.AllocsPerRun(10, func() { f.Match(e) }) > 0 {
			t.Errorf("%s: matching allocates", tt.query)
		}
	}
}

func TestPrint_Canonical(t *testing.T) {
	for _, tt := range [][2]string{
		{"  account:kim   and cluster:claims ", "account:kim cluster:claims"},
		{"Who:kim", "account:kim"},
		{"effect:deny or effect:challenge", "effect:deny,challenge"},
		{"(effect:deny or effect:challenge) path:/a", "effect:deny,challenge path:/a"},
		{"(effect:deny or path:/a) cluster:c", "(effect:deny or path:/a) cluster:c"},
		{"(a b) or c", "a b or c"},
		{"-(a or b)", "not (a or b)"},
		{"status:>=400 status:<500", "status:>=400 status:<=499"},
		{"status:400..499", "status:4xx"},
		{"since:1w", "since:7d"},
		{"since:1d12h", "since:36h"},
		{"since:0s", "since:0s"},
		{"until:2026-11-30T24:00", ""},
		{"until:2026-12-01T00:00", "until:2026-11-30"},
		{"bytes_out:>1kB", "bytes_out:>=1001"},
		{`path:/a" b"*`, `path:"/a b"*`},
		{`path:**a**`, `path:*a*`},
		{`path:"a,b","c\"\\d"`, `path:"a,b","c\"\\d"`},
		{`"or" x`, `"or" x`},
		{`"OR" Or`, `"OR" Or`},
		{`effect:den* effect:""`, `effect:den* effect:""`},
		{`ip:10.1.2.3/8`, `source_ip:10.0.0.0/8`},
		{`"a:b" "-c" "(" d-e`, `"a:b" "-c" "(" d-e`},
		{`"since:7d"`, `"since:7d"`},
	} {
		n, err := Parse(tt[0])
		if tt[1] == "" {
			if err == nil {
				t.Errorf("%s: read as %s, want an error", tt[0], Print(n))
			}
			continue
		}
		if err != nil || Print(n) != tt[1] {
			t.Errorf("%s: printed as %s, %v, want %s", tt[0], Print(n), err, tt[1])
		}
	}
}

func TestParse_Errors(t *testing.T) {
	for _, tt := range []struct {
		query   string
		column  int
		nearest string
	}{
		{"effect:deny clustr:claims", 13, "cluster"},
		{"pth:/a", 1, "path"},
		{"zzzzzzzz:/a", 1, ""},
		{"10.1.1.1:443", 1, ""},
		{"(a", 1, ""},
		{"a)", 2, ""},
		{"()", 2, ""},
		{"a or", 5, ""},
		{"or a", 1, ""},
		{"not", 4, ""},
		{`path:"a`, 6, ""},
		{`path:`, 6, ""},
		{`path:a,`, 8, ""},
		{"status:abc", 8, ""},
		{"status:500..400", 8, ""},
		{"status:*", 8, ""},
		{"duration:5kg", 10, ""},
		{"since:yesterday", 7, ""},
		{"since:101000d", 7, ""},
		{"ip:10.0.0.0/99", 4, ""},
		{"ü clustr:a", 3, "cluster"},
		{"a\x00", 2, ""},
		{"a\xff", 2, ""},
		{`""`, 1, ""},
		{"a,b", 2, ""},
		{strings.Repeat("(", 200), 52, ""},
		{strings.Repeat("a ", 1000), 1001, ""},
		{strings.Repeat("a", MaxLength+1), 1, ""},
	} {
		n, err := Parse(tt.query)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.40s: read as %#v, want an error", tt.query, n)
			continue
		}
		if e.Column != tt.column || e.Nearest != tt.nearest {
			t.Errorf("%.40s: %v; want column %d, nearest %q", tt.query, e, tt.column, tt.nearest)
		}
	}
}

func TestFields(t *testing.T) {
	for _, f := range Fields() {
		if f.String() == "" || f.Kind() == 0 {
			t.Errorf("field %d has no name or kind", f)
		}
		if got, ok := Lookup(f.String()); !ok || got != f {
			t.Errorf("%s is not found by its name", f)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"account:kim cluster:claims effect:deny path:/export* since:7d", `-(a or "b c" status:4xx,500..502)`, `ip:10.0.0.0/8,"a/b" until:2026-11-30`,
		`not path:"*"*"\"" or duration:>2s`, `reasons:"" a*b`, "since:2026-11-22T10:00:00.5+02:00", "index:1..2 or (index:3 index:4)",
	} {
		f.Add(s)
	}
	e := kims()
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			return
		}
		printed := Print(n)
		if len(printed) > MaxLength {
			return
		}
		again, err := Parse(printed)
		if err != nil || !Equal(n, again) {
			t.Fatalf("%q is printed as %q, which reads as %#v (%v), not %#v", s, printed, again, err, n)
		}
		if Print(again) != printed {
			t.Fatalf("%q is printed as %q and then as %q", s, printed, Print(again))
		}
		if Compile(n, now).Match(e) == Compile(Negate(n), now).Match(e) {
			t.Fatalf("%q and its opposite agree", s)
		}
	})
}
