package auth

import (
	"context"
	"net/netip"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Accounts reads the directory's accounts.
type Accounts interface {
	// Account must return the account with the id, or [ErrNotFound].
	Account(ctx context.Context, id string) (Account, error)
	// AccountByEmail must return the account whose canonical address email is, or [ErrNotFound].
	AccountByEmail(ctx context.Context, email string) (Account, error)
	// SignedIn must return every account that has a session or a token row.
	SignedIn(ctx context.Context) ([]Account, error)
}

// A Credential is what an account proves itself with. The zero Credential
// belongs to an account that is not enrolled.
type Credential struct {
	PasswordHash string       // PHC string; empty: no password
	PasswordSet  time.Time    // when
	Confirmed    time.Time    // when the oldest of Devices and keys was added; zero: there is none
	Devices      []TOTPDevice // oldest first
	Recovery     []RecoveryCode
	LastLogin    time.Time // the newest session's start
	LastIP       string
}

// A RecoveryCode is one of an account's recovery codes, hashed.
type RecoveryCode struct {
	Slot int    // from 0
	Hash string // PHC string; all codes of a set share one salt, so that one hash checks a try
	Used time.Time
}

// Credentials keeps passwords and factors.
type Credentials interface {
	// Credential must return the account's credential; the zero Credential when there is none.
	Credential(ctx context.Context, account string) (Credential, error)
	// ReplacePassword must set the hash only if it still is old, and do
	// nothing otherwise: it renews a hash's parameters and never sets a password.
	ReplacePassword(ctx context.Context, account, old, hash string) error
	// UseRecovery must mark the code as used if it is not, in one conditional
	// update, and report whether it did.
	UseRecovery(ctx context.Context, account string, slot int, at time.Time) (bool, error)
	// ResetCredential must remove, all or nothing, the account's password,
	// devices, pending secret, keys, recovery codes, invitation, enrolments, sign-ins under way, sessions, tokens,
	// failure counts and pinned subject.
	ResetCredential(ctx context.Context, account string) error
}

// An Invitation lets an account set its password.
type Invitation struct {
	Hash    string // of the token
	Account string
	Created time.Time
	Expires time.Time
	By      string // account id of who invited, or "operator"
	Phone   string // hash of the second secret, told by telephone; empty: none
	Tries   int    // of the second secret so far
}

// Steps of an [Enrolment].
const (
	StepTOTP     = "totp"     // the factor waits for its first code
	StepRecovery = "recovery" // recovery codes wait to be noted
	StepDone     = "done"     // finished; such an enrolment has no row
)

// An Enrolment is what lies between an accepted invitation and the first session.
type Enrolment struct {
	Hash        string // of the cookie's value
	Account     string
	Step        string
	Secret      []byte // sealed TOTP secret
	Recovery    []byte // sealed recovery codes, at StepRecovery
	Expires     time.Time
	PasswordSet time.Time
	Confirmed   time.Time
	External    External // a provider's word in place of a password; then PasswordSet means nothing
}

// Invitations keeps invitations and enrolments.
type Invitations interface {
	// PutInvitation must store the invitation and remove any other of the account.
	PutInvitation(ctx context.Context, inv Invitation) error
	// Invitation must return the invitation with the hash, expired or not, or [ErrNotFound].
	Invitation(ctx context.Context, hash string) (Invitation, error)
	// AcceptInvitation must, all or nothing, remove the invitation, set the
	// account's password (none when passwordHash is empty) and put the enrolment in place of any other of the
	// account. Of several callers one wins; the others get [ErrNotFound].
	AcceptInvitation(ctx context.Context, hash, passwordHash string, e Enrolment) error
	// Enrolment must return the enrolment with the hash, expired or not, or [ErrNotFound].
	Enrolment(ctx context.Context, hash string) (Enrolment, error)
	// ConfirmEnrolment must, all or nothing, move the enrolment from StepTOTP
	// to StepRecovery with e's Recovery and Confirmed, and make factor's
	// Devices and Recovery the account's only ones. Of several callers one
	// wins; the others get [ErrNotFound].
	ConfirmEnrolment(ctx context.Context, e Enrolment, factor Credential) error
	// EndEnrolment must remove an enrolment at StepRecovery. Of several
	// callers one wins; the others get [ErrNotFound].
	EndEnrolment(ctx context.Context, hash string) error
}

// A Flow is a sign-in under way: the password was right, or a provider vouched
// for the person, and the code is awaited.
type Flow struct {
	Hash       string // of the cookie's value
	Account    string
	PasswordAt time.Time
	Expires    time.Time
	External   External // a provider's word in place of a password
}

// Failures counts the wrong codes of one lane of an account: the lane "" is
// the account's as a whole, the others are networks it has signed in from.
type Failures struct {
	Count  int       // since the last right code on this lane
	Total  int       // since Since, right codes in between or not
	Since  time.Time // start of the window of Total
	Next   time.Time // no try is looked at before
	Unseen int       // lane "" only: wrong codes anywhere since the last sign-in
	Known  time.Time // network lanes: the last sign-in from there
	Told   bool      // a refused try since the last failure has been recorded
	Warned time.Time // lane "" only: when the owner was warned last
}

// Logins keeps sign-ins under way and the counts of wrong codes.
type Logins interface {
	// PutFlow must store the flow.
	PutFlow(ctx context.Context, f Flow) error
	// Flow must return the flow with the hash, expired or not, or [ErrNotFound].
	Flow(ctx context.Context, hash string) (Flow, error)
	// TakeFlow must remove the flow and report whether it was there: of several callers one wins.
	TakeFlow(ctx context.Context, hash string) (bool, error)
	// Failures must return the account's lanes.
	Failures(ctx context.Context, account string) (map[string]Failures, error)
	// EditFailures must let edit change the account's lanes, alone: no other
	// edit of this account, in any process, may run between its reading and
	// its writing. Lanes that edit removes are removed. edit may run more than once.
	EditFailures(ctx context.Context, account string, edit func(lanes map[string]Failures)) error
	// ClearFailures must remove the counts of every lane of the account, and may remove the lanes.
	ClearFailures(ctx context.Context, account string) error
	// Expire must remove flows, invitations, enrolments, pending secrets,
	// ceremonies and key allowances that expired before now.
	Expire(ctx context.Context, now time.Time) error
}

// A StoredSession is a session's row.
type StoredSession struct {
	ID         string
	Account    string
	Epoch      int64 // cookies of another epoch are void
	Created    time.Time
	LastSeen   time.Time
	Ends       time.Time // absolute end
	PasswordAt time.Time
	CodeAt     time.Time
	CodeFactor string    // policy.FactorTOTP or policy.FactorRecovery
	KeyAt      time.Time // when a passkey or security key was proved; zero: never
	External   External

	IP, UserAgent string
	LastLogin     time.Time // the session before this one
	LastIP        string
	FailedCodes   int // wrong codes between that one and this
	RecoveryLeft  int

	Device                string    // id of the device it began on; empty: unknown
	Network               string    // that it was last begun or resumed from, as network returns it
	NewDevice, NewNetwork bool      // to the account, at that moment
	IdleSince             time.Time // not in force since; zero: it is not idle
	Opened                []string  // hosts of clusters that it was carried to, in order
}

// Sessions keeps session rows.
type Sessions interface {
	// PutSession must store a new session, make its start the account's last
	// sign-in and its Network, unless empty, known to the account.
	PutSession(ctx context.Context, s StoredSession) error
	// Sessions must return every session row.
	Sessions(ctx context.Context) ([]StoredSession, error)
	// RotateSession must replace the row's epoch, code, key and recovery fields by
	// s's if its epoch still is from, and return [ErrNotFound] otherwise.
	RotateSession(ctx context.Context, s StoredSession, from int64) error
	// TouchSessions must set when sessions were last seen; ids without a row are passed over.
	TouchSessions(ctx context.Context, seen map[string]time.Time) error
	// DeleteSessions must remove the rows; ids without one are passed over.
	DeleteSessions(ctx context.Context, ids []string) error
	// EndAccount must remove, all or nothing, every session, token, machine,
	// approved grant and sign-in under way of the account.
	EndAccount(ctx context.Context, account string) error
}

// A Token is a command-line credential as its owner sees it. Its secret is
// shown once and kept as a hash only.
type Token struct {
	ID      string
	Account string
	Cluster string // the one cluster it is good for
	Name    string // what the owner calls it
	Session string // the session that issued it
	Created time.Time
	Expires time.Time

	PasswordAt time.Time
	CodeAt     time.Time
	CodeFactor string
	KeyAt      time.Time
	Hash       string // hexadecimal SHA-256 of the secret

	Kind     TokenKind
	Machine  string         // id of the [Machine] that asked for it; empty: none did
	Key      string         // RFC 7638 thumbprint of the key it is bound to; empty: none
	Networks []netip.Prefix // where it may be used from; nil: anywhere
	Scope    *policy.TokenScope
	LastUsed time.Time // to the second, written in batches; zero: never
	LastIP   string
}

// Tokens keeps token rows.
type Tokens interface {
	// PutToken must store the token if the account's Machine, or Session where it names
	// no machine, has a row, in one step, and return [ErrNotFound] otherwise:
	// what another process has ended makes no tokens.
	PutToken(ctx context.Context, t Token) error
	// AllTokens must return every token row.
	AllTokens(ctx context.Context) ([]Token, error)
	// DeleteTokens must remove the rows; ids without one are passed over.
	DeleteTokens(ctx context.Context, ids []string) error
}

// A SigningKey is a key that signs tokens, its private half sealed.
type SigningKey struct {
	ID      string
	Purpose string // "session" or "assertion"
	Sealed  []byte
	Created time.Time
}

// Keys keeps signing keys.
type Keys interface {
	// EnsureKey must store k if no key of its purpose was created at or after
	// since, and return every key of that purpose: two processes that start
	// together must agree on one.
	EnsureKey(ctx context.Context, k SigningKey, since time.Time) ([]SigningKey, error)
	// DeleteKeys must remove keys of the purpose that were created before before.
	DeleteKeys(ctx context.Context, purpose string, before time.Time) error
}

// Store is everything that a [Service] keeps. It must pass authtest.TestStore.
type Store interface {
	Accounts
	Credentials
	Invitations
	Logins
	Sessions
	Tokens
	Keys
	Rotation
	Notices
	IdentityProviders
	SecurityKeys
	SessionStates
	TOTPDevices
	RecoveryStore
	DeviceGrants
	Machines
}
