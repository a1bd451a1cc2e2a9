package config

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// PolicyBundle names a signed policy bundle in OPA's format. With one, the
// console shows policies and changes none.
type PolicyBundle struct {
	// File is the bundle on this machine. One of File and URL is given.
	File string `yaml:"file"`
	// URL is where the bundle is fetched, https. Redirects are not followed.
	URL string `yaml:"url"`
	// PublicKey is a PEM file with the public key that must have signed the
	// bundle. Required: an unsigned bundle is refused. Danger: whoever holds the
	// private key changes policies without a second person's approval.
	PublicKey string `yaml:"public_key"`
	// KeyID is the name that the signature must give to its key. Default: any.
	KeyID string `yaml:"key_id"`
	// Algorithm is that of the signature: RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384 or ES512. Default "ES256".
	Algorithm string `yaml:"algorithm"`
	// Scope is the scope that the signature must have. Default: none.
	Scope string `yaml:"scope"`
	// Poll is how often a newer bundle is looked for. Default 1m; 5s to 24h.
	Poll time.Duration `yaml:"poll"`
	// Timeout is how long one fetch may take. Default 30s; 1s to 5m.
	Timeout time.Duration `yaml:"timeout"`
	// CAFile holds PEM certificates that are trusted for the connection to URL.
	// Default: the system's.
	CAFile string `yaml:"ca_file"`
	// TokenFile holds a bearer token that is shown to the server at URL,
	// readable by the service alone. It is read at each fetch. Default: none.
	TokenFile string `yaml:"token_file"`
}

// Enabled reports whether policies come from a bundle.
func (b PolicyBundle) Enabled() bool { return b.File != "" || b.URL != "" }

// bundleAlgorithms are the signatures that rego takes.
var bundleAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}

func (d *decoder) policyBundle(c *Config) {
	const at = "policy_bundle"
	b := &c.PolicyBundle
	if !d.given(at) {
		return
	}
	switch {
	case b.File == "" && b.URL == "":
		d.bad(at, "names no bundle: give its file or its url, or remove the group")
	case b.File != "" && b.URL != "":
		d.bad(at+".url", "is given beside policy_bundle.file: keep one of them")
	}
	if c.Policies != "" {
		d.bad(at, "is given beside policies: policies come from one place, remove one of them")
	}
	if b.URL != "" {
		u, err := url.Parse(b.URL)
		switch {
		case err != nil || u.Scheme != "https" || u.Host == "":
			d.bad(at+".url", "is not an https URL: write it as https://host/path")
		case u.User != nil || u.Fragment != "":
			d.bad(at+".url", "holds a name, a password or a mark: put a token into policy_bundle.token_file")
		}
	}
	for _, only := range []struct{ name, value string }{{"ca_file", b.CAFile}, {"token_file", b.TokenFile}} {
		if only.value != "" && b.URL == "" {
			d.bad(at+"."+only.name, "is of no use without policy_bundle.url")
		}
	}
	if b.PublicKey == "" {
		d.bad(at+".public_key", "is missing: name the PEM file of the key that signs the bundle; an unsigned one is refused")
	}
	if !slices.Contains(bundleAlgorithms, b.Algorithm) {
		d.bad(at+".algorithm", "%s is none of %s", quote(b.Algorithm), strings.Join(bundleAlgorithms, ", "))
	}
	between(d, at+".poll", b.Poll, 5*time.Second, 24*time.Hour)
	between(d, at+".timeout", b.Timeout, time.Second, 5*time.Minute)
}
