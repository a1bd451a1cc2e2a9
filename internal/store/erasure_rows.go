package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/directory"
)

// ErrPending reports that records wait for the access log. Nothing was changed
// that is not changed again.
var ErrPending = errors.New("records wait for the access log")

// erasedTables hold what an account did and was told, which goes with it. What
// it signs in with goes by [DB.ResetCredential]. Of warnings those stay that say
// what was done to policies, without whom and from where.
var erasedTables = []string{
	`DELETE FROM notice WHERE account = ?`,
	`DELETE FROM warning WHERE account = ? AND kind NOT LIKE 'policy#_%' ESCAPE '#'`,
	`DELETE FROM mail WHERE account = ?`,
	`DELETE FROM known_network WHERE account = ?`,
	`DELETE FROM device_try WHERE account = ?`,
	`DELETE FROM phone_invited WHERE account = ?`,
	`DELETE FROM saved_search WHERE account = ? AND shared = 0`,
	`UPDATE warning SET ip = '', user_agent = '' WHERE account = ?`,
}

// erasedColumns are addresses that stand beside the id of their account, also
// such as it had before: table, column of the id, column of the address.
var erasedColumns = [][3]string{
	{"warning", "account", "email"},
	{"saved_search", "account", "email"},
	{"sign_off", "account", "email"},
	{"alarm", "acknowledged_by", "acknowledged_email"},
	{"policy_draft_author", "account", "email"},
	{"policy_draft_note", "account", "email"},
	{"account_touch", "by", "by_email"},
	{"policy_shadow", "started_by", "started_email"},
	{"policy_shadow", "stopped_by", "stopped_email"},
}

// notScrubbed are columns, or with * whole tables, in which an erased address
// stays, and why. Everywhere else it goes.
var notScrubbed = map[string]string{
	"account.email":            "the directory changes it",
	"acceptance.*":             "the proof of a contract",
	"agreement.*":              "what was agreed upon",
	"agreement_version.*":      "what was agreed upon",
	"policy_revision.*":        "who answers for policies that were in force, as it was signed",
	"policy_module.*":          "policies that were in force",
	"policy_draft_module.*":    "policies, which a draft's hash is of",
	"policy_shadow_module.*":   "policies",
	"policy_loaded.*":          "policies that were in force",
	"vendor.owner_email":       "nobody whose address stands there is erased",
	"cluster.owner_email":      "nobody whose address stands there is erased",
	"alarm_receiver.address":   "nobody whose address stands there is erased",
	"provider_subject.subject": "by which another account signs in: the erased one's row is gone",
	"outbox.record":            "it goes into the access log, where it is sealed, and out of the table",
}

// freeTexts are what people write of one another, where names go as well.
var freeTexts = []string{"sign_off.note", "sign_off.title", "saved_search.title", "alarm.note", "policy_draft.title", "policy_draft.reason", "policy_draft_note.text",
	"policy_shadow.title", "hold.reason", "hold.lifted_why", "erasure.reason", "retention_rule.reason", "assignment.reason", "notice.detail", "warning.detail", "vendor.suspended_reason"}

// standsAt refuses where messages about something go to the address.
func standsAt(ctx context.Context, tx *sql.Tx, d *directory.Directory, email string) error {
	var places []string
	for i := range d.Vendors {
		if d.Vendors[i].Owner.Email == email {
			places = append(places, "vendor "+d.Vendors[i].Name)
		}
	}
	for i := range d.Clusters {
		if d.Clusters[i].Owner.Email == email {
			places = append(places, "cluster "+d.Clusters[i].Name)
		}
	}
	titles, err := rowsOf(ctx, tx, func(r scanner) (s string, err error) { return s, r.Scan(&s) }, `SELECT title FROM alarm_receiver WHERE lower(address) = lower(?) ORDER BY title`, email)
	if err != nil {
		return fmt.Errorf("reading receivers of alarms: %w", err)
	}
	for _, t := range titles {
		places = append(places, "receiver of alarms "+t)
	}
	if len(places) > 0 {
		return &directory.StandsError{Places: places}
	}
	return nil
}

// EraseRows takes an account's personal data out of the store: its name and
// address in the directory, its way in, what it was told and from where it came,
// and its address wherever else it stands, by the id of the account. The account is
// disabled and cannot be told from others that were erased but by its id. What
// it accepted, and what was signed of policies, stays as it was: those are proofs.
// No page of the file keeps what was there before. It may be repeated. The error
// is [ErrPending] while records wait for the access log, which finds by its
// address whom they name.
func (db *DB) EraseRows(ctx context.Context, account string) error {
	err := db.ResetCredential(ctx, account)
	if err == nil {
		err = db.write(ctx, func(tx *sql.Tx) error { return db.scrub(ctx, tx, account) })
	}
	if err == nil {
		_, err = db.Change(ctx, directory.Actor{Account: directory.Operator}, func(d *directory.Directory) error {
			eraseAccount(d, account)
			return nil
		})
	}
	if _, done := db.compacted.Load(account); err == nil && !done { // a later step that fails has all of this repeated
		if err = db.compact(ctx); err == nil {
			db.compacted.Store(account, true)
		}
	}
	if err != nil {
		return fmt.Errorf("erasing an account: %w", err)
	}
	return nil
}

func eraseAccount(d *directory.Directory, account string) {
	a := byID(d, account)
	if a == nil {
		return
	}
	was := a.Email
	a.Email, a.Name, a.Disabled, a.TimeZone, a.LogClusters = directory.ErasedEmail(account), directory.ErasedName, true, "", nil
	for i := range d.Assignments {
		if d.Assignments[i].Account == was {
			d.Assignments[i].Account = a.Email
		}
	}
}

// scrub erases what the tables hold of an account besides the directory.
func (db *DB) scrub(ctx context.Context, tx *sql.Tx, account string) error {
	if err := execAll(ctx, tx, erasedTables, account); err != nil {
		return err
	}
	erased := directory.ErasedEmail(account)
	for _, c := range erasedColumns {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %[1]q SET %[3]q = ? WHERE %[2]q = ?`, c[0], c[1], c[2]), erased, account); err != nil {
			return err
		}
	}
	if err := scrubShadows(ctx, tx, account); err != nil {
		return err
	}
	have, err := db.current(ctx, tx)
	if err != nil {
		return err
	}
	a := byID(have.directory, account)
	if a == nil || a.Email == erased {
		return nil // done before
	}
	var pending int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM outbox`).Scan(&pending); err != nil {
		return err
	}
	if pending > 0 {
		return ErrPending
	}
	for _, q := range []string{`DELETE FROM mail WHERE recipient = ?`, `UPDATE assignment SET given_by = '` + erased + `' WHERE given_by = ?`} {
		if _, err := tx.ExecContext(ctx, q, a.Email); err != nil {
			return err
		}
	}
	if err := scrubNotices(ctx, tx, a.Email); err != nil {
		return err
	}
	// Who did it under that address was somebody else, who had it before.
	for _, c := range erasedColumns {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %[1]q SET %[3]q = %[2]q WHERE lower(%[3]q) = ? AND %[2]q <> ?`, c[0], c[1], c[2]), a.Email, account); err != nil {
			return err
		}
	}
	if err := scrubTexts(ctx, tx, a.Email, account); err != nil {
		return err
	}
	if oneOfAKind(have.directory, a) {
		for _, c := range freeTexts {
			table, column, _ := strings.Cut(c, ".")
			if err := scrubColumn(ctx, tx, table, column, strings.TrimSpace(a.Name), directory.ErasedName); err != nil {
				return err
			}
		}
	}
	return db.notify(tx, KindDirectory, "")
}

// oneOfAKind reports whether an account's name names it and nobody else: one
// word may be any word, and others of that name keep it.
func oneOfAKind(d *directory.Directory, a *directory.Account) bool {
	name := strings.TrimSpace(a.Name)
	return strings.Contains(name, " ") && name != directory.ErasedName &&
		!slices.ContainsFunc(d.Accounts, func(b directory.Account) bool {
			return b.ID != a.ID && strings.EqualFold(strings.TrimSpace(b.Name), name)
		})
}

// scrubNotices takes away from where it came what notices say that an address did.
func scrubNotices(ctx context.Context, tx *sql.Tx, email string) error {
	type notice struct{ id, detail string }
	all, err := rowsOf(ctx, tx, func(r scanner) (n notice, err error) { return n, r.Scan(&n.id, &n.detail) },
		`SELECT id, detail FROM notice WHERE ip <> '' AND instr(lower(detail), ?) > 0`, email)
	for i := 0; err == nil && i < len(all); i++ {
		if replaceFold(all[i].detail, email, "") != all[i].detail { // not a longer address
			_, err = tx.ExecContext(ctx, `UPDATE notice SET ip = '' WHERE id = ?`, all[i].id)
		}
	}
	if err != nil {
		return fmt.Errorf("erasing in notice.ip: %w", err)
	}
	return nil
}

// scrubTexts puts the account's id in place of its address in every column of
// text that there is, of tables to come as well. Columns called account hold ids.
func scrubTexts(ctx context.Context, tx *sql.Tx, email, account string) error {
	columns, err := rowsOf(ctx, tx, func(r scanner) (c [2]string, err error) { return c, r.Scan(&c[0], &c[1]) },
		`SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND upper(c.type) = 'TEXT' AND c.name <> 'account' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%'`)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	for _, c := range columns {
		if notScrubbed[c[0]+".*"] != "" || notScrubbed[c[0]+"."+c[1]] != "" {
			continue
		}
		if err := scrubColumn(ctx, tx, c[0], c[1], email, account); err != nil {
			return err
		}
	}
	return nil
}

// scrubColumn replaces a text, in any case of letters, wherever a column holds it.
func scrubColumn(ctx context.Context, tx *sql.Tx, table, column, old, new string) error {
	old = strings.ToLower(old)
	texts, err := rowsOf(ctx, tx, func(r scanner) (s string, err error) { return s, r.Scan(&s) },
		fmt.Sprintf(`SELECT DISTINCT %[2]q FROM %[1]q WHERE instr(lower(%[2]q), ?) > 0`, table, column), old)
	for i := 0; err == nil && i < len(texts); i++ {
		_, err = tx.ExecContext(ctx, fmt.Sprintf(`UPDATE %[1]q SET %[2]q = ? WHERE %[2]q = ?`, table, column), replaceFold(texts[i], old, new), texts[i])
	}
	if err != nil {
		return fmt.Errorf("erasing in %s.%s: %w", table, column, err)
	}
	return nil
}

// replaceFold replaces old, which is in lower case, in any case of letters, but
// not where it is the end or the beginning of another address or word.
func replaceFold(s, old, new string) string {
	folded, at := fold(s)
	var b strings.Builder
	from, copied := 0, 0
	for {
		i := strings.Index(folded[from:], old)
		if i < 0 {
			return b.String() + s[copied:]
		}
		i += from
		from = i + len(old)
		if !within(folded[:i], folded[from:]) {
			b.WriteString(s[copied:at[i]])
			b.WriteString(new)
			copied = at[from]
		}
	}
}

// fold returns s in lower case, and where in s each byte of that and its end
// come from: some letters are of another length then.
func fold(s string) (string, []int) {
	var b strings.Builder
	at := make([]int, 0, len(s)+1)
	for i, r := range s {
		b.WriteRune(unicode.ToLower(r))
		for len(at) < b.Len() {
			at = append(at, i)
		}
	}
	return b.String(), append(at, len(s))
}

// escaped is a character before the end of a text that JSON writes in letters,
// such as a line's end or a <.
var escaped = regexp.MustCompile(`\\(?:u[0-9a-f]{4}|[bfnrt])$`)

// within reports whether a word goes on before or after a place.
func within(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	if (wordly(last) || strings.ContainsRune(".+%", last)) && !escaped.MatchString(before[max(0, len(before)-6):]) {
		return true
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimPrefix(after, "."))
	return wordly(first)
}

func wordly(r rune) bool {
	return r != utf8.RuneError && (r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// scrubShadows takes the account's address out of what shadows found.
func scrubShadows(ctx context.Context, tx *sql.Tx, account string) error {
	erased := directory.ErasedEmail(account)
	type group struct {
		shadow int64
		key    string
		d      change.Difference
	}
	all, err := rowsOf(ctx, tx, func(r scanner) (g group, err error) {
		var entries string
		if err = r.Scan(&g.shadow, &g.key, &g.d.Count, (*instant)(&g.d.First), (*instant)(&g.d.Last), &entries); err == nil {
			err = json.Unmarshal([]byte(g.key), &g.d.DifferenceKey)
		}
		if err == nil {
			err = json.Unmarshal([]byte(entries), &g.d.Entries)
		}
		return g, err
	}, `SELECT shadow, key, count, first, last, entries FROM policy_shadow_difference WHERE json_extract(key, '$.Account') = ? AND json_extract(key, '$.Email') <> ?`, account, erased)
	if err != nil {
		return fmt.Errorf("reading what a shadow found: %w", err)
	}
	for _, g := range all {
		if _, err := tx.ExecContext(ctx, `DELETE FROM policy_shadow_difference WHERE shadow = ? AND key = ?`, g.shadow, g.key); err != nil {
			return err
		}
		g.d.Email = erased
		slices.Sort(g.d.Entries)
		if _, err := addDifference(tx, g.shadow, &g.d, true); err != nil {
			return err
		}
	}
	return nil
}

// mostToCompact is how large a database is written anew at an erasure. In larger
// ones what was removed before removed rows were overwritten may stay in the
// file until its pages serve again.
const mostToCompact = 512 << 20

// compact sees to it that neither the file nor its journal keep what was removed.
func (db *DB) compact(ctx context.Context) error {
	var size int64
	err := db.writer.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&size)
	if err == nil && size <= mostToCompact {
		_, err = db.writer.ExecContext(ctx, `VACUUM`)
	}
	var kept, pages, moved int
	if err == nil {
		err = db.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&kept, &pages, &moved)
	}
	if err == nil && kept != 0 {
		err = ErrBusy
	}
	if err != nil {
		return fmt.Errorf("clearing the database's file: %w", busy(err))
	}
	return nil
}
