package store

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
)

// plainTexts returns the tables and columns of text that there are.
func plainTexts(t *testing.T, db *DB) (out [][2]string) {
	t.Helper()
	for _, c := range columnOf(t, db.writer, `SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND upper(c.type) = 'TEXT' AND c.name <> 'account' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'`) {
		table, column, _ := strings.Cut(c, ".")
		out = append(out, [2]string{table, column})
	}
	return out
}

// An erased address is nowhere in the database: not in any column of any table,
// those to come included, but where it stays by design; and not in the pages of
// the file, nor in its journal.
func TestErasure_Everywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ringfence.db")
	db := open(t, Config{Path: path, Now: at(day), GateHost: "gate.example.com"})
	apply(t, db, exampleFile(t), false)
	drained(t, db)
	const marker, longer = "amara@northwind.example", "tamara@northwind.example"
	actor := actorOf(t, db, ines)
	d, _, err := db.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := of(d, marker).ID
	name := of(d, marker).Name
	if _, err := db.writer.Exec(`PRAGMA foreign_keys = OFF; PRAGMA defer_foreign_keys = ON`); err != nil {
		t.Fatal(err)
	}
	planted, read := 0, []string{"vendor", "account", "engagement", "cluster", "assignment", "identity_provider"} // whose rows must make sense
	for i, c := range plainTexts(t, db) {
		if notScrubbed[c[0]+".*"] != "" || notScrubbed[c[0]+"."+c[1]] != "" || slices.Contains(read, c[0]) || choiceOf(t, db.writer, c[0], c[1]) != "" {
			continue
		}
		plant(t, db.writer, c[0], c[1], fmt.Sprintf(`{"%d":"<%s> or %s, not %s"}`, i, marker, strings.ToUpper(marker), longer), i)
		planted++
	}
	if planted < 150 {
		t.Fatalf("only %d columns hold the address", planted)
	}
	for _, q := range []string{
		`DELETE FROM policy_shadow_difference`,
		`INSERT INTO policy_shadow_difference (shadow, key, count, first, last, entries) VALUES (1, '{"Turn":"widened","Account":"` + id + `","Email":"` + marker + `"}', 2, 1, 5, '[4]'),
			(1, '{"Turn":"widened","Account":"` + id + `","Email":"before@northwind.example"}', 3, 2, 9, '[3]')`,
		`INSERT INTO sign_off (search, title, query, scope, first, past, matched, own, account, email, note, at) VALUES (0, '', 'email:` + marker + `', '', 0, 1, 1, 0, '` + id + `', 'before@northwind.example', 'With ` + name + `.', 1)`,
		`INSERT INTO outbox (record) VALUES ('` + marker + `')`, `DELETE FROM outbox`, // what was recorded long ago
		`UPDATE vendor SET title = 'Of ` + marker + `', suspended = 1, suspended_reason = '` + marker + `'`,
		`UPDATE assignment SET reason = 'Says ` + name + ` (` + marker + `)', given_by = '` + marker + `'`,
	} {
		if _, err := db.writer.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.AskErasure(t.Context(), actor, id, "asked for by "+marker); err != nil {
		t.Fatal(err)
	}
	drained(t, db)
	for range 2 {
		if err := db.EraseRows(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.ErasureDone(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, c := range plainTexts(t, db) {
		for _, text := range columnOf(t, db.writer, fmt.Sprintf(`SELECT %[2]q FROM %[1]q WHERE %[2]q IS NOT NULL`, c[0], c[1])) {
			if rest := strings.ReplaceAll(strings.ToLower(text), longer, ""); strings.Contains(rest, marker) || strings.Contains(rest, "before@") {
				t.Errorf("%s.%s holds %s", c[0], c[1], text)
			}
		}
	}
	if got := columnOf(t, db.writer, `SELECT query || '|' || email || '|' || note FROM sign_off WHERE account = '`+id+`'`); len(got) != 1 || got[0] != "email:"+id+"|"+directory.ErasedEmail(id)+"|With "+directory.ErasedName+"." {
		t.Errorf("what it signed off: %q", got)
	}
	if got := columnOf(t, db.writer, `SELECT json_extract(key, '$.Email') || ' ' || count || ' ' || entries FROM policy_shadow_difference`); len(got) != 1 || got[0] != directory.ErasedEmail(id)+" 5 [4,3]" && got[0] != directory.ErasedEmail(id)+" 5 [3,4]" {
		t.Errorf("what a shadow found: %q", got)
	}
	if _, err := db.writer.Exec(`UPDATE sign_off SET note = 'x'`); err == nil {
		t.Error("a sign-off changes without an erasure")
	}
	for _, file := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if i := bytes.Index(bytes.ReplaceAll(bytes.ToLower(b), []byte(longer), nil), []byte(marker)); i >= 0 {
			t.Errorf("%s holds the address at byte %d", filepath.Base(file), i)
		}
	}
}

// plant puts a row into a table whose column holds text.
func plant(t *testing.T, db *sql.DB, table, column, text string, n int) {
	t.Helper()
	choices := map[string]string{}
	for _, name := range columnOf(t, db, `SELECT name FROM pragma_table_info('`+table+`')`) {
		choices[name] = choiceOf(t, db, table, name)
	}
	rows, err := db.Query(`SELECT name, type FROM pragma_table_info(?)`, table)
	if err != nil {
		t.Fatal(err)
	}
	var names, marks []string
	var values []any
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		var v any = fmt.Sprintf("%s %d", name, n)
		switch {
		case name == column:
			v = text
		case kind == "INTEGER":
			v = 1000 + n
		case kind == "BLOB":
			v = []byte{byte(n)}
		case choices[name] != "":
			v = choices[name]
		}
		names, marks, values = append(names, name), append(marks, "?"), append(values, v)
	}
	rows.Close()
	if _, err := db.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
		t.Fatalf("filling %s: %v", table, err)
	}
}

// choiceOf returns the first of the words that a column may hold, empty for any text.
func choiceOf(t *testing.T, db *sql.DB, table, column string) string {
	t.Helper()
	for _, text := range columnOf(t, db, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = '`+table+`'`) {
		if m := regexp.MustCompile(`\b` + column + ` IN \('([^']+)'`).FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	return ""
}

// TestErasure_OfOthers: what an erasure takes away is of that account alone, even
// if its address is the end of another's or was somebody else's before, and its
// name another's too.
func TestErasure_OfOthers(t *testing.T) {
	db := filled(t)
	actor, before := actorOf(t, db, ines), account(t, db, kim)
	move := func(from, to, name string) {
		if _, err := db.Change(t.Context(), operator, func(d *directory.Directory) error {
			a := of(d, from)
			a.Email, a.Name = to, name
			for i := range d.Assignments {
				if d.Assignments[i].Account == from {
					d.Assignments[i].Account = to
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	move(kim, "kim.new@northwind.example", before.Name)
	move("amara@northwind.example", kim, before.Name)
	drained(t, db)
	id, longer := account(t, db, kim).ID, "tim."+kim
	for _, q := range []string{
		`INSERT INTO sign_off (search, title, query, scope, first, past, matched, own, account, email, note, at) VALUES (0, '', 'İ email:` + kim + `', '', 0, 1, 1, 0, '` + before.ID + `', '` + kim + `', 'With ` + before.Name + `.', 1)`,
		`INSERT INTO notice (id, account, kind, at, ip, user_agent, detail, seen) VALUES ('n1', '` + before.ID + `', 'x', 1, '192.0.2.1', '', '{"by":"` + longer + `"}', NULL),
			('n2', '` + before.ID + `', 'x', 1, '192.0.2.1', '', '{"by":"Kim \u003c` + kim + `\u003e"}', NULL)`,
		`INSERT INTO provider_subject (account, issuer, subject, at) VALUES ('` + before.ID + `', 'https://idp.example', '` + kim + `', 1)`,
	} {
		if _, err := db.writer.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.AskErasure(t.Context(), actor, id, "asked for"); err != nil {
		t.Fatal(err)
	}
	drained(t, db)
	if err := db.EraseRows(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if got := columnOf(t, db.writer, `SELECT email || '|' || query || '|' || note FROM sign_off`); len(got) != 1 || got[0] != before.ID+"|İ email:"+id+"|With "+before.Name+"." {
		t.Errorf("what somebody else signed off: %q", got)
	}
	if got := columnOf(t, db.writer, `SELECT ip || '|' || detail FROM notice WHERE id IN ('n1', 'n2') ORDER BY id`); len(got) != 2 || got[0] != `192.0.2.1|{"by":"`+longer+`"}` || got[1] != `|{"by":"Kim \u003c`+id+`\u003e"}` {
		t.Errorf("notices: %q", got)
	}
	if got := columnOf(t, db.writer, `SELECT subject FROM provider_subject`); len(got) != 1 || got[0] != kim {
		t.Errorf("how somebody else signs in: %q", got)
	}
}

// TestErasure_ForGood: nobody is given an account that was erased, of which the
// access log could tell neither what it did nor from where; and a change of it is
// not taken for the erasure.
func TestErasure_ForGood(t *testing.T) {
	db := filled(t)
	actor, id := actorOf(t, db, ines), account(t, db, kim).ID
	if err := db.AskErasure(t.Context(), actor, id, "asked for"); err != nil {
		t.Fatal(err)
	}
	drained(t, db)
	if err := db.EraseRows(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	drained(t, db)
	erased := directory.ErasedEmail(id)
	for what, edit := range map[string]func(*directory.Account){
		"enabled": func(a *directory.Account) { a.Disabled = false },
		"renamed": func(a *directory.Account) { a.Email = kim },
	} {
		_, err := db.Change(t.Context(), actor, func(d *directory.Directory) error {
			edit(of(d, erased))
			d.Assignments = nil
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "never used again") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := db.Change(t.Context(), actor, func(d *directory.Directory) error {
		of(d, erased).TimeZone = "Europe/Berlin"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := drained(t, db); len(got) != 1 || got[0].Detail["erased"] != "" || !strings.Contains(got[0].Detail["time_zone"], "Europe/Berlin") {
		t.Errorf("a later change is recorded as %+v", got)
	}
}

func TestReplaceFold(t *testing.T) {
	for text, want := range map[string]string{
		"kim@a.example": "ID", "KIM@A.example, tim": "ID, tim", "İ Kim@a.example ẞ": "İ ID ẞ", "kim@a.exampleİ": "kim@a.exampleİ", "İkim@a.example": "İkim@a.example",
		`{"a":"İ","b":"kim@a.example"}`: `{"a":"İ","b":"ID"}`, `"\u003ckim@a.example\u003e"`: `"\u003cID\u003e"`, `"Asked\nkim@a.example"`: `"Asked\nID"`,
		"tim.kim@a.example": "tim.kim@a.example", "kim@a.example.org": "kim@a.example.org", "kim@a.example.": "ID.", "\xffkim@a.example": "\xffID", "kim@a.example kim@a.example": "ID ID",
	} {
		if got := replaceFold(text, "kim@a.example", "ID"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
