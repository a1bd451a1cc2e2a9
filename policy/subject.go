package policy

import "slices"

// A Role is what an account may do. The zero Role may nothing.
type Role string

// The roles. An account may hold several, except that a contractor holds no other.
const (
	Contractor    Role = "contractor"
	Administrator Role = "administrator"
	Approver      Role = "approver"
	Reviewer      Role = "reviewer"
)

// Roles lists every role, in the order in which pages show them.
var Roles = []Role{Contractor, Administrator, Approver, Reviewer}

// Valid reports whether r is one of [Roles].
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// Names of the factors a person can prove, as keys of [Subject.Factors].
const (
	FactorPassword = "password"
	FactorTOTP     = "totp"
	FactorRecovery = "recovery"
	// FactorExternal is a first factor: the vendor's identity provider vouched
	// for the person.
	FactorExternal = "external"
	// FactorProvider is a second factor that the person gave at the vendor's
	// identity provider. It counts under engagements that trust it, and nowhere else.
	FactorProvider = "provider"
	FactorWebAuthn = "webauthn" // a passkey or security key: resists phishing
)

// Names of the credentials that a request can carry, as in [Subject.Credential].
const (
	CredentialSession     = "session"
	CredentialToken       = "token"
	CredentialAccessToken = "access_token"
)

// A Subject is who asks. The zero Subject is [Anonymous].
type Subject struct {
	Account string `json:"account,omitempty"` // opaque, stable account id
	Email   string `json:"email,omitempty"`
	Vendor  string `json:"vendor,omitempty"` // vendor name; empty for the customer's own people
	Roles   []Role `json:"roles,omitempty"`
	Session string `json:"session,omitempty"` // session id, stable over the session's life
	// Credential is how the request proved the session: [CredentialSession]
	// for the cookie, [CredentialToken] for a token of at most an hour,
	// [CredentialAccessToken] for a personal one of a machine that cannot sign in.
	Credential string `json:"credential,omitempty"`
	// TokenCluster is the one cluster that a token is good for.
	TokenCluster string `json:"token_cluster,omitempty"`
	// TokenBinding says what a token is bound to: [BindingKey], [BindingNetwork], or empty for nothing.
	TokenBinding string `json:"token_binding,omitempty"`
	// TokenScope is what a personal access token is narrowed to; nil for every other credential.
	TokenScope *TokenScope `json:"token_scope,omitempty"`
	// Factors holds, for each factor proved in this session, the whole
	// seconds since it was last proved.
	Factors map[string]int64 `json:"factors,omitempty"`
	// Refused says why a token that was shown does not count, for the answer and
	// the record; policies do not see it. The subject is [Anonymous] otherwise.
	Refused *TokenRefusal `json:"-"`
}

// Anonymous is the subject of a request without a session: a value, not an error.
var Anonymous = Subject{}

// IsAnonymous reports whether nobody is signed in.
func (s Subject) IsAnonymous() bool { return s.Account == "" }

// CodeAge returns the seconds since the newest second factor was proved here,
// and false when none was. What a vendor's identity provider says is not among
// them; see [Subject.CodeAgeUnder].
func (s Subject) CodeAge() (int64, bool) { return s.codeAge(false) }

// CodeAgeUnder is [Subject.CodeAge] for a request that the facts are about:
// under an engagement that trusts it, a second factor given at the vendor's
// identity provider counts as well.
func (s Subject) CodeAgeUnder(d *Document) (int64, bool) {
	f := d.Facts()
	return s.codeAge(f != nil && f.Engagement != nil && f.Engagement.TrustProviderFactor)
}

func (s Subject) codeAge(trusted bool) (int64, bool) {
	age, ok := int64(0), false
	for name, a := range s.Factors {
		switch {
		case name == FactorPassword, name == FactorExternal, name == FactorProvider && !trusted:
		case !ok || a < age:
			age, ok = a, true
		}
	}
	return age, ok
}

// ByToken reports whether s proved itself with a token of any kind, which no
// browser sends by itself.
func (s Subject) ByToken() bool {
	return s.Credential == CredentialToken || s.Credential == CredentialAccessToken
}

// Has reports whether s holds role r.
func (s Subject) Has(r Role) bool { return slices.Contains(s.Roles, r) }
