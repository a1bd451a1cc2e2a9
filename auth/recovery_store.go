package auth

import (
	"context"
	"time"
)

// A PasswordFailure counts the wrong passwords under one key, which stands for
// an address tried from one network or one known device.
type PasswordFailure struct {
	Count int       // since the last right one
	Next  time.Time // no try is looked at before
	Seen  time.Time // the newest failure
	Told  bool      // a refused try since the last failure has been recorded
}

// PasswordFailures keeps the counts of wrong passwords, for all nodes together.
type PasswordFailures interface {
	// PasswordFailure must return the count under the key; the zero PasswordFailure when there is none.
	PasswordFailure(ctx context.Context, key string) (PasswordFailure, error)
	// EditPasswordFailure must let edit change the count under the key, alone,
	// and keep no more than most counts: when there would be more, the ones
	// whose newest failure is the oldest go. A count that edit empties is
	// removed. edit may run more than once.
	EditPasswordFailure(ctx context.Context, key string, most int, edit func(PasswordFailure) PasswordFailure) error
	// ExpirePasswordFailures must remove counts whose newest failure is before before.
	ExpirePasswordFailures(ctx context.Context, before time.Time) error
}

// A PasswordChange is a new password for somebody who is signed in.
type PasswordChange struct {
	Account   string
	Old, New  string // hashes
	At        time.Time
	Session   string // the session that goes on
	Epoch     int64  // of that session until now; afterwards it is one more
	EndOthers bool
}

// Recoveries keeps what changes about passwords and recovery codes after enrolment.
type Recoveries interface {
	// ChangePassword must, all or nothing, put the new hash in place of the
	// old one, give the session the next epoch and At as its PasswordAt, remove
	// the account's sign-ins under way, and with EndOthers its other sessions
	// and its tokens. It must return [ErrNotFound] and change nothing when the
	// hash is not Old or the session is not at Epoch.
	ChangePassword(ctx context.Context, c PasswordChange) error
	// ReplaceRecovery must, all or nothing, put the set in place of every
	// recovery code of the account, and return [ErrNotFound] when the account
	// has neither a password nor an authenticator app.
	ReplaceRecovery(ctx context.Context, account string, set []RecoveryCode) error
	// AddRecovery must add a code with the hash in a free slot above all
	// others if the spent one still is there, slot and hash, and report whether it did.
	AddRecovery(ctx context.Context, account string, spent RecoveryCode, hash string) (bool, error)
	// TryInvitation must count one try of an invitation's second secret and
	// return how many there were with it, in one conditional update; of one
	// that is unknown or has had most tries it must return [ErrNotFound].
	TryInvitation(ctx context.Context, hash string, most int) (tries int, err error)
	// InvitedByPhone must report whether the account was ever given an
	// invitation with a second secret. A reset must not change that.
	InvitedByPhone(ctx context.Context, account string) (bool, error)
}

// A Warning is a notice that whoever answers for the account's vendor should
// hear of. It stays until it was passed on, by mail or by an administrator.
type Warning struct {
	Notice
	Email    string // of the account
	Vendor   string // empty for the customer's own people
	Passed   time.Time
	PassedBy string // account id, or "mail"
}

// Warnings keeps the warnings that are to be passed on.
type Warnings interface {
	// PutWarning must store the warning.
	PutWarning(ctx context.Context, w Warning) error
	// OpenWarnings must return the warnings that were not passed on, the
	// newest first, at most limit.
	OpenWarnings(ctx context.Context, limit int) ([]Warning, error)
	// PassWarning must note that a warning was passed on, if it was not yet,
	// in one conditional update, and report whether it did.
	PassWarning(ctx context.Context, id, by string, at time.Time) (bool, error)
	// ExpireWarnings must remove warnings made before before.
	ExpireWarnings(ctx context.Context, before time.Time) error
}

// RecoveryStore is the part of [Store] for recovery, throttling and warnings.
type RecoveryStore interface {
	PasswordFailures
	Recoveries
	Warnings
}
