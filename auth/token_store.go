package auth

import (
	"context"
	"time"
)

// A TokenKind says what a [Token] was made for.
type TokenKind string

// The kinds of tokens.
const (
	TokenPortal  TokenKind = ""        // made on the portal's page: a bearer token of at most an hour
	TokenMachine TokenKind = "machine" // asked for by a machine that somebody has signed in
	TokenAccess  TokenKind = "access"  // a personal access token, for a machine that cannot sign in
)

// Values of [DeviceGrant.Status].
const (
	GrantPending  = "pending"
	GrantApproved = "approved"
	GrantDenied   = "denied"
)

// A DeviceGrant is a machine's request to be signed in (RFC 8628), from the
// moment it asks until it has its answer.
type DeviceGrant struct {
	ID         string // opaque; names it on the page of whoever approves
	DeviceHash string // hash of the device code, which the machine alone has
	UserHash   string // hash of the code that a person re-types, as normalised
	Key        string // RFC 7638 thumbprint of the machine's key
	Name       string // what the machine calls itself: the client's own words
	Program    string // its user agent: the client's own words
	IP         string // where it asks from
	Network    string // what asks are limited by
	Created    time.Time
	Expires    time.Time

	Session string // the session in which the code was typed last; approval is up to it alone
	Status  string

	// Set by the approval.
	Account    string
	ApprovedIP string
	Ends       time.Time // absolute end of the approving session: of the machine's sign-in too
	PasswordAt time.Time
	CodeAt     time.Time
	CodeFactor string
	KeyAt      time.Time
}

// DeviceGrants keeps requests of machines to be signed in.
type DeviceGrants interface {
	// PutDeviceGrant must store the grant unless perNetwork of its network or
	// overall are there that expire after g.Created, and report whether it did.
	PutDeviceGrant(ctx context.Context, g DeviceGrant, perNetwork, overall int) (bool, error)
	// DeviceGrant must return the grant with the id, expired or not, or [ErrNotFound].
	DeviceGrant(ctx context.Context, id string) (DeviceGrant, error)
	// DeviceGrantOf must return the grant with the hash of a device code, or [ErrNotFound].
	DeviceGrantOf(ctx context.Context, deviceHash string) (DeviceGrant, error)
	// EnterDeviceGrant must make session the one that typed the code of a
	// pending grant that has not expired at now, and return it, or [ErrNotFound].
	EnterDeviceGrant(ctx context.Context, userHash, session string, now time.Time) (DeviceGrant, error)
	// SettleDeviceGrant must store g's Status and what the approval sets, if
	// the grant is pending and was typed in g.Session, in one conditional
	// update, and report whether it did: of several callers one wins. Without a
	// row of the session it must do nothing: what has ended approves nothing.
	SettleDeviceGrant(ctx context.Context, g DeviceGrant) (bool, error)
	// TakeDeviceGrant must remove the grant and report whether it was there:
	// of several callers one wins.
	TakeDeviceGrant(ctx context.Context, id string) (bool, error)
	// TakeDeviceTry must count one try of the account to type a code, unless
	// perAccount of its own or overall of all accounts' tries since since are
	// counted already, and report whether it did. Counts and check are one step.
	TakeDeviceTry(ctx context.Context, account string, now, since time.Time, perAccount, overall int) (bool, error)
	// ReturnDeviceTry must uncount the try that the account took at at: it was right.
	ReturnDeviceTry(ctx context.Context, account string, at time.Time) error
	// ExpireDeviceGrants must remove grants that expired before now and tries before since.
	ExpireDeviceGrants(ctx context.Context, now, since time.Time) error
}

// A Machine is a computer on which somebody has signed in from the command
// line. Its secret is worth nothing without the private key behind Key.
type Machine struct {
	ID      string
	Account string
	Hash    string // hexadecimal SHA-256 of its secret
	Key     string // RFC 7638 thumbprint of its key
	Name    string // what it calls itself
	Program string
	Session string // the session that approved it
	Created time.Time
	Ends    time.Time // the approving session's absolute end

	PasswordAt time.Time
	CodeAt     time.Time
	CodeFactor string
	KeyAt      time.Time

	IP         string // where it asked from
	ApprovedIP string
	LastUsed   time.Time
	LastIP     string
}

// A TokenUse is when and from where a token or machine was used last.
type TokenUse struct {
	At time.Time
	IP string
}

// Machines keeps the machines that are signed in.
type Machines interface {
	// PutMachine must, all or nothing, remove the approved grant of the
	// account and store the new machine, and report whether it did: of several
	// callers one wins, and what removes the grant first removes the machine.
	PutMachine(ctx context.Context, m Machine, grant string) (bool, error)
	// Machines must return every machine.
	Machines(ctx context.Context) ([]Machine, error)
	// DeleteMachines must remove the machines and all tokens made for them, all
	// or nothing; ids without a row are passed over.
	DeleteMachines(ctx context.Context, ids []string) error
	// TouchTokens must set when tokens and machines, by id, were used last; ids
	// without a row are passed over.
	TouchTokens(ctx context.Context, used map[string]TokenUse) error
}
