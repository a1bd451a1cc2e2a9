package rego

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"

	"github.com/ringfence/ringfence/policy"
)

// Config configures an [Engine]. The zero Config is good.
type Config struct {
	// Deadline is how long one decision may take before it is a denial;
	// 100 ms when zero.
	Deadline time.Duration
	// Now tells the time at which an evaluation is said to happen; time.Now
	// when nil. What policies compare with is the time of the request.
	Now func() time.Time
	// Logger gets the faults of policies; slog.Default() when nil.
	Logger *slog.Logger
}

// An Engine decides by the policy set that is in force. It is safe for
// concurrent use and starts no goroutine.
type Engine struct {
	deadline time.Duration
	now      func() time.Time
	logger   *slog.Logger

	current atomic.Pointer[set]
	loading sync.Mutex // one Load after another, so that the last one asked for stays
	values  cache.InterQueryValueCache
}

// NewEngine returns an engine with the stock policies in force and none of an
// administrator's.
func NewEngine(c Config) (*Engine, error) {
	if c.Deadline < 0 {
		return nil, fmt.Errorf("starting the policy engine: a deadline of %v is none", c.Deadline)
	}
	e := &Engine{deadline: c.Deadline, now: c.Now, logger: c.Logger}
	if e.deadline == 0 {
		e.deadline = 100 * time.Millisecond
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.logger == nil {
		e.logger = slog.Default()
	}
	// Compiled patterns are kept from one decision to the next. A policy can
	// make them of the request, so there is an end to it.
	caching, err := cache.ParseCachingConfig([]byte(`{"inter_query_builtin_value_cache": {"max_num_entries": 100}}`))
	if err != nil {
		return nil, fmt.Errorf("starting the policy engine: %w", err)
	}
	e.values = cache.NewInterQueryValueCache(context.Background(), caching)
	s, err := compile(nil)
	if err != nil {
		return nil, fmt.Errorf("starting the policy engine: %w", err)
	}
	e.current.Store(s)
	return e, nil
}

// Revision names the policy set in force: the hash of its modules, the stock
// ones among them, without tests.
func (e *Engine) Revision() string { return e.current.Load().revision }

// Load compiles src together with the stock policies, runs the tests of src
// and a trial of every scope, and puts the set in force as a whole. A request
// that is being decided keeps the set that it began with. On any error, a
// [*CompileError] or a [*TestError] among them, the set that was in force
// stays so. It returns the new revision.
func (e *Engine) Load(ctx context.Context, src Source) (string, error) {
	return e.load(ctx, src, true)
}

// LoadTested is [Engine.Load] for a set whose tests have just been run in
// another process, by the same program: it compiles and tries the set and runs
// no test.
func (e *Engine) LoadTested(ctx context.Context, src Source) (string, error) {
	return e.load(ctx, src, false)
}

func (e *Engine) load(ctx context.Context, src Source, tests bool) (string, error) {
	e.loading.Lock()
	defer e.loading.Unlock()
	s, err := compileWithin(ctx, src)
	if err != nil {
		return "", err
	}
	if tests {
		if _, err := runTests(ctx, src, false, nil); err != nil {
			return "", err
		}
	}
	if err := e.try(ctx, s); err != nil {
		return "", err
	}
	e.current.Store(s)
	return s.revision, nil
}

// Decide returns the decision on in. It never fails: a fault of whatever kind
// is a denial with a reason of its own. It returns within the engine's
// deadline, or that of ctx where it is earlier. The caller must not change in
// meanwhile.
func (e *Engine) Decide(ctx context.Context, in *policy.Input) policy.Decision {
	s := e.current.Load()
	d, err := e.decide(ctx, s, in, nil)
	if err != nil {
		d = e.faulted(ctx, s, in, err)
	}
	d.Revision = s.revision
	return d
}

// decide evaluates in under s. An error stands for a denial.
func (e *Engine) decide(ctx context.Context, s *set, in *policy.Input, tracer topdown.QueryTracer) (policy.Decision, error) {
	if in == nil {
		return policy.Decision{}, errUndefined
	}
	// Whoever is not signed in is asked to, whatever the state of facts and
	// policies, and costs no evaluation.
	if in.Subject.IsAnonymous() && tracer == nil {
		return signIn(), nil
	}
	if size(&in.Request) > maxInput {
		return policy.Decision{}, errTooLarge
	}
	answer, err := e.evaluate(ctx, s, s.buildInput(in), tracer)
	if err != nil {
		return policy.Decision{}, err
	}
	d, err := decode(answer)
	if err != nil {
		return policy.Decision{}, err
	}
	if d.Effect != policy.Deny {
		demandFreshFactor(&d, in)
	}
	if d.Effect != policy.Allow {
		d.Obligations = policy.Obligations{}
	}
	return d, nil
}

var (
	errUndefined = errors.New("the policies give no answer")
	errTimeout   = errors.New("the policies gave no answer in time")
	errTooLarge  = errors.New("the request is too large to be judged")
)

// evaluate asks the question of s and returns the one answer.
func (e *Engine) evaluate(ctx context.Context, s *set, input *ast.Term, tracer topdown.QueryTracer) (answer *ast.Term, err error) {
	limit := e.deadline
	if at, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(at))
	}
	if limit <= 0 || ctx.Err() != nil {
		return nil, errTimeout
	}
	w := startWatch(limit)
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fmt.Errorf("evaluating policies: panic: %v\n%s", p, debug.Stack())
			return // the watch is left alone: nobody knows who still holds it
		}
		w.stop()
	}()
	q := topdown.NewQuery(s.body).WithQueryCompiler(s.query).WithCompiler(s.compiler).
		WithStore(noData{}).WithTransaction(noTransaction{}).WithMetrics(metrics.NoOp()).
		WithInput(input).WithCancel(w).WithInterQueryBuiltinValueCache(e.values).
		WithTime(e.now()).WithSeed(noChance{}).WithStrictBuiltinErrors(true)
	if tracer != nil {
		// Without the index every rule is entered, and can say why it fails.
		q = q.WithQueryTracer(tracer).WithIndexing(false)
	}
	answers := 0
	err = q.Iter(ctx, func(r topdown.QueryResult) error {
		answers++
		answer = r[s.answer]
		return nil
	})
	switch {
	case topdown.IsCancel(err) || err == nil && w.Cancelled():
		return nil, errTimeout
	case err != nil:
		return nil, fmt.Errorf("evaluating policies: %w", err)
	case answers != 1 || answer == nil:
		return nil, errUndefined
	}
	return answer, nil
}

// noChance is a source of randomness that has none to give.
type noChance struct{}

func (noChance) Read([]byte) (int, error) { return 0, errors.New("policies have no randomness") }

// signIn is the answer to everybody who is not signed in; the guardrails say
// the same.
func signIn() policy.Decision {
	return policy.Decision{Effect: policy.Challenge, Reasons: []policy.Reason{{
		Code:    policy.ReasonSignIn,
		Message: "You are not signed in.",
		Help:    "Sign in with your password and a code, then try again.",
	}}}
}

// demandFreshFactor turns d into a challenge where the newest second factor
// that counts is older than the obligations allow, or was never given.
func demandFreshFactor(d *policy.Decision, in *policy.Input) {
	if d.Obligations.MaxCodeAge == 0 {
		return
	}
	if f := in.Facts.Facts(); f != nil && f.Engagement != nil && f.Engagement.PhishingResistant {
		demandFreshKey(d, &in.Subject)
		return
	}
	s := &in.Subject
	if age, ok := s.CodeAgeUnder(in.Facts); ok && age >= 0 && age <= int64(d.Obligations.MaxCodeAge) {
		return
	}
	d.Effect = policy.Challenge
	d.Reasons = append(d.Reasons, policy.Reason{
		Code:    policy.ReasonCodeStale,
		Message: fmt.Sprintf("This needs a code that is not older than %v.", d.Obligations.MaxCodeAge.Duration()),
		Help:    "Give a fresh code from your authenticator app.",
	})
	sortReasons(d.Reasons)
}

// demandFreshKey does the same where codes do not count: a fresh one would
// help nobody, so only a key is asked for.
func demandFreshKey(d *policy.Decision, s *policy.Subject) {
	age, ok := s.Factors[policy.FactorWebAuthn]
	if ok && age >= 0 && age <= int64(d.Obligations.MaxCodeAge) {
		return
	}
	d.Effect = policy.Challenge
	if slices.ContainsFunc(d.Reasons, func(r policy.Reason) bool {
		return r.Code == policy.ReasonPhishingResistant || r.Code == policy.ReasonSecondFactor
	}) {
		return
	}
	d.Reasons = append(d.Reasons, policy.Reason{
		Code:    policy.ReasonPhishingResistant,
		Message: fmt.Sprintf("This needs a passkey or security key that was used within the last %v.", d.Obligations.MaxCodeAge.Duration()),
		Help:    "Confirm with your passkey or security key.",
	})
	sortReasons(d.Reasons)
}

// faulted is the denial that stands for an evaluation without an answer.
func (e *Engine) faulted(ctx context.Context, s *set, in *policy.Input, err error) policy.Decision {
	r := policy.Reason{
		Code:    policy.ReasonPolicyError,
		Message: "The policies could not be applied to this request.",
		Help:    "Tell an administrator and give them the request number.",
	}
	switch {
	case errors.Is(err, errTimeout):
		r.Code, r.Message = policy.ReasonPolicyTimeout, "The policies took too long over this request."
		r.Help = "Try again; if it stays so, tell an administrator and give them the request number."
	case errors.Is(err, errUndefined):
		r.Code, r.Message = policy.ReasonPolicyUndefined, "The policies give no answer to this request."
	case errors.Is(err, errTooLarge):
		r.Code, r.Message, r.Help = policy.ReasonRequestTooLarge, "This request is too large to be judged.", "Send shorter paths, queries and headers."
	}
	var id, cluster string
	if in != nil {
		id, cluster = in.Request.ID, in.Resource.Cluster
	}
	level := slog.LevelWarn
	if errors.Is(ctx.Err(), context.Canceled) {
		level = slog.LevelDebug // the client left, which it may do as often as it likes
	}
	e.logger.LogAttrs(ctx, level, "policies gave no decision, so the request is denied",
		slog.String("reason", r.Code), slog.String("request_id", id), slog.String("cluster", cluster),
		slog.String("revision", s.revision), slog.Any("err", err))
	return policy.Decision{Effect: policy.Deny, Reasons: []policy.Reason{r}}
}
