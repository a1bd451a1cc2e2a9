package auth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/auth/totp"
	"github.com/ringfence/ringfence/policy"
)

func wantErr(t *testing.T, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Fatalf("%s: %v, want %v", doing, got, want)
	}
}

// tryCode signs in with a code and returns the error.
func tryCode(t *testing.T, e *authtest.Env, p *authtest.Person, code string) error {
	t.Helper()
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = e.LoginCode(t.Context(), p.Origin, flow, code)
	return err
}

func TestFactors_AddUseRenameRemove(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	e.Clock.Advance(time.Minute)
	second, id, cookie := e.AddDevice(t, p, sess, "  Work   phone ")
	sess = e.Session(t, cookie)
	list, err := e.Authenticators(t.Context(), p.ID)
	if err != nil || len(list) != 2 || list[0].Name != "Authenticator app" || list[1].Name != "Work phone" || list[1].ID != id || list[1].Kind != policy.FactorTOTP || list[1].LastUsed.IsZero() {
		t.Fatalf("factors %+v, %v", list, err)
	}
	e.Clock.Advance(time.Minute)
	for _, device := range []*authtest.Person{p, second} {
		if err := tryCode(t, e, p, e.FreshCode(t, device)); err != nil {
			t.Fatal(err)
		}
	}
	if list, _ = e.Authenticators(t.Context(), p.ID); !list[1].LastUsed.Equal(e.Clock.Now()) {
		t.Errorf("last used %s, want %s", list[1].LastUsed, e.Clock.Now())
	}
	wantErr(t, "taking a name", e.RenameAuthenticator(t.Context(), p.Origin, sess, id, "authenticator APP"), auth.ErrNameTaken)
	wantErr(t, "renaming", e.RenameAuthenticator(t.Context(), p.Origin, sess, id, "Tablet"), nil)
	wantErr(t, "renaming what is not there", e.RenameAuthenticator(t.Context(), p.Origin, sess, "dev_x", "T"), auth.ErrNotFound)
	cookie, err = e.RemoveAuthenticator(t.Context(), p.Origin, sess, list[0].ID)
	wantErr(t, "removing the first", err, nil)
	sess = e.Session(t, cookie)
	_, err = e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
	wantErr(t, "removing the last", err, auth.ErrLastFactor)
	for _, action := range []string{"totp.add", "totp.confirm", "totp.rename", "totp.remove", "session.rotate"} {
		if r, ok := e.Recorder.Last(action); !ok || r.Session != sess.ID || r.Account != p.ID || r.SourceIP != "192.0.2.10" {
			t.Errorf("%s recorded as %+v", action, r)
		}
	}
	notices, err := store.NoticesOf(t.Context(), p.ID, 10)
	notices = slices.DeleteFunc(notices, func(n auth.Notice) bool { return n.Kind == auth.NoticeNewDevice }) // no browser, no device
	if err != nil || len(notices) != 2 || notices[0].Kind != auth.NoticeFactorRemoved || notices[1].Kind != auth.NoticeFactorAdded || notices[1].Detail["name"] != "Work phone" {
		t.Errorf("notices %+v, %v", notices, err)
	}
}

// Code guessing and reuse: a code of a device that was removed is worth
// nothing at once, on this node and on others, and neither is one that was
// spent before a device is added again.
func TestFactors_RemovedCodeNeverWorks(t *testing.T) {
	e, store := newEnv(t, nil)
	other := authtest.NewEnv(t, store, func(c *auth.Config) { c.Now = e.Clock.Now })
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	second, id, cookie := e.AddDevice(t, p, sess, "Old phone")
	sess = e.Session(t, cookie)
	e.Clock.Advance(time.Minute)
	spent := e.FreshCode(t, second)
	if err := tryCode(t, e, p, spent); err != nil {
		t.Fatal(err)
	}
	cookie, err := e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
	wantErr(t, "removing", err, nil)
	sess = e.Session(t, cookie)
	for _, node := range []*authtest.Env{e, other} {
		for _, code := range []string{spent, codeOf(t, second.Secret, e.Clock.Now().Add(30*time.Second))} {
			wantErr(t, "a removed device's code", tryCode(t, node, p, code), auth.ErrBadCredentials)
		}
	}
	// What is added within the same step starts above the steps of what was removed.
	wantErr(t, "beginning", e.BeginTOTP(t.Context(), p.Origin, sess, "New phone"), nil)
	setup, err := e.AddingTOTP(t.Context(), sess)
	wantErr(t, "setup", err, nil)
	third := new(authtest.Person)
	if err := third.Scan(setup.URI); err != nil {
		t.Fatal(err)
	}
	_, _, err = e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, e.Code(t, third))
	wantErr(t, "confirming in a spent step", err, auth.ErrCodeSpent)
	if r, ok := e.Recorder.Last("totp.confirm"); !ok || r.Result != "code_spent" {
		t.Errorf("recorded %+v", r)
	}
	e.Clock.Advance(totp.Period)
	_, _, err = e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, e.Code(t, third))
	wantErr(t, "confirming in the next", err, nil)
	wantErr(t, "the old device's code", tryCode(t, e, p, spent), auth.ErrBadCredentials)
}

func codeOf(t *testing.T, secret []byte, at time.Time) string {
	t.Helper()
	code, err := totp.Code(secret, totp.Step(at))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// Code reuse and races: a hundred posts of one code that two devices show, one
// success. Two devices show the same code once in a million steps, so here
// they are made to.
func TestCodeReuse_OneCodeOnTwoDevices(t *testing.T) {
	e, store := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	twin := auth.TOTPDevice{ID: "dev_twin", Account: p.ID, Name: "Twin", Sealed: auth.SealTOTP(e.Service, p.ID, "dev_twin", p.Secret), Confirmed: e.Clock.Now()}
	store.SetDevice(twin)
	e.Clock.Advance(time.Minute)
	code := e.FreshCode(t, p)
	flows := make([]string, 100)
	for i := range flows {
		var err error
		if flows[i], err = e.Login(t.Context(), p.Origin, p.Email, p.Password); err != nil {
			t.Fatal(err)
		}
	}
	var wins atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, flow := range flows {
		wg.Go(func() {
			<-start
			_, _, err := e.LoginCode(t.Context(), authtest.From(fmt.Sprintf("198.51.100.%d", i%200)), flow, code)
			if err == nil {
				wins.Add(1)
			} else if !errors.Is(err, auth.ErrCodeSpent) && throttled(err) == nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if wins.Load() != 1 {
		t.Fatalf("%d sign-ins by one code", wins.Load())
	}
	e.Clock.Advance(24 * time.Hour) // past any delay
	code = e.FreshCode(t, p)
	wantErr(t, "a fresh code", tryCode(t, e, p, code), nil)
	// Spent on one device, it is spent on the other, even if that has not seen it.
	twin.LastStep = 0
	store.SetDevice(twin)
	wantErr(t, "the same on the other device", tryCode(t, e, p, code), auth.ErrCodeSpent)
}

// Session fixation: what was copied of a session before a change of factors is
// worth nothing after it, at the gate and on clusters.
func TestSessionFixation_FactorChange(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	before, sess := e.SignIn(t, p)
	check := func(doing, after string, session *auth.Session, atCluster string) {
		t.Helper()
		if !e.Who(t, before, authtest.GateHost).IsAnonymous() || !e.Who(t, atCluster, authtest.Claims).IsAnonymous() {
			t.Errorf("after %s a cookie from before is in force", doing)
		}
		if who := e.Who(t, after, authtest.GateHost); who.Session != session.ID {
			t.Errorf("after %s the new cookie is %+v", doing, who)
		}
	}
	atCluster := e.AtCluster(t, sess, authtest.Claims)
	_, id, after := e.AddDevice(t, p, sess, "")
	check("adding", after, sess, atCluster)
	// The session of before can do nothing more.
	wantErr(t, "with the old session", e.BeginTOTP(t.Context(), p.Origin, sess, ""), auth.ErrSessionEnded)
	sess = e.Session(t, after)
	before, atCluster = after, e.AtCluster(t, sess, authtest.Claims)
	age := sess.CodeAt
	after, err := e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
	wantErr(t, "removing", err, nil)
	check("removing", after, sess, atCluster)
	if next := e.Session(t, after); !next.CodeAt.Equal(age) {
		t.Errorf("the change made the code fresh: %s, was %s", next.CodeAt, age)
	}
}

// Whoever sits down at a screen that was left cannot bind a telephone.
func TestFactors_FreshCodeNeeded(t *testing.T) {
	e, _ := newEnv(t, func(c *auth.Config) { c.Idle = time.Hour })
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	_, id, cookie := e.AddDevice(t, p, sess, "")
	sess = e.Session(t, cookie)
	wantErr(t, "beginning", e.BeginTOTP(t.Context(), p.Origin, sess, ""), nil)
	e.Clock.Advance(auth.FreshFor + time.Second)
	records := len(e.Recorder.Records())
	_, adding := e.AddingTOTP(t.Context(), sess)
	_, _, confirm := e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, "123456")
	_, remove := e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
	for doing, err := range map[string]error{
		"begin": e.BeginTOTP(t.Context(), p.Origin, sess, ""), "look": adding, "confirm": confirm, "remove": remove,
		"rename": e.RenameAuthenticator(t.Context(), p.Origin, sess, id, "x"), "cancel": e.CancelTOTP(t.Context(), p.Origin, sess),
	} {
		if !errors.Is(err, auth.ErrCodeStale) {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if got := len(e.Recorder.Records()); got != records {
		t.Errorf("%d records of what was refused", got-records)
	}
}

// What one session began is no other's to see or to finish.
func TestFactors_PendingBelongsToItsSession(t *testing.T) {
	e, _ := newEnv(t, nil)
	p, lee := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Lee)
	_, mine := e.SignIn(t, p)
	_, others := e.SignIn(t, p)
	_, hers := e.SignIn(t, lee)
	wantErr(t, "beginning", e.BeginTOTP(t.Context(), p.Origin, mine, "A"), nil)
	for name, sess := range map[string]*auth.Session{"another session": others, "another account": hers} {
		_, err := e.AddingTOTP(t.Context(), sess)
		wantErr(t, name+" looks", err, auth.ErrSetupEnded)
		_, _, err = e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, "123456")
		wantErr(t, name+" confirms", err, auth.ErrSetupEnded)
		wantErr(t, name+" cancels", e.CancelTOTP(t.Context(), p.Origin, sess), nil)
	}
	setup, err := e.AddingTOTP(t.Context(), mine)
	wantErr(t, "looking", err, nil)
	e.Clock.Advance(10 * time.Minute)
	_, err = e.AddingTOTP(t.Context(), mine)
	wantErr(t, "looking too late", err, auth.ErrSetupEnded)
	secret, err := totp.ParseURI(setup.URI)
	wantErr(t, "parsing", err, nil)
	_, _, err = e.ConfirmAddedTOTP(t.Context(), p.Origin, mine, codeOf(t, secret, e.Clock.Now()))
	wantErr(t, "confirming too late", err, auth.ErrSetupEnded)
	list, err := e.Authenticators(t.Context(), p.ID)
	if err != nil || len(list) != 1 {
		t.Errorf("factors %+v, %v", list, err)
	}
}

// Names come from whoever is signed in, and stand on administrators' pages and
// in terminals.
func TestFactors_HostileNames(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	e.Clock.Advance(time.Minute)
	_, id, cookie := e.AddDevice(t, p, sess, "Phone")
	sess = e.Session(t, cookie)
	for _, name := range []string{strings.Repeat("a", 200<<10), strings.Repeat("ü", auth.MaxFactorName+1), "a\x00b", "a\x1b[2Jb", "a\nb", "a\tb", "\u202eenohp", "a\u200bb", "\xff\xfe", "\ufeffa", "\ufffd", "\u0085"} {
		if err := e.RenameAuthenticator(t.Context(), p.Origin, sess, id, name); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%.20q: %v", name, err)
		}
		if err := e.BeginTOTP(t.Context(), p.Origin, sess, name); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("beginning %.20q: %v", name, err)
		}
	}
	for typed, want := range map[string]string{
		`<script>alert(1)</script>`: `<script>alert(1)</script>`, // text like any other: pages escape it
		"Ru\u0308diger's phone":     "Rüdiger's phone", strings.Repeat("ü", auth.MaxFactorName): strings.Repeat("ü", auth.MaxFactorName),
	} {
		wantErr(t, typed, e.RenameAuthenticator(t.Context(), p.Origin, sess, id, typed), nil)
		if list, _ := e.Authenticators(t.Context(), p.ID); list[1].Name != want {
			t.Errorf("%q became %q", typed, list[1].Name)
		}
	}
}

// Record before effect, and faults of the store at every write: a factor is
// there exactly when its code works, and nothing happens unrecorded.
func TestFactors_Faults(t *testing.T) {
	for _, method := range []string{"PutPendingTOTP", "AddTOTP", "RotateSession", "RemoveTOTP", "RenameTOTP", "record"} {
		for _, applied := range []bool{false, true} {
			if method == "record" && applied {
				continue
			}
			t.Run(fmt.Sprintf("%s/applied=%v", method, applied), func(t *testing.T) {
				e, store := newEnv(t, nil)
				p := e.Enrol(t, authtest.Kim)
				_, sess := e.SignIn(t, p)
				_, id, cookie := e.AddDevice(t, p, sess, "Second")
				sess = e.Session(t, cookie)
				before, _ := e.Authenticators(t.Context(), p.ID)
				armed := true
				store.Fault = func(m string) (bool, error) {
					if armed && m == method {
						return applied, authtest.ErrInjected
					}
					return true, nil
				}
				if method == "record" {
					e.Recorder.Fail(authtest.ErrInjected)
				}
				records := len(e.Recorder.Records())
				var err error
				switch method {
				case "RenameTOTP":
					err = e.RenameAuthenticator(t.Context(), p.Origin, sess, id, "Third")
				case "RemoveTOTP":
					_, err = e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
				case "record":
					_, remove := e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
					err = errors.Join(remove, e.BeginTOTP(t.Context(), p.Origin, sess, "x"), e.RenameAuthenticator(t.Context(), p.Origin, sess, id, "y"))
					if after, _ := e.Authenticators(t.Context(), p.ID); !slices.Equal(after, before) {
						t.Errorf("unrecorded, it became %+v", after)
					}
				default:
					if err = e.BeginTOTP(t.Context(), p.Origin, sess, "Third"); err == nil {
						var setup auth.TOTPSetup
						if setup, err = e.AddingTOTP(t.Context(), sess); err != nil {
							t.Fatal(err)
						}
						secret, _ := totp.ParseURI(setup.URI)
						_, _, err = e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, codeOf(t, secret, e.Clock.Now().Add(30*time.Second)))
					}
				}
				if !errors.Is(err, authtest.ErrInjected) {
					t.Fatalf("the fault became %v", err)
				}
				if method != "record" && len(e.Recorder.Records()) == records {
					t.Error("nothing was recorded before the write")
				}
				armed = false
				e.Recorder.Fail(nil)
				e.Clock.Advance(2 * time.Minute)
				if err := tryCode(t, e, p, e.FreshCode(t, p)); err != nil {
					t.Errorf("afterwards nobody can sign in: %v", err)
				}
			})
		}
	}
}

// The model is a set of devices with what each has spent. Codes work exactly
// for the devices that are in it.
func TestFactors_Model(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { factorModel(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func factorModel(t *testing.T, rnd *rand.Rand) {
	e, _ := newEnv(t, func(c *auth.Config) { c.Idle, c.Absolute = 24*time.Hour, 1000*time.Hour })
	p := e.Enrol(t, authtest.Kim)
	cookie, _ := e.SignIn(t, p)
	list, _ := e.Authenticators(t.Context(), p.ID)
	have := map[string][]byte{list[0].ID: p.Secret}
	gone := map[string][]byte{}
	var pending []byte
	var pendingEnds time.Time
	begun := false
	pick := func(m map[string][]byte) (string, []byte) {
		ids := slices.Sorted(maps.Keys(m))
		if len(ids) == 0 {
			return "dev_none", bytes.Repeat([]byte{1}, totp.SecretSize)
		}
		id := ids[rnd.IntN(len(ids))]
		return id, m[id]
	}
	for range 60 {
		sess := e.Session(t, cookie)
		stale := e.Clock.Now().Sub(sess.CodeAt) > auth.FreshFor
		var waits bool
		switch rnd.IntN(8) {
		case 0, 1: // begin
			err := e.BeginTOTP(t.Context(), p.Origin, sess, "")
			switch {
			case stale:
				wantErr(t, "begin", err, auth.ErrCodeStale)
			case len(have) == auth.MaxTOTP:
				wantErr(t, "begin", err, auth.ErrTooMany)
			default:
				wantErr(t, "begin", err, nil)
				setup, err := e.AddingTOTP(t.Context(), sess)
				wantErr(t, "look", err, nil)
				pending, _ = totp.ParseURI(setup.URI)
				begun, pendingEnds = true, e.Clock.Now().Add(10*time.Minute)
			}
		case 2, 3: // confirm
			e.Clock.Advance(totp.Period)
			waits, stale = begun && e.Clock.Now().Before(pendingEnds), e.Clock.Now().Sub(sess.CodeAt) > auth.FreshFor
			code := "000000"
			if pending != nil && rnd.IntN(4) > 0 {
				code = codeOf(t, pending, e.Clock.Now())
			}
			next, added, err := e.ConfirmAddedTOTP(t.Context(), p.Origin, sess, code)
			switch {
			case stale:
				wantErr(t, "confirm", err, auth.ErrCodeStale)
			case !waits:
				wantErr(t, "confirm", err, auth.ErrSetupEnded)
			case code == "000000":
				wantErr(t, "confirm", err, auth.ErrBadCredentials)
			default:
				wantErr(t, "confirm", err, nil)
				have[added.ID], cookie, begun = pending, next, false
			}
		case 4: // remove
			from := have
			if rnd.IntN(4) == 0 {
				from = gone
			}
			id, secret := pick(from)
			next, err := e.RemoveAuthenticator(t.Context(), p.Origin, sess, id)
			switch _, there := have[id]; {
			case stale:
				wantErr(t, "remove", err, auth.ErrCodeStale)
			case !there:
				wantErr(t, "remove", err, auth.ErrNotFound)
			case len(have) == 1:
				wantErr(t, "remove", err, auth.ErrLastFactor)
			default:
				wantErr(t, "remove", err, nil)
				delete(have, id)
				gone[id], cookie = secret, next
			}
		case 5: // a code of any device, there or not, once
			e.Clock.Advance(totp.Period)
			_, secret := pick(have)
			code := codeOf(t, secret, e.Clock.Now())
			wantErr(t, "a device's code", tryCode(t, e, p, code), nil)
			wantErr(t, "the same code", tryCode(t, e, p, code), auth.ErrCodeSpent)
			if len(gone) > 0 {
				_, secret = pick(gone)
				wantErr(t, "a removed device's code", tryCode(t, e, p, codeOf(t, secret, e.Clock.Now())), auth.ErrBadCredentials)
				e.Clock.Advance(totp.Period)
				_, secret = pick(have) // so that the wrong ones do not add up
				wantErr(t, "a device's code", tryCode(t, e, p, codeOf(t, secret, e.Clock.Now())), nil)
			}
		case 6: // time goes by
			e.Clock.Advance(time.Duration(rnd.IntN(20)) * time.Minute)
		case 7: // a fresh code
			e.Clock.Advance(totp.Period)
			_, secret := pick(have)
			next, err := e.Confirm(t.Context(), p.Origin, sess, codeOf(t, secret, e.Clock.Now()))
			wantErr(t, "fresh code", err, nil)
			cookie = next
		}
		list, err := e.Authenticators(t.Context(), p.ID)
		if err != nil || len(list) != len(have) {
			t.Fatalf("%d factors, %v, want %d", len(list), err, len(have))
		}
	}
}

// A month's wrong codes that one device more would turn into a lock keep that
// device out instead of the owner.
func TestFactors_NoRoomUnderAttack(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	e.SignIn(t, p)
	for i := range 90 {
		e.Clock.Advance(2 * time.Hour)
		flow, err := e.Login(t.Context(), authtest.From("198.51.100.9"), p.Email, p.Password)
		wantErr(t, "password", err, nil)
		_, _, err = e.LoginCode(t.Context(), authtest.From("198.51.100.9"), flow, "99999z")
		wantErr(t, fmt.Sprint("guess ", i), err, auth.ErrBadCredentials)
	}
	_, sess := e.SignIn(t, p)
	if err := e.BeginTOTP(t.Context(), p.Origin, sess, ""); throttled(err) == nil || !throttled(err).Stopped {
		t.Fatalf("another device: %v", err)
	}
	wantErr(t, "the owner signs in", tryCode(t, e, p, e.FreshCode(t, p)), nil)
}

// Networks that the account knows share one total: whoever is on two of them
// has no more tries than on one.
func TestCodeGuessing_KnownNetworksShareATotal(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	networks := []auth.Origin{authtest.From("192.0.2.10"), authtest.From("192.0.2.20"), authtest.From("192.0.2.30"), authtest.From("192.0.2.40")}
	for _, o := range networks {
		p.Origin = o
		e.SignIn(t, p)
		e.Clock.Advance(time.Minute)
	}
	looked := 0
	for i := range 400 {
		o := networks[i%len(networks)]
		flow, err := e.Login(t.Context(), o, p.Email, p.Password)
		wantErr(t, "password", err, nil)
		if _, _, err = e.LoginCode(t.Context(), o, flow, "99999z"); errors.Is(err, auth.ErrBadCredentials) {
			looked++
		}
		e.Clock.Advance(time.Hour)
	}
	if looked != 100 {
		t.Errorf("%d guesses were looked at, want 100", looked)
	}
}

// Secrets at rest: neither a secret nor a whole row can be moved to another
// account, and the bad one keeps out nobody who has another.
func TestSecretsAtRest_MovedDevice(t *testing.T) {
	var log bytes.Buffer
	e, store := newEnv(t, func(c *auth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	mallory, victim := e.Enrol(t, authtest.Kim), e.Enrol(t, authtest.Ada)
	c, err := store.Credential(t.Context(), mallory.ID)
	wantErr(t, "reading", err, nil)
	moved := c.Devices[0]
	moved.Account = victim.ID
	store.SetDevice(moved)
	if err := tryCode(t, e, victim, e.Code(t, mallory)); err == nil || errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("with a moved row: %v", err)
	}
	moved.Legacy = true
	store.SetDevice(moved)
	if err := tryCode(t, e, victim, e.Code(t, mallory)); err == nil {
		t.Error("a moved row that says it is old was accepted")
	}
	wantErr(t, "the owner's own", tryCode(t, e, victim, e.FreshCode(t, victim)), nil)
	if !strings.Contains(log.String(), "not sealed for this row") {
		t.Errorf("the log says %s", log.String())
	}
	lanes, err := store.Failures(t.Context(), victim.ID)
	if err != nil || lanes[""].Total != 0 {
		t.Errorf("what could not be read counts as a wrong code: %+v, %v", lanes, err)
	}
}

// Offsets are told by device and counted, and show when the gate is off.
func TestCodeOffsets(t *testing.T) {
	var accounts []auth.Account
	for i := range 8 {
		accounts = append(accounts, auth.Account{ID: fmt.Sprintf("acc-%d", i), Email: fmt.Sprintf("p%d@vendor.example", i), Name: "P", Roles: []policy.Role{policy.Contractor}})
	}
	store := authtest.New(accounts...)
	matched, failed := map[int]int{}, 0
	e := authtest.NewEnv(t, store, func(c *auth.Config) {
		c.CodeMatched, c.CodeFailed = func(offset int) { matched[offset]++ }, func() { failed++ }
	})
	var people []*authtest.Person
	for _, a := range accounts {
		people = append(people, e.Enrol(t, a))
	}
	matched = map[int]int{}
	e.Clock.Advance(time.Hour)
	for i, p := range people {
		offset := 1 // the gate is slow for most
		if i < 2 {
			offset = -i
		}
		wantErr(t, p.Email, tryCode(t, e, p, codeOf(t, p.Secret, e.Clock.Now().Add(time.Duration(offset)*totp.Period))), nil)
		list, err := e.Authenticators(t.Context(), p.ID)
		if err != nil || list[0].Offset != offset {
			t.Errorf("%s: %+v, %v, want offset %d", p.Email, list, err, offset)
		}
		got, err := e.CodeOffsets(t.Context())
		if err != nil || got.Suspicious() != (2*(i-1) > len(people)) {
			t.Errorf("after %d people: %+v, %v", i+1, got, err)
		}
	}
	wantErr(t, "wrong", tryCode(t, e, people[0], "99999z"), auth.ErrBadCredentials)
	if !maps.Equal(matched, map[int]int{-1: 1, 0: 1, 1: 6}) || failed != 1 {
		t.Errorf("counted %v and %d wrong", matched, failed)
	}
	e.Clock.Advance(25 * time.Hour)
	if got, err := e.CodeOffsets(t.Context()); err != nil || got.Accounts != 0 || got.Suspicious() {
		t.Errorf("a day later: %+v, %v", got, err)
	}
}

func TestTOTPSetup_ShowsNothing(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	wantErr(t, "beginning", e.BeginTOTP(t.Context(), p.Origin, sess, "Phone"), nil)
	setup, err := e.AddingTOTP(t.Context(), sess)
	wantErr(t, "looking", err, nil)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "setup", setup)
	fmt.Fprintf(&out, "%v %+v %#v %s", setup, setup, setup, setup)
	b, err := json.Marshal(setup)
	wantErr(t, "encoding", err, nil)
	out.Write(b)
	for _, r := range e.Recorder.Records() {
		fmt.Fprintf(&out, "%+v", r)
	}
	if setup.Secret == "" || strings.Contains(out.String(), setup.Secret) || strings.Contains(out.String(), "otpauth") {
		t.Errorf("%s came out", setup.Secret)
	}
}
