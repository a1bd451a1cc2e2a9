package changetest

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Origin says where policies come from.
func (m *Memory) Origin() change.Origin {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.origin
}

// Drafts returns every draft, the newest first, without modules.
func (m *Memory) Drafts(context.Context) ([]change.Draft, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []change.Draft
	for i := range m.drafts {
		d := clone(&m.drafts[i])
		d.Modules = nil
		out = append(out, d)
	}
	slices.Reverse(out)
	return out, nil
}

// Draft returns one draft whole.
func (m *Memory) Draft(_ context.Context, id int64) (change.Draft, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.draft(id)
	if d == nil {
		return change.Draft{}, change.ErrNotFound
	}
	return clone(d), nil
}

// Begin makes a draft of the newest revision.
func (m *Memory) Begin(_ context.Context, actor directory.Actor, title, reason string) (change.Draft, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(actor, policy.Administrator); err != nil {
		return change.Draft{}, err
	}
	d, err := change.NewDraft(m.newest(), title, reason, m.person(actor))
	if err != nil {
		return change.Draft{}, err
	}
	return m.add(actor, d), nil
}

func (m *Memory) add(actor directory.Actor, d change.Draft) change.Draft {
	d.ID = int64(len(m.drafts)) + 1
	m.drafts = append(m.drafts, d)
	m.record(actor, "policy.draft", draftObject(d.ID), map[string]string{"title": d.Title, "reason": d.Reason, "base": strconv.FormatInt(d.Base, 10)})
	return clone(&d)
}

// act does one step of a draft, as it was at version seen.
func (m *Memory) act(actor directory.Actor, id int64, seen int, action string, do func(*change.Draft) error, roles ...policy.Role) (change.Draft, error) {
	return m.actNow(actor, id, action, func(d *change.Draft) error {
		if err := d.At(seen); err != nil {
			return err
		}
		return do(d)
	}, roles...)
}

// actNow does one step of a draft, whatever its version, and records it unless
// the step changed nothing.
func (m *Memory) actNow(actor directory.Actor, id int64, action string, do func(*change.Draft) error, roles ...policy.Role) (change.Draft, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(actor, roles...); err != nil {
		return change.Draft{}, err
	}
	d := m.draft(id)
	if d == nil {
		return change.Draft{}, change.ErrNotFound
	}
	next := clone(d)
	if err := do(&next); err != nil {
		return change.Draft{}, err
	}
	if next.Version == d.Version && next.State == d.State && len(next.Notes) == len(d.Notes) {
		return clone(d), nil
	}
	*d = next
	m.record(actor, action, draftObject(id), map[string]string{"hash": next.Hash})
	return clone(d), nil
}

// Save changes a draft as it was at version seen.
func (m *Memory) Save(_ context.Context, actor directory.Actor, id int64, seen int, e change.Edit) (change.Draft, error) {
	return m.act(actor, id, seen, "policy.save", func(d *change.Draft) error { return d.Save(e, m.person(actor)) }, policy.Administrator)
}

// Submit hands a draft to review.
func (m *Memory) Submit(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, error) {
	found, err := m.checked(ctx, id)
	if err != nil {
		return change.Draft{}, err
	}
	return m.act(actor, id, seen, "policy.submit", func(d *change.Draft) error { return d.Submit(m.newest(), &found, m.now()) }, policy.Administrator)
}

// checked runs the checks on a draft's modules, outside the lock.
func (m *Memory) checked(ctx context.Context, id int64) (change.Checked, error) {
	d, err := m.Draft(ctx, id)
	if err != nil {
		return change.Checked{}, err
	}
	return m.check(ctx, d.Modules)
}

func (m *Memory) check(ctx context.Context, modules map[string]string) (change.Checked, error) {
	if m.Check == nil {
		return Check(ctx, modules)
	}
	return m.Check(ctx, modules)
}

// Return sends a draft back to its authors with a note.
func (m *Memory) Return(_ context.Context, actor directory.Actor, id int64, seen int, text string) (change.Draft, error) {
	return m.act(actor, id, seen, "policy.return", func(d *change.Draft) error { return d.Return(text, m.person(actor)) }, policy.Approver)
}

// Withdraw gives a draft up.
func (m *Memory) Withdraw(_ context.Context, actor directory.Actor, id int64, seen int) error {
	_, err := m.act(actor, id, seen, "policy.withdraw", func(d *change.Draft) error { return d.Withdraw(m.now()) }, policy.Administrator)
	return err
}

// Rebase puts a draft upon the newest revision.
func (m *Memory) Rebase(_ context.Context, actor directory.Actor, id int64, seen int) (change.Draft, []string, error) {
	var both []string
	d, err := m.act(actor, id, seen, "policy.rebase", func(d *change.Draft) (err error) {
		base := m.revision(d.Base)
		if base == nil {
			base = &change.Revision{}
		}
		both, err = d.Rebase(base, m.newest(), m.person(actor))
		return err
	}, policy.Administrator)
	return d, both, err
}

// Note adds what somebody says about a draft.
func (m *Memory) Note(_ context.Context, actor directory.Actor, id int64, text string) error {
	_, err := m.actNow(actor, id, "policy.note", func(d *change.Draft) error { return d.Note(text, m.person(actor)) }, policy.Administrator, policy.Approver, policy.Reviewer)
	return err
}

// KeepFigures keeps what a trial found.
func (m *Memory) KeepFigures(_ context.Context, id int64, f change.Figures) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.draft(id)
	if d == nil {
		return change.ErrNotFound
	}
	return d.KeepFigures(f)
}

// Second returns nil where actor could approve the draft.
func (m *Memory) Second(_ context.Context, actor directory.Actor, id int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.draft(id)
	if d == nil {
		return change.ErrNotFound
	}
	return m.second(actor, d)
}

func (m *Memory) second(actor directory.Actor, d *change.Draft) error {
	c := change.Candidate{Person: m.person(actor)}
	if a, ok := m.Account(actor.Account); ok {
		c.Email, c.InForce, c.Approver = a.Email, a.InForce(m.now()), a.Has(policy.Approver)
	}
	return d.Second(c, m.touches, m.now(), m.OperatorAlone)
}

// Approve publishes a draft.
func (m *Memory) Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (change.Revision, error) {
	found, err := m.checked(ctx, id)
	if err != nil {
		return change.Revision{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.origin.ReadOnly() {
		return change.Revision{}, change.ErrReadOnly
	}
	d := m.draft(id)
	if err := m.second(actor, d); err != nil {
		return change.Revision{}, err
	}
	next := clone(d)
	r, err := next.Publish(m.newest(), seal, &found, m.person(actor))
	if err != nil {
		return change.Revision{}, err
	}
	*d = next
	return m.publish(actor, r, &found, "policy.approve", "policy.publish"), nil
}

func (m *Memory) publish(actor directory.Actor, r change.Revision, found *change.Checked, actions ...string) change.Revision {
	r.ID = int64(len(m.revisions)) + 1
	m.revisions = append(m.revisions, r)
	for _, action := range actions {
		object := "policy:" + strconv.FormatInt(r.ID, 10)
		if action == "policy.approve" {
			object = draftObject(r.Draft)
		}
		m.record(actor, action, object, map[string]string{"policies": "policy:" + strconv.FormatInt(r.ID, 10), "base": strconv.FormatInt(r.Base, 10)})
		m.records[len(m.records)-1].Revision = found.Revision
	}
	return whole(&r)
}

// Revisions returns every revision, the newest first, without modules.
func (m *Memory) Revisions(context.Context) ([]change.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]change.Revision, 0, len(m.revisions))
	for i := range m.revisions {
		r := whole(&m.revisions[i])
		r.Modules = nil
		out = append(out, r)
	}
	slices.Reverse(out)
	return out, nil
}

// Revision returns one revision whole.
func (m *Memory) Revision(_ context.Context, id int64) (change.Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.revision(id)
	if r == nil {
		return change.Revision{}, change.ErrNotFound
	}
	return whole(r), nil
}

// RollBack makes a draft of an earlier revision, in review at once.
func (m *Memory) RollBack(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Draft, error) {
	r, found, err := m.earlier(ctx, to)
	if err != nil {
		return change.Draft{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(actor, policy.Administrator, policy.Approver); err != nil {
		return change.Draft{}, err
	}
	d, err := change.NewRollBack(m.newest(), &r, reason, &found, m.person(actor))
	if err != nil {
		return change.Draft{}, err
	}
	d = m.add(actor, d)
	m.record(actor, "policy.rollback", draftObject(d.ID), map[string]string{"to": "policy:" + strconv.FormatInt(to, 10)})
	return d, nil
}

func (m *Memory) earlier(ctx context.Context, id int64) (change.Revision, change.Checked, error) {
	r, err := m.Revision(ctx, id)
	if err != nil {
		return r, change.Checked{}, err
	}
	found, err := m.check(ctx, maps.Clone(r.Modules))
	return r, found, err
}

// RollBackAlone puts an earlier revision in force at once.
func (m *Memory) RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Revision, error) {
	r, found, err := m.earlier(ctx, to)
	if err != nil {
		return change.Revision{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.may(actor, policy.Administrator, policy.Approver); err != nil {
		return change.Revision{}, err
	}
	if actor.Account == directory.Operator && !m.OperatorAlone {
		return change.Revision{}, change.ErrOperatorAlone
	}
	next, err := change.BackAlone(m.newest(), &r, reason, &found, m.person(actor))
	if err != nil {
		return change.Revision{}, err
	}
	return m.publish(actor, next, &found, "policy.rollback_alone"), nil
}
