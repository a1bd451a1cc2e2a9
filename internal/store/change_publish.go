package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Second returns nil where actor could approve the draft, and why not otherwise.
func (c *Changes) Second(ctx context.Context, actor directory.Actor, id int64) error {
	return c.see(ctx, func(tx *sql.Tx) error {
		d, err := draftOf(ctx, tx, id)
		if err != nil {
			return err
		}
		_, err = c.second(ctx, tx, actor, &d)
		return err
	})
}

// second asks who the actor is of the directory, not of the actor, and returns it.
func (c *Changes) second(ctx context.Context, tx *sql.Tx, actor directory.Actor, d *change.Draft) (change.Person, error) {
	have, err := c.db.current(ctx, tx)
	if err != nil {
		return change.Person{}, fmt.Errorf("reading directory: %w", err)
	}
	now := c.db.now()
	who := change.Candidate{Person: person(have.directory, actor, now)}
	if a := byID(have.directory, actor.Account); a != nil {
		who.InForce, who.Approver = a.InForce(now), a.Has(policy.Approver)
	}
	touches, err := touchesOf(ctx, tx, now)
	if err != nil {
		return change.Person{}, err
	}
	return who.Person, d.Second(who, touches, now, c.cfg.OperatorAlone)
}

// mayApprove asks everything that an approval depends on but the checks.
func (c *Changes) mayApprove(ctx context.Context, tx *sql.Tx, actor directory.Actor, id int64, seal string) (d change.Draft, newest *change.Revision, by change.Person, err error) {
	if c.Origin().ReadOnly() {
		return d, nil, by, change.ErrReadOnly
	}
	if d, err = draftOf(ctx, tx, id); err != nil {
		return d, nil, by, err
	}
	if by, err = c.second(ctx, tx, actor, &d); err != nil {
		return d, nil, by, err
	}
	if newest, err = c.sound(ctx, tx); err != nil {
		return d, nil, by, err
	}
	return d, newest, by, d.MayPublish(newest, seal)
}

// Approve publishes the draft, if seal is still its seal.
func (c *Changes) Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (r change.Revision, err error) {
	var modules map[string]string
	err = c.see(ctx, func(tx *sql.Tx) error { // whoever may not makes nobody work
		d, _, _, err := c.mayApprove(ctx, tx, actor, id, seal)
		modules = d.Modules
		return err
	})
	if err != nil {
		return r, err
	}
	found, err := c.cfg.Vet(ctx, modules)
	if err != nil {
		return r, fmt.Errorf("checking draft %d: %w", id, err)
	}
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		d, newest, by, err := c.mayApprove(ctx, tx, actor, id, seal)
		if err != nil {
			return err
		}
		was := d
		if r, err = d.Publish(newest, seal, &found, by); err != nil {
			return err
		}
		if err := putDraft(tx, &was, &d); err != nil {
			return fmt.Errorf("keeping draft %d: %w", id, err)
		}
		if err := c.db.enqueue(tx, draftRecord(actor, "policy.approve", &d)); err != nil {
			return err
		}
		return c.publish(tx, actor, "policy.publish", newest, &r, &found)
	})
	if err != nil {
		return change.Revision{}, err
	}
	return r, nil
}

// RollBack makes a draft, in review at once, of an earlier revision.
func (c *Changes) RollBack(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Draft, error) {
	earlier, found, err := c.earlier(ctx, actor, to, c.cfg.Vet)
	if err != nil {
		return change.Draft{}, err
	}
	return c.begin(ctx, actor, "policy.rollback", func(tx *sql.Tx, by change.Person) (change.Draft, error) {
		newest, err := c.sound(ctx, tx)
		if err != nil {
			return change.Draft{}, err
		}
		return change.NewRollBack(newest, earlier, reason, &found, by)
	}, policy.Administrator, policy.Approver)
}

// earlier returns a revision and what check says of it today.
func (c *Changes) earlier(ctx context.Context, actor directory.Actor, id int64, check func(context.Context, map[string]string) (change.Checked, error)) (r *change.Revision, found change.Checked, err error) {
	err = c.see(ctx, func(tx *sql.Tx) error {
		if _, err := c.may(ctx, tx, actor, policy.Administrator, policy.Approver); err != nil {
			return err
		}
		if r, err = c.revisionOf(ctx, tx, id); err == nil && r.Fault != "" {
			err = fmt.Errorf("revision %d: %w", id, change.ErrTampered)
		}
		return err
	})
	if err != nil {
		return nil, found, err
	}
	if found, err = check(ctx, r.Modules); err != nil {
		return nil, found, fmt.Errorf("checking revision %d: %w", id, err)
	}
	return r, found, nil
}

// RollBackAlone puts an earlier revision in force at once and alarms everybody
// who could have been the second person, and the vendors' owners.
func (c *Changes) RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (r change.Revision, err error) {
	earlier, found, err := c.earlier(ctx, actor, to, c.cfg.CheckAlone)
	if err != nil {
		return r, err
	}
	return c.alone(ctx, actor, "policy.rollback_alone", &found, func(newest *change.Revision, by change.Person) (change.Revision, error) {
		return change.BackAlone(newest, earlier, reason, &found, by)
	})
}

// PublishAlone puts modules in force at once, for whoever works on the machine
// and for nobody else, and alarms everybody who could have been the second
// person. found is what the checks found in exactly these modules. Publishing
// what is in force changes nothing and returns it.
func (c *Changes) PublishAlone(ctx context.Context, actor directory.Actor, modules map[string]string, found *change.Checked, title, reason string) (change.Revision, error) {
	if actor.Account != directory.Operator {
		return change.Revision{}, directory.ErrNotAllowed
	}
	var same *change.Revision
	r, err := c.alone(ctx, actor, "policy.publish", found, func(newest *change.Revision, by change.Person) (change.Revision, error) {
		if newest.ID != 0 && newest.Fault == "" && maps.Equal(newest.Modules, modules) {
			same = newest
			return change.Revision{}, errUnchanged
		}
		return change.PublishedAlone(newest, modules, title, reason, found, by)
	})
	if errors.Is(err, errUnchanged) {
		return *same, nil
	}
	return r, err
}

// alone publishes what one person decides. A newest revision that was tampered
// with is no hindrance: this is how it is mended.
func (c *Changes) alone(ctx context.Context, actor directory.Actor, action string, found *change.Checked, make func(newest *change.Revision, by change.Person) (change.Revision, error)) (r change.Revision, err error) {
	if actor.Account == directory.Operator && !c.cfg.OperatorAlone {
		return r, change.ErrOperatorAlone
	}
	var a Alarm
	err = c.db.write(ctx, func(tx *sql.Tx) error {
		have, err := c.may(ctx, tx, actor, policy.Administrator, policy.Approver)
		if err != nil {
			return err
		}
		newest, err := c.newest(ctx, tx)
		if err != nil {
			return err
		}
		if r, err = make(newest, person(have, actor, c.db.now())); err != nil {
			return err
		}
		if err := c.publish(tx, actor, action, newest, &r, found); err != nil {
			return err
		}
		a, err = c.db.alarm(ctx, tx, have, actor, &r)
		return err
	})
	if err != nil {
		return change.Revision{}, err
	}
	c.cfg.Alarmed(context.WithoutCancel(ctx), a)
	return r, nil
}

// publish keeps a revision under the next id with its statement, its record
// and the note that puts it in force.
func (c *Changes) publish(tx *sql.Tx, actor directory.Actor, action string, before, r *change.Revision, found *change.Checked) error {
	var last sql.NullInt64
	if err := tx.QueryRow(`SELECT max((SELECT coalesce(max(id), 0) FROM policy_revision), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'policy_revision'), 0))`).Scan(&last); err != nil {
		return fmt.Errorf("numbering a revision: %w", err)
	}
	r.ID = last.Int64 + 1
	text, err := r.State()
	if err != nil {
		return err
	}
	if r.Statement, err = c.cfg.Sign(text); err != nil {
		return fmt.Errorf("signing revision %d: %w", r.ID, err)
	}
	by := r.Approver
	if r.Alone {
		by = r.Authors[0]
	}
	if _, err := tx.Exec(`INSERT INTO policy_revision (id, hash, published, actor, email, reason, statement) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Hash, r.Published.UnixNano(), by.Account, by.Email, r.Reason, r.Statement); err != nil {
		return fmt.Errorf("keeping revision %d: %w", r.ID, err)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Modules)) {
		if _, err := tx.Exec(`INSERT INTO policy_module (revision, name, source) VALUES (?, ?, ?)`, r.ID, name, r.Modules[name]); err != nil {
			return fmt.Errorf("keeping revision %d: %w", r.ID, err)
		}
	}
	if err := c.db.enqueue(tx, revisionRecord(actor, action, before, r, found)); err != nil {
		return err
	}
	return c.db.notify(tx, KindPolicy, strconv.FormatInt(r.ID, 10))
}

// draftRecord begins the record of a step of a draft.
func draftRecord(actor directory.Actor, action string, d *change.Draft) *policy.Record {
	detail := map[string]string{"title": d.Title, "hash": d.Hash, "version": strconv.Itoa(d.Version), "base": strconv.FormatInt(d.Base, 10)}
	switch action {
	case "policy.draft", "policy.submit", "policy.approve", "policy.rollback":
		detail["reason"] = d.Reason
	case "policy.return", "policy.note":
		detail["text"] = d.Notes[len(d.Notes)-1].Text
	}
	if d.BackTo != 0 {
		detail["back_to"] = "policy:" + strconv.FormatInt(d.BackTo, 10)
	}
	return &policy.Record{Type: policy.RecordPolicy, Action: action, Result: "ok", RequestID: actor.RequestID, SourceIP: actor.IP,
		Actor: actor.Account, Email: actor.Email, Object: "draft:" + strconv.FormatInt(d.ID, 10), Detail: detail}
}

// revisionRecord is the record of a publication. Its revision is what the
// engine, and so each decision, will be called by.
func revisionRecord(actor directory.Actor, action string, before, r *change.Revision, found *change.Checked) *policy.Record {
	detail := moduleChanges(before.Modules, r.Modules)
	name := "policy:" + strconv.FormatInt(r.ID, 10)
	detail["policies"], detail["hash"], detail["base"] = name, r.Hash, strconv.FormatInt(r.Base, 10)
	detail["title"], detail["reason"] = r.Title, r.Reason
	var authors []string
	for _, a := range r.Authors {
		authors = append(authors, a.Name())
	}
	detail["authors"] = strings.Join(authors, ", ")
	if r.Alone {
		detail["alone"] = "yes"
	} else {
		detail["draft"], detail["approver"] = "draft:"+strconv.FormatInt(r.Draft, 10), r.Approver.Name()
	}
	if r.BackTo != 0 {
		detail["back_to"] = "policy:" + strconv.FormatInt(r.BackTo, 10)
	}
	return &policy.Record{Type: policy.RecordPolicy, Action: action, Result: "ok", RequestID: actor.RequestID, SourceIP: actor.IP,
		Actor: actor.Account, Email: actor.Email, Revision: found.Revision, Object: name, Detail: detail}
}
