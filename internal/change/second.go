package change

import (
	"slices"
	"time"
)

// TouchLife is how long somebody counts as the one who could sign in as another
// after they made or changed that account's sign-in.
const TouchLife = 30 * 24 * time.Hour

// A Touch says that somebody made or changed what an account signs in with, or
// what it may do: made it, invited it, reset it, changed its roles or address.
type Touch struct {
	Account string // that was touched
	By      Person // who did it, and when
	What    string // for people to read, such as "account.invite"
}

// A Candidate is who would be the second person.
type Candidate struct {
	Person
	InForce  bool // the account exists, is not disabled and has not ended
	Approver bool
}

// Second returns nil where a candidate can approve the draft, and a
// *[SecondError] otherwise: the two must be two people, and neither may be the
// other, or a third person, under another name. Whoever touched an account
// within [TouchLife] could be the one who signs in as it, and as whatever that
// account touched in turn.
//
// trusted says that whoever works on the machine may publish without a second
// person anyway: then what they did to accounts makes nobody suspect.
func (d *Draft) Second(c Candidate, touches []Touch, now time.Time, trusted bool) error {
	switch {
	case c.Account == Operator:
		return &SecondError{Code: SecondOperator}
	case !c.InForce:
		return &SecondError{Code: SecondDisabled}
	case !c.Approver:
		return &SecondError{Code: SecondRole}
	}
	for _, a := range d.Authors {
		if a.Account == c.Account || a.Email != "" && a.Email == c.Email {
			return &SecondError{Code: SecondAuthor, By: a}
		}
	}
	t := newTies(touches, now, trusted)
	for _, a := range d.Authors {
		if t.reaches(a.Account, c.Account) {
			return &SecondError{Code: SecondAcquainted, By: a}
		}
	}
	for _, a := range d.Authors {
		if t.reaches(c.Account, a.Account) {
			return &SecondError{Code: SecondMade, By: a}
		}
	}
	for _, by := range t.people {
		// Whoever works on the machine makes the first accounts of every deployment.
		if by.Account == Operator || !t.reaches(by.Account, c.Account) {
			continue
		}
		if slices.ContainsFunc(d.Authors, func(a Person) bool { return t.reaches(by.Account, a.Account) }) {
			return &SecondError{Code: SecondCommon, By: by}
		}
	}
	return nil
}

// ties says who could sign in as whom.
type ties struct {
	touched map[string][]string // accounts by who touched them
	people  []Person            // who touched, in the order of touches
	reached map[string]map[string]bool
}

func newTies(touches []Touch, now time.Time, trusted bool) *ties {
	t := &ties{touched: map[string][]string{}, reached: map[string]map[string]bool{}}
	for _, x := range touches {
		if now.Sub(x.By.At) >= TouchLife || x.By.Account == x.Account || trusted && x.By.Account == Operator {
			continue
		}
		if t.touched[x.By.Account] == nil {
			t.people = append(t.people, x.By)
		}
		t.touched[x.By.Account] = append(t.touched[x.By.Account], x.Account)
	}
	return t
}

// reaches reports whether one account touched another, or one that did.
func (t *ties) reaches(from, to string) bool {
	all := t.reached[from]
	if all == nil {
		all = map[string]bool{}
		for next := t.touched[from]; len(next) > 0; {
			var more []string
			for _, a := range next {
				if !all[a] {
					all[a] = true
					more = append(more, t.touched[a]...)
				}
			}
			next = more
		}
		t.reached[from] = all
	}
	return all[to]
}
