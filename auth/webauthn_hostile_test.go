package auth_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// TestKey_HostileAnswers signs in with what a hostile key, browser or site
// would send. None of it is a session, each is recorded, and the right key
// still opens the sign-in afterwards.
func TestKey_HostileAnswers(t *testing.T) {
	for name, spoil := range map[string]func(*authtest.SoftKey){
		"phishing site, its own origin":    func(k *authtest.SoftKey) { k.Origin = "https://gate.example.com.evil.example" },
		"another port":                     func(k *authtest.SoftKey) { k.Origin = authtest.Issuer + ":8443" },
		"plain http":                       func(k *authtest.SoftKey) { k.Origin = "http://gate.example.com" },
		"a cluster's page":                 func(k *authtest.SoftKey) { k.Origin = "https://" + authtest.Claims },
		"origin in another case":           func(k *authtest.SoftKey) { k.Origin = "https://GATE.example.com" },
		"origin with a path":               func(k *authtest.SoftKey) { k.Origin = authtest.Issuer + "/x" },
		"another RP id":                    func(k *authtest.SoftKey) { k.RPID = "example.com" },
		"within another site's frame":      func(k *authtest.SoftKey) { k.CrossFrame = true },
		"nobody touched the key":           func(k *authtest.SoftKey) { k.Flags = authtest.FlagVerified },
		"an answer to another question":    func(k *authtest.SoftKey) { k.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		"no challenge at all":              func(k *authtest.SoftKey) { k.Challenge = "=" },
		"made for registration":            func(k *authtest.SoftKey) { k.Type = "webauthn.create" },
		"another private key":              func(k *authtest.SoftKey) { k.Signer = authtest.NewSoftKey(t).Signer },
		"a key that is not there":          func(k *authtest.SoftKey) { k.ID = authtest.NewSoftKey(t).ID },
		"another account's handle":         func(k *authtest.SoftKey) { k.UserHandle = bytes.Repeat([]byte{1}, 32) },
		"backup flag that changed":         func(k *authtest.SoftKey) { k.Flags |= authtest.FlagBackupEligible },
		"backed up but not to be backedup": func(k *authtest.SoftKey) { k.Flags |= authtest.FlagBackedUp },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyed(t, nil)
			bad := *k.key
			spoil(&bad)
			cookie, sess, err := k.signInWith(t, &bad)
			if !errors.Is(err, auth.ErrKeyRefused) || cookie != "" || sess != nil {
				t.Fatalf("%v", err)
			}
			r, ok := k.Recorder.Last("webauthn.failed")
			if !ok || r.Account != k.p.ID || r.Detail["reason"] == "" || r.Result != "key_refused" {
				t.Errorf("recorded %+v", r)
			}
			k.key.Count += 5
			if _, sess, err := k.signInWith(t, k.key); err != nil || sess.FailedCodes != 1 {
				t.Errorf("the right key: %v", err)
			}
		})
	}
}

// TestKey_HostileRegistrations does the same for new keys.
func TestKey_HostileRegistrations(t *testing.T) {
	for name, spoil := range map[string]func(*authtest.SoftKey){
		"another origin":         func(k *authtest.SoftKey) { k.Origin = "https://evil.example" },
		"another RP id":          func(k *authtest.SoftKey) { k.RPID = "evil.example" },
		"within a frame":         func(k *authtest.SoftKey) { k.CrossFrame = true },
		"nobody touched it":      func(k *authtest.SoftKey) { k.Flags = authtest.FlagVerified },
		"another challenge":      func(k *authtest.SoftKey) { k.Challenge = base64.RawURLEncoding.EncodeToString(make([]byte, 32)) },
		"made for sign-in":       func(k *authtest.SoftKey) { k.Type = "webauthn.get" },
		"an id beyond the limit": func(k *authtest.SoftKey) { k.ID = make([]byte, 1024) },
		"an empty id":            func(k *authtest.SoftKey) { k.ID = nil },
		"backed up, not to be":   func(k *authtest.SoftKey) { k.Flags |= authtest.FlagBackedUp },
	} {
		k := newKeyed(t, nil)
		bad := authtest.NewSoftKey(t)
		spoil(bad)
		q, err := k.BeginKeyRegistration(t.Context(), k.p.Origin, k.sess)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.FinishKeyRegistration(t.Context(), k.p.Origin, k.sess, q.ID, "x", bad.Create(t, q.Options)); !errors.Is(err, auth.ErrKeyRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if keys, err := k.SecurityKeys(t.Context(), k.p.ID); err != nil || len(keys) != 1 || k.recorded("webauthn.failed") != 1 {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
}

// An answer that was sent already opens nothing, not even a hundred times at once.
func TestKey_ReplayedAnswer(t *testing.T) {
	k := newKeyed(t, nil)
	k.key.NoCount = true // the question alone must do it
	k.row, k.cookie, k.sess = addKey(t, k.Env, k.p, current(t, k.Env, k.cookie), noCount(t, k), "passkey")
	flow := k.password(t)
	q, err := k.BeginKeyLogin(t.Context(), k.p.Origin, flow)
	if err != nil {
		t.Fatal(err)
	}
	answer := k.key.Get(t, q.Options)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, _, err := k.FinishKeyLogin(t.Context(), k.p.Origin, flow, q.ID, answer)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auth.ErrCeremonyEnded) && !errors.Is(err, auth.ErrFlowEnded):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of a hundred won", won.Load())
	}
	// Nor does it in a sign-in that was begun anew, with or without a question of its own.
	flow = k.password(t)
	fresh, err := k.BeginKeyLogin(t.Context(), k.p.Origin, flow)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.FinishKeyLogin(t.Context(), k.p.Origin, flow, q.ID, answer); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("the old question: %v", err)
	}
	if _, _, err := k.FinishKeyLogin(t.Context(), k.p.Origin, flow, fresh.ID, answer); !errors.Is(err, auth.ErrKeyRefused) {
		t.Errorf("the new question: %v", err)
	}
}

func noCount(t *testing.T, k *keyed) *authtest.SoftKey {
	t.Helper()
	k.key = authtest.NewSoftKey(t)
	k.key.NoCount = true
	return k.key
}

// A question belongs to one sign-in, session and purpose.
func TestKey_QuestionOfAnother(t *testing.T) {
	k := newKeyed(t, nil)
	lee := k.Enrol(t, authtest.Lee)
	_, leeSess := k.SignIn(t, lee)
	leeKey := authtest.NewSoftKey(t)
	_, _, leeSess = addKey(t, k.Env, lee, leeSess, leeKey, "lee's")
	ctx := t.Context()

	flow, other := k.password(t), k.password(t)
	ask := func() auth.KeyQuestion {
		q, err := k.BeginKeyLogin(ctx, k.p.Origin, flow)
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	q := ask()
	if _, _, err := k.FinishKeyLogin(ctx, k.p.Origin, other, q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("of another sign-in: %v", err)
	}
	q = ask()
	if _, err := k.FinishKeyConfirm(ctx, k.p.Origin, k.sess, q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("of a sign-in, in a session: %v", err)
	}
	q = ask() // another account's key answers
	if _, _, err := k.FinishKeyLogin(ctx, k.p.Origin, flow, q.ID, leeKey.Get(t, q.Options)); !errors.Is(err, auth.ErrKeyRefused) {
		t.Errorf("another account's key: %v", err)
	}
	q, err := k.BeginKeyConfirm(ctx, k.p.Origin, k.sess)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.FinishKeyConfirm(ctx, lee.Origin, leeSess, q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("of another's session: %v", err)
	}
	q, err = k.BeginKeyConfirm(ctx, k.p.Origin, k.sess)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.FinishKeyRegistration(ctx, k.p.Origin, k.sess, q.ID, "x", authtest.NewSoftKey(t).Create(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("a question to a key, for a new key: %v", err)
	}
	// The session's next cookie voids what its last one asked.
	q, err = k.BeginKeyConfirm(ctx, k.p.Origin, k.sess)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := k.Confirm(ctx, k.p.Origin, k.sess, k.FreshCode(t, k.p))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.FinishKeyConfirm(ctx, k.p.Origin, current(t, k.Env, cookie), q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("of the session's last cookie: %v", err)
	}
	// Five minutes are enough.
	sess := current(t, k.Env, cookie)
	q, err = k.BeginKeyConfirm(ctx, k.p.Origin, sess)
	if err != nil {
		t.Fatal(err)
	}
	k.Clock.Advance(5 * time.Minute)
	if _, err := k.FinishKeyConfirm(ctx, k.p.Origin, sess, q.ID, k.key.Get(t, q.Options)); !errors.Is(err, auth.ErrCeremonyEnded) {
		t.Errorf("after five minutes: %v", err)
	}
	for _, nonsense := range []string{"", "x", q.ID + q.ID} {
		if _, err := k.FinishKeyConfirm(ctx, k.p.Origin, sess, nonsense, nil); !errors.Is(err, auth.ErrCeremonyEnded) {
			t.Errorf("question %q: %v", nonsense, err)
		}
	}
}

// TestKey_Clone copies a key: whichever of the two comes second with a count
// that was used before is refused, recorded and told to the owner.
func TestKey_Clone(t *testing.T) {
	k := newKeyed(t, nil)
	clone := *k.key
	if _, _, err := k.signInWith(t, k.key); err != nil {
		t.Fatal(err)
	}
	cookie, _, err := k.signInWith(t, &clone)
	if !errors.Is(err, auth.ErrKeyCloned) || cookie != "" {
		t.Fatalf("the copy: %v", err)
	}
	r, ok := k.Recorder.Last("webauthn.cloned")
	if !ok || r.Detail["key"] != k.row.ID || k.noticed(t, auth.NoticeKeyCloned) != 1 {
		t.Errorf("recorded %+v, %d notices", r, k.noticed(t, auth.NoticeKeyCloned))
	}
	keys, err := k.SecurityKeys(t.Context(), k.p.ID)
	if err != nil || keys[0].Cloned.IsZero() {
		t.Errorf("%+v, %v", keys, err)
	}
	// A key that counts does not begin to say that it does not.
	clone.NoCount = true
	if _, _, err := k.signInWith(t, &clone); !errors.Is(err, auth.ErrKeyCloned) {
		t.Errorf("a copy that does not count: %v", err)
	}
	if _, sess, err := k.signInWith(t, k.key); err != nil || sess.FailedCodes != 2 {
		t.Errorf("the owner: %v", err)
	}
}

// A recorder that fails stops every act before it takes effect.
func TestKey_Unrecorded(t *testing.T) {
	k := newKeyed(t, nil)
	ctx := t.Context()
	flow := k.password(t)
	login, err := k.BeginKeyLogin(ctx, k.p.Origin, flow)
	if err != nil {
		t.Fatal(err)
	}
	register, err := k.BeginKeyRegistration(ctx, k.p.Origin, k.sess)
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	k.Recorder.Fail(full)
	if cookie, _, err := k.FinishKeyLogin(ctx, k.p.Origin, flow, login.ID, k.key.Get(t, login.Options)); !errors.Is(err, full) || cookie != "" {
		t.Errorf("signing in: %v", err)
	}
	if _, _, err := k.FinishKeyRegistration(ctx, k.p.Origin, k.sess, register.ID, "x", authtest.NewSoftKey(t).Create(t, register.Options)); !errors.Is(err, full) {
		t.Errorf("adding: %v", err)
	}
	if _, err := k.RemoveKey(ctx, k.p.Origin, k.sess, k.row.ID); !errors.Is(err, full) {
		t.Errorf("removing: %v", err)
	}
	if err := k.RenameKey(ctx, k.p.Origin, k.sess, k.row.ID, "y"); !errors.Is(err, full) {
		t.Errorf("renaming: %v", err)
	}
	if err := k.RemoveKeyOf(ctx, authtest.Operator, k.p.ID, k.row.ID); !errors.Is(err, full) {
		t.Errorf("removing by the operator: %v", err)
	}
	if _, err := k.AllowKey(ctx, authtest.Operator, k.p.ID); !errors.Is(err, full) {
		t.Errorf("allowing: %v", err)
	}
	k.Recorder.Fail(nil)
	keys, err := k.SecurityKeys(ctx, k.p.ID)
	if err != nil || len(keys) != 1 || keys[0].Name != "blue key" {
		t.Errorf("%+v, %v", keys, err)
	}
	if until, err := k.KeyAllowedUntil(ctx, k.p.ID); err != nil || !until.IsZero() {
		t.Errorf("allowed until %v, %v", until, err)
	}
}

// TestKey_WayInDuringAttack has somebody with the password use up every try at
// codes: the owner's key still opens the account, at once, and gives the
// attacker no new tries.
func TestKey_WayInDuringAttack(t *testing.T) {
	k := newKeyed(t, nil)
	attacker := authtest.From("203.0.113.66")
	flow := k.password(t)
	for range 5 {
		if _, _, err := k.LoginCode(t.Context(), attacker, flow, "000000"); !errors.Is(err, auth.ErrBadCredentials) {
			t.Fatal(err)
		}
	}
	_, _, err := k.LoginCode(t.Context(), attacker, flow, "000000")
	if _, slow := errors.AsType[*auth.ThrottledError](err); !slow {
		t.Fatalf("the attacker is not held up: %v", err)
	}
	k.p.Origin = authtest.From("198.51.100.77") // a network never seen
	if _, sess, err := k.signInWith(t, k.key); err != nil || sess.FailedCodes != 5 {
		t.Fatalf("the owner's key: %v", err)
	}
	_, _, err = k.LoginCode(t.Context(), attacker, flow, "000000")
	if _, slow := errors.AsType[*auth.ThrottledError](err); !slow {
		t.Errorf("the key gave the attacker new tries: %v", err)
	}
}

// Nor do refused keys hold up the right code: they are counted, and lock nothing.
func TestKey_FailuresLockNothing(t *testing.T) {
	k := newKeyed(t, nil)
	bad := *k.key
	bad.Signer = authtest.NewSoftKey(t).Signer
	for range 120 {
		if _, _, err := k.signInWith(t, &bad); !errors.Is(err, auth.ErrKeyRefused) {
			t.Fatal(err)
		}
	}
	flow := k.password(t)
	info, err := k.Flow(t.Context(), flow)
	if err != nil || info.FailedCodes != 120 || info.Warning == "" {
		t.Errorf("%+v, %v", info, err)
	}
	if _, _, err := k.LoginCode(t.Context(), k.p.Origin, flow, k.FreshCode(t, k.p)); err != nil {
		t.Errorf("the code: %v", err)
	}
}

// One sign-in asks its keys so often and no more: whoever has the password
// cannot fill store and log without hashing passwords.
func TestKey_QuestionsAreFew(t *testing.T) {
	k := newKeyed(t, nil)
	flow := k.password(t)
	for range 20 {
		q, err := k.BeginKeyLogin(t.Context(), k.p.Origin, flow)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.FinishKeyLogin(t.Context(), k.p.Origin, flow, q.ID, []byte("{}")); !errors.Is(err, auth.ErrKeyRefused) {
			t.Fatal(err)
		}
	}
	_, err := k.BeginKeyLogin(t.Context(), k.p.Origin, flow)
	if _, slow := errors.AsType[*auth.ThrottledError](err); !slow {
		t.Errorf("the 21st question: %v", err)
	}
	if _, _, err := k.LoginCode(t.Context(), k.p.Origin, flow, k.FreshCode(t, k.p)); err != nil {
		t.Errorf("the code: %v", err)
	}
}

// FuzzKeyAnswer: whatever is sent as an answer, it is refused and nothing breaks.
func FuzzKeyAnswer(f *testing.F) {
	k := newKeyed(f, nil)
	flow := k.password(f)
	q, err := k.BeginKeyLogin(f.Context(), k.p.Origin, flow)
	if err != nil {
		f.Fatal(err)
	}
	register, err := k.BeginKeyRegistration(f.Context(), k.p.Origin, k.sess)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.key.Get(f, q.Options))
	f.Add(authtest.NewSoftKey(f).Create(f, register.Options))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`))
	f.Add(bytes.Repeat([]byte("["), 4096))
	f.Add(bytes.Repeat([]byte("x"), auth.MaxKeyAnswer+1))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if err := auth.ReadKeyAnswers(k.Service, authtest.Kim, answer); err == nil {
			t.Fatalf("accepted %q", answer)
		}
	})
}
