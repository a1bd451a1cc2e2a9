package store

import "github.com/ringfence/ringfence/internal/directory"

// settleGivers notes the actor on assignments that are new or changed, and
// puts back who gave the others.
func settleGivers(have, want *directory.Directory, actor directory.Actor) {
	by := actor.Email
	if by == "" || !printable(by) {
		by = actor.Account
	}
	var g *givers // made when an assignment does not stand where it stood
	for i := range want.Assignments {
		w := &want.Assignments[i]
		var h *directory.Assignment
		if i < len(have.Assignments) && have.Assignments[i].Account == w.Account && have.Assignments[i].Cluster == w.Cluster {
			h = &have.Assignments[i]
		} else {
			if g == nil {
				g = newGivers(have, want)
			}
			h = g.find(w)
		}
		if h == nil {
			w.GivenBy = by
			continue
		}
		was := *h
		was.Account = w.Account // the same account, under another address perhaps
		if w.GivenBy = h.GivenBy; !was.Same(w) {
			w.GivenBy = by
		}
	}
}

// givers finds an assignment as it was.
type givers struct {
	old    map[assignmentKey]*directory.Assignment
	former map[string]string // address before, by address now
}

type assignmentKey struct{ account, cluster string }

func newGivers(have, want *directory.Directory) *givers {
	g := &givers{make(map[assignmentKey]*directory.Assignment, len(have.Assignments)), map[string]string{}}
	for i := range have.Assignments {
		a := &have.Assignments[i]
		g.old[assignmentKey{a.Account, a.Cluster}] = a
	}
	emails := make(map[string]string, len(have.Accounts))
	for i := range have.Accounts {
		emails[have.Accounts[i].ID] = have.Accounts[i].Email
	}
	for i := range want.Accounts {
		a := &want.Accounts[i]
		if was := emails[a.ID]; was != a.Email {
			g.former[a.Email] = was // empty for a new account
		}
	}
	return g
}

func (g *givers) find(a *directory.Assignment) *directory.Assignment {
	account := a.Account
	if was, moved := g.former[account]; moved {
		account = was
	}
	return g.old[assignmentKey{account, a.Cluster}]
}
