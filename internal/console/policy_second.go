package console

import (
	"errors"
	"net/http"
	"slices"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// secondsAsked bounds how many accounts are asked whether they could be the second.
const secondsAsked = 40

// candidates are the people who could approve a draft.
type candidates struct {
	Could []personAt
	Words ui.Text // a sentence that names them, or says what to do without one
}

// whoCould asks change control which of the approvers in force could approve a draft.
func (c *Console) whoCould(r *http.Request, v *visit, id int64) candidates {
	var s candidates
	approvers := 0
	accounts := slices.Clone(v.Snapshot.Directory().Accounts)
	slices.SortFunc(accounts, byName)
	for i := range accounts {
		a := &accounts[i]
		if !a.Has(policy.Approver) || !a.InForce(v.Now) {
			continue
		}
		if approvers++; approvers > secondsAsked {
			break
		}
		actor := directory.Actor{Account: a.ID, Email: a.Email, RequestID: v.RequestID, IP: v.Origin.IP.String()}
		if c.Changes.Second(r.Context(), actor, id) == nil {
			s.Could = append(s.Could, personAt{Name: ui.Verbatim(nameOf(a)), URL: personURL(a.ID)})
		}
	}
	switch {
	case len(s.Could) == 1:
		s.Words = ui.Say("The second person could be {1}.", s.Could[0].Name)
	case len(s.Could) > 1:
		s.Words = ui.Say("The second person could be any of {1}.", namesOf(s.Could))
	case approvers == 0:
		s.Words = "Nobody has the role of an approver at this moment. An administrator gives it to somebody who takes no part in writing policies."
	default:
		s.Words = "None of the approvers could be the second person at this moment: each wrote a part of it, or had their account or sign-in made or changed by somebody who did within the last 30 days. Have an administrator who is no author of this draft give the role to somebody who took no part in it."
	}
	return s
}

// second says why the visitor cannot be the second person for a draft; nil
// where they can.
func (c *Console) second(r *http.Request, v *visit, id int64) (*change.SecondError, error) {
	err := c.Changes.Second(r.Context(), v.Actor(), id)
	if e, ok := errors.AsType[*change.SecondError](err); ok {
		return e, nil
	}
	return nil, err
}

// secondWords says to the visitor why they cannot be the second person.
func (v *visit) secondWords(e *change.SecondError) ui.Text {
	by := v.who(e.By).Name
	switch e.Code {
	case change.SecondAuthor:
		return "You wrote a part of this draft, so another person has to approve it."
	case change.SecondRole:
		return "It takes the role of an approver to approve a draft."
	case change.SecondAcquainted:
		return ui.Say("{1}, who is an author of this draft, made or changed your account or its sign-in within the last 30 days and might sign in as you, so another person has to approve it.", by)
	case change.SecondMade:
		return ui.Say("You made or changed the account or the sign-in of {1}, who is an author of this draft, within the last 30 days. So that one person cannot be both, another one has to approve it.", by)
	case change.SecondCommon:
		return ui.Say("{1} made or changed the sign-in of an author of this draft and yours within the last 30 days. So that one person cannot be both, somebody else has to approve it.", by)
	case change.SecondDisabled:
		return "Your account cannot be used at this moment, so another person has to approve it."
	case change.SecondOperator:
		return "The operator of the machine is nobody's second person: somebody with the role of an approver has to approve it."
	}
	return "You cannot be the second person for this draft."
}
