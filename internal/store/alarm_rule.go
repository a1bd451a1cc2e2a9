package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func scanRule(r scanner) (a alarm.Rule, err error) {
	var text string
	var revision int64
	if err = r.Scan(&revision, &text); err == nil {
		err = json.Unmarshal([]byte(text), &a)
	}
	a.Revision = revision
	return a, err
}

// AlarmRules returns the newest revision of each rule of alarms.
func (db *DB) AlarmRules(ctx context.Context) ([]alarm.Rule, error) {
	kept, err := list(ctx, db, scanRule, `SELECT revision, rule FROM alarm_rule r WHERE revision = (SELECT max(revision) FROM alarm_rule WHERE id = r.id)`)
	if err != nil {
		return nil, fmt.Errorf("reading rules of alarms: %w", err)
	}
	for _, r := range alarm.Defaults() {
		if !slices.ContainsFunc(kept, func(k alarm.Rule) bool { return k.ID == r.ID }) {
			kept = append(kept, r)
		}
	}
	slices.SortFunc(kept, func(a, b alarm.Rule) int {
		return cmp.Or(slices.Index(alarm.Kinds, a.Kind)-slices.Index(alarm.Kinds, b.Kind), strings.Compare(a.ID, b.ID))
	})
	return kept, nil
}

// AlarmRule returns one revision of a rule, or [alarm.ErrNotFound].
func (db *DB) AlarmRule(ctx context.Context, id string, revision int64) (alarm.Rule, error) {
	if revision == 0 {
		if r, ok := alarm.Default(id); ok {
			return r, nil
		}
		return alarm.Rule{}, alarm.ErrNotFound
	}
	r, err := scanRule(db.read().QueryRowContext(ctx, `SELECT revision, rule FROM alarm_rule WHERE id = ? AND revision = ?`, id, revision))
	if errors.Is(err, sql.ErrNoRows) {
		return r, alarm.ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("reading a rule of alarms: %w", busy(err))
	}
	return r, nil
}

// SaveRule stores r as the next revision of its rule, with the record that puts
// it in force.
func (db *DB) SaveRule(ctx context.Context, actor directory.Actor, r alarm.Rule) (alarm.Rule, error) {
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("changing a rule of alarms: %w", err)
	}
	was := r.Revision
	err := db.write(ctx, func(tx *sql.Tx) error {
		now := db.now().UTC()
		if err := db.mayAlarm(ctx, tx, actor, now, policy.Administrator); err != nil {
			return err
		}
		var newest, rules int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(revision), 0), (SELECT count(DISTINCT id) FROM alarm_rule) FROM alarm_rule WHERE id = ?`, r.ID).Scan(&newest, &rules); err != nil {
			return err
		}
		switch {
		case newest != was:
			return alarm.ErrChanged
		case newest == 0 && rules >= alarm.MaxRules:
			return alarm.ErrTooMany
		}
		r.Revision = newest + 1
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO alarm_rule (id, revision, rule, at, actor) VALUES (?, ?, ?, ?, ?)`, r.ID, r.Revision, string(text), now.UnixNano(), actor.Account); err != nil {
			return err
		}
		settings := r
		settings.Accounts = nil // there may be many; their number is told
		said, err := json.Marshal(settings)
		if err != nil {
			return err
		}
		detail := map[string]string{"rule": r.ID, "revision": strconv.FormatInt(r.Revision, 10), "settings": string(said)}
		if len(r.Accounts) > 0 {
			detail["accounts"] = strconv.Itoa(len(r.Accounts))
		}
		return db.enqueue(tx, alarmRecord(actor, "alarm.rule", "alarm-rule:"+r.ID, now, detail))
	})
	if err != nil {
		return r, fmt.Errorf("changing a rule of alarms: %w", err)
	}
	return r, nil
}
