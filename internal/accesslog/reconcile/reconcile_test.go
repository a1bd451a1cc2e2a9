package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/internal/accesslog/reconcile"
	"github.com/ringfence/ringfence/policy"
)

const origin = "test.example/log"

func TestParse(t *testing.T) {
	const head = `192.0.2.7 - kim [22/Nov/2026:08:00:00 +0000] "GET /a/b%20c?q=1 HTTP/1.1" 206 512`
	for name, c := range map[string]struct {
		field, line string
		want        reconcile.Line
		fault       string
	}{
		"common":     {"", head + ` "` + origin + `#7"`, reconcile.Line{Entry: origin + "#7", Method: "GET", Path: "/a/b%20c", Status: 206}, ""},
		"combined":   {"", head + ` "-" "curl \"8\"" "` + origin + `#7"`, reconcile.Line{Entry: origin + "#7", Method: "GET", Path: "/a/b%20c", Status: 206}, ""},
		"no header":  {"", head + ` "-" "curl/8" "-"`, reconcile.Line{Entry: "-", Method: "GET", Path: "/a/b%20c", Status: 206}, ""},
		"by number":  {"2", head + ` "` + origin + `#7" "https://x.example/" "curl/8"`, reconcile.Line{Entry: origin + "#7", Method: "GET", Path: "/a/b%20c", Status: 206}, ""},
		"no field":   {"", head + ` "-" "curl/8"`, reconcile.Line{}, "no field for the entry"},
		"bare":       {"", head, reconcile.Line{}, "no field for the entry"},
		"words":      {"", "something else", reconcile.Line{}, "neither"},
		"bad number": {"x", head + ` "-"`, reconcile.Line{}, "number from 1"},
		"nginx JSON": {"", `{"request":"POST /x?y HTTP/2.0","status":"201","http_x_ringfence_entry":"` + origin + `#9"}`, reconcile.Line{Entry: origin + "#9", Method: "POST", Path: "/x", Status: 201}, ""},
		"flat JSON":  {"", `{"request_method":"POST","request_uri":"/x?y","status":201,"entry":""}`, reconcile.Line{Method: "POST", Path: "/x", Status: 201}, ""},
		"own key":    {"trace", `{"method":"GET","uri":"/x","status":200,"trace":"` + origin + `#3"}`, reconcile.Line{Entry: origin + "#3", Method: "GET", Path: "/x", Status: 200}, ""},
		"Caddy":      {"", `{"level":"info","request":{"method":"GET","host":"h","uri":"/c?d","headers":{"X-Ringfence-Entry":["` + origin + `#4"],"User-Agent":["` + origin + `#5"]}},"status":200}`, reconcile.Line{Entry: origin + "#4", Method: "GET", Path: "/c", Status: 200}, ""},
		"Caddy bare": {"", `{"request":{"method":"GET","uri":"/c","headers":{"User-Agent":["` + origin + `#5"]}},"status":200}`, reconcile.Line{Method: "GET", Path: "/c", Status: 200}, ""},
		"twice":      {"", `{"request":{"method":"GET","uri":"/c","headers":{"X-Ringfence-Entry":["a#1","b#2"]}},"status":200}`, reconcile.Line{Entry: "several", Method: "GET", Path: "/c", Status: 200}, ""},
		"JSON alone": {"", `{"request":"GET / HTTP/1.1","status":200}`, reconcile.Line{}, "no field for the entry"},
		"not JSON":   {"", `{"request":`, reconcile.Line{}, "unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := reconcile.Format{Field: c.field}.Parse([]byte(c.line + "\r\n"))
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Fatalf("%v, want %q", err, c.fault)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

// A pair is a gateway's log and that of the upstream behind it.
type pair struct {
	t     *testing.T
	log   *accesslogtest.Log
	lines []string
}

func (p *pair) allow(n int, cluster string) uint64 {
	r := &policy.Record{Type: policy.RecordRequest, RequestID: fmt.Sprintf("r%d", n), Cluster: cluster, Method: "GET", Path: fmt.Sprintf("/doc/%d", n), Effect: "allow"}
	return p.log.Add(p.t, r)
}

func (p *pair) outcome(n, status int, ended, upstream string) {
	p.log.Add(p.t, &policy.Record{Type: policy.RecordOutcome, RequestID: fmt.Sprintf("r%d", n), Status: status, Ended: ended, Upstream: upstream})
}

func (p *pair) line(entry, method, path string, status int) {
	p.lines = append(p.lines, fmt.Sprintf(`10.0.0.1 - - [22/Nov/2026:08:00:00 +0000] "%s %s?q=1 HTTP/1.1" %d 5 "-" "agent" "%s"`, method, path, status, entry))
}

func (p *pair) run(cfg reconcile.Config) (*reconcile.Report, []string) {
	p.t.Helper()
	var found []string
	cfg.Dir, cfg.Origin, cfg.Size = p.log.Dir, origin, p.log.Size()
	cfg.Found = func(f reconcile.Finding) error {
		at := ""
		if f.Index != nil {
			at = fmt.Sprint(*f.Index)
		}
		found = append(found, fmt.Sprintf("%s:%d:%s", f.Kind, f.Line, at))
		return nil
	}
	rep, err := reconcile.Run(p.t.Context(), strings.NewReader(strings.Join(p.lines, "\n")), cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	return rep, found
}

// TestRun_BothDirections plants each thing that does not fit among requests
// that do, over several segments and out of order.
func TestRun_BothDirections(t *testing.T) {
	p := &pair{t: t, log: accesslogtest.New(t, 0)}
	const up = "http://10.0.0.5:80"
	var want []string
	early := p.allow(9000, "claims") // a stream that goes on to the end
	named := map[int]uint64{}
	for n := range 500 {
		i := p.allow(n, "claims")
		named[n] = i
		p.allow(10_000+n, "telemetry") // of other upstreams, and never over
		status, ended, upstream := 200, "", up
		switch n {
		case 100:
			status, ended, upstream = 503, "upstream_down", "" // never went up
		case 101:
			ended = "session_ended"
		case 102:
			upstream = "http://10.0.0.6:80" // to another system of the cluster
		}
		p.outcome(n, status, ended, upstream)
		name := fmt.Sprintf("%s#%d", origin, i)
		path := fmt.Sprintf("/doc/%d", n)
		at := len(p.lines) + 1
		switch n {
		case 100, 101, 102:
		case 200: // not in the upstream's log
			want = append(want, fmt.Sprintf("no_request:0:%d", i))
		case 300:
			p.line(name, "POST", path, 200)
			want = append(want, fmt.Sprintf("differs:%d:%d", at, i))
		case 301:
			p.line(name, "GET", "/other", 200)
			want = append(want, fmt.Sprintf("differs:%d:%d", at, i))
		case 302:
			p.line(name, "GET", path, 404)
			want = append(want, fmt.Sprintf("differs:%d:%d", at, i))
		case 400: // round the gateway
			p.line("-", "GET", path, 200)
			want = append(want, fmt.Sprintf("no_entry:%d:", at), fmt.Sprintf("no_request:0:%d", i))
		case 401: // with the name of somebody else's entry
			p.line(name, "GET", path, 200)
			p.line(name, "GET", path, 200)
			want = append(want, fmt.Sprintf("same_entry:%d:%d", at+1, i))
		case 402:
			p.line(name, "GET", path, 200)
			p.line(fmt.Sprintf("%s#%d", origin, i+2), "GET", path, 200) // an outcome
			p.line(origin+"#99999999", "GET", path, 200)
			p.line(origin+"#007", "GET", path, 200)
			p.line("other.example/log#5", "GET", path, 200)
			p.line("-", "GET", "/healthz", 200)
			p.lines = append(p.lines, "what is this")
			want = append(want, fmt.Sprintf("unknown_entry:%d:%d", at+1, i+2), fmt.Sprintf("unknown_entry:%d:99999999", at+2),
				fmt.Sprintf("unknown_entry:%d:", at+3), fmt.Sprintf("unreadable:%d:", at+6))
		default:
			p.line(name, "GET", path, 200)
		}
	}
	p.outcome(9000, 200, "", up)
	p.line(fmt.Sprintf("%s#%d", origin, early), "GET", "/doc/9000", 200)
	for i := 10; i+8 < 90; i += 8 { // as parallel requests end
		slices.Reverse(p.lines[i : i+8])
	}
	rep, found := p.run(reconcile.Config{HealthPaths: []string{"/healthz"}})
	slices.Sort(found)
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
	}
	if rep.Health != 1 || rep.Others["other.example/log"] != 1 || rep.Unsure != 1 || rep.Matched != 500-5+1 {
		t.Errorf("%+v", rep)
	}

	// A part of the log, as after a rotation, is judged for itself.
	p.lines = p.lines[200:290]
	if rep, found := p.run(reconcile.Config{}); len(found) != 0 || rep.Matched != 90 {
		t.Errorf("a part: %+v %q", rep, found)
	}
}

// TestRun_BeforeTheFirst has lines that name earlier entries than the first line
// does, as an upstream writes them that logs a request when it is over: their
// status counts like any other's.
func TestRun_BeforeTheFirst(t *testing.T) {
	p := &pair{t: t, log: accesslogtest.New(t, 0)}
	const up = "http://10.0.0.5:80"
	done := func(n, status int) {
		p.log.Add(t, &policy.Record{Type: policy.RecordOutcome, RequestID: fmt.Sprintf("r%d", n), Cluster: "claims", Status: status, Upstream: up})
	}
	over, stream := p.allow(1, "claims"), p.allow(2, "claims")
	done(1, 200)
	first := p.allow(3, "claims")
	done(3, 200)
	done(2, 200)
	for _, l := range []struct {
		n      int
		entry  uint64
		status int
	}{{3, first, 200}, {1, over, 500}, {2, stream, 500}} {
		p.line(fmt.Sprintf("%s#%d", origin, l.entry), "GET", fmt.Sprintf("/doc/%d", l.n), l.status)
	}
	want := []string{fmt.Sprintf("differs:2:%d", over), fmt.Sprintf("differs:3:%d", stream)}
	if rep, found := p.run(reconcile.Config{}); !slices.Equal(found, want) || rep.Matched != 3 {
		t.Errorf("found %v, want %v; %+v", found, want, rep)
	}
}

// TestRun_WrongFormat: a log that has no field for the entry is refused, and
// is not a log of nothing but requests without entries.
func TestRun_WrongFormat(t *testing.T) {
	p := &pair{t: t, log: accesslogtest.New(t, 0)}
	_, err := reconcile.Run(t.Context(), strings.NewReader(`10.0.0.1 - - [x] "GET / HTTP/1.1" 200 5 "-" "agent"`), reconcile.Config{Dir: p.log.Dir, Origin: origin, Size: p.log.Size()})
	if err == nil || !strings.Contains(err.Error(), "X-Ringfence-Entry") {
		t.Errorf("%v", err)
	}
}

// Whoever goes around the gateway can write any log's name: that neither fills
// the memory nor passes for ever more gateways.
func TestRun_InventedLogs(t *testing.T) {
	var lines strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&lines, `192.0.2.7 - - [22/Nov/2026:08:00:00 +0000] "GET /a HTTP/1.1" 200 5 "gate-%d.example/log#%d"`+"\n", i, i)
	}
	rep, err := reconcile.Run(t.Context(), strings.NewReader(lines.String()), reconcile.Config{Dir: t.TempDir(), Origin: origin})
	if err != nil || len(rep.Others) > 100 || rep.Findings[reconcile.UnknownEntry] != 5000-len(rep.Others) {
		t.Errorf("%d other logs, %v, %v", len(rep.Others), rep.Findings, err)
	}
}
