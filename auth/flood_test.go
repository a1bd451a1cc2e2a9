package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/policy"
)

// An account with more devices stops sooner, and says so as well.
func TestWarning_CodesStoppedWithSeveralDevices(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	e.AddDevice(t, p, sess, "tablet")
	stopped := false
	for range 100 {
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = e.LoginCode(t.Context(), authtest.From("203.0.113.9"), flow, "000000x")
		if slow := throttled(err); slow != nil && slow.Stopped {
			stopped = true
			break
		}
		e.Clock.Advance(time.Hour)
	}
	told := 0
	for _, k := range kinds(t, e, p.ID) {
		if k == auth.NoticeCodesStopped {
			told++
		}
	}
	if !stopped || told != 1 {
		t.Errorf("stopped %v, told of it %d times", stopped, told)
	}
}

// TestMailFlood: what an account can cause at will is mailed a few times an
// hour, and holds up no notice of another kind.
func TestMailFlood(t *testing.T) {
	var mu sync.Mutex
	var mailed []auth.NoticeKind
	e, _ := newEnv(t, func(c *auth.Config) {
		c.Told = func(_ context.Context, _ auth.Account, n auth.Notice) {
			mu.Lock()
			defer mu.Unlock()
			mailed = append(mailed, n.Kind)
		}
	})
	p := e.Enrol(t, authtest.Kim)
	_, sess := e.SignIn(t, p)
	mailed = nil
	make1 := func() {
		t.Helper()
		_, tok, err := e.CreateAccessToken(t.Context(), p.Origin, sess, auth.AccessRequest{Cluster: "claims", Name: "x", Ends: e.Clock.Now().Add(time.Hour),
			Scope: policy.TokenScope{Access: policy.AccessRead, Paths: [][]string{{}}}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.RevokeToken(t.Context(), auth.Actor{Account: p.ID}, tok.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		make1()
	}
	if len(mailed) != 20 {
		t.Errorf("%d mails of 100 tokens", len(mailed))
	}
	if err := e.ReplaceRecovery(t.Context(), p.Origin, sess); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(mailed, auth.NoticeRecoveryReplaced) {
		t.Error("the flood hides what matters")
	}
	e.Clock.Advance(time.Hour)
	mailed = nil
	_, sess = e.SignIn(t, p)
	if make1(); !slices.Contains(mailed, auth.NoticeTokenCreated) {
		t.Error("an hour later nothing is told")
	}
}

// TestProvider_SlowOneHoldsUpNobodyElse: strangers can make the gateway ask a
// provider. One that does not answer must not close the door of other vendors.
func TestProvider_SlowOneHoldsUpNobodyElse(t *testing.T) {
	e, slow, kim := newExternal(t, nil)
	other := authtest.NewIDP(t, e.Clock.Now)
	e.Provider(t, other, func(p *auth.IdentityProvider) { p.Vendor = "other" })
	asked, release := make(chan struct{}, 100), make(chan struct{})
	slow.Set(func(p *authtest.IDP) {
		p.Serve = func(http.ResponseWriter, *http.Request) bool {
			asked <- struct{}{}
			<-release
			return false
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	for range 40 {
		strangers.Go(func() { _, _, _ = e.StartProvider(ctx, auth.ProviderStart{Vendor: kim.Vendor}) })
	}
	for range 8 {
		<-asked
	}
	if _, _, err := e.StartProvider(t.Context(), auth.ProviderStart{Vendor: "other"}); err != nil || errors.Is(err, auth.ErrBusy) {
		t.Errorf("another vendor's sign-in: %v", err)
	}
	cancel()
	close(release)
	strangers.Wait()
	if len(asked) > 0 {
		t.Errorf("%d more requests waited for one provider", len(asked))
	}
}

// TestRecovery_ReplacedAtOnce: of sets that are made at once, what is shown is
// what counts, and nobody goes on looking at codes that are void.
func TestRecovery_ReplacedAtOnce(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	_, one := e.SignIn(t, p)
	e.Clock.Advance(time.Minute)
	_, two := e.SignIn(t, p)
	for range 5 {
		var all sync.WaitGroup
		for _, sess := range []*auth.Session{one, two, one, two} {
			all.Go(func() {
				if err := e.ReplaceRecovery(t.Context(), p.Origin, sess); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		shown := append(e.ShownRecovery(one), e.ShownRecovery(two)...)
		if len(shown) != auth.RecoveryCodes {
			t.Fatalf("%d codes are shown", len(shown))
		}
		e.Clock.Advance(time.Minute)
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, shown[0]); err != nil {
			t.Fatalf("a code that was shown: %v", err)
		}
	}
	// A session that has ended while the codes were made changes nothing.
	if err := e.EndSession(t.Context(), auth.Actor{Account: p.ID}, one.ID); err != nil {
		t.Fatal(err)
	}
	if err := e.ReplaceRecovery(t.Context(), p.Origin, one); !errors.Is(err, auth.ErrSessionEnded) {
		t.Errorf("after its end: %v", err)
	}
}
