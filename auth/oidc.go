package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"github.com/ringfence/ringfence/auth/provider"
)

// ProviderCookie holds a sign-in at a vendor's identity provider, sealed: it
// ties what comes back from the provider to the browser that went there.
const ProviderCookie = "__Host-ringfence-oidc"

// ProviderCallback begins the path to which providers send people back; the
// vendor's name follows. Each provider has an address of its own, so that an
// answer that reaches another's is refused (RFC 9700 section 4.4).
const ProviderCallback = "/login/oidc/callback/"

const (
	// providerMaxAge is how long ago a second factor at a provider may lie for a sign-in to count it.
	providerMaxAge = time.Hour
	// maxExchanges is how many sign-ins may be waiting for one provider at a time.
	maxExchanges  = 8
	exchangeQueue = 3 * time.Second
	maxReturn     = 128
	maxPending    = 4096
)

// ErrNoProvider means that the vendor has no identity provider.
var ErrNoProvider = errors.New("no identity provider is set up")

// ErrPasswordClosed means that accounts of the vendor sign in through its
// identity provider only.
var ErrPasswordClosed = errors.New("this vendor's accounts have no password here")

// A ProviderError says that a sign-in at a provider came to nothing.
type ProviderError struct {
	Result string // the stable code that the record has, such as "provider_unavailable"
	Err    error  // for the operator
}

// Error says what went wrong, for operators.
func (e *ProviderError) Error() string {
	if e.Err == nil {
		return "signing in at a provider: " + e.Result
	}
	return e.Err.Error()
}

// Unwrap returns the cause.
func (e *ProviderError) Unwrap() error { return e.Err }

// A pendingSignIn is what [ProviderCookie] holds.
type pendingSignIn struct {
	Vendor   string `json:"v"`
	Client   string `json:"c"` // hash of the registration that the person was sent with
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"p"`
	Return   string `json:"r,omitempty"`
	Invite   string `json:"i,omitempty"` // hash of the invitation that is being accepted
	Expires  int64  `json:"x"`
}

// externalSignIn is what the service keeps of sign-ins at providers.
type externalSignIn struct {
	directory provider.Directory

	mu      sync.Mutex
	spent   expiring[struct{}]       // states that have come back
	waiting map[string]chan struct{} // by vendor: one place for each request to its provider under way
}

func newExternalSignIn(cfg *Config, now func() time.Time) *externalSignIn {
	x := &externalSignIn{directory: provider.Directory{Allow: cfg.ProviderNetworks, Now: now}, waiting: map[string]chan struct{}{}}
	x.spent.limit = 100_000
	return x
}

// place waits for leave to ask a vendor's provider: strangers can make the
// gateway do so, and a slow provider must neither gather goroutines without end
// nor hold up the others.
func (x *externalSignIn) place(ctx context.Context, vendor string) (leave func(), err error) {
	x.mu.Lock()
	waiting, ok := x.waiting[vendor]
	if !ok {
		waiting = make(chan struct{}, maxExchanges)
		x.waiting[vendor] = waiting
	}
	x.mu.Unlock()
	t := time.NewTimer(exchangeQueue)
	defer t.Stop()
	select {
	case waiting <- struct{}{}:
		return func() { <-waiting }, nil
	case <-t.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// once reports whether the state comes back for the first time.
func (x *externalSignIn) once(state string, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, was := x.spent.get(state, now); was {
		return false
	}
	x.spent.put(state, struct{}{}, now, flowLife)
	return true
}

// A ProviderStart is where somebody wants to go through their company's provider.
type ProviderStart struct {
	Vendor string
	Email  string // as typed, a hint for the provider; may be empty
	Return string // the id of a target, handed back by [Service.FinishProvider]; may be empty
	Invite string // the token of an invitation to accept; empty for a sign-in
}

// StartProvider begins a sign-in at a vendor's provider and returns the address
// to send the browser to, and the value of [ProviderCookie], good for 10
// minutes. Nothing is looked up about the person. Errors: [ErrNoProvider],
// [ErrBusy], [ErrInviteInvalid], a [ProviderError].
func (s *Service) StartProvider(ctx context.Context, x ProviderStart) (to, cookie string, err error) {
	p, c, err := s.provider(ctx, x.Vendor)
	if err != nil {
		return "", "", err
	}
	pending := pendingSignIn{Vendor: p.Vendor, Client: registration(&p), State: NewSecret(), Nonce: NewSecret(), Verifier: NewSecret(),
		Expires: s.now().Add(flowLife).Unix()}
	if len(x.Return) <= maxReturn {
		pending.Return = x.Return
	}
	if x.Invite != "" {
		inv, a, err := s.invitation(ctx, x.Invite)
		if err != nil {
			return "", "", err
		}
		if a.Vendor != p.Vendor {
			return "", "", ErrNoProvider
		}
		pending.Invite = inv.Hash
	}
	hint, err := CanonicalEmail(x.Email)
	if err != nil {
		hint = ""
	}
	return c.AuthURL(provider.Start{State: pending.State, Nonce: pending.Nonce, Verifier: pending.Verifier, Hint: hint}), s.sealPending(pending), nil
}

// provider returns the vendor's provider and a client for it.
func (s *Service) provider(ctx context.Context, vendor string) (IdentityProvider, *provider.Client, error) {
	p, cfg, err := s.providerConfig(ctx, vendor)
	if err != nil {
		return p, nil, err
	}
	leave, err := s.external.place(ctx, p.Vendor)
	if err != nil {
		return p, nil, err
	}
	defer leave()
	c, err := s.external.directory.Client(ctx, cfg)
	if err != nil {
		return p, nil, providerError(err)
	}
	return p, c, nil
}

func (s *Service) providerConfig(ctx context.Context, vendor string) (IdentityProvider, provider.Config, error) {
	p, err := s.cfg.Store.IdentityProvider(ctx, vendor)
	if errors.Is(err, ErrNotFound) {
		return p, provider.Config{}, ErrNoProvider
	}
	if err != nil {
		return p, provider.Config{}, fmt.Errorf("reading identity provider: %w", err)
	}
	cfg := provider.Config{Issuer: p.Issuer, ClientID: p.ClientID, Scopes: p.Scopes, CA: p.CA,
		RedirectURL: s.ProviderRedirect(p.Vendor)}
	if len(p.TrustedAMR) > 0 {
		cfg.MaxAge = providerMaxAge
	}
	if len(p.SealedSecret) > 0 {
		plain, err := s.seal.open("identity_provider", "client_secret", p.Vendor, p.SealedSecret)
		if err != nil {
			return p, provider.Config{}, fmt.Errorf("reading the client secret of vendor %s: %w", vendor, err)
		}
		cfg.ClientSecret = string(plain)
	}
	return p, cfg, nil
}

// ProviderRedirect is the address that the vendor registers at its provider.
func (s *Service) ProviderRedirect(vendor string) string { return s.issuer + ProviderCallback + vendor }

// SealSecret encrypts a secret for one place of the store: table, column and row.
func (s *Service) SealSecret(table, column, row string, plain []byte) []byte {
	return s.seal.seal(table, column, row, plain)
}

// OpenSecret decrypts what [Service.SealSecret] made for the same place.
func (s *Service) OpenSecret(table, column, row string, sealed []byte) ([]byte, error) {
	return s.seal.open(table, column, row, sealed)
}

// registration tells one registration from another: a person who went to one
// must not come back to what an administrator has put in its place.
func registration(p *IdentityProvider) string { return hashSecret(p.Issuer + "\n" + p.ClientID) }

func (s *Service) sealPending(p pendingSignIn) string {
	b, err := json.Marshal(p)
	if err != nil {
		return "" // plain texts always encode
	}
	return base64.RawURLEncoding.EncodeToString(s.seal.seal("cookie", "oidc", s.cfg.GateHost, b))
}

func (s *Service) openPending(value string) (pendingSignIn, bool) {
	var p pendingSignIn
	if value == "" || len(value) > maxPending {
		return p, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return p, false
	}
	plain, err := s.seal.open("cookie", "oidc", s.cfg.GateHost, sealed)
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return p, false
	}
	return p, p.State != "" && s.now().Unix() < p.Expires
}

// A ProviderInfo is what pages may show of a vendor's provider.
type ProviderInfo struct {
	Vendor   string
	Origin   string // where people are sent; empty until the provider was asked
	Required bool
}

// Provider returns what a page that leads to the vendor's provider shows.
// Errors are those of [Service.StartProvider].
func (s *Service) Provider(ctx context.Context, vendor string) (ProviderInfo, error) {
	p, c, err := s.provider(ctx, vendor)
	if err != nil {
		return ProviderInfo{Vendor: p.Vendor, Required: p.Required}, err
	}
	return ProviderInfo{Vendor: p.Vendor, Origin: c.Origin(), Required: p.Required}, nil
}

// A ProviderTrial is what a provider says of itself.
type ProviderTrial struct {
	Authorization, Token, Keys string
	Algorithms                 []string // of those that are accepted here
	PKCE                       bool     // it announces PKCE with S256
	ResponseIssuer             bool     // its answers name their issuer
}

// TryProvider reads the provider's discovery document now, for an
// administrator who sets it up. Errors are those of [Service.StartProvider].
func (s *Service) TryProvider(ctx context.Context, vendor string) (ProviderTrial, error) {
	_, cfg, err := s.providerConfig(ctx, vendor)
	if err != nil {
		return ProviderTrial{}, err
	}
	leave, err := s.external.place(ctx, vendor)
	if err != nil {
		return ProviderTrial{}, err
	}
	defer leave()
	c, err := s.external.directory.Discover(ctx, cfg)
	if err != nil {
		return ProviderTrial{}, providerError(err)
	}
	m := c.Metadata
	t := ProviderTrial{Authorization: m.Authorization, Token: m.Token, Keys: m.Keys, ResponseIssuer: m.ResponseIssuer,
		PKCE: slices.Contains(m.Challenges, "S256")}
	for _, a := range m.Algorithms {
		if slices.Contains(provider.Algorithms, a) {
			t.Algorithms = append(t.Algorithms, a)
		}
	}
	return t, nil
}

func providerError(err error) error {
	if p, ok := errors.AsType[*provider.Error](err); ok {
		return &ProviderError{Result: string(p.Code), Err: err}
	}
	return err
}

// passwordClosed reports whether accounts of the vendor have no password. It
// reads the store also for nobody's vendor, so that it takes as long.
func (s *Service) passwordClosed(ctx context.Context, vendor string) (bool, error) {
	p, err := s.cfg.Store.IdentityProvider(ctx, vendor)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading identity provider: %w", err)
	}
	return p.Required, nil
}

// vouchedEmail returns the canonical form of an address that a provider
// vouches for. Only the case of ASCII letters may differ: an address that
// becomes another one's by folding of Unicode was never that one.
func vouchedEmail(s string) (string, bool) {
	canonical, err := CanonicalEmail(s)
	if err != nil {
		return "", false
	}
	ascii := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
	return canonical, ascii == canonical
}

// inDomains reports whether a canonical address is of one of the domains
// itself: not below it, nor of one that merely ends like it.
func inDomains(email string, domains []string) bool {
	_, domain, ok := strings.Cut(email, "@")
	if !ok || strings.Contains(domain, "@") {
		return false
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	return err == nil && slices.Contains(domains, ascii)
}

// callbackQuery bounds what is read of a provider's answer.
func callbackQuery(q url.Values) bool { return len(q) <= 16 }
