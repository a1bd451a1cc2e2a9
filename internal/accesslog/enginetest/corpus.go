// Package enginetest holds every engine that searches the access log to the one
// meaning of a query: what [query.Filter.Match] says of each entry. It is for
// tests alone. Start with [Log] and [Compare].
package enginetest

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
	"github.com/ringfence/ringfence/policy"
)

// Origin is of the logs that [Log] makes.
const Origin = "gw-1.example.com/log"

// Now is when queries are asked.
var Now = synthetic.End

// Log writes a log of n made-up exchanges, and of records with texts that have
// a meaning somewhere, into dir and returns its entries.
func Log(t testing.TB, dir string, n int) []*accesslog.Entry {
	t.Helper()
	w, err := synthetic.New()
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := accesslog.GenerateKey(Origin)
	if err != nil {
		t.Fatal(err)
	}
	var clock atomic.Int64
	clock.Store(synthetic.Start.UnixNano())
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Key: key, Node: "gw-1", SegmentSize: 1 << 20,
		Now: func() time.Time { return time.Unix(0, clock.Load()).UTC() }})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- l.Run(context.Background()) }()
	odd := oddities()
	for i := range n {
		list := w.Exchange(i, n)
		if i >= n/2 && len(odd) > 0 {
			odd[0].Time = list[0].Time
			list, odd = append(list, odd[0]), odd[1:]
		}
		for _, r := range list {
			clock.Store(max(clock.Load(), r.Time.UnixNano()))
			if err := l.Append(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	var all []*accesslog.Entry
	err = accesslog.Scan(t.Context(), dir, 0, ^uint64(0), func(e *accesslog.Entry) error {
		all = append(all, e)
		return nil
	})
	if err != nil || len(all) < n || len(odd) > 0 {
		t.Fatalf("%d entries, %d records left over, %v", len(all), len(odd), err)
	}
	return all
}

// oddities are records with texts that an engine could take for something else.
func oddities() []*policy.Record {
	var out []*policy.Record
	for i, path := range []string{
		"/100%", "/100%25/off", "/a_b", "/aXb", `/a\b`, `/a\\b`, `/a\%b`, "/'; DROP TABLE ringfence; --", `/"quoted"`, "/tab\there", "/line\nbreak", "/nul\x00here",
		"/straße", "/STRASSE", "/ÜBER/Öl", "/über/öl", "/İstanbul", "/\u212Aelvin", "/ſtraight", "/ΣΊΣΥΦΟΣ", "/{p0:String}", "/$1::text", "/?p=1&param_p0=x", "/unit\x1fseparator",
		"/" + strings.Repeat("long", 900), "/[\\x41]", "/.*", "/日本語", "/👩‍🔧", "/export/x*y",
	} {
		out = append(out, &policy.Record{Type: policy.RecordRequest, RequestID: "odd-" + string(rune('a'+i%26)), Account: "odd", Path: path, Method: "GET", Effect: "deny", Mode: []string{"", policy.ModeStrict, policy.ModeRelaxed}[i%3],
			Cluster: []string{"claims", "", "CLAIMS"}[i%3], Status: []int{0, 403, 200}[i%3], BytesOut: policy.Int64(int64(i % 2)),
			Reasons: [][]string{nil, {"a", "b"}, {"100%"}, {"a_b", "back\\slash"}, {"line\nbreak"}}[i%5]})
	}
	for i, mail := range []string{"Kim@Vendor.Example", "\u212Aim@vendor.example", "kim", "@nobody", "a@b@c.example", "Straße@vendor.example", "ſam@vendor.example", "k_m@vendor.example", "k%@vendor.example"} {
		out = append(out, &policy.Record{Type: policy.RecordLogin, Action: "login", Result: "bad_credentials", Email: mail,
			SourceIP: []string{"::1", "::ffff:10.1.2.3", "10.255.255.255", "fe80::1%eth0", "not an address", "2001:db8::ff", "010.1.2.3", "11.0.0.0", "0.0.0.0"}[i]})
	}
	for _, actor := range []string{"operator", "acc-odd", "Kim"} {
		out = append(out, &policy.Record{Type: policy.RecordAdmin, Action: "vendor.suspend", Result: "ok", Actor: actor, Object: "vendor:o'brien",
			Detail: map[string]string{"reason": "100% sure", "a=b": "c", "Über": "Groß", "empty": ""}, Agreements: []string{"nda@3"}})
	}
	return out
}

// Queries returns what [Compare] asks about entries.
func Queries(all []*accesslog.Entry) []string {
	var some *accesslog.Entry
	for _, e := range all[len(all)/4:] {
		if e.Type == policy.RecordRequest && e.Session != "" && e.SourceIP != "" && strings.Contains(e.Email, "@") {
			some = e
			break
		}
	}
	name, _, _ := strings.Cut(some.Email, "@")
	return slices.Concat([]string{
		"", "account:" + some.Account, "account:" + name, "account:" + strings.ToUpper(some.Email), `account:""`, "account:nobody", "account:acc-*",
		"request_id:" + some.RequestID, "request_id:" + some.RequestID[:8] + "*", "session:" + some.Session, `session:""`, "session:*",
		"vendor:" + some.Vendor + " effect:deny", "path:*9206*", "path:" + some.Path, "not path:/api*", "path:*/*/*", "index:100..200", "index:>=300",
		"ip:" + some.SourceIP, "cluster:" + some.Cluster + " or cluster:claims", "node:gw-1", "node:gw-2",
	}, fixed)
}

var fixed = []string{
	"path:/100%", "path:/100%*", `path:/a_b`, "path:/a_*", `path:*_*`, `path:*%*`, `path:"/a\\b"`, `path:"/a\\"*`, `path:*"\\\\"*`, `path:*"'; DROP TABLE ringfence; --"`, `path:*"\""*`,
	"path:*\there", `path:*"{p0:String}"`, "path:*$1*", "path:/?p*", "path:*long*long", "path:/long*", `path:"/export/x*y"`, "path:/.*", `path:"/[\\x41]"`, "path:*日*", "path:*👩*",
	"straße", "STRASSE", "ÜBER", "über", "istanbul", "İstanbul", "ıstanbul", "kelvin", "\u212Aelvin", "straight", "ſtraight", "σίσυφος", "ΣΊΣΥΦΟΣ", "日本", "100%", "a_b", `"\\"`, `"'"`, "GROẞ", "groß",
	"account:kim", "account:KIM", "account:kIm@vendor.example", "account:\u212Aim", "account:sam", "account:strasse", "account:STRAßE", "account:k_m", "account:k%", "account:a", "account:a@b", "account:*@b*",
	"account:@nobody", "account:operator", "email:*", `email:""`, "email:Kim*", "email:kim*", "actor:*", "who:odd",
	`reasons:""`, "reasons:a", "reasons:a*", "reasons:*%", "reasons:a_*", `reasons:*"\\"*`, "reason:outside_hours", "not reasons:b", `agreements:""`, "agreements:nda@3", "query_names:q",
	"detail:reason=*", "detail:a=b=c", "detail:empty=", "detail:*Groß", `detail:""`, "detail:*", "not detail:*",
	"ip:10.0.0.0/8", "ip:0.0.0.0/0", "ip:::/0", "ip:2001:db8::/32", "ip:::1", "ip:fe80::/10", "ip:10.255.255.255/32", "ip:0.0.0.0/32", "ip:10.*", "not ip:10.0.0.0/8", `ip:"not an address"`,
	"mode:relaxed", "mode:strict", `mode:""`, "not mode:relaxed", "mode:*", "relaxed",
	"status:5xx", "status:200,404", "not status:>=0", "status:>=0", "duration:>1s", "bytes_out:0", "bytes_out:<1kB", "not bytes_out:0", "code_age:<1m", "index:0",
	"since:30d", "until:2026-04-01", "since:2026-04-01 until:2026-04-02", "(since:2d or until:2026-03-03) effect:deny", "since:0s", "not since:30d",
	"type:log", "action:*", "facts:*", `cluster:""`, "cluster:*", "cluster:claims", "cluster:CLAIMS", "PERMISSIONS", "firefox deny", "not (effect:allow or type:outcome)", "engagement:*-2025", "nowhere-to-be-found", "object:*'*",
}
