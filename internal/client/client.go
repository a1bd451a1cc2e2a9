package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
	// tokenMargin is how long a token must still last to be used.
	tokenMargin = 30 * time.Second
)

// Errors that commands give their users a next step for.
var (
	// ErrSignedOut means that the sign-in has ended: sign in again.
	ErrSignedOut = errors.New("this computer is not signed in")
	// ErrNoCluster means that no cluster of this name or address is open.
	ErrNoCluster = errors.New("no cluster that is open to you has this name or address")
)

// A Client is this computer's sign-in at a gate. It is safe for concurrent use.
type Client struct {
	gate  *gate
	vault Vault

	mu      sync.Mutex
	profile Profile
	key     Key
	secret  string
	tokens  map[string]Token
}

// A Token is a credential for one cluster. Its text forms show nothing.
type Token struct {
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

// String shows nothing of a Token.
func (Token) String() string { return "[secret]" }

// GoString shows nothing of a Token.
func (Token) GoString() string { return "[secret]" }

// sealed is what the vault keeps of a sign-in.
type sealed struct {
	Key    json.RawMessage `json:"key"`
	Secret string          `json:"secret"`
}

// A Prompt is what a person has to do to sign the computer in.
type Prompt struct {
	URL, Code string
	Expires   time.Time
}

// LoginOptions say how to sign in.
type LoginOptions struct {
	Gate    string // as by [NormalGate]
	CA      string // PEM; empty: the system's authorities
	Name    string // what this computer calls itself
	Program string // user agent
	// NoKeyring keeps secrets in files even where a keyring works.
	NoKeyring bool
	// Show is called once, with what the person has to do.
	Show func(Prompt)
	// Waiting, when set, is called before each poll.
	Waiting func(left time.Duration)
}

// Login signs this computer in: it waits until somebody has approved, which is
// up to ten minutes. Another sign-in at the same gate is replaced.
func Login(ctx context.Context, o LoginOptions) (*Client, error) {
	g, err := newGate(o.Gate, o.CA, o.Program, 0)
	if err != nil {
		return nil, err
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	var asked struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
		URL        string `json:"verification_uri"`
		ExpiresIn  int    `json:"expires_in"`
		Interval   int    `json:"interval"`
	}
	if err := g.post(ctx, key, "/device/code", url.Values{"client_id": {"ringfence"}, "name": {o.Name}}, &asked); err != nil {
		return nil, err
	}
	// A page elsewhere could be another gate's: whoever typed the code there
	// would sign in somebody else's machine at that one.
	if hostOf(asked.URL) != hostOf(o.Gate) {
		return nil, fmt.Errorf("signing in at %s: it sends people to a page of another site", o.Gate)
	}
	expires := time.Now().Add(seconds(asked.ExpiresIn, time.Hour))
	o.Show(Prompt{URL: asked.URL, Code: asked.UserCode, Expires: expires})
	var granted struct {
		RefreshToken string    `json:"refresh_token"`
		ExpiresIn    int       `json:"refresh_expires_in"`
		Account      string    `json:"account"`
		Clusters     []Cluster `json:"clusters"`
	}
	form := url.Values{"grant_type": {grantDevice}, "device_code": {asked.DeviceCode}, "client_id": {"ringfence"}}
	wait := max(seconds(asked.Interval, time.Minute), time.Second)
	for {
		if o.Waiting != nil {
			o.Waiting(time.Until(expires))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		err := g.post(ctx, key, "/device/token", form, &granted)
		if err == nil {
			break
		}
		f, ok := errors.AsType[*Fault](err)
		switch {
		case ok && f.Code == "slow_down":
			wait += 5 * time.Second
		case ok && f.Code != "authorization_pending":
			return nil, err
		}
		if time.Now().After(expires) { // until then a gate that is away for a moment may come back
			return nil, err
		}
	}
	if !validSecret(granted.RefreshToken) {
		return nil, fmt.Errorf("signing in at %s: %w", o.Gate, errSecret)
	}
	c := &Client{gate: g, key: key, secret: granted.RefreshToken, tokens: map[string]Token{},
		profile: Profile{Gate: o.Gate, Account: granted.Account, Ends: time.Now().Add(seconds(granted.ExpiresIn, longestSignIn)), CA: o.CA, Ahead: g.ahead,
			Clusters: ownClusters(granted.Clusters), Keyring: !o.NoKeyring && keyringWorks()}}
	return c, c.keep()
}

// keep stores a new sign-in, secrets first.
func (c *Client) keep() (err error) {
	if c.vault, err = c.profile.vault(); err != nil {
		return err
	}
	key, err := c.key.encode()
	if err != nil {
		return fmt.Errorf("keeping the sign-in: %w", err)
	}
	b, err := json.Marshal(sealed{key, c.secret})
	if err != nil {
		return fmt.Errorf("keeping the sign-in: %w", err)
	}
	if err := c.vault.Set(c.profile.Gate, string(b)); err != nil {
		return fmt.Errorf("keeping the sign-in: %w", err)
	}
	return c.profile.save()
}

// Open reads the sign-in of a profile. Errors: [ErrSignedOut] when it has ended.
func Open(p Profile, program string) (*Client, error) {
	v, err := p.vault()
	if err != nil {
		return nil, err
	}
	text, err := v.Get(p.Gate)
	if errors.Is(err, ErrNoSecret) || err == nil && !time.Now().Before(p.Ends) {
		return nil, ErrSignedOut
	}
	if err != nil {
		return nil, err
	}
	var s sealed
	if json.Unmarshal([]byte(text), &s) != nil {
		return nil, fmt.Errorf("reading the sign-in at %s: what %s holds cannot be read", p.Gate, v.Where())
	}
	key, err := decodeKey(s.Key)
	if err != nil {
		return nil, err
	}
	g, err := newGate(p.Gate, p.CA, program, p.Ahead)
	if err != nil {
		return nil, err
	}
	return &Client{gate: g, vault: v, profile: p, key: key, secret: s.Secret, tokens: map[string]Token{}}, nil
}

// Profile returns what is known of the sign-in.
func (c *Client) Profile() Profile {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.profile
}

// Where says where the secrets are.
func (c *Client) Where() string { return c.vault.Where() }

// Find returns the address of a cluster by its name, or by any address on one
// of its hosts. What is not known is asked of the gate once.
func (c *Client) Find(ctx context.Context, cluster string) (base string, err error) {
	p := c.Profile()
	if base = p.find(cluster); base != "" {
		return base, nil
	}
	if err := c.refresh(ctx); err != nil {
		return "", err
	}
	p = c.Profile()
	if base = p.find(cluster); base == "" {
		return "", ErrNoCluster
	}
	return base, nil
}

func (p *Profile) find(cluster string) string {
	host := hostOf(cluster)
	for _, k := range p.Clusters {
		for _, u := range k.URLs {
			if host != "" && hostOf(u) == host {
				return strings.TrimSuffix(u, "/")
			}
		}
		if k.Name == cluster && len(k.URLs) > 0 {
			return strings.TrimSuffix(k.URLs[0], "/")
		}
	}
	return ""
}

// Has reports whether a cluster of the profile has the name or address.
func (p *Profile) Has(cluster string) bool { return p.find(cluster) != "" }

// Knows reports whether the address is on a host of a cluster of the profile.
func (p *Profile) Knows(address string) bool { return hostOf(address) != "" && p.find(address) != "" }

// hostOf returns host and port of an https address, empty for anything else.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// refresh asks which clusters are open now.
func (c *Client) refresh(ctx context.Context) error {
	var answer struct {
		Account  string    `json:"account"`
		Ends     time.Time `json:"ends"`
		Clusters []Cluster `json:"clusters"`
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.gate.post(ctx, c.key, "/device/clusters", url.Values{"refresh_token": {c.secret}}, &answer); err != nil {
		return signedOut(err)
	}
	c.profile.Account, c.profile.Ends, c.profile.Clusters, c.profile.Ahead = answer.Account, answer.Ends, ownClusters(answer.Clusters), c.gate.ahead
	return c.profile.save()
}

// signedOut turns the gate's word for a sign-in that has ended into [ErrSignedOut].
func signedOut(err error) error {
	if f, ok := errors.AsType[*Fault](err); ok && f.Code == "invalid_grant" {
		return ErrSignedOut
	}
	if f, ok := errors.AsType[*Fault](err); ok && f.Code == "invalid_target" {
		return ErrNoCluster
	}
	return err
}

// Token returns a token for the cluster at base, as [Client.Find] gives it:
// bound to this computer's key, or with bearer to its network. One that was
// kept is used while it lasts.
func (c *Client) Token(ctx context.Context, base string, bearer bool) (Token, error) {
	kind := "DPoP"
	if bearer {
		kind = "Bearer"
	}
	name := c.tokenName(base, kind)
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.kept(name); ok {
		return t, nil
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	form := url.Values{"grant_type": {grantRefresh}, "refresh_token": {c.secret}, "resource": {base + "/"}, "token_type": {kind}}
	if err := c.gate.post(ctx, c.key, "/device/token", form, &answer); err != nil {
		return Token{}, signedOut(err)
	}
	if !validSecret(answer.AccessToken) {
		return Token{}, fmt.Errorf("asking %s for a token: %w", c.gate.url, errSecret)
	}
	t := Token{answer.AccessToken, time.Now().Add(seconds(answer.ExpiresIn, time.Hour))}
	c.tokens[name] = t
	b, err := json.Marshal(t)
	if err == nil {
		err = c.vault.Set(name, string(b))
	}
	return t, err
}

func (c *Client) tokenName(base, kind string) string {
	return c.profile.Gate + " " + kind + " " + base
}

func (c *Client) kept(name string) (Token, bool) {
	t, ok := c.tokens[name]
	if !ok {
		text, err := c.vault.Get(name)
		if err != nil || json.Unmarshal([]byte(text), &t) != nil {
			return Token{}, false
		}
		c.tokens[name] = t
	}
	return t, time.Now().Add(tokenMargin).Before(t.Expires)
}

// Forget drops a kept token for the cluster at base, so that the next is new.
func (c *Client) Forget(base string, bearer bool) error {
	kind := "DPoP"
	if bearer {
		kind = "Bearer"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.tokenName(base, kind)
	delete(c.tokens, name)
	return c.vault.Delete(name)
}

// Headers returns the values of Authorization and DPoP for one request.
func (c *Client) Headers(ctx context.Context, base, method, address string) (authorization, proof string, err error) {
	t, err := c.Token(ctx, base, false)
	if err != nil {
		return "", "", err
	}
	proof, err = c.key.Proof(method, address, t.Secret, c.gate.now())
	return "DPoP " + t.Secret, proof, err
}

// Logout signs this computer out at the gate and forgets everything about the
// sign-in. When the gate cannot be told, it is forgotten here all the same and
// the error says so.
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var none struct{}
	told := c.gate.post(ctx, c.key, "/device/revoke", url.Values{"token": {c.secret}}, &none)
	return errors.Join(told, forget(&c.profile, c.vault))
}

// ForgetProfile deletes what is kept of a sign-in without telling the gate.
func ForgetProfile(p Profile) error {
	v, err := p.vault()
	if err != nil {
		return err
	}
	return forget(&p, v)
}

func forget(p *Profile, v Vault) error {
	names := []string{p.Gate}
	for _, k := range p.Clusters {
		for _, u := range k.URLs {
			base := strings.TrimSuffix(u, "/")
			names = append(names, p.Gate+" DPoP "+base, p.Gate+" Bearer "+base)
		}
	}
	var errs []error
	for _, n := range slices.Compact(names) {
		errs = append(errs, v.Delete(n))
	}
	path, err := profilePath(p.Gate)
	if err == nil {
		err = removeFile(path)
	}
	return errors.Join(append(errs, err)...)
}
