package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/policy"
)

// A logged world records into a real log.
type logged struct {
	*world
	log *accesslogtest.Log
}

func (l logged) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	return l.log.Record(ctx, r)
}

func (l logged) Append(r *policy.Record) error { return l.log.Append(r) }

// IdentifyAt gives subjects of every kind by the cookie's name for them.
func (l logged) IdentifyAt(r *http.Request, at *policy.Arrival) (policy.Subject, error) {
	s, err := l.world.IdentifyAt(r, at)
	switch s.Account {
	case "same":
		s.Roles = []policy.Role{policy.Contractor}
	case "other":
		s.Roles = []policy.Role{policy.Contractor, policy.Reviewer}
	case "none":
		s.Roles = nil
	case "scoped":
		s.Credential, s.TokenCluster, s.TokenBinding = policy.CredentialAccessToken, "claims", policy.BindingKey
		s.TokenScope = &policy.TokenScope{Access: policy.AccessRead, Methods: []string{"GET"}, Paths: [][]string{{"a", "b c"}, {}}}
	case "empty":
		s.TokenScope, s.Factors = &policy.TokenScope{Methods: []string{}, Paths: [][]string{}}, nil
	}
	return s, err
}

// TestRecord_HoldsTheWholeInput: what an entry and its facts document give back
// is what was decided from, to the byte, but for what the entry says is withheld.
func TestRecord_HoldsTheWholeInput(t *testing.T) {
	log := accesslogtest.New(t, 0)
	clusters := claims(upstream(t, func(http.ResponseWriter, *http.Request) {}).URL)
	clusters[0].Routes[0].EncodedSlashes = true
	g := start(t, clusters, func(c *Config) {
		w := logged{c.Recorder.(*gateway).world, log}
		c.Recorder, c.Identifier = w, w
		c.QueryValues = []string{"page", "size", "bad"}
		doc, err := policy.NewDocument(policy.Facts{Account: &policy.AccountFacts{ID: "same", Roles: []policy.Role{policy.Contractor}},
			Engagement: &policy.EngagementFacts{Name: "e1", Clusters: []string{"claims"}}, Assignment: &policy.AssignmentFacts{Access: "read"}})
		if err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.facts = doc })
	})
	long := strings.Repeat("x", maxText+1)
	for i, c := range []struct {
		account, method, target string
		headers                 [][2]string
		withheld                string
	}{
		{"", "GET", "/", nil, ""},
		{"same", "GET", "/a/b%20c/%E2%80%8B/d", [][2]string{{"Accept", "*/*"}, {"Accept", "text/html"}, {"User-Agent", "agent"}, {"X-Ticket", "T-1"}}, ""},
		{"other", "POST", "/a?page=2&page=3&size=", [][2]string{{"Content-Type", "application/json"}, {"Origin", "https://" + testHost}, {"X-Purpose", "caf\u00e9 \u202e"}}, ""},
		{"none", "GET", "/", nil, "subject.roles"},
		{"scoped", "GET", "/a%2Fb", [][2]string{{"User-Agent", ""}}, ""},
		{"empty", "GET", "/", [][2]string{{"User-Agent", "a\u009bb"}}, ""},
		{"same", "GET", "/?q=secret&page=1", nil, "request.query.q"},
		{"same", "GET", "/?bad=%ff&page=1&size=" + strings.Repeat("1", maxKept), nil, "request.query.bad request.query.size"},
		{"same", "GET", "/?" + long + "=1&page=1", nil, "request.query request.query.page request.query." + long[:maxText]},
		{"same", "GET", "/?" + manyNames(maxNames+1), nil, "request.query …"},
		{"same", "GET", "/" + long, nil, "request.path request.raw_path"},
		{"same", "GET", "/", [][2]string{{"Referer", "https://kim:hunter2@x.example/a?token=hunter2#hunter2"}}, "request.headers.referer"},
		{"same", "GET", "/", [][2]string{{"Referer", "https://x.example/a/b"}}, ""},
		{"same", "GET", "/", [][2]string{{"User-Agent", long}, {"X-Ticket", "ok"}}, "request.headers.user-agent"},
		{"same", "GET", "/", [][2]string{{"User-Agent", "one"}, {"User-Agent", "two"}}, ""},
		{"same", "GET", "/", [][2]string{{"X-Ticket", "a\xffb"}, {"Accept", long}}, "request.headers.accept request.headers.x-ticket"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			text := c.method + " " + c.target + " HTTP/1.1\r\nHost: " + testHost + "\r\nConnection: close\r\nContent-Length: 0\r\n"
			if c.account != "" {
				text += "Cookie: __Host-ringfence=" + c.account + "\r\n"
			}
			for _, h := range c.headers {
				text += h[0] + ": " + h[1] + "\r\n"
			}
			g.raw(text + "\r\n")
			decided := g.lastInput()
			e := entryOf(t, log, decided.Request.ID)
			if strings.Contains(string(e.Payload), "hunter2") || strings.Contains(string(e.Payload), "secret") {
				t.Errorf("a secret is recorded: %s", e.Payload)
			}
			doc, err := accesslog.FactsOf(t.Context(), accesslog.Folder(log.Dir), e)
			if err != nil {
				t.Fatal(err)
			}
			in, withheld, err := e.Input(doc)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(c.withheld)
			if i := slices.Index(want, "…"); i >= 0 {
				want, withheld = want[:i], withheld[:min(i, len(withheld))]
			}
			if !slices.Equal(withheld, want) {
				t.Errorf("withheld %q, want %q", withheld, want)
			}
			got, had := without(t, in, want), without(t, &decided, want)
			if !reflect.DeepEqual(got, had) {
				t.Errorf("rebuilt\n%v\nwant\n%v", got, had)
			}
		})
	}
}

func manyNames(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("n%d=1", i))
	}
	return strings.Join(all, "&")
}

func entryOf(t *testing.T, log *accesslogtest.Log, id string) *accesslog.Entry {
	t.Helper()
	var e *accesslog.Entry
	if err := accesslog.Query(t.Context(), log.Dir, accesslog.Filter{RequestID: id, Type: "request"}, func(found *accesslog.Entry) bool {
		e = found
		return false
	}); err != nil || e == nil {
		t.Fatalf("no entry of %s: %v", id, err)
	}
	if _, err := accesslog.ParseEntry(e.Payload); err != nil {
		t.Errorf("the entry is not canonical: %v", err)
	}
	return e
}

// without returns an input's JSON form less some paths.
func without(t *testing.T, in *policy.Input, paths []string) map[string]any {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		at, keys := out, strings.SplitN(p, ".", 3)
		for _, k := range keys[:len(keys)-1] {
			if at, _ = at[k].(map[string]any); at == nil {
				break
			}
		}
		delete(at, keys[len(keys)-1])
	}
	for _, group := range []string{"query", "headers"} { // an empty one is the same as none
		q := out["request"].(map[string]any)
		if m, ok := q[group].(map[string]any); ok && len(m) == 0 {
			delete(q, group)
		}
	}
	return out
}

// TestRecord_SaysWhatThePoliciesAllowed: where the gateway refuses for a reason
// of its own, a replay must not take that for the policies' decision; and a
// request refused before they were asked has no input.
func TestRecord_SaysWhatThePoliciesAllowed(t *testing.T) {
	g := start(t, claims(upstream(t, func(http.ResponseWriter, *http.Request) {}).URL))
	ask := func(target string) *policy.Record {
		g.get(target)
		all := g.of(policy.RecordRequest)
		return all[len(all)-1]
	}
	if r := ask("/"); r.Input == nil || r.Input.Allowed || r.Effect != "allow" {
		t.Errorf("%+v", r)
	}
	g.h.RestoreEgress("kim", "claims", time.Now(), 1)
	g.set(func() {
		g.decide = func(*policy.Input) policy.Decision {
			return policy.Decision{Effect: policy.Allow, Obligations: policy.Obligations{EgressBudget: 1}}
		}
	})
	if r := ask("/"); r.Input == nil || !r.Input.Allowed || r.Effect != "deny" || r.Obligations == nil {
		t.Errorf("%+v", r)
	}
	if r := ask("/a//b"); r.Input != nil {
		t.Errorf("%+v", r)
	}
}
