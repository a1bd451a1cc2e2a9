package directory

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a hold can be about.
const (
	HoldAccount    = "account"    // Subject is an account's id
	HoldEngagement = "engagement" // Subject is an engagement's name
)

// A Hold keeps what the access log and the directory have about an account, or
// about everybody assigned under an engagement, from being erased until it is lifted.
type Hold struct {
	ID        int64
	Kind      string // HoldAccount or HoldEngagement
	Subject   string
	Reason    string
	Placed    time.Time
	PlacedBy  string    // account id, or Operator
	Lifted    time.Time // zero: it stands
	LiftedBy  string
	LiftedWhy string
}

// Stands reports whether the hold is in force.
func (h *Hold) Stands() bool { return h.Lifted.IsZero() }

// An Erasure is the removal of one account's personal data.
type Erasure struct {
	Account string // id
	Reason  string
	Asked   time.Time
	AskedBy string    // account id, or Operator
	Done    time.Time // zero: it is recorded and about to be done
}

// Errors of holds and erasures.
var (
	ErrHeldTwice   = errors.New("a hold on it stands already")
	ErrNoHold      = errors.New("there is no such hold, or it was lifted")
	ErrNoSubject   = errors.New("there is no such account or engagement")
	ErrErasedTwice = errors.New("the account was erased already")
)

// A HeldError refuses an erasure because of a hold.
type HeldError struct{ Hold Hold }

func (e *HeldError) Error() string {
	return fmt.Sprintf("a legal hold on %s %s stands since %s", e.Hold.Kind, e.Hold.Subject, e.Hold.Placed.UTC().Format(time.DateOnly))
}

// A StandsError refuses an erasure because messages go to the account's address
// for something that somebody must answer for.
type StandsError struct{ Places []string } // such as "vendor acme"

func (e *StandsError) Error() string {
	return "its address stands as that of " + strings.Join(e.Places, ", ")
}

// ErasedEmail is the address that an account has after its erasure: of the
// reserved domain invalid, so that no mail can reach anybody.
func ErasedEmail(account string) string { return "erased-" + account + "@erased.invalid" }

// Erased reports whether the account's personal data was erased.
func (a *Account) Erased() bool { return a.ID != "" && a.Email == ErasedEmail(a.ID) }

// ErasedName is the name that an account has after its erasure.
const ErasedName = "Erased person"
