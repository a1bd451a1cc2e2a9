// Package provider is the relying party of OpenID Connect: it finds a vendor's
// identity provider by discovery, sends a person there, and turns what comes
// back into an [Identity], or into an [Error] that says what was wrong with it.
//
// It follows OpenID Connect Core 1.0 section 3.1 (the code flow, with PKCE of
// RFC 7636 and the issuer of RFC 9207 demanded where the provider announces
// it) and trusts nothing that a provider says about where to connect: only
// https, only public addresses, no redirects, limited in time and size. It
// keeps no state of a sign-in, knows no account and decides nothing. Start
// with [Directory.Client].
package provider

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Algorithms are the signatures that an ID token may carry: asymmetric ones
// only, so that neither "none" nor the client secret can make one.
var Algorithms = []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA}

// A Config is a client's registration at a provider.
type Config struct {
	Issuer       string // https URL, exactly as the provider says it
	ClientID     string
	ClientSecret string   // empty: a public client, which proves itself by PKCE alone
	RedirectURL  string   // must be of this provider alone: RFC 9700 section 4.4 (mix-up)
	Scopes       []string // beside "openid"; empty: "email"
	CA           string   // PEM certificates to check the provider against; empty: the system's
	// MaxAge demands auth_time and asks the provider to have the person sign in
	// again when that is longer ago; zero demands nothing.
	MaxAge time.Duration
}

// String shows nothing of the secret.
func (c Config) String() string { return "provider " + c.Issuer }

// GoString shows nothing of the secret.
func (c Config) GoString() string { return c.String() }

// key tells configurations apart without keeping the secret.
func (c Config) key() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q %d", c.Issuer, c.ClientID, c.ClientSecret, c.RedirectURL, c.Scopes, c.CA, c.MaxAge))
}

// metadataLife is how long a discovery document is believed. Its keys are
// fetched anew whenever a token names one that is not known.
const metadataLife = time.Hour

// maxClients bounds what is kept; one provider a vendor.
const maxClients = 1024

// A Directory finds providers and remembers what they said of themselves. Its
// methods are safe for concurrent use. The zero Directory reaches public
// addresses only.
type Directory struct {
	// Allow are networks that are not public in which providers may be.
	Allow []netip.Prefix
	// Timeout is how long one request to a provider may take; default 10 seconds.
	Timeout time.Duration
	Now     func() time.Time // nil: time.Now

	mu    sync.Mutex
	known map[[sha256.Size]byte]*Client
}

func (d *Directory) timeout() time.Duration {
	if d.Timeout > 0 {
		return d.Timeout
	}
	return requestTimeout
}

func (d *Directory) now() time.Time {
	if d.Now == nil {
		return time.Now()
	}
	return d.Now()
}

// Client returns a client of the provider, whose discovery document was read
// within the last hour. The error is an [*Error] with code [Unavailable] or [Misconfigured].
func (d *Directory) Client(ctx context.Context, cfg Config) (*Client, error) {
	key, now := cfg.key(), d.now()
	d.mu.Lock()
	c := d.known[key]
	d.mu.Unlock()
	if c != nil && now.Sub(c.read) < metadataLife && !now.Before(c.read) {
		return c, nil
	}
	c, err := d.Discover(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxClients {
		d.known = map[[sha256.Size]byte]*Client{}
	}
	d.known[key] = c
	return c, nil
}

// Discover reads the provider's discovery document now (OpenID Connect
// Discovery 1.0 section 4). It remembers nothing. Errors are those of [Directory.Client].
func (d *Directory) Discover(ctx context.Context, cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || cfg.ClientID == "" {
		return nil, fault(Misconfigured, errors.New("the issuer must be an https URL and the client ID given"))
	}
	hc, err := newHTTPClient(d.Allow, cfg.CA, d.timeout())
	if err != nil {
		return nil, fault(Misconfigured, err)
	}
	// The key set keeps the context's client, never its end.
	base := oidc.ClientContext(context.WithoutCancel(ctx), hc)
	discovering, cancel := context.WithTimeout(oidc.ClientContext(ctx, hc), d.timeout())
	defer cancel()
	p, err := oidc.NewProvider(discovering, cfg.Issuer)
	if mismatch, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return nil, fault(Misconfigured, fmt.Errorf("the provider calls itself %q", short(mismatch.Discovered)))
	}
	if err != nil {
		return nil, fault(Unavailable, reaching(err))
	}
	c := &Client{cfg: cfg, http: hc, now: d.now, read: d.now(), provider: p}
	if err := p.Claims(&c.Metadata); err != nil {
		return nil, fault(Misconfigured, errors.New("the discovery document cannot be read"))
	}
	if err := c.Metadata.check(); err != nil {
		return nil, fault(Misconfigured, err)
	}
	c.verifier = oidc.NewVerifier(cfg.Issuer, oidc.NewRemoteKeySet(base, c.Metadata.Keys),
		&oidc.Config{ClientID: cfg.ClientID, SupportedSigningAlgs: Algorithms, Now: d.now})
	return c, nil
}

// Metadata is what a discovery document says that matters here.
type Metadata struct {
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	ClientAuth    []string `json:"token_endpoint_auth_methods_supported"`
	// ResponseIssuer says that each answer names its issuer (RFC 9207).
	ResponseIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

func (m *Metadata) check() error {
	for name, s := range map[string]string{"authorization_endpoint": m.Authorization, "token_endpoint": m.Token, "jwks_uri": m.Keys, "userinfo_endpoint": m.UserInfo} {
		if s == "" && name == "userinfo_endpoint" {
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || len(s) > 2048 {
			return fmt.Errorf("its %s is no https URL", name)
		}
	}
	if len(m.Algorithms) > 0 && !slices.ContainsFunc(m.Algorithms, func(a string) bool { return slices.Contains(Algorithms, a) }) {
		return fmt.Errorf("it signs with none of %s", strings.Join(Algorithms, ", "))
	}
	if len(m.Challenges) > 0 && !slices.Contains(m.Challenges, "S256") {
		return errors.New("it does not support PKCE with S256")
	}
	return nil
}

// A Client is one registration at one provider. It is safe for concurrent use.
type Client struct {
	Metadata Metadata

	cfg      Config
	http     *http.Client
	now      func() time.Time
	read     time.Time
	provider *oidc.Provider
	verifier *oidc.IDTokenVerifier
}

// Origin is the scheme, host and port to which people are sent.
func (c *Client) Origin() string {
	u, err := url.Parse(c.Metadata.Authorization)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// A Start is what is new for each sign-in. State, Nonce and Verifier are
// secrets of the browser that begins it, each of at least 256 random bits.
type Start struct {
	State, Nonce, Verifier string
	Hint                   string // the address that the person typed; may be empty
}

// AuthURL returns where to send the person.
func (c *Client) AuthURL(s Start) string {
	options := []oauth2.AuthCodeOption{
		oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier), oauth2.SetAuthURLParam("response_mode", "query"),
	}
	if c.cfg.MaxAge > 0 {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(c.cfg.MaxAge/time.Second))))
	}
	if s.Hint != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", s.Hint))
	}
	return c.oauth().AuthCodeURL(s.State, options...)
}

func (c *Client) oauth() *oauth2.Config {
	style := oauth2.AuthStyleInHeader // the default of RFC 8414 section 2
	if c.cfg.ClientSecret == "" || len(c.Metadata.ClientAuth) > 0 && !slices.Contains(c.Metadata.ClientAuth, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	scopes := append([]string{oidc.ScopeOpenID}, c.cfg.Scopes...)
	if len(c.cfg.Scopes) == 0 {
		scopes = append(scopes, "email")
	}
	return &oauth2.Config{ClientID: c.cfg.ClientID, ClientSecret: c.cfg.ClientSecret, RedirectURL: c.cfg.RedirectURL, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: c.Metadata.Authorization, TokenURL: c.Metadata.Token, AuthStyle: style}}
}
