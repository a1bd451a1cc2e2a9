package auth

import (
	"context"
	"time"
)

// SessionStates keeps what becomes of session rows between their start and
// their end, and ends many at once.
type SessionStates interface {
	// IdleSessions must set since when sessions are idle; ids without a row
	// are passed over.
	IdleSessions(ctx context.Context, since map[string]time.Time) error
	// ResumeSession must replace the row's epoch, last use, password time, IP and
	// NewNetwork by s's, make it idle no longer and s.Network known to the
	// account, all or nothing, if its epoch still is from; and return
	// [ErrNotFound] otherwise.
	ResumeSession(ctx context.Context, s StoredSession, from int64) error
	// OpenHost must add the host to those that the session has opened; an id
	// without a row is passed over.
	OpenHost(ctx context.Context, id, host string) error
	// NetworkSeen must return when the account last began or resumed a session
	// from the network, the zero time for never. It may forget networks that
	// were not seen for 90 days, and the oldest ones of more than 50.
	NetworkSeen(ctx context.Context, account, network string) (time.Time, error)
	// EndVendor must do what EndAccount does, all or nothing, for every
	// account of the vendor.
	EndVendor(ctx context.Context, vendor string) error
	// EndEverybody must do what EndAccount does, all or nothing, for every
	// account, but leave the session with the id keep; empty keeps none.
	EndEverybody(ctx context.Context, keep string) error
}
