package authtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// SetProvider gives a vendor its identity provider.
func (s *Store) SetProvider(p auth.IdentityProvider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(&s.providers, p.Vendor, copyProvider(p))
}

// RemoveProvider takes a vendor's identity provider away.
func (s *Store) RemoveProvider(vendor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.providers, vendor)
}

// SetTrusted says whether some engagement of the account takes its provider's
// second factor for ours.
func (s *Store) SetTrusted(account string, trusted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(&s.trusting, account, trusted)
}

func copyProvider(p auth.IdentityProvider) auth.IdentityProvider {
	p.SealedSecret, p.Scopes = slices.Clone(p.SealedSecret), slices.Clone(p.Scopes)
	p.Domains, p.TrustedAMR = slices.Clone(p.Domains), slices.Clone(p.TrustedAMR)
	return p
}

// IdentityProvider implements [auth.IdentityProviders].
func (s *Store) IdentityProvider(_ context.Context, vendor string) (auth.IdentityProvider, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.providers[vendor]
	if !ok {
		return auth.IdentityProvider{}, auth.ErrNotFound
	}
	return copyProvider(p), nil
}

// PinnedSubject implements [auth.IdentityProviders].
func (s *Store) PinnedSubject(_ context.Context, account string) (auth.PinnedSubject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.subjects[account]
	if !ok {
		return auth.PinnedSubject{}, auth.ErrNotFound
	}
	return p, nil
}

// PinSubject implements [auth.IdentityProviders].
func (s *Store) PinSubject(_ context.Context, p auth.PinnedSubject) (won bool, err error) {
	err = s.write("PinSubject", func() error {
		if err := s.known(p.Account); err != nil {
			return err
		}
		if _, has := s.subjects[p.Account]; has {
			return nil
		}
		for _, o := range s.subjects {
			if o.Issuer == p.Issuer && o.Subject == p.Subject {
				return nil
			}
		}
		put(&s.subjects, p.Account, p)
		won = true
		return nil
	})
	return won && err == nil, err
}

// UnpinSubject implements [auth.IdentityProviders].
func (s *Store) UnpinSubject(_ context.Context, account string) error {
	return s.write("UnpinSubject", func() error {
		delete(s.subjects, account)
		return nil
	})
}

// TrustsProvider implements [auth.IdentityProviders].
func (s *Store) TrustsProvider(_ context.Context, account string, _ time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trusting[account], nil
}

// testExternalSignIn holds the rows of a sign-in that began at a provider.
func testExternalSignIn(t *testing.T, s auth.Store) {
	ctx := t.Context()
	if _, err := s.IdentityProvider(ctx, "acme"); err == nil {
		t.Error("there is a provider that nobody set up")
	} else {
		wantMissing(t, err)
	}
	external := auth.External{At: base, FactorAt: base.Add(-time.Minute)}
	f := auth.Flow{Hash: "ext", Account: Kim.ID, External: external, Expires: base.Add(time.Hour)}
	must(t, s.PutFlow(ctx, f))
	got, err := s.Flow(ctx, "ext")
	must(t, err)
	wantEqual(t, got, f)

	must(t, s.PutInvitation(ctx, auth.Invitation{Hash: "inv", Account: Kim.ID, Created: base, Expires: base.Add(time.Hour), By: auth.Operator}))
	e := auth.Enrolment{Hash: "enr", Account: Kim.ID, Step: auth.StepTOTP, Secret: []byte{1, 2}, Expires: base.Add(time.Hour), PasswordSet: base, External: external}
	must(t, s.AcceptInvitation(ctx, "inv", "", e))
	enrolment, err := s.Enrolment(ctx, "enr")
	must(t, err)
	wantEqual(t, enrolment, e)
	c, err := s.Credential(ctx, Kim.ID)
	must(t, err)
	wantEqual(t, c, auth.Credential{}) // no password, and none that was ever set

	row := auth.StoredSession{ID: "ses_x", Account: Kim.ID, Epoch: 1, Created: base, LastSeen: base, Ends: base.Add(time.Hour), External: external}
	must(t, s.PutSession(ctx, row))
	rows, err := s.Sessions(ctx)
	must(t, err)
	wantEqual(t, rows, []auth.StoredSession{row})
	// A code that is given later takes nothing of it away.
	row.Epoch, row.CodeAt, row.CodeFactor = 2, base.Add(time.Minute), "totp"
	must(t, s.RotateSession(ctx, row, 1))
	rows, err = s.Sessions(ctx)
	must(t, err)
	wantEqual(t, rows, []auth.StoredSession{row})
}

func testPinnedSubject(t *testing.T, s auth.Store) {
	ctx := t.Context()
	_, err := s.PinnedSubject(ctx, Kim.ID)
	wantMissing(t, err)
	pin := func(account, issuer, subject string) bool {
		t.Helper()
		won, err := s.PinSubject(ctx, auth.PinnedSubject{Account: account, Issuer: issuer, Subject: subject, At: base})
		must(t, err)
		return won
	}
	const one, two = "https://one.example", "https://two.example"
	n := race(t, func(i int) bool {
		won, err := s.PinSubject(ctx, auth.PinnedSubject{Account: Kim.ID, Issuer: one, Subject: fmt.Sprint("s", i), At: base})
		return err == nil && won
	})
	wantEqual(t, n, 1)
	kim, err := s.PinnedSubject(ctx, Kim.ID)
	must(t, err)
	if kim.Issuer != one || !kim.At.Equal(base) {
		t.Fatalf("got %+v", kim)
	}
	if pin(Kim.ID, two, "other") {
		t.Error("an account is two people")
	}
	if pin(Lee.ID, one, kim.Subject) {
		t.Error("two accounts are one person")
	}
	if !pin(Lee.ID, two, kim.Subject) {
		t.Error("the same subject at another provider is somebody else")
	}
	if _, err := s.PinSubject(ctx, auth.PinnedSubject{Account: "acc-nobody", Issuer: one, Subject: "x", At: base}); err == nil {
		t.Error("nobody was pinned")
	}
	must(t, s.UnpinSubject(ctx, Kim.ID))
	must(t, s.UnpinSubject(ctx, Kim.ID))
	_, err = s.PinnedSubject(ctx, Kim.ID)
	wantMissing(t, err)
	if !pin(Kim.ID, one, "new") {
		t.Error("an account whose pin was taken off takes no new one")
	}
	must(t, s.ResetCredential(ctx, Kim.ID))
	_, err = s.PinnedSubject(ctx, Kim.ID)
	wantMissing(t, err)
	trusts, err := s.TrustsProvider(ctx, Kim.ID, base)
	must(t, err)
	wantEqual(t, trusts, false)
}
