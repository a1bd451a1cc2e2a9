package auth

import (
	"context"
	"time"
)

// MaxTOTP is how many authenticator apps an account may have: each is another
// code that a guess can hit.
const MaxTOTP = 5

// A TOTPDevice is one authenticator app of an account, confirmed.
type TOTPDevice struct {
	ID      string // opaque and never used again
	Account string
	Name    string // what its owner calls it
	Sealed  []byte // the secret, bound to this row
	// Legacy means that the secret is bound to the account instead, as before
	// devices had rows. It ends when the device is next used.
	Legacy     bool
	Created    time.Time // when its secret was made; zero: unknown
	Confirmed  time.Time // when it gave its first code
	LastStep   int64     // the newest time step spent
	LastUsed   time.Time // when a code of it was last right
	LastOffset int       // how many steps that code was from the gate's clock: -2 to 2
}

// A PendingTOTP is a secret that waits for its first code.
type PendingTOTP struct {
	ID      string // becomes the device's
	Account string
	// Owner is the session, or the enrolment's hash, that began it: no other may finish it.
	Owner   string
	Name    string
	Sealed  []byte // bound to the row that the device will have
	Created time.Time
	Expires time.Time
}

// A Spend is one step of one device that a code matched.
type Spend struct {
	Device string
	Step   int64
	Offset int // the step's distance from the gate's clock
}

// TOTPDevices keeps authenticator apps. They are also part of
// [Credentials.Credential].
type TOTPDevices interface {
	// PutPendingTOTP must store p in place of any other of its account.
	PutPendingTOTP(ctx context.Context, p PendingTOTP) error
	// PendingTOTP must return the account's, expired or not, or [ErrNotFound].
	PendingTOTP(ctx context.Context, account string) (PendingTOTP, error)
	// DeletePendingTOTP must remove the account's if it has the id.
	DeletePendingTOTP(ctx context.Context, account, id string) error
	// AddTOTP must, all or nothing, remove the pending secret with d's id and
	// account and make d a device. Of several callers one wins; the others get
	// [ErrNotFound]. It must return [ErrTooMany] if the account has MaxTOTP
	// devices, and [ErrCodeSpent] if d.LastStep is not above the newest step
	// of any device that was removed by RemoveTOTP.
	AddTOTP(ctx context.Context, d TOTPDevice) error
	// SpendTOTP must set, all or nothing and in one transaction, each device's
	// last step, use (at) and offset, and report whether it did. It must
	// change nothing if a device is not the account's, is gone, or has spent
	// that step or a newer one.
	SpendTOTP(ctx context.Context, account string, at time.Time, spends []Spend) (bool, error)
	// RenameTOTP must name the account's device, or return [ErrNotFound].
	RenameTOTP(ctx context.Context, account, id, name string) error
	// RemoveTOTP must remove the account's device and keep its last step for
	// AddTOTP. It must return [ErrNotFound] if there is none, and
	// [ErrLastFactor] if it is the only one and the account has no key: of two
	// that are removed at once one stays.
	RemoveTOTP(ctx context.Context, account, id string) error
	// ResealTOTP must replace the device's sealed secret by one bound to its
	// row, if it still is was, and do nothing otherwise.
	ResealTOTP(ctx context.Context, id string, was, sealed []byte) error
	// AllTOTP must return every account's devices, each account's oldest first.
	AllTOTP(ctx context.Context) ([]TOTPDevice, error)
}
