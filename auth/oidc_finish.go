package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth/provider"
	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about external sign-in.
const (
	actionOIDCSuccess = "oidc.success"
	actionOIDCFail    = "oidc.failed"
	actionOIDCPin     = "oidc.pin"
	actionOIDCUnpin   = "oidc.unpin"
)

// What owners are told about their accounts and the provider.
const (
	// NoticeProviderLinked tells that the account belongs to a person at the
	// vendor's provider from now on.
	NoticeProviderLinked NoticeKind = "provider_linked"
	// NoticeProviderOther tells that somebody else at the provider, with the
	// same address, was refused.
	NoticeProviderOther NoticeKind = "provider_other_subject"
	// NoticeProviderUnlinked tells that an administrator lets the next person
	// with the account's address at the provider be its owner.
	NoticeProviderUnlinked NoticeKind = "provider_unlinked"
)

// Results of actionOIDCFail, beside those of package provider.
const (
	resultStateMismatch   = "state_mismatch"
	resultReplayed        = "replayed"
	resultOtherProvider   = "issuer_mismatch"
	resultProviderChanged = "provider_changed"
	resultEmailInvalid    = "email_invalid"
	resultDomainRefused   = "domain_refused"
	resultUnknown         = "account_unknown"
	resultOtherVendor     = "account_of_another_vendor"
	resultNotEnrolled     = "not_enrolled"
	resultOtherInvitation = "invitation_of_another"
	resultSubjectChanged  = "subject_changed"
)

// A ProviderFinish is how a sign-in at a provider ended: with one of Flow,
// Cookie and Enrol.
type ProviderFinish struct {
	Return string // as given to [Service.StartProvider]; also with an error
	// Flow is the value of [LoginCookie]: the code of this gateway is awaited.
	Flow string
	// Cookie is the value of [SessionCookie] at the gate, and Session what it
	// is of: the provider's second factor was taken for ours.
	Cookie  string
	Session *Session
	// Enrol is the value of [EnrolCookie]: an invitation was accepted.
	Enrol string
}

// FinishProvider takes what a provider sent the browser back with, at the
// callback of vendor, together with the browser's [ProviderCookie]. Whoever
// the provider vouches for and is no account that may sign in gets
// [ErrBadCredentials], whatever the reason. Other errors: [ErrFlowEnded] when
// there is no such sign-in, [ErrInviteInvalid], [ErrBusy], a [ProviderError], or internal.
func (s *Service) FinishProvider(ctx context.Context, o Origin, vendor, cookie string, q url.Values) (ProviderFinish, error) {
	pending, ok := s.openPending(cookie)
	if !ok || !callbackQuery(q) {
		return ProviderFinish{}, ErrFlowEnded // nobody went anywhere from here: there is nothing to record
	}
	f := ProviderFinish{Return: pending.Return}
	x := &returned{s: s, o: o, pending: pending, vendor: vendor}
	id, err := x.identity(ctx, q)
	if err != nil {
		return f, err
	}
	a, err := x.account(ctx, id)
	if err != nil {
		return f, err
	}
	if err := x.pin(ctx, a, id); err != nil {
		return f, err
	}
	return x.admit(ctx, f, a, id)
}

// A returned is a browser that came back from a provider.
type returned struct {
	s       *Service
	o       Origin
	pending pendingSignIn
	vendor  string // that the callback belongs to
	p       IdentityProvider
}

// failed records why a sign-in at a provider failed and returns err, which is
// what the person is told.
func (x *returned) failed(ctx context.Context, a *Account, result string, err error) error {
	r := x.s.event(actionOIDCFail, result, a, x.o)
	r.Vendor = x.pending.Vendor
	if x.p.Issuer != "" {
		detail(r, "issuer", x.p.Issuer)
	}
	if rerr := x.s.record(ctx, r); rerr != nil {
		return rerr
	}
	return err
}

// identity checks that the answer belongs to this browser and provider, and
// turns its code into what the provider vouches for.
func (x *returned) identity(ctx context.Context, q url.Values) (*provider.Identity, error) {
	s, result := x.s, ""
	switch {
	case x.vendor != x.pending.Vendor:
		result = resultOtherProvider
	case len(q["state"]) != 1 || !same(q.Get("state"), x.pending.State):
		result = resultStateMismatch
	case !s.external.once(x.pending.State, s.now()):
		result = resultReplayed
	}
	if result != "" {
		return nil, x.failed(ctx, nil, result, ErrFlowEnded)
	}
	p, c, err := s.provider(ctx, x.pending.Vendor)
	if f, ok := errors.AsType[*ProviderError](err); ok {
		return nil, x.failed(ctx, nil, f.Result, err)
	}
	if errors.Is(err, ErrNoProvider) || err == nil && registration(&p) != x.pending.Client {
		return nil, x.failed(ctx, nil, resultProviderChanged, ErrFlowEnded)
	}
	if err != nil {
		return nil, err
	}
	x.p = p
	id, err := x.exchange(ctx, c, q)
	if f, ok := errors.AsType[*ProviderError](providerError(err)); ok {
		return nil, x.failed(ctx, nil, f.Result, f)
	}
	return id, err
}

func (x *returned) exchange(ctx context.Context, c *provider.Client, q url.Values) (*provider.Identity, error) {
	code, err := c.Answer(q)
	if err != nil {
		return nil, err
	}
	leave, err := x.s.external.place(ctx, x.p.Vendor)
	if err != nil {
		return nil, err
	}
	defer leave()
	return c.Exchange(ctx, code, x.pending.Verifier, x.pending.Nonce)
}

// account returns the account that the identity is of: one of the provider's
// own vendor, in a domain that it may vouch for.
func (x *returned) account(ctx context.Context, id *provider.Identity) (*Account, error) {
	s := x.s
	email, ok := vouchedEmail(id.Email)
	switch {
	case !ok:
		return nil, x.failed(ctx, nil, resultEmailInvalid, ErrBadCredentials)
	case !inDomains(email, x.p.Domains):
		return nil, x.failed(ctx, nil, resultDomainRefused, ErrBadCredentials)
	}
	a, c, err := s.lookUp(ctx, email)
	if err != nil {
		return nil, err
	}
	result := ""
	switch {
	case a.ID == "":
		return nil, x.failed(ctx, nil, resultUnknown, ErrBadCredentials)
	case a.Vendor == "" || a.Vendor != x.p.Vendor:
		result = resultOtherVendor
	case !a.Active(s.now()):
		result = a.inactiveReason(s.now())
	case x.pending.Invite == "" && c.Confirmed.IsZero():
		result = resultNotEnrolled
	}
	if result != "" {
		return nil, x.failed(ctx, a, result, ErrBadCredentials)
	}
	if x.pending.Invite != "" {
		return a, x.invited(ctx, a)
	}
	return a, nil
}

// invited checks that the invitation under way is this account's.
func (x *returned) invited(ctx context.Context, a *Account) error {
	inv, err := x.s.cfg.Store.Invitation(ctx, x.pending.Invite)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("reading invitation: %w", err)
	}
	if err != nil || !x.s.now().Before(inv.Expires) {
		return ErrInviteInvalid
	}
	if inv.Account != a.ID {
		return x.failed(ctx, a, resultOtherInvitation, ErrBadCredentials)
	}
	return nil
}

// pin makes the person at the provider the account's owner there, or checks
// that it is the same person as ever. Addresses pass from one person to the
// next; subjects do not (OpenID Connect Core 1.0 section 5.7).
func (x *returned) pin(ctx context.Context, a *Account, id *provider.Identity) error {
	s := x.s
	have, err := s.cfg.Store.PinnedSubject(ctx, a.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("reading who the account is at its provider: %w", err)
	}
	if err == nil {
		if have.Issuer == id.Issuer && same(have.Subject, id.Subject) {
			return nil
		}
		return x.otherSubject(ctx, a)
	}
	if err := s.record(ctx, x.describe(s.event(actionOIDCPin, "ok", a, x.o), id)); err != nil {
		return err
	}
	won, err := s.cfg.Store.PinSubject(ctx, PinnedSubject{Account: a.ID, Issuer: id.Issuer, Subject: id.Subject, At: s.now()})
	if err != nil {
		return fmt.Errorf("keeping who the account is at its provider: %w", err)
	}
	if !won { // the subject is another account's, or somebody was faster
		return x.otherSubject(ctx, a)
	}
	s.tell(ctx, a, NoticeProviderLinked, x.o, map[string]string{"issuer": id.Issuer})
	return nil
}

func (x *returned) otherSubject(ctx context.Context, a *Account) error {
	x.s.tell(ctx, a, NoticeProviderOther, x.o, map[string]string{"issuer": x.p.Issuer})
	return x.failed(ctx, a, resultSubjectChanged, ErrBadCredentials)
}

// describe adds what is known of an identity to a record. The subject is kept
// hashed: what counts is whether it is the same.
func (x *returned) describe(r *policy.Record, id *provider.Identity) *policy.Record {
	detail(r, "issuer", id.Issuer)
	detail(r, "subject", hashSecret(id.Issuer + "\n" + id.Subject)[:16])
	if len(id.AMR) > 0 {
		detail(r, "amr", cut(strings.Join(id.AMR, " ")))
	}
	return r
}

// admit lets the account in as far as the provider's word goes.
func (x *returned) admit(ctx context.Context, f ProviderFinish, a *Account, id *provider.Identity) (ProviderFinish, error) {
	s := x.s
	now := s.now()
	external := External{At: now}
	if slices.ContainsFunc(id.AMR, func(m string) bool { return slices.Contains(x.p.TrustedAMR, m) }) && id.Fresh(now, providerMaxAge) {
		external.FactorAt = id.AuthTime
		if external.FactorAt.After(now) {
			external.FactorAt = now
		}
	}
	r := x.describe(s.event(actionOIDCSuccess, "ok", a, x.o), id)
	if !external.FactorAt.IsZero() {
		detail(r, "factor_at", external.FactorAt.Format(time.RFC3339))
	}
	if err := s.record(ctx, r); err != nil {
		return f, err
	}
	if x.pending.Invite != "" {
		enrol, err := s.acceptExternal(ctx, x.o, a, x.pending.Invite, external)
		f.Enrol = enrol
		return f, err
	}
	trusted := false
	if !external.FactorAt.IsZero() {
		var err error
		if trusted, err = s.cfg.Store.TrustsProvider(ctx, a.ID, now); err != nil {
			return f, fmt.Errorf("reading engagements: %w", err)
		}
	}
	if !trusted {
		flow := NewSecret()
		err := s.cfg.Store.PutFlow(ctx, Flow{Hash: hashSecret(flow), Account: a.ID, External: external, Expires: now.Add(flowLife)})
		if err != nil {
			return f, fmt.Errorf("storing sign-in: %w", err)
		}
		f.Flow = flow
		return f, nil
	}
	c, err := s.cfg.Store.Credential(ctx, a.ID)
	if err != nil {
		return f, fmt.Errorf("reading credential: %w", err)
	}
	f.Cookie, f.Session, err = s.startSession(ctx, x.o, a, c, proof{external: external, recoveryLeft: recoveryLeft(c.Recovery)})
	return f, err
}

// Unpin forgets who the account is at its provider: the next person there with
// the account's address becomes its owner. Administrators may, for others only:
// [ErrForbidden]. An account without one is [ErrNotFound].
func (s *Service) Unpin(ctx context.Context, actor Actor, accountID string) error {
	if err := s.mayAdminister(ctx, actor); err != nil || actor.Account == accountID {
		return fmt.Errorf("forgetting who an account is at its provider: %w", ErrForbidden)
	}
	a, err := s.cfg.Store.Account(ctx, accountID)
	if err != nil {
		return fmt.Errorf("forgetting who an account is at its provider: %w", err)
	}
	if _, err := s.cfg.Store.PinnedSubject(ctx, accountID); err != nil {
		return fmt.Errorf("forgetting who an account is at its provider: %w", err)
	}
	if err := s.record(ctx, s.eventBy(actionOIDCUnpin, actor, &a)); err != nil {
		return err
	}
	if err := s.cfg.Store.UnpinSubject(ctx, accountID); err != nil {
		return fmt.Errorf("forgetting who an account is at its provider: %w", err)
	}
	s.tell(ctx, &a, NoticeProviderUnlinked, Origin{RequestID: actor.RequestID}, map[string]string{"by": actor.Email})
	return nil
}

// Pinned returns who the account is at its provider, or [ErrNotFound].
func (s *Service) Pinned(ctx context.Context, account string) (PinnedSubject, error) {
	p, err := s.cfg.Store.PinnedSubject(ctx, account)
	if err != nil {
		return p, fmt.Errorf("reading who the account is at its provider: %w", err)
	}
	return p, nil
}
