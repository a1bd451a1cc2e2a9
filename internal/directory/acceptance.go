package directory

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Refusals of an acceptance.
var (
	// ErrNotInForce reports an acceptance of a version or text that is not the
	// one in force: it changed while the person was reading.
	ErrNotInForce = errors.New("this version of the agreement is not in force: read the current one and accept it")
	// ErrTypedName reports an acceptance without a name that can be shown, or
	// with one that is not the account's.
	ErrTypedName = errors.New("type your full name, as it stands in your account, to accept")
)

// Evidence is an [Acceptance] with everything that is kept about how it came
// to be. It holds what the account was called at that time, since the
// acceptance outlives the account.
type Evidence struct {
	Acceptance
	Email, Name, Vendor string    // of the account; filled in by the store
	UserAgent           string    // the client's own words
	Session             string    // id of the session, empty when it is not known
	Factor              string    // the second factor proved last, such as policy.FactorTOTP
	CodeAt              time.Time // when that was; zero: not known
}

// An AgreementVersion is the text of an agreement as it was in force once. It
// never changes.
type AgreementVersion struct {
	Agreement   string // name
	Version     int
	Title, Text string
	Hash        string // of the text, as by [TextHash]
	Author      string // account id of who wrote it, or [Operator]; empty when it is not known
	Created     time.Time
}

// SameName reports whether a typed name is that of an account, as a person
// would compare them: case, spaces and the way that letters are encoded do not
// matter. Any name fits an account without one, except an empty one.
func SameName(typed, name string) bool {
	t, n := foldName(typed), foldName(name)
	return t != "" && (n == "" || t == n)
}

func foldName(s string) string {
	// Folding may take apart what NFKC had composed.
	folded := norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
	return strings.Join(strings.Fields(folded), " ")
}

// A Tally counts the people of whom an agreement is demanded.
type Tally struct {
	Accepted    int // have accepted the version in force
	Outstanding int // have not
}

// AgreementTallies counts, for each agreement by name, the people of whom it
// is demanded at the time now. Accounts and engagements that are not in force
// count for nothing.
func (s *Snapshot) AgreementTallies(now time.Time) map[string]Tally {
	all := make(map[string]Tally, len(s.agreements))
	for i := range s.d.Accounts {
		a := &s.d.Accounts[i]
		if !a.InForce(now) {
			continue
		}
		for _, state := range s.DemandedAt(a.ID, now) {
			t := all[state.Agreement.Name]
			if state.Outstanding() {
				t.Outstanding++
			} else {
				t.Accepted++
			}
			all[state.Agreement.Name] = t
		}
	}
	return all
}
