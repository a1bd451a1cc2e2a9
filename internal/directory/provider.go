package directory

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// An IdentityProvider is a vendor's own OpenID Connect provider, through which
// its people can sign in in place of a password here.
type IdentityProvider struct {
	Issuer   string // https URL, exactly as the provider's discovery document says it
	ClientID string
	Scopes   []string // beside "openid"; empty: "email"
	// Domains are the mail domains that the provider may vouch for, each of
	// one vendor only: an address must be of one of them, not below it.
	Domains []string
	// TrustedAMR are the values of an ID token's amr that stand for a second
	// factor, under engagements with TrustProviderFactor. Empty: none does.
	TrustedAMR []string
	Required   bool   // accounts of this vendor have no password here
	CA         string // PEM certificates that the provider is checked against; empty: the system's

	// ClientSecret is given by whoever edits, and never read back: the store
	// seals it into Sealed. Empty keeps what is stored, as long as the issuer
	// and the client ID stay as they are.
	ClientSecret string `json:"-"`
	// SecretFile and SecretEnv say where the secret is to be read from; whoever
	// applies a file puts it into ClientSecret. Never stored.
	SecretFile string `json:"-"`
	SecretEnv  string `json:"-"`

	// Read-only: whoever edits a directory leaves it as it is.
	Sealed []byte // the client secret, for the store's own eyes; nil: a client without one
}

// String names the provider and shows nothing of its secret.
func (p *IdentityProvider) String() string {
	if p == nil {
		return "no identity provider"
	}
	return "identity provider " + p.Issuer
}

// GoString shows nothing of the secret.
func (p *IdentityProvider) GoString() string { return p.String() }

func (p *IdentityProvider) clone() *IdentityProvider {
	if p == nil {
		return nil
	}
	c := *p
	c.Scopes, c.Domains, c.TrustedAMR = slices.Clone(p.Scopes), slices.Clone(p.Domains), slices.Clone(p.TrustedAMR)
	c.Sealed = slices.Clone(p.Sealed)
	return &c
}

// SameRegistration reports whether both are the same client at the same
// provider, so that a secret of the one is the other's.
func (p *IdentityProvider) SameRegistration(q *IdentityProvider) bool {
	return p != nil && q != nil && p.Issuer == q.Issuer && p.ClientID == q.ClientID
}

func sameProvider(a, b *IdentityProvider) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.SameRegistration(b) && a.Required == b.Required && a.CA == b.CA &&
		a.ClientSecret == b.ClientSecret && bytes.Equal(a.Sealed, b.Sealed) &&
		slices.Equal(a.Scopes, b.Scopes) && slices.Equal(a.Domains, b.Domains) && slices.Equal(a.TrustedAMR, b.TrustedAMR)
}

// providerFields are what changes tell of a provider; of its secret only that
// there is one, and whether it is another one.
func providerFields(p *IdentityProvider) []field {
	if p == nil {
		p = &IdentityProvider{}
	}
	secret, ca := "", ""
	switch {
	case p.ClientSecret != "":
		secret = "given"
	case len(p.Sealed) > 0:
		secret = "sealed " + strings.TrimPrefix(TextHash(string(p.Sealed)), "sha256:")[:12]
	}
	if p.CA != "" {
		ca = TextHash(p.CA)
	}
	required := ""
	if p.Issuer != "" {
		required = flag(p.Required)
	}
	const at = "identity_provider."
	return []field{
		{at + "issuer", p.Issuer}, {at + "client_id", p.ClientID}, {at + "client_secret", secret}, {at + "scopes", list(p.Scopes)},
		{at + "domains", list(p.Domains)}, {at + "trusted_amr", list(p.TrustedAMR)}, {at + "required", required}, {at + "ca", ca},
	}
}

const (
	maxSecret   = 1024
	maxProvided = 32 // scopes, domains or amr values
)

func (c *checker) oneProvider(o object, v *Vendor) {
	p := v.IdentityProvider
	if p == nil {
		return
	}
	const at = "identity_provider."
	if why := badIssuer(p.Issuer); why != "" {
		o.fault(at+"issuer", "%s", why)
	}
	o.text(at+"client_id", p.ClientID, maxTitle)
	if len(p.ClientSecret) > maxSecret || badRune(p.ClientSecret, "") != "" {
		o.fault(at+"client_secret", "must be one line of at most %d bytes", maxSecret)
	}
	if p.SecretFile != "" && p.SecretEnv != "" {
		o.fault(at+"client_secret_env", "and client_secret_file exclude each other")
	}
	for _, l := range []struct {
		name  string
		words []string
	}{{"scopes", p.Scopes}, {"trusted_amr", p.TrustedAMR}} {
		name, words := l.name, l.words
		if len(words) > maxProvided {
			o.fault(at+name, "holds more than %d", maxProvided)
			continue
		}
		o.each(at+name, words, func(field, s string) {
			if !word(s) {
				o.fault(field, "%q must be a word without spaces or quotes", s)
			}
		})
	}
	c.providerDomains(o, v)
	if p.CA != "" {
		if why := badCertificates(p.CA); why != "" {
			o.fault(at+"ca", "%s", why)
		}
	}
}

// providerDomains holds domains to one vendor each: the provider of one must
// not be able to vouch for another's people.
func (c *checker) providerDomains(o object, v *Vendor) {
	const at = "identity_provider.domains"
	domains := v.IdentityProvider.Domains
	switch {
	case len(domains) == 0:
		o.fault(at, "is missing: name the mail domains that this provider may vouch for")
	case len(domains) > maxProvided:
		o.fault(at, "holds more than %d", maxProvided)
	}
	o.each(at, domains, func(field, s string) {
		canonical, err := CanonicalHost(s)
		switch {
		case err != nil:
			o.fault(field, "%v", err)
		case canonical != s:
			o.fault(field, "%q must be written %q", s, canonical)
		case !strings.Contains(s, "."):
			o.fault(field, "%q is no mail domain", s)
		case c.domains[s] != "" && c.domains[s] != v.Name:
			o.fault(field, "%q is a domain of vendor %s already", s, c.domains[s])
		default:
			c.domains[s] = v.Name
		}
	})
}

// word reports whether s can be a scope or an amr value (RFC 6749 section 3.3).
func word(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

// badIssuer says what is wrong with an issuer's URL (OpenID Connect Discovery
// 1.0 section 3).
func badIssuer(s string) string {
	const example = "write it as https://login.example.com"
	u, err := url.Parse(s)
	switch {
	case s == "":
		return "is missing"
	case err != nil || len(s) > 1024 || badRune(s, "") != "" || !utf8.ValidString(s):
		return "is no URL: " + example
	case u.User != nil:
		return "holds a name or a password" // not repeated here: it is a secret
	case u.Scheme != "https":
		return fmt.Sprintf("%q is not https: %s", s, example)
	case u.Hostname() == "" || u.Opaque != "":
		return fmt.Sprintf("%q names no host: %s", s, example)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return fmt.Sprintf("%q has a query or a fragment: an issuer has none", s)
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.Zone() != "" {
		return fmt.Sprintf("%q has a zone", s)
	}
	return ""
}

var providerFieldNames = []string{"issuer", "client_id", "client_secret_file", "client_secret_env", "scopes", "domains", "trusted_amr", "required", "ca"}

// provider reads a vendor's provider; the word none takes it away, and saying
// nothing leaves it as it is.
func (r *reader) provider(n ast.Node, at string, to *Vendor) (fields []fieldLine, ok bool) {
	to.providerUnsaid = false
	if s, isText := n.(*ast.StringNode); isText {
		if s.Value != "none" {
			r.fault(lineOf(n), at, "must be a mapping of fields, or the word none to take the provider away")
			return nil, false
		}
		return nil, true
	}
	p := &IdentityProvider{}
	fields, ok = r.mapping(n, at, providerFieldNames, func(key, at string, v ast.Node) bool {
		switch key {
		case "issuer":
			return r.text(v, at, &p.Issuer)
		case "client_id":
			return r.text(v, at, &p.ClientID)
		case "client_secret_file":
			return r.text(v, at, &p.SecretFile)
		case "client_secret_env":
			return r.text(v, at, &p.SecretEnv)
		case "scopes":
			return r.list(v, at, &p.Scopes)
		case "domains":
			return r.list(v, at, &p.Domains)
		case "trusted_amr":
			return r.list(v, at, &p.TrustedAMR)
		case "required":
			return r.bool(v, at, &p.Required)
		default:
			return r.text(v, at, &p.CA)
		}
	})
	to.IdentityProvider = p
	return below("identity_provider", fields), ok
}

// provider writes a vendor's provider without its secret: a file that is
// applied without one keeps the one that is stored.
func (w *writer) provider(p *IdentityProvider) {
	if p == nil {
		return
	}
	w.line(4, "identity_provider:")
	w.text(6, "issuer", p.Issuer)
	w.text(6, "client_id", p.ClientID)
	w.list(6, "scopes", p.Scopes)
	w.list(6, "domains", p.Domains)
	w.list(6, "trusted_amr", p.TrustedAMR)
	w.flag(6, "required", p.Required)
	w.block(6, "ca", p.CA)
}

// ProviderOf returns the vendor whose provider may vouch for a mail domain, in
// canonical form.
func (s *Snapshot) ProviderOf(domain string) (*Vendor, bool) {
	v, ok := s.providers[domain]
	return v, ok
}

// AnyProvider reports whether some vendor's people can sign in through a
// provider of their own.
func (s *Snapshot) AnyProvider() bool { return len(s.providers) > 0 }

func (s *Snapshot) indexProviders() {
	s.providers = map[string]*Vendor{}
	for i := range s.d.Vendors {
		v := &s.d.Vendors[i]
		if v.IdentityProvider == nil || v.Suspended {
			continue
		}
		for _, d := range v.IdentityProvider.Domains {
			s.providers[d] = v
		}
	}
}
