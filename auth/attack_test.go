package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// Enumeration: how long a refusal takes does not tell whether the account
// exists. Two samples, taken in turns, of which the means differ by less than
// what chance explains, or by less than anybody can measure over a network.
func TestEnumeration_Timing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second or two")
	}
	e, _ := newEnv(t, func(c *auth.Config) { c.HashCost = auth.HashCost{Memory: 4 << 10, Passes: 1} })
	p := e.Enrol(t, authtest.Kim)
	const rounds = 150
	var known, unknown []float64
	measure := func(i int, email string) float64 {
		o := authtest.From(fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200)) // not slowed down
		start := time.Now()
		if _, err := e.Login(t.Context(), o, email, "not the password"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatal(err)
		}
		return float64(time.Since(start).Microseconds())
	}
	for attempt := 0; ; attempt++ {
		known, unknown = known[:0], unknown[:0]
		for i := range rounds {
			// In turns, the other way round each time: what the machine does meanwhile hits both.
			if i%2 == 0 {
				known = append(known, measure(i, p.Email))
				unknown = append(unknown, measure(i, "nobody@vendor.example"))
			} else {
				unknown = append(unknown, measure(i, "nobody@vendor.example"))
				known = append(known, measure(i, p.Email))
			}
		}
		welch, ratio := compare(known, unknown)
		if welch < 4 || ratio < 0.03 {
			return
		}
		if attempt == 2 {
			t.Fatalf("known and unknown accounts differ: t = %.1f, medians by %.0f %%", welch, 100*ratio)
		}
	}
}

// compare returns Welch's t of the samples' middle nine tenths, and how far
// their medians are apart.
func compare(a, b []float64) (welch, ratio float64) {
	middle := func(x []float64) (mean, variance, median float64) {
		slices.Sort(x)
		x = x[len(x)/20 : len(x)-len(x)/20]
		for _, v := range x {
			mean += v / float64(len(x))
		}
		for _, v := range x {
			variance += (v - mean) * (v - mean) / float64(len(x)-1)
		}
		return mean, variance / float64(len(x)), x[len(x)/2]
	}
	m1, v1, d1 := middle(a)
	m2, v2, d2 := middle(b)
	return math.Abs(m1-m2) / math.Sqrt(v1+v2), math.Abs(d1-d2) / max(d1, d2)
}

// Password-hash exhaustion: however many sign in at once, only so many hashes
// are computed at a time, only so many wait, and the rest are told so at once.
// Who is signed in already does not wait for any of it.
func TestHashFlood(t *testing.T) {
	const parallel = 2
	e, _ := newEnv(t, func(c *auth.Config) {
		c.MaxHashes = parallel
		c.HashCost = auth.HashCost{Memory: 16 << 10, Passes: 1}
	})
	p := e.Enrol(t, authtest.Kim)
	cookie, _ := e.SignIn(t, p)
	var busy, refused, most atomic.Int64
	var wg sync.WaitGroup
	start, done := make(chan struct{}), make(chan struct{})
	for i := range 500 {
		wg.Go(func() {
			<-start
			_, err := e.Login(t.Context(), authtest.From(fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200)), p.Email, "wrong")
			switch {
			case errors.Is(err, auth.ErrBusy):
				busy.Add(1)
			case errors.Is(err, auth.ErrBadCredentials):
				refused.Add(1)
			default:
				t.Errorf("unexpected error %v", err)
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	close(start)
	var slowest time.Duration
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			most.Store(max(most.Load(), int64(auth.Hashing(e.Service))))
			began := time.Now()
			if e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
				t.Fatal("the session was lost")
			}
			slowest = max(slowest, time.Since(began))
		}
	}
	if most.Load() > parallel || most.Load() == 0 {
		t.Errorf("%d hashes at a time, want 1 to %d", most.Load(), parallel)
	}
	if busy.Load() == 0 || refused.Load() == 0 || busy.Load()+refused.Load() != 500 {
		t.Errorf("%d were told to come back, %d were looked at", busy.Load(), refused.Load())
	}
	t.Logf("%d at a time, %d looked at, %d told to come back; slowest request of a session %s", most.Load(), refused.Load(), busy.Load(), slowest)
}

// Secrets in logs: whatever secret goes in or comes out is in no record, no
// error and no line of the operational log, at any level.
func TestSecretsNowhere(t *testing.T) {
	var log bytes.Buffer
	var out strings.Builder // what records and errors say
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, store := newEnv(t, func(c *auth.Config) { c.Logger = logger })
	ctx, o := t.Context(), authtest.From("192.0.2.10")
	note := func(err error) {
		if err != nil {
			fmt.Fprintf(&out, "%v %+v %#v\n", err, err, err)
		}
	}
	var secrets []string
	secret := func(s string) string { secrets = append(secrets, s); return s }

	link, _, err := e.Invite(ctx, authtest.Operator, authtest.Kim.ID)
	note(err)
	token := secret(tokenOf(t, link))
	_, err = e.AcceptInvite(ctx, o, token, secret("canary-short"[:11]))
	note(err)
	password := secret("canary walks over violet slate")
	enrol, err := e.AcceptInvite(ctx, o, token, password)
	note(err)
	secret(enrol)
	_, err = e.AcceptInvite(ctx, o, token, password)
	note(err)
	info, err := e.Enrolment(ctx, enrol)
	note(err)
	secret(info.Secret)
	fmt.Fprintf(&out, "%v %+v %#v %s\n", info, info, info, info)
	j, err := json.Marshal(info)
	note(err)
	out.Write(j)
	logger.Info("enrolment", "info", info)
	_, err = e.ConfirmTOTP(ctx, o, enrol, "", secret("canary-code-1"))
	note(err)
	p := &authtest.Person{Account: authtest.Kim, Password: password, Origin: o}
	uri := info.URI
	p.Secret = parse(t, uri)
	recovery, err := e.ConfirmTOTP(ctx, o, enrol, "", e.FreshCode(t, p))
	note(err)
	secrets = append(secrets, recovery...)
	info, err = e.Enrolment(ctx, enrol)
	note(err)
	fmt.Fprintf(&out, "%v %+v %#v\n", info, info, info)
	cookie, sess, err := e.FinishEnrolment(ctx, o, enrol)
	note(err)
	secret(cookie)

	for _, wrong := range []struct{ email, password string }{
		{p.Email, secret("canary wrong password")}, {secret("canary-typed-here@instead"), "x"}, {secret("canary no address"), "x"},
	} {
		_, err = e.Login(ctx, o, wrong.email, wrong.password)
		note(err)
	}
	flow, err := e.Login(ctx, o, p.Email, p.Password)
	note(err)
	secret(flow)
	for range 7 {
		_, _, err = e.LoginCode(ctx, o, flow, secret("canary-code-2"))
		note(err)
	}
	e.Clock.Advance(time.Hour)
	_, _, err = e.LoginCode(ctx, o, flow, secret("canary-code-3"))
	note(err)
	e.Clock.Advance(time.Hour)
	raw, tok, err := e.CreateToken(ctx, o, sess, "claims", "x", 0)
	note(err)
	if raw != "" {
		secret(raw)
	}
	fmt.Fprintf(&out, "%v %+v\n", tok, sess)
	start := secret(auth.NewSecret())
	code, err := e.IssueHandoff(ctx, sess, authtest.Claims, e.SaveTarget(authtest.Claims, "/", start))
	note(err)
	if code != "" {
		secret(code)
	}
	_, _, err = e.RedeemHandoff(ctx, authtest.Ledger, code, start)
	note(err)
	// A store that is damaged, and one that fails, say nothing of what they hold.
	store.Fault = func(string) (bool, error) { return false, authtest.ErrInjected }
	_, _, err = e.CreateToken(ctx, o, sess, "claims", "x", 0)
	note(err)
	store.Fault = nil
	cfg := auth.Config{RootKey: []byte(secret("canary-root-key-canary-root-key-")), Issuer: "ftp://bad"}
	_, err = auth.New(cfg)
	note(err)
	fmt.Fprintf(&out, "%v %+v %#v\n", cfg, cfg, cfg)
	logger.Info("config", "config", cfg)

	for _, r := range e.Recorder.Records() {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		fmt.Fprintf(&out, "%+v\n", r)
	}
	if len(secrets) < 20 || len(e.Recorder.Records()) < 12 {
		t.Fatalf("only %d secrets and %d records", len(secrets), len(e.Recorder.Records()))
	}
	for _, s := range append(secrets, "canary") {
		if strings.Contains(out.String(), s) || strings.Contains(log.String(), s) {
			t.Errorf("%q came out", s)
		}
	}
}

func parse(t *testing.T, uri string) []byte {
	t.Helper()
	p := new(authtest.Person)
	if err := p.Scan(uri); err != nil {
		t.Fatal(err)
	}
	return p.Secret
}

// Everything at once, for the race detector.
func TestConcurrent(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	sub := e.Who(t, cookie, authtest.GateHost)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	loop := func(f func(i int)) {
		wg.Go(func() {
			for i := 0; i < 300 && ctx.Err() == nil; i++ {
				f(i)
			}
		})
	}
	for range 4 {
		loop(func(int) { e.Who(t, cookie, authtest.GateHost) })
		loop(func(int) { byToken(t, e, "Bearer "+secret, authtest.Claims) })
		loop(func(int) { e.Refresh(sub); e.Touch(sub) })
		loop(func(i int) { e.Assert(sub, "claims", fmt.Sprintf("h%d.example.com", i%3), "") })
	}
	loop(func(i int) {
		a := p.Account
		a.Name = fmt.Sprint("Kim ", i)
		store.SetAccount(a)
		if err := e.Reload(ctx); err != nil {
			t.Error(err)
		}
	})
	loop(func(int) {
		if err := auth.Sweep(e.Service, ctx); err != nil {
			t.Error(err)
		}
	})
	loop(func(int) {
		if _, tok, err := e.CreateToken(ctx, p.Origin, sess, "claims", "x", 0); err == nil {
			e.RevokeToken(ctx, authtest.Operator, tok.ID)
		}
	})
	loop(func(i int) {
		id := e.SaveTarget(authtest.Claims, "/", "0123456789012345678901")
		if code, err := e.IssueHandoff(ctx, sess, authtest.Claims, id); err == nil {
			e.RedeemHandoff(ctx, authtest.Claims, code, "0123456789012345678901")
		}
	})
	wg.Wait()
	if e.Who(t, cookie, authtest.GateHost).IsAnonymous() {
		t.Error("the session was lost")
	}
}
