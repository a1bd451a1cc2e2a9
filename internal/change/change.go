// Package change holds the words of change control over policies: drafts, who
// wrote them, the revisions that they become, and the rule that a second person
// approves. Plain types and rules: it reads no file and knows no database.
//
// Start with [Draft] and [Revision]; what may become of a draft are its methods.
package change

import (
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A State says what may happen to a draft next.
type State string

// The states of a draft.
const (
	Open      State = "open"      // being written
	InReview  State = "review"    // waits for a second person; a change of its modules makes it open again
	Published State = "published" // became a revision
	Withdrawn State = "withdrawn" // given up
)

// A Person is somebody who wrote, approved or published. Account is "operator"
// for whoever works on the machine itself.
type Person struct {
	Account string    `json:"account"`
	Email   string    `json:"email,omitempty"`
	At      time.Time `json:"at,omitzero"` // when they first did, UTC
}

// Name returns the e-mail address, or the account where there is none.
func (p Person) Name() string {
	if p.Email != "" {
		return p.Email
	}
	return p.Account
}

// Operator is the [Person.Account] of whoever works on the machine itself.
const Operator = "operator"

// A Draft is a policy set that somebody works on.
type Draft struct {
	ID      int64
	Title   string
	Reason  string // why, in a sentence
	State   State
	Base    int64             // the revision that it was begun from, or put upon since; 0: none
	BackTo  int64             // the revision that it rolls back to; 0: an ordinary change
	Version int               // rises with each change of its title, reason, modules or base
	Hash    string            // of its modules, as by policy.Revision
	Modules map[string]string // text by file name, tests and parameters too; nil in lists
	Authors []Person          // everybody who ever changed it, in order
	Notes   []Note            // what was said about it, oldest first
	Figures Figures           // of the newest trial; see [Figures.Of]
	// Shadow reports whether it decides beside the set in force.
	Shadow           bool
	Created, Changed time.Time
}

// A Note is what somebody said about a draft.
type Note struct {
	Person
	Text     string
	Returned bool // it was sent back to its authors with this
}

// An Edit is what one save changes. A nil field stays as it is.
type Edit struct {
	Title, Reason *string
	// Write holds new texts by file name; Remove names files to take away.
	Write  map[string]string
	Remove []string
}

// Figures sum up what a change does, as found at one time.
type Figures struct {
	Of         string    `json:"of,omitempty"` // the hash of the modules that they are about
	At         time.Time `json:"at,omitzero"`
	Tests      int       `json:"tests"`
	Coverage   float64   `json:"coverage"` // percent of lines
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Replayed   int       `json:"replayed"`    // recorded requests that were decided again
	Unfit      int       `json:"unfit"`       // recorded requests that could not be
	Widened    int       `json:"widened"`     // denied or challenged before, allowed now
	Narrowed   int       `json:"narrowed"`    // allowed before, denied or challenged now
	Reworded   int       `json:"reworded"`    // the same effect for other reasons or obligations
	Cells      int       `json:"cells"`       // of the access matrix
	CellsMoved int       `json:"cells_moved"` // that differ
	Holes      int       `json:"holes"`       // of the knock-out test
}

// A Revision is a published policy set. It never changes.
type Revision struct {
	ID        int64
	Hash      string // of its modules, as by policy.Revision
	Published time.Time
	Title     string
	Reason    string
	Authors   []Person
	Approver  Person // zero: nobody, see Alone
	Alone     bool   // published by one person: in an emergency, or by the operator
	Draft     int64  // that it was; 0: none
	Base      int64  // that was in force before; 0: none
	BackTo    int64  // that it rolls back to; 0: none
	Figures   Figures
	Modules   map[string]string // nil in lists
	// Statement is the signed note over all of the above but Modules, which
	// Hash names; empty for revisions from before they were signed.
	Statement []byte
	// Fault says why the revision is not to be believed: its signature does not
	// fit, or what is kept is not what was signed. Empty: all of it holds.
	Fault string
	// Effect counts the decisions that this revision has made since.
	Effect Effect
}

// An Effect counts decisions by what they were.
type Effect struct {
	Allowed, Challenged, Denied int64
	First, Last                 time.Time // zero: none yet
}

// An Origin says where the policies in force come from.
type Origin struct {
	// Kind is "console" where the store holds them, "folder" or "bundle"
	// otherwise: then nothing about them can be changed here.
	Kind string
	// Place is the folder, or the bundle's file or URL.
	Place string
	// Fault is why the newest that was found there is not in force; empty: it is.
	Fault string
	// At is when they were put in force by this process.
	At time.Time
}

// ReadOnly reports whether policies are changed elsewhere.
func (o Origin) ReadOnly() bool { return o.Kind != "console" && o.Kind != "" }

// Errors of change control.
var (
	ErrNotFound = errors.New("there is no such draft or revision")
	// ErrReadOnly: policies come from a folder or a bundle.
	ErrReadOnly = errors.New("the policies come from elsewhere and are changed there")
	// ErrState: the draft is not in a state in which this can be done.
	ErrState = errors.New("the draft is not in a state for this")
	// ErrOperatorAlone: whoever works on the machine wants to publish alone,
	// and the configuration asks for a second person.
	ErrOperatorAlone = errors.New("the configuration lets nobody publish alone on the machine itself")
)

// A ConflictError says that somebody else has changed a draft since it was read.
type ConflictError struct{ Now Draft }

// Error names who was first.
func (e *ConflictError) Error() string {
	by := "somebody"
	if n := len(e.Now.Authors); n > 0 {
		by = e.Now.Authors[n-1].Name()
	}
	return fmt.Sprintf("the draft was changed meanwhile, last by %s", by)
}

// A BaseError says that another revision was published since the draft was begun.
type BaseError struct{ Base, Newest int64 }

// Error names both revisions.
func (e *BaseError) Error() string {
	return fmt.Sprintf("the draft was begun from revision %d, and revision %d is in force now", e.Base, e.Newest)
}

// A SecondError says why somebody cannot be the second person for a draft.
type SecondError struct {
	// Code is one of Second….
	Code string
	By   Person // who it is about: an author, for [SecondCommon] somebody else; zero where it is about nobody
}

// Error says it for the log.
func (e *SecondError) Error() string {
	if e.By.Account != "" {
		return "this person cannot be the second for the draft: " + e.Code + ", by " + e.By.Name()
	}
	return "this person cannot be the second for the draft: " + e.Code
}

// Codes of a [SecondError].
const (
	SecondAuthor     = "author"     // they wrote on the draft themselves
	SecondRole       = "role"       // they are no approver
	SecondDisabled   = "disabled"   // their account is not in force, or there is none
	SecondOperator   = "operator"   // whoever works on the machine is nobody's second
	SecondAcquainted = "acquainted" // an author made or changed their sign-in lately
	SecondMade       = "made"       // they made or changed the sign-in of an author lately
	SecondCommon     = "common"     // one person, who By names, made or changed the sign-in of both lately
)

// An InvalidError says what is wrong with a text or a file that somebody gave.
type InvalidError struct {
	// Field is title, reason, text (of a note), file (Name is its name), size
	// (of all files together) or same (nothing differs from what is in force).
	Field, Name string
	Message     string // a sentence's part for the log
}

// Error returns the message.
func (e *InvalidError) Error() string {
	if e.Name != "" {
		return e.Field + " " + e.Name + " " + e.Message
	}
	return e.Field + " " + e.Message
}

// A FaultError says why modules cannot be put in force: they do not compile,
// a test fails ([CodeTest]), a missing field would lift a denial ([CodeHole]), or
// whether one would lift a recorded denial cannot be found out ([CodeLog]).
type FaultError struct{ Faults []policy.Diagnostic }

// Error returns the first fault and how many there are.
func (e *FaultError) Error() string {
	if len(e.Faults) == 0 {
		return "the policies cannot be put in force"
	}
	if n := len(e.Faults) - 1; n > 0 {
		return fmt.Sprintf("the policies cannot be put in force: %s (and %d more)", e.Faults[0], n)
	}
	return fmt.Sprintf("the policies cannot be put in force: %s", e.Faults[0])
}
