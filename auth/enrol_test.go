package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
	"github.com/ringfence/ringfence/auth/totp"
)

func tokenOf(t testing.TB, link string) string {
	t.Helper()
	token, ok := strings.CutPrefix(link, authtest.Issuer+"/enrol?invite=")
	if !ok || len(token) < 43 {
		t.Fatalf("link %q", link)
	}
	return token
}

func TestEnrolment(t *testing.T) {
	e, _ := newEnv(t, nil)
	ctx, o := t.Context(), authtest.From("192.0.2.10")
	link, expires, err := e.Invite(ctx, authtest.Operator, authtest.Kim.ID)
	if err != nil || !expires.Equal(e.Clock.Now().Add(24*time.Hour)) {
		t.Fatalf("expires %s, %v", expires, err)
	}
	token := tokenOf(t, link)
	for range 3 { // mail programs open links
		if info, err := e.OpenInvite(ctx, token); err != nil || info.Email != authtest.Kim.Email || info.Name != "Kim Park" {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	// A refused password leaves the invitation open.
	for password, want := range map[string]string{"short": auth.PasswordTooShort, "Password123456": auth.PasswordCommon, "kimpark-vendor-1": auth.PasswordOwnWords} {
		_, err := e.AcceptInvite(ctx, o, token, password)
		if p, ok := errors.AsType[*auth.PasswordError](err); !ok || p.Reason != want {
			t.Errorf("%s: %v", want, err)
		}
	}
	enrol, err := e.AcceptInvite(ctx, o, token, authtest.Password)
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []string{token, "", "x"} {
		if _, err := e.AcceptInvite(ctx, o, again, authtest.Password); !errors.Is(err, auth.ErrInviteInvalid) {
			t.Errorf("accepted again: %v", err)
		}
		if _, err := e.OpenInvite(ctx, again); !errors.Is(err, auth.ErrInviteInvalid) {
			t.Errorf("opened again: %v", err)
		}
	}
	info, err := e.Enrolment(ctx, enrol)
	if err != nil || info.Step != auth.StepTOTP || info.Email != authtest.Kim.Email || len(info.Recovery) != 0 {
		t.Fatalf("%+v, %v", info, err)
	}
	if img, err := png.Decode(bytes.NewReader(info.QR)); err != nil || img.Bounds().Dx() < 200 {
		t.Errorf("QR code: %v", err)
	}
	secret, err := totp.ParseURI(info.URI)
	if err != nil || totp.Encode(secret) != info.Secret || len(secret) != 20 || !strings.Contains(info.URI, "issuer=Example") {
		t.Fatalf("secret of %d bytes, %v", len(secret), err)
	}
	// Signing in with the password alone is not possible meanwhile.
	if _, err := e.Login(ctx, o, authtest.Kim.Email, authtest.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("sign-in during enrolment: %v", err)
	}
	if _, _, err := e.FinishEnrolment(ctx, o, enrol); !errors.Is(err, auth.ErrEnrolmentEnded) {
		t.Errorf("finished without a factor: %v", err)
	}
	for _, wrong := range []string{"", "000000x", "abcdefghijklm"} {
		if _, err := e.ConfirmTOTP(ctx, o, enrol, "", wrong); !errors.Is(err, auth.ErrBadCredentials) {
			t.Errorf("code %q: %v", wrong, err)
		}
	}
	code, err := totp.Code(secret, totp.Step(e.Clock.Now()))
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := e.ConfirmTOTP(ctx, o, enrol, "", code[:3]+" "+code[3:])
	if err != nil || len(recovery) != 10 {
		t.Fatalf("%d recovery codes, %v", len(recovery), err)
	}
	if _, err := e.ConfirmTOTP(ctx, o, enrol, "", code); !errors.Is(err, auth.ErrEnrolmentEnded) {
		t.Errorf("confirmed twice: %v", err)
	}
	info, err = e.Enrolment(ctx, enrol)
	if err != nil || info.Step != auth.StepRecovery || !slices.Equal(info.Recovery, recovery) || info.Secret != "" || info.URI != "" || info.QR != nil {
		t.Errorf("at the recovery codes: step %s, %d codes, %v", info.Step, len(info.Recovery), err)
	}
	cookie, sess, err := e.FinishEnrolment(ctx, o, enrol)
	if err != nil || sess.RecoveryLeft != 10 || e.Who(t, cookie, authtest.GateHost).Session != sess.ID {
		t.Fatalf("%+v, %v", sess, err)
	}
	if _, err := e.Enrolment(ctx, enrol); !errors.Is(err, auth.ErrEnrolmentEnded) {
		t.Errorf("the recovery codes are shown again: %v", err)
	}
	// The enrolment's code is spent.
	flow, err := e.Login(ctx, o, authtest.Kim.Email, authtest.Password)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.LoginCode(ctx, o, flow, code); !errors.Is(err, auth.ErrCodeSpent) {
		t.Errorf("the enrolment's code: %v", err)
	}
	if _, _, err := e.Invite(ctx, authtest.Operator, authtest.Kim.ID); !errors.Is(err, auth.ErrEnrolled) {
		t.Errorf("invited again: %v", err)
	}
}

// A new invitation voids the old one; both end after a day.
func TestInvite_Voids(t *testing.T) {
	e, store := newEnv(t, nil)
	ctx := t.Context()
	first, _, err := e.Invite(ctx, authtest.Operator, authtest.Kim.ID)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := e.Invite(ctx, authtest.Operator, authtest.Kim.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.OpenInvite(ctx, tokenOf(t, first)); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("the old one: %v", err)
	}
	a := authtest.Kim
	a.Disabled = true
	store.SetAccount(a)
	if _, err := e.OpenInvite(ctx, tokenOf(t, second)); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("of a disabled account: %v", err)
	}
	if _, _, err := e.Invite(ctx, authtest.Operator, a.ID); !errors.Is(err, auth.ErrAccountInactive) {
		t.Errorf("inviting a disabled account: %v", err)
	}
	store.SetAccount(authtest.Kim)
	e.Clock.Advance(24*time.Hour - time.Second)
	if _, err := e.OpenInvite(ctx, tokenOf(t, second)); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	e.Clock.Advance(time.Second)
	if _, err := e.OpenInvite(ctx, tokenOf(t, second)); !errors.Is(err, auth.ErrInviteInvalid) {
		t.Errorf("after a day: %v", err)
	}
}

// The demonstration's way: the current code is still good afterwards.
func TestProvision(t *testing.T) {
	for _, skew := range []int{1, -1} {
		e, _ := newEnv(t, func(c *auth.Config) { c.Skew = skew })
		p := e.Enrol(t, authtest.Kim)
		now := e.Code(t, p)
		e.Clock.Advance(-totp.Period)
		before := e.Code(t, p)
		e.Clock.Advance(totp.Period)
		flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
		if err != nil {
			t.Fatal(err)
		}
		want := auth.ErrCodeSpent
		if skew == -1 {
			want = auth.ErrBadCredentials
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, before); !errors.Is(err, want) {
			t.Errorf("skew %d, the burnt code: %v", skew, err)
		}
		if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, now); err != nil {
			t.Errorf("skew %d, the current code: %v", skew, err)
		}
	}
	e, _ := newEnv(t, nil)
	if _, _, err := e.Provision(t.Context(), authtest.Operator, authtest.Kim.ID, "short", e.Clock.Now()); err == nil {
		t.Error("a short password was accepted")
	}
}

func TestResetFactor(t *testing.T) {
	e, _ := newEnv(t, nil)
	p := e.Enrol(t, authtest.Kim)
	cookie, sess := e.SignIn(t, p)
	secret, _, err := e.CreateToken(t.Context(), p.Origin, sess, "claims", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	flow, err := e.Login(t.Context(), p.Origin, p.Email, p.Password)
	if err != nil {
		t.Fatal(err)
	}
	link, _, err := e.ResetFactor(t.Context(), authtest.Operator, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantNobody(t, e, cookie, authtest.GateHost)
	if who := byToken(t, e, "Bearer "+secret, authtest.Claims); !who.IsAnonymous() {
		t.Errorf("the token goes on: %+v", who)
	}
	if _, _, err := e.LoginCode(t.Context(), p.Origin, flow, e.FreshCode(t, p)); !errors.Is(err, auth.ErrFlowEnded) {
		t.Errorf("the sign-in under way: %v", err)
	}
	if _, err := e.Login(t.Context(), p.Origin, p.Email, p.Password); !errors.Is(err, auth.ErrBadCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := e.OpenInvite(t.Context(), tokenOf(t, link)); err != nil {
		t.Errorf("the new invitation: %v", err)
	}
	if _, ok := e.Recorder.Last("factor.reset"); !ok {
		t.Error("not recorded")
	}
}

// enrolModel is what an enrolment is to whoever looks at it from outside.
type enrolModel struct {
	invite, enrol                   string // the ones in force
	inviteEnds, enrolEnds           time.Time
	step                            string
	disabled, hasPassword, enrolled bool
	voidInvites, voidEnrols         []string
}

// Random walks through enrolment, each step checked against the model: what is
// refused is refused with its own error, and nothing else ever gets through.
func TestEnrolment_Model(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { walkEnrolment(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func walkEnrolment(t *testing.T, rnd *rand.Rand) {
	e, store := newEnv(t, nil)
	ctx, o, kim := t.Context(), authtest.From("192.0.2.10"), authtest.Kim
	m := &enrolModel{}
	check := func(op string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Fatalf("%s: %v, want %v (model %+v)", op, err, want, m)
		}
	}
	pick := func(current string, void []string) (string, bool) {
		if current != "" && (len(void) == 0 || rnd.IntN(3) > 0) {
			return current, true
		}
		if len(void) > 0 {
			return void[rnd.IntN(len(void))], false
		}
		return "never-issued", false
	}
	voidEnrol := func() {
		if m.enrol != "" {
			m.voidEnrols = append(m.voidEnrols, m.enrol)
			m.enrol, m.step = "", ""
		}
	}
	voidInvite := func() {
		if m.invite != "" {
			m.voidInvites = append(m.voidInvites, m.invite)
			m.invite = ""
		}
	}
	enrolGood := func(in bool) bool {
		return in && !m.disabled && e.Clock.Now().Before(m.enrolEnds)
	}
	for range 80 {
		switch rnd.IntN(11) {
		case 10: // another device, at once
			enrol, in := pick(m.enrol, m.voidEnrols)
			err := e.AddEnrolledTOTP(ctx, o, enrol, "")
			if !enrolGood(in) || m.step != auth.StepRecovery {
				check("another device", err, auth.ErrEnrolmentEnded)
				break
			}
			have, _ := e.Authenticators(ctx, kim.ID)
			if len(have) == auth.MaxTOTP {
				check("a device too many", err, auth.ErrTooMany)
				break
			}
			check("another device", err, nil)
			info, err := e.Enrolment(ctx, enrol)
			check("look at it", err, nil)
			secret, err := totp.ParseURI(info.Adding.URI)
			check("its secret", err, nil)
			code, err := totp.Code(secret, totp.Step(e.Clock.Now()))
			check("its code", err, nil)
			_, err = e.ConfirmEnrolledTOTP(ctx, o, enrol, "99999z")
			check("its wrong code", err, auth.ErrBadCredentials)
			_, err = e.ConfirmEnrolledTOTP(ctx, o, enrol, code)
			check("its right code", err, nil)
			_, err = e.ConfirmEnrolledTOTP(ctx, o, enrol, code)
			check("again", err, auth.ErrSetupEnded)
		case 0, 1: // invite
			link, ends, err := e.Invite(ctx, authtest.Operator, kim.ID)
			switch {
			case m.disabled:
				check("invite", err, auth.ErrAccountInactive)
			case m.enrolled:
				check("invite", err, auth.ErrEnrolled)
			default:
				check("invite", err, nil)
				voidInvite()
				m.invite, m.inviteEnds = tokenOf(t, link), ends
			}
		case 2, 3: // accept
			token, in := pick(m.invite, m.voidInvites)
			enrol, err := e.AcceptInvite(ctx, o, token, authtest.Password)
			if !in || m.disabled || !e.Clock.Now().Before(m.inviteEnds) {
				check("accept", err, auth.ErrInviteInvalid)
				break
			}
			check("accept", err, nil)
			voidInvite()
			voidEnrol()
			m.enrol, m.step, m.enrolEnds, m.hasPassword = enrol, auth.StepTOTP, e.Clock.Now().Add(time.Hour), true
		case 4, 5: // confirm
			enrol, in := pick(m.enrol, m.voidEnrols)
			info, err := e.Enrolment(ctx, enrol)
			if !enrolGood(in) {
				check("look", err, auth.ErrEnrolmentEnded)
				_, err = e.ConfirmTOTP(ctx, o, enrol, "", "000000")
				check("confirm", err, auth.ErrEnrolmentEnded)
				break
			}
			check("look", err, nil)
			if info.Step != m.step {
				t.Fatalf("at %s, want %s", info.Step, m.step)
			}
			if m.step != auth.StepTOTP {
				_, err = e.ConfirmTOTP(ctx, o, enrol, "", "000000")
				check("confirm at another step", err, auth.ErrEnrolmentEnded)
				break
			}
			if rnd.IntN(3) == 0 {
				_, err = e.ConfirmTOTP(ctx, o, enrol, "", "99999z")
				check("wrong code", err, auth.ErrBadCredentials)
				break
			}
			secret, err := totp.ParseURI(info.URI)
			check("secret", err, nil)
			code, err := totp.Code(secret, totp.Step(e.Clock.Now()))
			check("code", err, nil)
			_, err = e.ConfirmTOTP(ctx, o, enrol, "", code)
			check("confirm", err, nil)
			m.step, m.enrolled = auth.StepRecovery, true
		case 6: // finish
			enrol, in := pick(m.enrol, m.voidEnrols)
			_, _, err := e.FinishEnrolment(ctx, o, enrol)
			if !enrolGood(in) || m.step != auth.StepRecovery {
				check("finish", err, auth.ErrEnrolmentEnded)
				break
			}
			check("finish", err, nil)
			voidEnrol()
		case 7: // reset
			link, ends, err := e.ResetFactor(ctx, authtest.Operator, kim.ID)
			if m.disabled {
				check("reset", err, auth.ErrAccountInactive)
				break
			}
			check("reset", err, nil)
			voidInvite()
			voidEnrol()
			m.invite, m.inviteEnds, m.hasPassword, m.enrolled = tokenOf(t, link), ends, false, false
		case 8: // time goes by, or the account is disabled and enabled
			if rnd.IntN(2) == 0 {
				e.Clock.Advance(time.Duration(rnd.IntN(40)) * time.Minute)
				break
			}
			m.disabled = !m.disabled
			a := kim
			a.Disabled = m.disabled
			store.SetAccount(a)
		case 9: // the password signs in exactly when enrolment is complete
			flow, err := e.Login(ctx, authtest.From(fmt.Sprintf("198.51.%d.%d", rnd.IntN(256), rnd.IntN(256))), kim.Email, authtest.Password)
			if m.enrolled && m.hasPassword && !m.disabled {
				check("sign in", err, nil)
				if _, err := e.Flow(ctx, flow); err != nil {
					t.Fatal(err)
				}
				break
			}
			check("sign in", err, auth.ErrBadCredentials)
		}
	}
}
