package console

import (
	"context"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
)

// Mail sends what the pages ask it to. Without a mail server there is none.
type Mail interface {
	// Invite must keep the invitation until it was sent to the account's
	// address, over restarts.
	Invite(ctx context.Context, account *directory.Account, i auth.Invited) error
	// State must tell how sending fares, without waiting.
	State() MailState
}

// A MailState is how sending fares.
type MailState struct {
	Waiting int
	Oldest  time.Time // of what waits
	Fault   string    // of the last try, while something waits
	GivenUp []MailFault
}

// A MailFault is a mail that could not be sent and is not tried again.
type MailFault struct {
	To, Kind, Fault string
	At              time.Time
}
