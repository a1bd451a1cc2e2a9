package directory

import (
	"fmt"
	"strings"
	"testing"
)

func withProvider(t *testing.T) *Directory {
	d := withIDs(example(t))
	d.Vendors[0].IdentityProvider = &IdentityProvider{Issuer: "https://login.northwind.example/realm", ClientID: "ringfence", Scopes: []string{"email", "profile"},
		Domains: []string{"northwind.example", "xn--bcher-kva.example"}, TrustedAMR: []string{"mfa", "hwk"}, Required: true, Sealed: []byte("sealed canary")}
	d.Engagements[0].TrustProviderFactor = true
	return d
}

// An export holds everything of a provider but its secret, and reads back.
func TestProvider_YAML(t *testing.T) {
	d := withProvider(t)
	b, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "canary") || strings.Contains(string(b), "secret") {
		t.Errorf("the secret is exported:\n%s", b)
	}
	file, err := ParseYAML("f.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	merged := Merge(d, file, true)
	p := merged.Vendors[0].IdentityProvider
	p.Sealed = d.Vendors[0].IdentityProvider.Sealed // which the store puts back
	if c := Diff(d, merged); len(c) != 0 {
		t.Errorf("applying the export changes %v", c)
	}
	again, err := file.YAML()
	if err != nil || string(again) != string(b) {
		t.Errorf("written again it differs: %v\n%s", err, again)
	}
}

// A file that says nothing of a provider keeps it; the word none takes it away.
func TestProvider_Merge(t *testing.T) {
	const vendor = "version: 1\nvendors:\n  - {name: northwind, title: N, owner: {name: O, email: o@example.com}%s}\n"
	for more, kept := range map[string]bool{"": true, ", identity_provider: none": false} {
		file, err := ParseYAML("f.yaml", fmt.Appendf(nil, vendor, more))
		if err != nil {
			t.Fatal(err)
		}
		d := withProvider(t)
		got := Merge(d, file, false)
		if (got.Vendors[0].IdentityProvider != nil) != kept {
			t.Errorf("%q: %v", more, got.Vendors[0].IdentityProvider)
		}
		if kept && got.Vendors[0].IdentityProvider == d.Vendors[0].IdentityProvider {
			t.Error("both share one provider")
		}
	}
}

// Neither %v nor %+v nor %#v shows what is secret.
func TestProvider_ShowsNoSecret(t *testing.T) {
	p := withProvider(t).Vendors[0].IdentityProvider
	p.ClientSecret = "plain canary"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, p) + fmt.Sprintf(verb, []*IdentityProvider{p}[0]); strings.Contains(s, "canary") {
			t.Errorf("%s shows %s", verb, s)
		}
	}
}

// A suspended vendor's provider leads nowhere.
func TestSnapshot_ProviderOf(t *testing.T) {
	d := withProvider(t)
	s, err := NewSnapshot(d, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]bool{"northwind.example": true, "xn--bcher-kva.example": true, "sub.northwind.example": false, "evil-northwind.example": false, "example": false, "": false} {
		if v, ok := s.ProviderOf(domain); ok != want || ok && v.Name != d.Vendors[0].Name {
			t.Errorf("%q: %v, %v", domain, v, ok)
		}
	}
	e := s.Directory().Engagements[0]
	if f := engagementFacts(&e); !f.TrustProviderFactor || !s.AnyProvider() {
		t.Errorf("got %+v", f)
	}
	d.Vendors[0].Suspended = true
	if s, err = NewSnapshot(d, nil, nil); err != nil || s.AnyProvider() {
		t.Errorf("a suspended vendor's provider is offered, %v", err)
	}
}
