package rego

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/ringfence/ringfence/policy"
)

// quiet has a deadline that a busy machine does not miss.
var quiet = Config{Deadline: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)}

const header = "package ringfence.all\n\nimport rego.v2\n\n"

func all(rules string) Source { return Source{"all/a.rego": header + rules + "\n"} }

func codesOf(d policy.Decision) []string {
	var out []string
	for _, r := range d.Reasons {
		out = append(out, r.Code)
	}
	return out
}

// TestDecide_Faults shows that whatever goes wrong within a policy is a denial.
func TestDecide_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		rules string
		want  string
	}{
		"built-in error in deny":          {`deny contains {"code": "a", "message": "b"} if to_number(input.request.method) > 1`, policy.ReasonPolicyError},
		"built-in error in a negation":    {`deny contains {"code": "a", "message": "b"} if not to_number(input.request.method) > 1`, policy.ReasonPolicyError},
		"conflict":                        {"allow := true\n\nallow := false", policy.ReasonPolicyError},
		"reason is text":                  {`deny contains "no"`, policy.ReasonPolicyError},
		"reason without message":          {`deny contains {"code": "a"}`, policy.ReasonPolicyError},
		"challenge is text":               {`challenge contains "no"`, policy.ReasonPolicyError},
		"obligation unknown":              {`obligations contains {"max_bytes": 1}`, policy.ReasonPolicyError},
		"obligation of another type":      {`obligations contains {"max_response_bytes": "1"}`, policy.ReasonPolicyError},
		"obligation is text":              {`obligations contains "mask"`, policy.ReasonPolicyError},
		"allow false":                     {`allow := false`, policy.ReasonPolicyNotAllowed},
		"allow undefined":                 {`allow if input.request.method == "POST"`, policy.ReasonPolicyNotAllowed},
		"allow of another type":           {`allow := "true"`, policy.ReasonPolicyNotAllowed},
		"allow by a field that is none":   {`allow if input.request.headers.origin == "x"`, policy.ReasonPolicyNotAllowed},
		"negated field that is none":      {`deny contains {"code": "a", "message": "b"} if not input.request.headers.origin == "x"`, "a"},
		"interpolated field that is none": {`deny contains {"code": "a", "message": "b"} if not startswith(input.request.headers.origin, "x")`, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, quiet)
			load(t, e, all(c.rules))
			d := e.Decide(context.Background(), trialInput("claims", noon))
			if d.Effect != policy.Deny || !slices.Equal(codesOf(d), []string{c.want}) || !d.Obligations.IsZero() || d.Revision != e.Revision() {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestDecide_Undefined(t *testing.T) {
	e := newEngine(t, quiet)
	e.current.Load().body = ast.MustParseBody("answer = data.ringfence.main.nothing")
	e.current.Load().answer = "answer"
	d := e.Decide(context.Background(), trialInput("claims", noon))
	if d.Effect != policy.Deny || !slices.Equal(codesOf(d), []string{policy.ReasonPolicyUndefined}) {
		t.Errorf("got %+v", d)
	}
	if d := e.Decide(context.Background(), nil); d.Effect != policy.Deny {
		t.Errorf("no input: %+v", d)
	}
}

func TestDecide_Panic(t *testing.T) {
	var log bytes.Buffer
	e := newEngine(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	e.current.Load().compiler = nil
	d := e.Decide(context.Background(), trialInput("claims", noon))
	if d.Effect != policy.Deny || !slices.Equal(codesOf(d), []string{policy.ReasonPolicyError}) {
		t.Errorf("got %+v", d)
	}
	if !strings.Contains(log.String(), "panic") || strings.Contains(fmt.Sprint(d.Reasons), "panic") {
		t.Errorf("told %v, logged %s", d.Reasons, &log)
	}
}

func TestDecide_Deadline(t *testing.T) {
	e := newEngine(t, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel2 := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel2()
	for _, ctx := range []context.Context{ctx, late} {
		d := e.Decide(ctx, trialInput("claims", noon))
		if !slices.Equal(codesOf(d), []string{policy.ReasonPolicyTimeout}) {
			t.Errorf("got %+v", d)
		}
	}
	if d := e.Decide(context.Background(), trialInput("claims", noon)); d.Effect != policy.Allow {
		t.Errorf("then %+v", d)
	}
}

// TestDecide_Anonymous shows that nobody in particular is asked to sign in,
// whatever else is the matter, and in the words of the guardrails.
func TestDecide_Anonymous(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all("allow := false\n\nallow := true if input.version\n\n"+`deny contains {"code": "a", "message": "b"}`))
	for name, in := range map[string]*policy.Input{"nothing": {}, "a request": {Version: 1, Request: policy.Request{Method: "GET"}, Resource: policy.Resource{Cluster: "claims"}}} {
		d := e.Decide(context.Background(), in)
		if d.Effect != policy.Challenge || !slices.Equal(codesOf(d), []string{policy.ReasonSignIn}) {
			t.Errorf("%s: %+v", name, d)
		}
		stock := judge(t, newEngine(t, quiet), inputTerm(in))
		if stock.Effect != d.Effect || !slices.Equal(stock.Reasons, d.Reasons) {
			t.Errorf("%s: the guardrails say %+v", name, stock)
		}
	}
}

func TestDecide_CodeStale(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all(`obligations contains {"max_code_age": 900, "mask": ["iban"]}`+"\n\n"+`obligations contains {"max_code_age": 300} if input.request.method != "GET"`))
	for _, c := range []struct {
		name    string
		method  string
		factors map[string]int64
		want    policy.Effect
		codes   []string
	}{
		{"fresh", "GET", map[string]int64{"totp": 900}, policy.Allow, nil},
		{"stale", "GET", map[string]int64{"totp": 901}, policy.Challenge, []string{policy.ReasonCodeStale}},
		{"smallest", "POST", map[string]int64{"totp": 301}, policy.Challenge, []string{policy.ReasonCodeStale}},
		{"newest", "POST", map[string]int64{"totp": 9999, "recovery": 300}, policy.Allow, nil},
		{"password does not count", "GET", map[string]int64{"password": 1, "totp": 5000}, policy.Challenge, []string{policy.ReasonCodeStale}},
		{"none", "GET", nil, policy.Challenge, []string{policy.ReasonSecondFactor, policy.ReasonCodeStale}},
	} {
		in := trialInput("claims", noon)
		in.Request.Method, in.Subject.Factors = c.method, c.factors
		d := e.Decide(context.Background(), in)
		if d.Effect != c.want || !slices.Equal(codesOf(d), c.codes) {
			t.Errorf("%s: %+v", c.name, d)
		}
		if has := !d.Obligations.IsZero(); has != (c.want == policy.Allow) {
			t.Errorf("%s: obligations %+v", c.name, d.Obligations)
		}
	}
}

// A second factor at the vendor's provider is fresh where the engagement
// trusts it, and is no code anywhere else.
func TestDecide_CodeStale_Provider(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all(`obligations contains {"max_code_age": 300}`))
	for _, c := range []struct {
		trust   bool
		factors map[string]int64
		want    policy.Effect
	}{
		{true, map[string]int64{policy.FactorExternal: 1, policy.FactorProvider: 300}, policy.Allow},
		{true, map[string]int64{policy.FactorExternal: 1, policy.FactorProvider: 301}, policy.Challenge},
		{true, map[string]int64{policy.FactorExternal: 1, policy.FactorProvider: 301, policy.FactorTOTP: 5}, policy.Allow},
		{false, map[string]int64{policy.FactorExternal: 1, policy.FactorProvider: 1, policy.FactorTOTP: 301}, policy.Challenge},
		{true, map[string]int64{policy.FactorExternal: 1, policy.FactorTOTP: 301}, policy.Challenge},
	} {
		in := edited(func(in *policy.Input, f *policy.Facts) {
			in.Subject.Factors, f.Engagement.TrustProviderFactor = c.factors, c.trust
		})
		if d := e.Decide(context.Background(), in); d.Effect != c.want {
			t.Errorf("trusted %v, %v: %+v", c.trust, c.factors, d)
		}
	}
}

// TestDecide_KeyStale measures the age of the key where codes do not count.
func TestDecide_KeyStale(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all(`obligations contains {"max_code_age": 900}`))
	for _, c := range []struct {
		name    string
		factors map[string]int64
		want    policy.Effect
		codes   []string
	}{
		{"fresh key", map[string]int64{"webauthn": 900}, policy.Allow, nil},
		{"fresh key and old code", map[string]int64{"webauthn": 0, "totp": 9999}, policy.Allow, nil},
		{"stale key", map[string]int64{"webauthn": 901}, policy.Challenge, []string{policy.ReasonPhishingResistant}},
		{"stale key, fresh code", map[string]int64{"webauthn": 901, "totp": 0}, policy.Challenge, []string{policy.ReasonPhishingResistant}},
		{"fresh code alone", map[string]int64{"totp": 0}, policy.Challenge, []string{policy.ReasonPhishingResistant}},
		{"fresh recovery code alone", map[string]int64{"recovery": 0}, policy.Challenge, []string{policy.ReasonPhishingResistant}},
		{"none", nil, policy.Challenge, []string{policy.ReasonSecondFactor}},
	} {
		in := edited(func(in *policy.Input, f *policy.Facts) {
			in.Subject.Factors, f.Engagement.PhishingResistant = c.factors, true
		})
		d := e.Decide(context.Background(), in)
		if d.Effect != c.want || !slices.Equal(codesOf(d), c.codes) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// TestLoad_SwapWhole decides while sets are swapped: every decision is wholly
// of one revision.
func TestLoad_SwapWhole(t *testing.T) {
	e := newEngine(t, quiet)
	sets := []Source{}
	for i := range 4 {
		code := fmt.Sprintf("set%d", i)
		sets = append(sets, Source{
			"all/a.rego":             header + fmt.Sprintf("deny contains {\"code\": %q, \"message\": \"a\"}\n", code),
			"clusters/claims/a.rego": "package ringfence.clusters.claims\n\nimport rego.v2\n\n" + fmt.Sprintf("deny contains {\"code\": %q, \"message\": \"b\"}\n", code),
		})
	}
	revisions := map[string]string{load(t, e, sets[0]): "set0"}
	for i, s := range sets {
		compiled, err := compile(s)
		if err != nil {
			t.Fatal(err)
		}
		revisions[compiled.revision] = fmt.Sprintf("set%d", i)
	}
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	in := trialInput("claims", noon) // one document for all, as requests share it
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				d := e.Decide(context.Background(), in)
				if codes := codesOf(d); len(codes) != 2 || codes[0] != codes[1] || codes[0] != revisions[d.Revision] {
					t.Errorf("%v under %s", codes, revisions[d.Revision])
					return
				}
			}
		})
	}
	for i := range 12 {
		load(t, e, sets[i%len(sets)])
		if _, err := e.Load(context.Background(), all("broken")); err == nil {
			t.Error("a broken set was loaded")
		}
	}
	close(stop)
	wg.Wait()
}

func TestLoad_FailingTests(t *testing.T) {
	e := newEngine(t, quiet)
	before := e.Revision()
	src := all(`deny contains {"code": "a", "message": "b"} if input.request.method == "PUT"`)
	src["all/a_test.rego"] = "package ringfence.all_test\n\nimport rego.v2\n\nimport data.ringfence.all\n\ntest_put if count(all.deny) == 0 with input.request.method as \"PUT\"\n"
	_, err := e.Load(context.Background(), src)
	failed, ok := errors.AsType[*TestError](err)
	if !ok || len(failed.Failures) != 1 || failed.Failures[0].Line != 7 || !strings.Contains(err.Error(), "all/a_test.rego:7: ringfence.all_test.test_put") {
		t.Fatalf("got %v", err)
	}
	r, err := Check(context.Background(), src)
	if _, ok := errors.AsType[*TestError](err); !ok || r.Failed != 1 || r.Tests < 30 || r.Revision == "" {
		t.Errorf("check: %+v %v", r, err)
	}
	if e.Revision() != before {
		t.Error("the revision changed")
	}
	src["all/a_test.rego"] = strings.Replace(src["all/a_test.rego"], "== 0", "== 1", 1)
	tested := load(t, e, src)
	delete(src, "all/a_test.rego")
	if untested := load(t, e, src); tested != untested {
		t.Error("tests are part of the revision")
	}
}

// TestCapabilities names what policies are left with, so that a function that
// a newer engine brings is looked at before policies get it.
func TestCapabilities(t *testing.T) {
	c := capabilities()
	if c.AllowNet == nil || len(c.AllowNet) != 0 {
		t.Errorf("hosts to fetch from: %v", c.AllowNet)
	}
	for _, b := range c.Builtins {
		if b.IsNondeterministic() {
			t.Errorf("%s does not depend on its operands alone", b.Name)
		}
	}
	for _, name := range []string{"http.send", "net.lookup_ip_addr", "net.cidr_expand", "opa.runtime", "rand.intn", "uuid.rfc4122", "time.now_ns", "io.jwt.encode_sign",
		"io.jwt.encode_sign_raw", "io.jwt.decode_verify", "json.match_schema", "json.verify_schema", "graph.reachable_paths", "trace", "rego.parse_module", "providers.aws.sign_req"} {
		if c.ContainsBuiltin(name) {
			t.Errorf("policies have %s", name)
		}
	}
	golden(t, "testdata/builtins.golden", strings.Join(names(c), "\n")+"\n")
}

func names(c *ast.Capabilities) []string {
	var out []string
	for _, b := range c.Builtins {
		out = append(out, b.Name)
	}
	slices.Sort(out)
	return out
}

// TestDecide_PatternsOfRequests shows that patterns made of requests do not
// pile up from one decision to the next.
func TestDecide_PatternsOfRequests(t *testing.T) {
	e := newEngine(t, quiet)
	load(t, e, all(`deny contains {"code": "a", "message": "b"} if regex.match(input.request.host, "x")`))
	decide := func(n int) {
		in := trialInput("claims", noon)
		for i := range n {
			in.Request.Host = fmt.Sprintf("h%d.example", i)
			if d := e.Decide(context.Background(), in); d.Effect != policy.Allow {
				t.Fatal(d)
			}
		}
	}
	decide(500)
	kept := 0
	for i := range 500 {
		if _, ok := e.values.Get(ast.String(fmt.Sprintf("h%d.example", i))); ok {
			kept++
		}
	}
	if kept == 0 || kept > 100 {
		t.Errorf("%d patterns are kept", kept)
	}
}

// TestDecide_Allocations is a ceiling, not a wish: the request path has room
// for no more.
func TestDecide_Allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := newEngine(t, quiet)
	in := trialInput("claims", noon)
	e.Decide(context.Background(), in)
	if n := testing.AllocsPerRun(200, func() { sink = e.Decide(context.Background(), in) }); n > 520 {
		t.Errorf("a decision makes %v allocations", n)
	}
	set := e.current.Load()
	if n := testing.AllocsPerRun(200, func() { set.buildInput(in) }); n > 35 {
		t.Errorf("an input makes %v allocations", n)
	}
}

// TestDecide_CostOfClusters shows that a decision with a thousand clusters'
// policies loaded takes the same steps as with one.
func TestDecide_CostOfClusters(t *testing.T) {
	steps := func(n int) int {
		e := newEngine(t, quiet)
		load(t, e, manyClusters(n))
		c := new(counter)
		if _, err := e.decide(context.Background(), e.current.Load(), trialInput("c0", noon), c); err != nil {
			t.Fatal(err)
		}
		return c.events
	}
	if one, many := steps(1), steps(1000); one != many {
		t.Errorf("%d steps with one cluster, %d with a thousand", one, many)
	}
}

type counter struct{ events int }

func (c *counter) Enabled() bool               { return true }
func (c *counter) TraceEvent(topdown.Event)    { c.events++ }
func (c *counter) Config() topdown.TraceConfig { return topdown.TraceConfig{} }
