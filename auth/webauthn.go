package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/ringfence/ringfence/policy"
)

// factorKey is the factor that a passkey or security key proves.
const factorKey = policy.FactorWebAuthn

// Actions of the records about keys. All are of type login.
const (
	actionKeyAdd    = "webauthn.add"
	actionKeyRemove = "webauthn.remove"
	actionKeyRename = "webauthn.rename"
	actionKeyUsed   = "webauthn.used"
	actionKeyFailed = "webauthn.failed"
	actionKeyCloned = "webauthn.cloned"
	actionKeyAllow  = "webauthn.allow"
)

// What account owners are told about their keys.
const (
	NoticeKeyAdded   NoticeKind = "webauthn.add"    // Detail: name
	NoticeKeyRemoved NoticeKind = "webauthn.remove" // Detail: name; by, when an administrator did it
	NoticeKeyCloned  NoticeKind = "webauthn.cloned" // Detail: name
	NoticeKeyAllowed NoticeKind = "webauthn.allow"  // an administrator lets the account add its first key
)

// Errors about keys that callers act upon.
var (
	// ErrKeyRefused means that a key's answer was not right: it is of another
	// key, site or question, or nobody touched the key.
	ErrKeyRefused = errors.New("this key was not accepted")
	// ErrKeyCloned means that a key's answer was right, but that its count was
	// used before: a copy of the key may exist.
	ErrKeyCloned = errors.New("this key answered with a count that was used before")
	// ErrCeremonyEnded means that a question to a key was answered before or
	// took too long: ask again.
	ErrCeremonyEnded = errors.New("this question to the key has ended")
	// ErrNoKeys means that the account has no key, or that the gate's host
	// cannot have any, such as an address of numbers.
	ErrNoKeys = errors.New("there is no key for this account")
	// ErrKeyTaken means that the key is in use already.
	ErrKeyTaken = errors.New("this key is in use already")
	// ErrKeyNotAllowed means that a first key may not be added here: an
	// administrator has to allow it.
	ErrKeyNotAllowed = errors.New("a first key needs an administrator's permission")
)

const (
	// MaxKeys is how many keys an account may have.
	MaxKeys = 10
	// MaxKeyName is how long a key's name may be, in bytes.
	MaxKeyName = 64
	// MaxKeyAnswer is how large a key's answer may be, in bytes.
	MaxKeyAnswer = 32 << 10

	ceremonyLife  = 5 * time.Minute
	maxCeremonies = 20 // of one sign-in or session within ceremonyLife
	allowanceLife = 24 * time.Hour
	// enrolledFor is how long the session that an enrolment began may add a first key.
	enrolledFor = time.Hour
)

// Purposes of a [Ceremony].
const (
	ceremonyRegister = "register"
	ceremonyLogin    = "login"
	ceremonyConfirm  = "confirm"
)

// algorithms are what a key may sign with: ES256, EdDSA and RS256.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// newRelyingParty returns the gate as keys know it, and nil when its host
// cannot be one, such as an IP address. The origin is the gate's URL with its
// port; frames of other sites are refused.
func newRelyingParty(c *Config) (*webauthn.WebAuthn, error) {
	if protocol.ValidateRPID(c.GateHost) != nil {
		return nil, nil
	}
	// A browser leaves the scheme's own port out (RFC 6454 section 6.2).
	origin := strings.ToLower(c.Issuer)
	if scheme, _, _ := strings.Cut(origin, ":"); scheme == "https" {
		origin = strings.TrimSuffix(origin, ":443")
	}
	return webauthn.New(&webauthn.Config{
		RPID: c.GateHost, RPDisplayName: c.Organisation, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
		},
		// Some password managers answer extensions that nobody asked for. None is used here.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Timeout: ceremonyLife, TimeoutUVD: ceremonyLife},
			Registration: webauthn.TimeoutConfig{Timeout: ceremonyLife, TimeoutUVD: ceremonyLife},
		},
	})
}

// A keyOwner is an account as the library sees it.
type keyOwner struct {
	account *Account
	keys    []webauthn.Credential
}

// WebAuthnID is the user handle: it names the account to its own devices and
// says nothing about the person (WebAuthn section 14.6.1).
func (o *keyOwner) WebAuthnID() []byte {
	sum := sha256.Sum256([]byte("ringfence 1 user handle " + o.account.ID))
	return sum[:]
}

// WebAuthnName is what the device shows beside the key.
func (o *keyOwner) WebAuthnName() string { return o.account.Email }

// WebAuthnDisplayName is the person's name, as the device may show it.
func (o *keyOwner) WebAuthnDisplayName() string { return or(o.account.Name, o.account.Email) }

// WebAuthnCredentials are the account's keys.
func (o *keyOwner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

// SecurityKeys returns the account's keys, the oldest first.
func (s *Service) SecurityKeys(ctx context.Context, account string) ([]SecurityKey, error) {
	keys, err := s.cfg.Store.SecurityKeysOf(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return keys, nil
}

// KeysPossible reports whether the gate's host can have keys at all.
func (s *Service) KeysPossible() bool { return s.relyingParty != nil }

// owner reads an account's keys for the library.
func (s *Service) owner(ctx context.Context, a *Account) (*keyOwner, []SecurityKey, error) {
	keys, err := s.SecurityKeys(ctx, a.ID)
	if err != nil {
		return nil, nil, err
	}
	o := &keyOwner{account: a}
	for _, k := range keys {
		plain, err := s.seal.open("security_key", "record", k.place(), k.Record)
		if err != nil {
			return nil, nil, fmt.Errorf("reading key: %w", err)
		}
		var c webauthn.Credential
		if err := json.Unmarshal(plain, &c); err != nil {
			return nil, nil, fmt.Errorf("reading key: %w", err)
		}
		c.Authenticator.SignCount = k.SignCount
		o.keys = append(o.keys, c)
	}
	return o, keys, nil
}

// place names a key's row, for its sealed record.
func (k *SecurityKey) place() string { return k.Account + "/" + k.ID }

// sealRecord puts the library's record into k.
func (s *Service) sealRecord(k *SecurityKey, c *webauthn.Credential) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding key: %w", err)
	}
	k.Record = s.seal.seal("security_key", "record", k.place(), plain)
	return nil
}

// A KeyQuestion is what a page asks a key.
type KeyQuestion struct {
	ID      string // goes back with the answer
	Options []byte // JSON: what navigator.credentials.create or .get takes
}

// ask keeps a question of a purpose for whoever bound names.
func (s *Service) ask(ctx context.Context, a *Account, purpose, bound string, options any, state *webauthn.SessionData) (KeyQuestion, error) {
	shown, err := json.Marshal(options)
	if err != nil {
		return KeyQuestion{}, fmt.Errorf("encoding question to key: %w", err)
	}
	kept, err := json.Marshal(state)
	if err != nil {
		return KeyQuestion{}, fmt.Errorf("encoding question to key: %w", err)
	}
	now := s.now()
	q := KeyQuestion{ID: NewSecret(), Options: shown}
	c := Ceremony{Hash: hashSecret(q.ID), Account: a.ID, Purpose: purpose, Bound: bound, Expires: now.Add(ceremonyLife)}
	c.State = s.seal.seal("key_ceremony", "state", c.place(), kept)
	stored, err := s.cfg.Store.PutCeremony(ctx, c, maxCeremonies, now)
	if err != nil {
		return KeyQuestion{}, fmt.Errorf("storing question to key: %w", err)
	}
	if !stored {
		return KeyQuestion{}, &ThrottledError{RetryAfter: ceremonyLife}
	}
	return q, nil
}

// answered takes a question back: it is good once, for the purpose, account,
// and sign-in or session that it was asked for.
func (s *Service) answered(ctx context.Context, id string, a *Account, purpose, bound string) (*webauthn.SessionData, error) {
	c, err := s.cfg.Store.TakeCeremony(ctx, hashSecret(id))
	if errors.Is(err, ErrNotFound) {
		return nil, ErrCeremonyEnded
	}
	if err != nil {
		return nil, fmt.Errorf("reading question to key: %w", err)
	}
	if c.Account != a.ID || c.Purpose != purpose || c.Bound != bound || !s.now().Before(c.Expires) {
		return nil, ErrCeremonyEnded
	}
	plain, err := s.seal.open("key_ceremony", "state", c.place(), c.State)
	if err != nil {
		return nil, fmt.Errorf("reading question to key: %w", err)
	}
	state := new(webauthn.SessionData)
	if err := json.Unmarshal(plain, state); err != nil {
		return nil, fmt.Errorf("reading question to key: %w", err)
	}
	return state, nil
}

// place names a ceremony's row, for its sealed state.
func (c *Ceremony) place() string { return c.Hash + "/" + c.Purpose + "/" + c.Bound }

// boundTo names a session as it is now: its next cookie is another.
func boundTo(id string, epoch int64) string { return fmt.Sprintf("session:%s.%d", id, epoch) }

func boundToFlow(hash string) string { return "flow:" + hash }
