package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// onDevice makes p sign in on a device that shows its cookie from now on.
func onDevice(t *testing.T, e *authtest.Env, p *authtest.Person, sess *auth.Session) {
	t.Helper()
	device, err := e.Device(sess)
	if err != nil {
		t.Fatal(err)
	}
	p.Origin.Device = device
}

// asleep signs p in on a device of its own and lets the session go idle.
func asleep(t *testing.T, e *authtest.Env, p *authtest.Person) (cookie string, sess *auth.Session) {
	t.Helper()
	cookie, sess = e.SignIn(t, p)
	onDevice(t, e, p, sess)
	e.Clock.Advance(30 * time.Minute)
	if sess = e.IdleSession(authtest.Request(cookie), authtest.GateHost); sess == nil {
		t.Fatal("the session is not idle")
	}
	return cookie, sess
}

func TestResume(t *testing.T) {
	ctx := t.Context()
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, idle := asleep(t, e, p)
	wantNobody(t, e, cookie, authtest.GateHost)

	// The same throttle and record as at sign-in, and no session by a wrong password.
	for i := range 5 {
		if _, _, err := e.Resume(ctx, p.Origin, idle, fmt.Sprint("wrong ", i)); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatalf("wrong password: %v", err)
		}
	}
	var slow *auth.ThrottledError
	if _, _, err := e.Resume(ctx, p.Origin, idle, p.Password); !errors.As(err, &slow) {
		t.Fatalf("the sixth try: %v", err)
	}
	e.Clock.Advance(slow.RetryAfter)

	before := e.Clock.Now()
	fresh, sess, err := e.Resume(ctx, p.Origin, idle, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	if sess.ID != idle.ID || !sess.CodeAt.Equal(idle.CodeAt) || !sess.PasswordAt.Equal(before) || !sess.AbsoluteEnds.Equal(idle.AbsoluteEnds) || sess.Idle {
		t.Errorf("resumed as %+v", sess)
	}
	who := e.Who(t, fresh, authtest.GateHost)
	if age, _ := who.CodeAge(); who.Session != idle.ID || age < 1800 {
		t.Errorf("resumed as %+v: the code must go on ageing", who)
	}
	wantNobody(t, e, cookie, authtest.GateHost) // session fixation: the old cookie stays void
	if e.Who(t, e.AtCluster(t, sess, authtest.Claims), authtest.Claims).Session != idle.ID {
		t.Error("it opens no cluster")
	}
	actions := e.Recorder.Actions()
	if i := slices.Index(actions, "session.idle"); i < 0 || slices.Index(actions, "session.resume") < i {
		t.Errorf("recorded %v", actions)
	}
	// The flow that proved the password is spent: it leads to no second session.
	if _, _, err := e.Resume(ctx, p.Origin, idle, p.Password); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("resumed twice: %v", err)
	}
}

// Of many that resume at once, one does.
func TestResume_Once(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, idle := asleep(t, e, p)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := e.Resume(t.Context(), p.Origin, idle, p.Password); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d resumed", won.Load())
	}
}

// A session that has ended in any way is resumed by nothing.
func TestResume_NotAfterTheEnd(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*testing.T, *authtest.Env, *authtest.Store, *authtest.Person, *auth.Session) error{
		"logout": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, s *auth.Session) error {
			return e.Logout(ctx, p.Origin, s)
		},
		"one": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, _ *authtest.Person, s *auth.Session) error {
			return e.EndSession(ctx, authtest.Operator, s.ID)
		},
		"all": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, _ *auth.Session) error {
			_, err := e.EndSessions(ctx, authtest.Operator, p.ID)
			return err
		},
		"vendor": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, _ *authtest.Person, _ *auth.Session) error {
			_, err := e.EndVendor(ctx, authtest.Operator, "acme")
			return err
		},
		"everybody": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, _ *authtest.Person, _ *auth.Session) error {
			_, err := e.EndEverybody(ctx, authtest.Operator, "")
			return err
		},
		"another process": func(_ *testing.T, e *authtest.Env, st *authtest.Store, _ *authtest.Person, _ *auth.Session) error {
			return errors.Join(st.EndEverybody(ctx, ""), e.Reload(ctx))
		},
		"suspended": func(_ *testing.T, e *authtest.Env, st *authtest.Store, p *authtest.Person, _ *auth.Session) error {
			a := p.Account
			a.VendorSuspended = true
			st.SetAccount(a)
			err := e.Reload(ctx)
			st.SetAccount(p.Account) // and resumed: the session does not come back
			return errors.Join(err, e.Reload(ctx))
		},
		"absolute": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, _ *authtest.Person, s *auth.Session) error {
			e.Clock.Advance(s.AbsoluteEnds.Sub(e.Clock.Now()))
			return nil
		},
		"factor reset": func(_ *testing.T, e *authtest.Env, _ *authtest.Store, p *authtest.Person, _ *auth.Session) error {
			_, _, err := e.ResetFactor(ctx, authtest.Operator, p.ID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, store := newEnv(t, nil)
			p := e.Enrol(t, authtest.Kim)
			cookie, idle := asleep(t, e, p)
			if err := auth.Sweep(e.Service, ctx); err != nil {
				t.Fatal(err)
			}
			if err := end(t, e, store, p, idle); err != nil {
				t.Fatal(err)
			}
			if s := e.IdleSession(authtest.Request(cookie), authtest.GateHost); s != nil {
				t.Errorf("it is still there: %+v", s)
			}
			if _, _, err := e.Resume(ctx, p.Origin, idle, p.Password); err == nil {
				t.Error("it was resumed")
			}
			wantNobody(t, e, cookie, authtest.GateHost)
		})
	}
}

// Only where the session began: neither without the device's cookie, nor with
// one of another device or of another account.
func TestResume_SameDevice(t *testing.T) {
	e, _ := newEnv(t, nil)
	p, lee := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Lee)
	_, leeSess := e.SignIn(t, lee)
	onDevice(t, e, lee, leeSess)
	_, other := e.SignIn(t, p)
	onDevice(t, e, p, other)
	elsewhere := p.Origin.Device
	p.Origin.Device = ""
	cookie, idle := asleep(t, e, p)
	for name, device := range map[string]string{"none": "", "garbage": "x.y.z", "another device": elsewhere, "another account": lee.Origin.Device, "a session's cookie": cookie} {
		o := p.Origin
		o.Device = device
		if e.CanResume(idle, o) {
			t.Errorf("%s: resume is offered", name)
		}
		if _, _, err := e.Resume(t.Context(), o, idle, p.Password); !errors.Is(err, auth.ErrSessionEnded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := e.Resume(t.Context(), p.Origin, idle, p.Password); err != nil {
		t.Errorf("on its own device: %v", err)
	}
}

// An idle session stays idle over a restart, is recorded as idle once, and ends
// in the end.
func TestIdle_IsKept(t *testing.T) {
	ctx := t.Context()
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, idle := asleep(t, e, p)
	for range 3 {
		if err := auth.Sweep(e.Service, ctx); err != nil {
			t.Fatal(err)
		}
	}
	again := authtest.NewEnv(t, store, func(c *auth.Config) { c.Now, c.Recorder = e.Clock.Now, e.Recorder })
	if err := auth.Sweep(again.Service, ctx); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, a := range e.Recorder.Actions() {
		if a == "session.idle" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("recorded %d times", n)
	}
	wantNobody(t, again, cookie, authtest.GateHost)
	list, err := again.SessionsOf(ctx, p.ID)
	if err != nil || len(list) != 1 || !list[0].Idle {
		t.Errorf("listed as %+v, %v", list, err)
	}
	if _, _, err := again.Resume(ctx, p.Origin, idle, p.Password); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	e.Clock.Advance(12 * time.Hour)
	if err := auth.Sweep(again.Service, ctx); err != nil {
		t.Fatal(err)
	}
	if all, _ := store.Sessions(ctx); len(all) != 0 {
		t.Errorf("%d rows are left", len(all))
	}
}

// That a session went idle is recorded before it is stored; what fails is tried again.
func TestIdle_RecordedFirst(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, idle := asleep(t, e, p)
	e.Recorder.Fail(errors.New("disk full"))
	if err := auth.Sweep(e.Service, t.Context()); err == nil {
		t.Error("the fault is not told")
	}
	if all, _ := store.Sessions(t.Context()); !all[0].IdleSince.IsZero() {
		t.Error("stored without a record")
	}
	if _, _, err := e.Resume(t.Context(), p.Origin, idle, p.Password); err == nil {
		t.Error("resumed without a record")
	}
	e.Recorder.Fail(nil)
	if _, _, err := e.Resume(t.Context(), p.Origin, idle, p.Password); err != nil {
		t.Error(err)
	}
}

// Limits hold at once, for sessions that are open, and only narrow.
func TestLimits_Live(t *testing.T) {
	var limits atomic.Pointer[auth.Limits]
	limits.Store(new(auth.Limits))
	e, _ := newEnv(t, func(c *auth.Config) {
		c.Limits = func(account string) auth.Limits {
			if account == authtest.Kim.ID {
				return *limits.Load()
			}
			return auth.Limits{}
		}
	})
	p, lee := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Lee)
	cookie, _ := e.SignIn(t, p)
	other, _ := e.SignIn(t, lee)
	stream := e.Who(t, cookie, authtest.GateHost)
	e.Clock.Advance(10 * time.Minute)
	shown := func() auth.Session {
		t.Helper()
		all, err := e.SessionsOf(t.Context(), p.ID)
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		return all[0]
	}
	seen := shown().LastSeen
	limits.Store(&auth.Limits{Idle: 15 * time.Minute, Absolute: time.Hour})
	if s := shown(); !s.IdleEnds.Equal(seen.Add(15*time.Minute)) || !s.AbsoluteEnds.Equal(s.Created.Add(time.Hour)) {
		t.Errorf("shown to end at %s and %s", s.IdleEnds, s.AbsoluteEnds)
	}
	limits.Store(&auth.Limits{Idle: 48 * time.Hour, Absolute: 48 * time.Hour}) // widens nothing
	if s := shown(); !s.IdleEnds.Equal(seen.Add(30*time.Minute)) || !s.AbsoluteEnds.Equal(s.Created.Add(12*time.Hour)) {
		t.Errorf("widened to %s and %s", s.IdleEnds, s.AbsoluteEnds)
	}
	limits.Store(&auth.Limits{Idle: 10 * time.Minute})
	if _, ok := e.Refresh(stream); ok {
		t.Error("the stream goes on after the narrower idle end")
	}
	wantNobody(t, e, cookie, authtest.GateHost)
	// Once it is known to be idle, wider limits do not wake it.
	if err := auth.Sweep(e.Service, t.Context()); err != nil {
		t.Fatal(err)
	}
	limits.Store(new(auth.Limits))
	wantNobody(t, e, cookie, authtest.GateHost)
	limits.Store(&auth.Limits{Absolute: 10 * time.Minute})
	if e.IdleSession(authtest.Request(cookie), authtest.GateHost) != nil {
		t.Error("resumable after the narrower absolute end")
	}
	if e.Who(t, other, authtest.GateHost).IsAnonymous() {
		t.Error("another account's limits ended a session")
	}
}

// New devices and networks are noted and told, but never at the first sign-in.
func TestNewDevice(t *testing.T) {
	ctx := t.Context()
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	kinds := func() (out []auth.NoticeKind) {
		t.Helper()
		all, err := e.Notices(ctx, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			out = append(out, n.Kind)
		}
		return out
	}
	signIn := func(name string, device, network bool) *auth.Session {
		t.Helper()
		_, sess := e.SignIn(t, p)
		if sess.NewDevice != device || sess.NewNetwork != network {
			t.Errorf("%s: new device %v, new network %v", name, sess.NewDevice, sess.NewNetwork)
		}
		r, _ := e.Recorder.Last("session.start")
		if (r.Detail["device"] == "new") != device || (r.Detail["network"] == "new") != network {
			t.Errorf("%s: recorded %v", name, r.Detail)
		}
		return sess
	}
	sess := signIn("the first", false, false)
	onDevice(t, e, p, sess)
	signIn("again", false, false)
	if got := kinds(); len(got) != 0 {
		t.Errorf("told %v", got)
	}
	p.Origin.IP = authtest.From("203.0.113.9").IP
	signIn("from elsewhere", false, true)
	signIn("from elsewhere again", false, false)
	if !slices.Equal(kinds(), []auth.NoticeKind{auth.NoticeNewNetwork}) {
		t.Errorf("told %v", kinds())
	}
	p.Origin.Device = ""
	signIn("another browser", true, false)
	p.Origin.IP = authtest.From("203.0.113.77").IP
	sess = signIn("all new", true, true)
	if got := kinds(); len(got) != 3 || got[0] != auth.NoticeNewDevice || got[1] != auth.NoticeNewDevice {
		t.Errorf("told %v", got)
	}
	// A device keeps its name as its cookie is renewed.
	onDevice(t, e, p, sess)
	first := sess
	_, sess = e.SignIn(t, p)
	all, err := store.Sessions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, row := range all {
		names[row.ID] = row.Device
	}
	if names[first.ID] == "" || names[first.ID] != names[sess.ID] {
		t.Errorf("the device is %q and then %q", names[first.ID], names[sess.ID])
	}
	// After 90 days a network is new again.
	e.Clock.Advance(91 * 24 * time.Hour)
	signIn("a season later", false, true)
	// IPv6 addresses of one network are one.
	p.Origin.IP = authtest.From("2001:db8:7::1").IP
	signIn("IPv6", false, true)
	p.Origin.IP = authtest.From("2001:db8:7::2").IP
	signIn("IPv6 neighbour", false, false)
}

// A hundred accounts are ended at once, one session stays, and each end is recorded.
func TestEndEverybody(t *testing.T) {
	ctx := t.Context()
	e, store := newEnv(t, nil)
	ada, kim, lee := e.Enrol(t, authtest.Ada), e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Lee)
	mine, keep := e.SignIn(t, ada)
	second, _ := e.SignIn(t, ada)
	theirs, sess := e.SignIn(t, kim)
	others, _ := e.SignIn(t, lee)
	secret, _, err := e.CreateToken(ctx, kim.Origin, sess, "claims", "git", 0)
	if err != nil {
		t.Fatal(err)
	}
	flow, err := e.Login(ctx, lee.Origin, lee.Email, lee.Password)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		actor auth.Actor
		keep  string
	}{
		"a contractor":     {auth.Actor{Account: kim.ID}, ""},
		"nobody":           {auth.Actor{}, ""},
		"another's stays":  {auth.Actor{Account: ada.ID}, sess.ID},
		"an unknown stays": {auth.Actor{Account: ada.ID}, "ses_x"},
	} {
		if _, err := e.EndEverybody(ctx, bad.actor, bad.keep); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := e.EndVendor(ctx, auth.Actor{Account: kim.ID}, "acme"); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("vendor by a contractor: %v", err)
		}
	}
	if _, err := e.EndVendor(ctx, authtest.Operator, ""); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("no vendor: %v", err)
	}
	n, err := e.EndEverybody(ctx, auth.Actor{Account: ada.ID}, keep.ID)
	if err != nil || n != 3 {
		t.Fatalf("%d ended, %v", n, err)
	}
	for _, cookie := range []string{second, theirs, others} {
		wantNobody(t, e, cookie, authtest.GateHost)
	}
	if e.Who(t, mine, authtest.GateHost).Session != keep.ID {
		t.Error("the actor's own session has ended")
	}
	if !byToken(t, e, "Bearer "+secret, authtest.Claims).IsAnonymous() {
		t.Error("a token goes on")
	}
	if _, err := e.Flow(ctx, flow); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("a sign-in under way goes on: %v", err)
	}
	ends := map[string]int{}
	for _, r := range e.Recorder.Records() {
		if r.Action == "session.end" && r.Detail["reason"] == "end_everybody" {
			ends[r.Object]++
		}
	}
	if ends["everybody"] != 1 || len(ends) != 4 {
		t.Errorf("recorded %v", ends)
	}
	// Nothing happens that cannot be recorded.
	e.Recorder.Fail(errors.New("disk full"))
	if _, err := e.EndEverybody(ctx, authtest.Operator, ""); err == nil {
		t.Error("ended without a record")
	}
	if all, _ := store.Sessions(ctx); len(all) != 1 {
		t.Errorf("%d rows", len(all))
	}
}

func TestEndVendor(t *testing.T) {
	e, _ := newEnv(t, nil)
	ada, kim, lee := e.Enrol(t, authtest.Ada), e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Lee)
	mine, _ := e.SignIn(t, ada)
	a, _ := e.SignIn(t, kim)
	b, _ := e.SignIn(t, lee)
	if list, err := e.SessionsOfVendor(t.Context(), "acme"); err != nil || len(list) != 2 {
		t.Errorf("%d sessions of the vendor, %v", len(list), err)
	}
	if list, _ := e.SessionsOfVendor(t.Context(), ""); len(list) != 0 {
		t.Errorf("%d sessions of no vendor", len(list))
	}
	if n, err := e.EndVendor(t.Context(), auth.Actor{Account: ada.ID}, "acme"); n != 2 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	wantNobody(t, e, a, authtest.GateHost)
	wantNobody(t, e, b, authtest.GateHost)
	if e.Who(t, mine, authtest.GateHost).IsAnonymous() {
		t.Error("an administrator was signed out with the vendor")
	}
	if r, ok := e.Recorder.Last("session.end"); !ok || r.Detail["reason"] != "end_vendor" || r.Actor != ada.ID {
		t.Errorf("recorded %+v", r)
	}
}

// The hosts that a session was carried to are shown, over a restart too.
func TestOpened(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	e.AtCluster(t, sess, authtest.Claims)
	e.AtCluster(t, sess, authtest.Ledger)
	e.AtCluster(t, sess, authtest.Claims)
	again := authtest.NewEnv(t, store, func(c *auth.Config) { c.Now = e.Clock.Now })
	for _, env := range []*authtest.Env{e, again} {
		all, err := env.SessionsOf(t.Context(), p.ID)
		if err != nil || len(all) != 1 || !slices.Equal(all[0].Opened, []string{authtest.Claims, authtest.Ledger}) {
			t.Errorf("opened %+v, %v", all, err)
		}
	}
	// It is for people to read: a store that fails keeps nobody out.
	store.Fault = func(method string) (bool, error) {
		return method != "OpenHost", map[bool]error{true: authtest.ErrInjected}[method == "OpenHost"]
	}
	e.AtCluster(t, sess, authtest.Ledger)
}

// A clock that is set back is recorded once for each jump.
func TestClock_BackIsRecorded(t *testing.T) {
	e, _ := newEnv(t, nil)
	sweep := func() int {
		t.Helper()
		if err := auth.Sweep(e.Service, t.Context()); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range e.Recorder.Records() {
			if r.Action == "clock.back" {
				n++
				if r.Type != policy.RecordLog || r.Detail["behind"] == "" {
					t.Errorf("recorded %+v", r)
				}
			}
		}
		return n
	}
	for i, c := range []struct {
		by   time.Duration
		want int
	}{{0, 0}, {-time.Second, 0}, {-time.Hour, 1}, {0, 1}, {time.Minute, 1}, {-time.Hour, 2}, {4 * time.Hour, 2}, {-2 * time.Minute, 3}} {
		e.Clock.Advance(c.by)
		if n := sweep(); n != c.want {
			t.Errorf("step %d: recorded %d times, want %d", i, n, c.want)
		}
	}
}

// A list of one account costs the same with ten sessions or ten thousand.
func TestSessionsOf_ScansNoOthers(t *testing.T) {
	e, store := newEnv(t, func(c *auth.Config) { c.MaxSessions = 100_000 })
	p := e.Enrol(t, authtest.Kim)
	e.SignIn(t, p)
	cost := func() float64 {
		return testing.AllocsPerRun(20, func() {
			if all, err := e.SessionsOf(t.Context(), p.ID); err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
		})
	}
	before := cost()
	auth.Forge(t, e.Service, store, authtest.Lee, 3000, authtest.Claims)
	if after := cost(); after > before+1 {
		t.Errorf("%v allocations, %v before", after, before)
	}
	all, err := e.AllSessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3001 {
		t.Errorf("%d sessions in all", len(all))
	}
}
