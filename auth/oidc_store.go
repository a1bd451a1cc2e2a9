package auth

import (
	"context"
	"time"
)

// External says that a vendor's identity provider vouched for a person. The
// zero External says that none did.
type External struct {
	At time.Time // when the person came back from the provider
	// FactorAt is when the person proved a second factor at the provider, of a
	// kind that is trusted there; zero: none that counts.
	FactorAt time.Time
}

// An IdentityProvider is a vendor's own OpenID Connect provider.
type IdentityProvider struct {
	Vendor       string
	Issuer       string
	ClientID     string
	SealedSecret []byte // of the client, for identity_provider.client_secret of Vendor; nil: none
	Scopes       []string
	Domains      []string // the only domains of addresses that it may vouch for, canonical
	TrustedAMR   []string
	Required     bool   // the vendor's accounts have no other first factor
	CA           string // PEM; empty: the system's
}

// A PinnedSubject is who an account is at its provider, from the first sign-in on.
type PinnedSubject struct {
	Account string
	Issuer  string
	Subject string
	At      time.Time
}

// IdentityProviders reads the vendors' providers, and keeps who accounts are there.
type IdentityProviders interface {
	// IdentityProvider must return the vendor's provider, or [ErrNotFound].
	IdentityProvider(ctx context.Context, vendor string) (IdentityProvider, error)
	// PinnedSubject must return who the account is at its provider, or [ErrNotFound].
	PinnedSubject(ctx context.Context, account string) (PinnedSubject, error)
	// PinSubject must store p unless the account has one already or another
	// account has the same issuer and subject, in one conditional write, and
	// report whether it did.
	PinSubject(ctx context.Context, p PinnedSubject) (bool, error)
	// UnpinSubject must remove what PinSubject stored of the account, if there is any.
	UnpinSubject(ctx context.Context, account string) error
	// TrustsProvider must report whether the account has an assignment, in
	// force at now, under an engagement in force that takes the provider's
	// second factor for ours.
	TrustsProvider(ctx context.Context, account string, now time.Time) (bool, error)
}
