package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/ringfence/ringfence/policy"
)

// drainBatch is how many records Drain hands over between two deletions.
const drainBatch = 256

// ErrLater is what Drain's function returns for a record that the log has no
// room for while it has some for others.
var ErrLater = errors.New("the record has to wait")

// enqueue adds a record to the outbox within the transaction of what it
// records, so that neither can exist without the other.
func (db *DB) enqueue(tx *sql.Tx, r *policy.Record) error {
	if err := db.insertRecord(tx, r); err != nil {
		return err
	}
	return db.notify(tx, KindOutbox, "")
}

// insertRecord adds to the outbox without telling of it.
func (db *DB) insertRecord(tx *sql.Tx, r *policy.Record) error {
	if r.Time.IsZero() {
		r.Time = db.now()
	}
	r.Time = r.Time.UTC().Round(0)
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding record: %w", err)
	}
	if _, err := tx.Exec(`INSERT INTO outbox (record) VALUES (?)`, string(b)); err != nil {
		return fmt.Errorf("adding record to the outbox: %w", err)
	}
	return nil
}

// enqueueFirst is enqueue for a record that goes before all that wait.
func (db *DB) enqueueFirst(tx *sql.Tx, r *policy.Record) error {
	if err := db.insertRecord(tx, r); err != nil {
		return err
	}
	// Ids below those that wait are free: Drain takes the lowest first.
	if _, err := tx.Exec(`UPDATE outbox SET id = (SELECT min(id) FROM outbox) - 1 WHERE id = (SELECT max(id) FROM outbox)`); err != nil {
		return fmt.Errorf("putting a record before the others of the outbox: %w", err)
	}
	return db.notify(tx, KindOutbox, "")
}

// Enqueue adds one record to the outbox, for what changes nothing else, such
// as a command that reads the access log.
func (db *DB) Enqueue(ctx context.Context, r *policy.Record) error {
	return db.write(ctx, func(tx *sql.Tx) error { return db.enqueue(tx, r) })
}

// Pending returns how many records wait in the outbox.
func (db *DB) Pending(ctx context.Context) (int, error) {
	var n int
	if err := db.read().QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the outbox: %w", err)
	}
	return n, nil
}

// NextRecord returns the record that Drain would hand over first; nil: none waits.
func (db *DB) NextRecord(ctx context.Context) (*policy.Record, error) {
	var record []byte
	err := db.read().QueryRowContext(ctx, `SELECT record FROM outbox ORDER BY id LIMIT 1`).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	var r policy.Record
	if err := json.Unmarshal(record, &r); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return &r, nil
}

// Drain hands the outbox's records to record, oldest first, until it is empty,
// and returns how many were recorded. A row is deleted only after record has
// returned without error, so a crash between the two hands it over again: the
// same record with the same time. At the first error Drain stops, and that
// record and all after it stay; but a record of type log at which the error is
// [ErrLater] changes nothing else, so it alone stays. The caller must be the
// access log's writer.
func (db *DB) Drain(ctx context.Context, record func(context.Context, *policy.Record) (uint64, error)) (int, error) {
	db.drain.Lock()
	defer db.drain.Unlock()
	done, after := 0, int64(math.MinInt64)
	for {
		rows, err := db.waiting(ctx, after)
		if err != nil || len(rows) == 0 {
			return done, err
		}
		var ids []int64
		var failed error
		for _, w := range rows {
			var r policy.Record
			if failed = json.Unmarshal(w.record, &r); failed != nil {
				failed = fmt.Errorf("reading record %d of the outbox: %w", w.id, failed)
				break
			}
			_, failed = record(ctx, &r)
			if r.Type == policy.RecordLog && errors.Is(failed, ErrLater) {
				after, failed = w.id, nil
				continue
			}
			if failed != nil {
				failed = fmt.Errorf("recording: %w", failed)
				break
			}
			ids = append(ids, w.id)
		}
		if len(ids) > 0 {
			// What is recorded is deleted even when ctx has ended meanwhile.
			err := db.write(context.WithoutCancel(ctx), func(tx *sql.Tx) error {
				for _, id := range ids {
					if _, err := tx.Exec(`DELETE FROM outbox WHERE id = ?`, id); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return done, fmt.Errorf("emptying the outbox: %w", err)
			}
			done += len(ids)
		}
		if failed != nil {
			return done, failed
		}
	}
}

type waiting struct {
	id     int64
	record []byte
}

// waiting returns the oldest records of the outbox behind one.
func (db *DB) waiting(ctx context.Context, after int64) ([]waiting, error) {
	rows, err := db.read().QueryContext(ctx, `SELECT id, record FROM outbox WHERE id > ? ORDER BY id LIMIT ?`, after, drainBatch)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer rows.Close()
	var all []waiting
	for rows.Next() {
		var w waiting
		if err := rows.Scan(&w.id, &w.record); err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		all = append(all, w)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return all, nil
}
