package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

// Directory returns the directory and all acceptances, as one moment had them.
// They are shared with other callers and must not be changed: edit a
// [directory.Directory.Clone], or through [DB.Change].
func (db *DB) Directory(ctx context.Context) (*directory.Directory, []directory.Acceptance, error) {
	tx, err := db.read().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, nil, fmt.Errorf("reading directory: %w", busy(err))
	}
	defer tx.Rollback()
	l, err := db.current(ctx, tx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading directory: %w", err)
	}
	return l.directory, l.acceptances, nil
}

// current returns the directory as tx sees it.
func (db *DB) current(ctx context.Context, tx *sql.Tx) (*loaded, error) {
	var version int64
	if err := tx.QueryRowContext(ctx, `SELECT version FROM directory_state`).Scan(&version); err != nil {
		return nil, err
	}
	old := db.cache.get()
	if old != nil && old.version == version {
		return old, nil
	}
	note, err := newest(ctx, tx)
	if err != nil {
		return nil, err
	}
	var l *loaded
	if old != nil && old.version < version && old.note <= note {
		if l, err = refresh(ctx, tx, old); err != nil {
			return nil, err
		}
	}
	if l == nil {
		if l, err = load(ctx, tx); err != nil {
			return nil, err
		}
	}
	l.version, l.note = version, note
	db.cache.set(l)
	return l, nil
}

// load reads every table of the directory.
func load(ctx context.Context, tx *sql.Tx) (*loaded, error) {
	l := &loaded{directory: &directory.Directory{}}
	d, x := l.directory, newLoader(ctx, tx)
	x.vendors(d)
	x.agreements(d)
	x.engagements(d)
	x.clusters(d)
	x.rows(accountColumns, func(r *sql.Rows) error {
		a, err := x.account(r)
		x.emails[a.ID] = a.Email
		d.Accounts = append(d.Accounts, a)
		return err
	})
	x.rows(assignmentColumns, func(r *sql.Rows) error {
		a, err := x.assignment(r)
		d.Assignments = append(d.Assignments, a)
		return err
	})
	x.rows(acceptanceColumns, func(r *sql.Rows) error {
		a, err := acceptance(r)
		l.acceptances = append(l.acceptances, a)
		return err
	})
	return l, x.err
}

func (x *loader) vendors(d *directory.Directory) {
	d.Vendors = nil
	x.rows(`SELECT name, title, owner_name, owner_email, suspended, suspended_reason FROM vendor`, func(r *sql.Rows) error {
		var v directory.Vendor
		err := r.Scan(&v.Name, &v.Title, &v.Owner.Name, &v.Owner.Email, &v.Suspended, &v.SuspendedReason)
		d.Vendors = append(d.Vendors, v)
		return err
	})
}

func (x *loader) agreements(d *directory.Directory) {
	d.Agreements = nil
	x.rows(`SELECT a.name, a.title, a.version, v.text FROM agreement a JOIN agreement_version v USING (name, version)`, func(r *sql.Rows) error {
		var a directory.Agreement
		err := r.Scan(&a.Name, &a.Title, &a.Version, &a.Text)
		d.Agreements = append(d.Agreements, a)
		return err
	})
}

func (x *loader) engagements(d *directory.Directory) {
	d.Engagements = nil
	x.rows(`SELECT name, vendor, title, starts, ends, closed, clusters, agreements FROM engagement`, func(r *sql.Rows) error {
		var e directory.Engagement
		err := r.Scan(&e.Name, &e.Vendor, &e.Title, (*instant)(&e.Starts), (*instant)(&e.Ends), &e.Closed, scanJSON(&e.Clusters), scanJSON(&e.Agreements))
		d.Engagements = append(d.Engagements, e)
		return err
	})
}

func (x *loader) clusters(d *directory.Directory) {
	d.Clusters = nil
	x.rows(`SELECT name, title, classification, owner_name, owner_email, hosts, routes FROM cluster`, func(r *sql.Rows) error {
		var c directory.Cluster
		err := r.Scan(&c.Name, &c.Title, &c.Classification, &c.Owner.Name, &c.Owner.Email, scanJSON(&c.Hosts), scanJSON(&c.Routes))
		d.Clusters = append(d.Clusters, c)
		return err
	})
}

const acceptanceColumns = `SELECT account, agreement, version, at, ip, typed_name, hash FROM acceptance`

func acceptance(r *sql.Rows) (directory.Acceptance, error) {
	var a directory.Acceptance
	err := r.Scan(&a.Account, &a.Agreement, &a.Version, (*instant)(&a.At), &a.IP, &a.TypedName, &a.Hash)
	return a, err
}

// A loader reads tables until the first error.
type loader struct {
	ctx    context.Context
	tx     *sql.Tx
	err    error
	words  map[string]string // texts that many rows share, kept once
	emails map[string]string // by account id

	contractor [1]policy.Role // shared: nobody changes what was loaded
}

func newLoader(ctx context.Context, tx *sql.Tx) *loader {
	return &loader{ctx: ctx, tx: tx, words: map[string]string{}, emails: map[string]string{}, contractor: [1]policy.Role{policy.Contractor}}
}

func (x *loader) rows(query string, scan func(*sql.Rows) error, args ...any) {
	if x.err != nil {
		return
	}
	rows, err := x.tx.QueryContext(x.ctx, query, args...)
	if err != nil {
		x.err = err
		return
	}
	defer rows.Close()
	for rows.Next() {
		if x.err = scan(rows); x.err != nil {
			return
		}
	}
	x.err = rows.Err()
}

// The tables with many rows are read as one column a row: each column costs
// more than what is in it. No value holds the separator, a control character.
const (
	separator      = "\x1f"
	accountColumns = `SELECT concat_ws(char(31), id, email, name, ifnull(vendor, ''), roles, ifnull(ends, ''), disabled, created,
		ifnull(enrolled_at, ''), ifnull(last_login, '')) FROM account`
	assignmentColumns = `SELECT concat_ws(char(31), account, cluster, engagement, starts, ends, access, methods, paths, reason, given_by) FROM assignment`
)

// A row is the columns of a row, read one after the other.
type row struct {
	rest string
	err  error
}

func scanRow(r *sql.Rows) (row, error) {
	var s string
	err := r.Scan(&s)
	return row{rest: s}, err
}

func (r *row) text() string {
	s, rest, ok := strings.Cut(r.rest, separator)
	if !ok {
		rest = ""
	}
	r.rest = rest
	return s
}

func (r *row) time() time.Time {
	s := r.text()
	if s == "" {
		return time.Time{}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		r.err = errors.Join(r.err, err)
	}
	return time.Unix(0, n).UTC()
}

// list reads a list of texts or the like; an empty one is nil.
func (r *row) list(to any) {
	s := r.text()
	if s == "[]" {
		return
	}
	r.err = errors.Join(r.err, json.Unmarshal([]byte(s), to))
}

func (x *loader) account(rows *sql.Rows) (directory.Account, error) {
	r, err := scanRow(rows)
	if err != nil {
		return directory.Account{}, err
	}
	a := directory.Account{ID: r.text(), Email: r.text(), Name: r.text(), Vendor: x.word(r.text())}
	if roles := r.text(); roles == contractorOnly {
		a.Roles = x.contractor[:]
	} else {
		r.err = json.Unmarshal([]byte(roles), &a.Roles)
	}
	a.Ends, a.Disabled, a.Created = r.time(), r.text() != "0", r.time()
	a.Status = policy.StatusInvited
	switch enrolled := r.time(); {
	case a.Disabled:
		a.Status = policy.StatusDisabled
	case !enrolled.IsZero():
		a.Status = policy.StatusActive
	}
	a.LastLogin = r.time()
	if r.err != nil {
		return a, fmt.Errorf("account %s: %w", a.ID, r.err)
	}
	return a, nil
}

// contractorOnly is the commonest column of roles.
const contractorOnly = `["contractor"]`

func (x *loader) assignment(rows *sql.Rows) (directory.Assignment, error) {
	r, err := scanRow(rows)
	if err != nil {
		return directory.Assignment{}, err
	}
	id := r.text()
	a := directory.Assignment{Account: x.emails[id], Cluster: x.word(r.text()), Engagement: x.word(r.text()), Starts: r.time(), Ends: r.time(), Access: x.word(r.text())}
	r.list(&a.Methods)
	r.list(&a.Paths)
	a.Reason, a.GivenBy = x.word(r.text()), x.word(r.text())
	if r.err != nil {
		return a, fmt.Errorf("assignment of account %s: %w", id, r.err)
	}
	return a, nil
}

// word returns s as a text of its own, the same for the same s: rows share
// most of their words, and none keeps its whole row alive.
func (x *loader) word(s string) string {
	if w, ok := x.words[s]; ok {
		return w
	}
	w := strings.Clone(s)
	if len(x.words) < 1<<16 {
		x.words[w] = w
	}
	return w
}

// An instant is a time as the tables keep it: nanoseconds since 1970, NULL for
// the zero time.
type instant time.Time

// Scan reads a column.
func (t *instant) Scan(v any) error {
	switch n := v.(type) {
	case nil:
		*t = instant{}
	case int64:
		*t = instant(time.Unix(0, n).UTC())
	default:
		return fmt.Errorf("a time is kept as %T", v)
	}
	return nil
}

// column returns a time as a column's value.
func column(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// jsonColumn reads a column that holds JSON.
type jsonColumn struct{ to any }

func scanJSON(to any) sql.Scanner { return jsonColumn{to} }

// Scan reads a column.
func (j jsonColumn) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is kept as %T", v)
	}
	return json.Unmarshal([]byte(s), j.to)
}

// asJSON returns a list as a column's value; none is [].
func asJSON[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}
