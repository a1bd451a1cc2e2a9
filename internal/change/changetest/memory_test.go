package changetest

import (
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func TestMemory(t *testing.T) {
	TestChanges(t, func(*testing.T) *World {
		var mu sync.Mutex
		now, ids := Begun, 0
		d := &directory.Directory{Accounts: People()}
		number := func() {
			for i := range d.Accounts {
				if d.Accounts[i].ID == "" {
					ids++
					d.Accounts[i].ID = "account-" + strconv.Itoa(ids)
				}
			}
		}
		number()
		clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		m := New(nil, nil)
		m.Now = clock
		m.Account = func(id string) (directory.Account, bool) {
			mu.Lock()
			defer mu.Unlock()
			i := slices.IndexFunc(d.Accounts, func(a directory.Account) bool { return a.ID == id })
			if i < 0 {
				return directory.Account{}, false
			}
			return d.Accounts[i], true
		}
		return &World{
			Changes: m,
			Actor: func(email string) directory.Actor {
				mu.Lock()
				defer mu.Unlock()
				return directory.Actor{Account: account(d, email).ID, Email: email, RequestID: "req", IP: "10.1.1.1"}
			},
			As: func(_ *testing.T, actor directory.Actor, edit func(*directory.Directory)) {
				mu.Lock()
				before := d.Clone()
				edit(d)
				number()
				after := d.Clone()
				mu.Unlock()
				for _, a := range after.Accounts {
					i := slices.IndexFunc(before.Accounts, func(b directory.Account) bool { return a.ID == b.ID })
					if i < 0 || before.Accounts[i].Email != a.Email || !slices.Equal(before.Accounts[i].Roles, a.Roles) {
						m.Touch(a.ID, change.Person{Account: actor.Account, Email: actor.Email, At: clock()})
					}
				}
			},
			Invite: func(_ *testing.T, by, account directory.Actor) {
				m.Touch(account.Account, change.Person{Account: by.Account, Email: by.Email, At: clock()})
			},
			Advance: func(by time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(by) },
			Records: func(*testing.T) []policy.Record { return m.Records() },
		}
	})
}
