package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// ChangesConfig says how change control over policies works. Every field but
// Origin, Vet and Alarmed is needed.
type ChangesConfig struct {
	// Origin says where policies come from; where that is elsewhere, nothing is
	// changed. Nil: from the store.
	Origin func() change.Origin
	// Check compiles and tests modules; what is wrong with them is in the result.
	Check func(ctx context.Context, modules map[string]string) (change.Checked, error)
	// Vet does the same for modules that passed Check once, when they are to come
	// into force: it must not wait for drafts that anybody else has checked. Nil: Check.
	Vet func(ctx context.Context, modules map[string]string) (change.Checked, error)
	// CheckAlone is asked at an emergency roll back, where holes count for
	// nothing and somebody is in haste. Nil: Vet.
	CheckAlone func(ctx context.Context, modules map[string]string) (change.Checked, error)
	// Sign makes the statement of a revision's text, Open returns the text of
	// one that is ours.
	Sign func(text string) ([]byte, error)
	Open func(statement []byte) (string, error)
	// OperatorAlone lets whoever works on the machine publish without a second person.
	OperatorAlone bool
	// Alarmed hears of what one person published alone, once notices and
	// warnings are kept, to pass them on.
	Alarmed func(ctx context.Context, a Alarm)
}

// Changes is change control over the policies in a store. Each act that
// changes something is recorded in the same transaction. It is safe for
// concurrent use, also by several processes.
type Changes struct {
	db  *DB
	cfg ChangesConfig
}

// Changes returns change control over the store's policies.
func (db *DB) Changes(c ChangesConfig) *Changes {
	if c.Vet == nil {
		c.Vet = c.Check
	}
	if c.CheckAlone == nil {
		c.CheckAlone = c.Vet
	}
	if c.Origin == nil {
		c.Origin = func() change.Origin { return change.Origin{Kind: "console"} }
	}
	if c.Alarmed == nil {
		c.Alarmed = func(context.Context, Alarm) {}
	}
	return &Changes{db, c}
}

// An Alarm is what people are told of policies that one person published alone.
type Alarm struct {
	Kind     auth.NoticeKind
	Revision change.Revision
	Notices  []auth.Notice  // kept already, one for each administrator and approver
	Warnings []auth.Warning // kept already, one for each vendor
}

// Origin says where the policies in force come from.
func (c *Changes) Origin() change.Origin { return c.cfg.Origin() }

// Drafts returns every draft, the newest first, without modules.
func (c *Changes) Drafts(ctx context.Context) (all []change.Draft, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		if all, err = rowsOf(ctx, tx, scanDraft, selectDraft+`ORDER BY id DESC`); err != nil {
			return fmt.Errorf("reading drafts: %w", err)
		}
		for i := range all {
			if err := peopleOf(ctx, tx, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// Draft returns one draft whole, or [change.ErrNotFound].
func (c *Changes) Draft(ctx context.Context, id int64) (d change.Draft, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		d, err = draftOf(ctx, tx, id)
		return err
	})
	return d, err
}

// see runs fn on one state of the database.
func (c *Changes) see(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := c.db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("reading policies: %w", busy(err))
	}
	defer tx.Rollback()
	return fn(tx)
}

// may returns the directory, or refuses actors without one of the roles, and
// everybody where policies come from elsewhere.
func (c *Changes) may(ctx context.Context, tx *sql.Tx, actor directory.Actor, roles ...policy.Role) (*directory.Directory, error) {
	if c.Origin().ReadOnly() {
		return nil, change.ErrReadOnly
	}
	have, err := c.db.current(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("reading directory: %w", err)
	}
	return have.directory, mayChange(have.directory, actor, c.db.now(), roles...)
}

// person is the actor at this moment, under the address that the directory has.
func person(d *directory.Directory, actor directory.Actor, now time.Time) change.Person {
	p := change.Person{Account: actor.Account, At: now.UTC().Round(0)}
	if a := byID(d, actor.Account); a != nil {
		p.Email = a.Email
	}
	return p
}

// Begin makes a draft of the newest revision.
func (c *Changes) Begin(ctx context.Context, actor directory.Actor, title, reason string) (change.Draft, error) {
	return c.begin(ctx, actor, "", func(tx *sql.Tx, by change.Person) (change.Draft, error) {
		newest, err := c.sound(ctx, tx)
		if err != nil {
			return change.Draft{}, err
		}
		return change.NewDraft(newest, title, reason, by)
	}, policy.Administrator)
}

// begin keeps a new draft and its record, and a second record of an action
// unless that is empty.
func (c *Changes) begin(ctx context.Context, actor directory.Actor, action string, make func(*sql.Tx, change.Person) (change.Draft, error), roles ...policy.Role) (d change.Draft, err error) {
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		have, err := c.may(ctx, tx, actor, roles...)
		if err != nil {
			return err
		}
		if d, err = make(tx, person(have, actor, c.db.now())); err != nil {
			return err
		}
		if err := putDraft(tx, nil, &d); err != nil {
			return fmt.Errorf("keeping a draft: %w", err)
		}
		if err := c.db.enqueue(tx, draftRecord(actor, "policy.draft", &d)); err != nil || action == "" {
			return err
		}
		return c.db.enqueue(tx, draftRecord(actor, action, &d))
	})
	return d, err
}

// act does one step of a draft, as it was at version seen.
func (c *Changes) act(ctx context.Context, actor directory.Actor, id int64, seen int, action string,
	do func(*sql.Tx, *change.Draft, change.Person) error, roles ...policy.Role) (change.Draft, error) {
	return c.actNow(ctx, actor, id, action, func(tx *sql.Tx, d *change.Draft, by change.Person) error {
		if err := d.At(seen); err != nil {
			return err
		}
		return do(tx, d, by)
	}, roles...)
}

// actNow does one step of a draft, whatever its version, and records it unless
// the step changed nothing.
func (c *Changes) actNow(ctx context.Context, actor directory.Actor, id int64, action string,
	do func(*sql.Tx, *change.Draft, change.Person) error, roles ...policy.Role) (d change.Draft, err error) {
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		have, err := c.may(ctx, tx, actor, roles...)
		if err != nil {
			return err
		}
		was, err := draftOf(ctx, tx, id)
		if err != nil {
			return err
		}
		d = was // steps copy what they change
		if err := do(tx, &d, person(have, actor, c.db.now())); err != nil {
			return err
		}
		if d.Version == was.Version && d.State == was.State && len(d.Notes) == len(was.Notes) {
			return errUnchanged
		}
		if err := putDraft(tx, &was, &d); err != nil {
			return fmt.Errorf("keeping draft %d: %w", id, err)
		}
		r := draftRecord(actor, action, &d)
		for name, what := range moduleChanges(was.Modules, d.Modules) {
			r.Detail[name] = what
		}
		return c.db.enqueue(tx, r)
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return d, err
}

// Save changes a draft as it was at version seen.
func (c *Changes) Save(ctx context.Context, actor directory.Actor, id int64, seen int, e change.Edit) (change.Draft, error) {
	return c.act(ctx, actor, id, seen, "policy.save", func(_ *sql.Tx, d *change.Draft, by change.Person) error {
		return d.Save(e, by)
	}, policy.Administrator)
}

// Submit hands a draft to review, if what the checks say of it lets it be published.
func (c *Changes) Submit(ctx context.Context, actor directory.Actor, id int64, seen int) (change.Draft, error) {
	var have change.Draft
	err := c.see(ctx, func(tx *sql.Tx) (err error) { // whoever may not, or is late, makes nobody work
		if _, err := c.may(ctx, tx, actor, policy.Administrator); err != nil {
			return err
		}
		if have, err = draftOf(ctx, tx, id); err != nil {
			return err
		}
		return have.At(seen)
	})
	if err != nil {
		return change.Draft{}, err
	}
	found, err := c.cfg.Check(ctx, have.Modules)
	if err != nil {
		return change.Draft{}, fmt.Errorf("checking draft %d: %w", id, err)
	}
	return c.act(ctx, actor, id, seen, "policy.submit", func(tx *sql.Tx, d *change.Draft, by change.Person) error {
		newest, err := c.sound(ctx, tx)
		if err != nil {
			return err
		}
		return d.Submit(newest, &found, by.At)
	}, policy.Administrator)
}

// Return sends a draft back to its authors with a note.
func (c *Changes) Return(ctx context.Context, actor directory.Actor, id int64, seen int, text string) (change.Draft, error) {
	return c.act(ctx, actor, id, seen, "policy.return", func(_ *sql.Tx, d *change.Draft, by change.Person) error {
		return d.Return(text, by)
	}, policy.Approver)
}

// Withdraw gives a draft up.
func (c *Changes) Withdraw(ctx context.Context, actor directory.Actor, id int64, seen int) error {
	_, err := c.act(ctx, actor, id, seen, "policy.withdraw", func(_ *sql.Tx, d *change.Draft, by change.Person) error {
		return d.Withdraw(by.At)
	}, policy.Administrator)
	return err
}

// Rebase puts a draft upon the newest revision and returns the files that both changed.
func (c *Changes) Rebase(ctx context.Context, actor directory.Actor, id int64, seen int) (d change.Draft, both []string, err error) {
	d, err = c.act(ctx, actor, id, seen, "policy.rebase", func(tx *sql.Tx, d *change.Draft, by change.Person) error {
		newest, err := c.sound(ctx, tx)
		if err != nil {
			return err
		}
		base := &change.Revision{}
		if d.Base != 0 {
			if base, err = c.revisionOf(ctx, tx, d.Base); err != nil {
				return err
			}
		}
		both, err = d.Rebase(base, newest, by)
		return err
	}, policy.Administrator)
	return d, both, err
}

// Note adds what somebody says about a draft.
func (c *Changes) Note(ctx context.Context, actor directory.Actor, id int64, text string) error {
	_, err := c.actNow(ctx, actor, id, "policy.note", func(_ *sql.Tx, d *change.Draft, by change.Person) error {
		return d.Note(text, by)
	}, policy.Administrator, policy.Approver, policy.Reviewer)
	return err
}

// KeepFigures keeps what a trial found of the modules that the draft has now.
func (c *Changes) KeepFigures(ctx context.Context, id int64, f change.Figures) error {
	return c.db.write(ctx, func(tx *sql.Tx) error {
		was, err := draftOf(ctx, tx, id)
		if err != nil {
			return err
		}
		d := was
		if err := d.KeepFigures(f); err != nil || d.Figures == was.Figures {
			return err
		}
		return putDraft(tx, &was, &d)
	})
}
