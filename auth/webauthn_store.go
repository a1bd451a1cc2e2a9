package auth

import (
	"context"
	"time"
)

// How a [SecurityKey] came to its account: what was proved when it was added.
const (
	BoundEnrolment     = "enrolment"     // in the session that an enrolment began
	BoundAdministrator = "administrator" // after an administrator allowed it
	BoundKey           = "key"           // with another key of the account
	BoundCode          = "code"          // with a code of an authenticator app
)

// A SecurityKey is a passkey or security key of an account: the public half of
// a key that the person's device keeps, bound to the gate's host.
type SecurityKey struct {
	ID           string
	Account      string
	Name         string // what the owner calls it
	CredentialID []byte // chosen by the device; one in the whole deployment
	// Record is the credential record of the WebAuthn library, sealed for this
	// row: whoever can write to the database cannot put a key of their own there.
	Record         []byte
	SignCount      uint32 // 0: the device does not count
	BackupEligible bool   // a passkey that may be copied to the owner's other devices
	BackedUp       bool   // and has been
	Transports     []string
	Bound          string // one of BoundEnrolment and its like
	Created        time.Time
	LastUsed       time.Time // zero: never
	LastIP         string
	Cloned         time.Time // when it answered with a count that was used before; zero: never
}

// Authenticator returns the key as one among its owner's second factors.
func (k *SecurityKey) Authenticator() Authenticator {
	return Authenticator{ID: k.ID, Account: k.Account, Name: k.Name, Kind: factorKey, Created: k.Created, LastUsed: k.LastUsed}
}

// A Ceremony is a question to a key under way. It is answered once at most.
type Ceremony struct {
	Hash    string // of the id that the page carries
	Account string
	Purpose string // one of ceremonyRegister and its like
	Bound   string // the sign-in or the session, with its epoch, that it belongs to
	State   []byte // the library's session data, sealed for this row
	Expires time.Time
}

// A KeyAllowance lets an account add its first key although an engagement
// demands one that a stolen code cannot add.
type KeyAllowance struct {
	Account string
	Session string // the one session that may use it; empty: any of the account
	By      string // account id of the administrator, or "operator"; empty: the account's own enrolment
	Expires time.Time
}

// SecurityKeys keeps passkeys and security keys.
type SecurityKeys interface {
	// SecurityKeysOf must return the account's keys, the oldest first.
	SecurityKeysOf(ctx context.Context, account string) ([]SecurityKey, error)
	// PutSecurityKey must store a new key and remove the account's allowance,
	// all or nothing. It is [ErrKeyTaken] if a key with this credential id is
	// there, whosever it is, and [ErrTooMany] if the account has most keys.
	PutSecurityKey(ctx context.Context, k SecurityKey, most int) error
	// UseSecurityKey must set the key's record, count, backup state and last
	// use to k's if the stored count is lower than k's or both are 0, in one
	// conditional update, and report whether it did.
	UseSecurityKey(ctx context.Context, k SecurityKey) (bool, error)
	// MarkCloned must set when the account's key was last found to be a copy.
	MarkCloned(ctx context.Context, account, id string, at time.Time) error
	// RenameSecurityKey must name the account's key, or return [ErrNotFound].
	RenameSecurityKey(ctx context.Context, account, id, name string) error
	// RemoveSecurityKey must, all or nothing, remove the account's key and its
	// approved grants that some key has proved. It must return [ErrNotFound] if
	// there is none, and [ErrLastFactor] if it is the only one and the account has
	// no device: of two factors that are removed at once one stays.
	RemoveSecurityKey(ctx context.Context, account, id string) error

	// PutCeremony must store c and report true, unless most ceremonies with
	// its Bound, answered or not, have not expired at now: then it does nothing.
	PutCeremony(ctx context.Context, c Ceremony, most int, now time.Time) (bool, error)
	// TakeCeremony must return the ceremony with the hash and mark it as
	// answered: of several callers one wins, the others get [ErrNotFound]. An
	// answered one must go on to count for PutCeremony until it expires.
	TakeCeremony(ctx context.Context, hash string) (Ceremony, error)

	// AllowKey must put the allowance in place of any other of the account.
	AllowKey(ctx context.Context, a KeyAllowance) error
	// KeyAllowed must return the account's allowance, expired or not, or [ErrNotFound].
	KeyAllowed(ctx context.Context, account string) (KeyAllowance, error)
}
