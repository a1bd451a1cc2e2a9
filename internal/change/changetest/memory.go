// Package changetest keeps drafts and revisions in memory under all the rules
// of change control, for tests of pages, and holds the test that every keeper
// of them must pass.
//
// Start with [New] and [TestChanges].
package changetest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Broken in any module makes [Check] refuse the set.
const Broken = "broken broken broken"

// Check stands for compiler and tests: a set fails where a module holds [Broken].
func Check(_ context.Context, modules map[string]string) (change.Checked, error) {
	c := change.Checked{Of: policy.Revision(modules), Revision: "engine-" + policy.Revision(modules), Tests: len(modules), Coverage: 100}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if before, _, found := strings.Cut(modules[name], Broken); found {
			c.Faults = append(c.Faults, policy.Diagnostic{File: name, Line: 1 + strings.Count(before, "\n"), Column: 1, Code: change.CodeTest, Message: "does not hold"})
		}
	}
	return c, nil
}

// Memory keeps drafts and revisions. Its fields are set before the first call,
// but for what guards says. It is safe for concurrent use.
type Memory struct {
	Now func() time.Time // time.Now when nil
	// Check is asked at Submit and at Approve; [Check] when nil.
	Check func(context.Context, map[string]string) (change.Checked, error)
	// Account returns an account by id, and false when there is none.
	Account func(id string) (directory.Account, bool)
	// OperatorAlone says that the operator may publish without a second person.
	OperatorAlone bool

	mu        sync.Mutex
	origin    change.Origin
	drafts    []change.Draft
	revisions []change.Revision
	touches   []change.Touch
	records   []policy.Record
}

// New returns a Memory for accounts, with modules as revision 1 unless there are none.
func New(accounts []directory.Account, modules map[string]string) *Memory {
	m := &Memory{OperatorAlone: true, origin: change.Origin{Kind: "console"}, Account: func(id string) (directory.Account, bool) {
		i := slices.IndexFunc(accounts, func(a directory.Account) bool { return a.ID == id })
		if i < 0 {
			return directory.Account{}, false
		}
		return accounts[i], true
	}}
	if len(modules) > 0 {
		m.revisions = []change.Revision{{ID: 1, Hash: policy.Revision(modules), Published: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), Title: "First policies", Reason: "begin",
			Authors: []change.Person{{Account: change.Operator}}, Alone: true, Modules: maps.Clone(modules)}}
	}
	return m
}

// Touch notes that somebody made or changed what an account signs in with.
func (m *Memory) Touch(account string, by change.Person) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.touches = append(m.touches, change.Touch{Account: account, By: by, What: "account.invite"})
}

// SetOrigin sets what Origin says.
func (m *Memory) SetOrigin(o change.Origin) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.origin = o
}

// Records returns what was recorded, the oldest first.
func (m *Memory) Records() []policy.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.records)
}

// SetEffect sets what a revision's decisions are said to be.
func (m *Memory) SetEffect(id int64, e change.Effect) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.revision(id); r != nil {
		r.Effect = e
	}
}

func (m *Memory) now() time.Time {
	if m.Now == nil {
		return time.Now().UTC()
	}
	return m.Now().UTC()
}

func (m *Memory) draft(id int64) *change.Draft {
	if id < 1 || id > int64(len(m.drafts)) {
		return nil
	}
	return &m.drafts[id-1]
}

func (m *Memory) revision(id int64) *change.Revision {
	if id < 1 || id > int64(len(m.revisions)) {
		return nil
	}
	return &m.revisions[id-1]
}

// newest returns the revision in force, the zero one where there is none.
func (m *Memory) newest() *change.Revision {
	if r := m.revision(int64(len(m.revisions))); r != nil {
		return r
	}
	return &change.Revision{}
}

// may refuses actors without one of the roles, and all where policies come from elsewhere.
func (m *Memory) may(actor directory.Actor, roles ...policy.Role) error {
	if m.origin.ReadOnly() {
		return change.ErrReadOnly
	}
	if actor.Account == directory.Operator {
		return nil
	}
	a, ok := m.Account(actor.Account)
	if !ok || !a.InForce(m.now()) || !slices.ContainsFunc(roles, a.Has) {
		return directory.ErrNotAllowed
	}
	return nil
}

func (m *Memory) person(actor directory.Actor) change.Person {
	return change.Person{Account: actor.Account, Email: actor.Email, At: m.now()}
}

func (m *Memory) record(actor directory.Actor, action, object string, detail map[string]string) {
	m.records = append(m.records, policy.Record{Type: policy.RecordPolicy, Action: action, Result: "ok", Time: m.now(), RequestID: actor.RequestID, SourceIP: actor.IP,
		Actor: actor.Account, Email: actor.Email, Object: object, Detail: detail})
}

func draftObject(id int64) string { return "draft:" + strconv.FormatInt(id, 10) }

func clone(d *change.Draft) change.Draft {
	c := *d
	c.Modules, c.Authors, c.Notes = maps.Clone(d.Modules), slices.Clone(d.Authors), slices.Clone(d.Notes)
	return c
}

func whole(r *change.Revision) change.Revision {
	c := *r
	c.Modules, c.Authors = maps.Clone(r.Modules), slices.Clone(r.Authors)
	return c
}
