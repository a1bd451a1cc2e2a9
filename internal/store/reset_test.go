package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/auth/authtest"
)

// keptByReset are the tables about accounts that a reset of sign-in leaves, and why.
var keptByReset = map[string]string{
	"acceptance":    "who accepted what never changes",
	"assignment":    "access is another matter than signing in",
	"notice":        "the owner is told of the reset itself",
	"warning":       "it was not passed on yet",
	"mail":          "the owner is told of the reset itself",
	"device_try":    "guesses at the codes of machines stay counted",
	"known_network": "where somebody has signed in from stays known, and opens nothing",
	"phone_invited": "the next invitation is at least as strong",

	"saved_search":        "what somebody keeps to search for opens nothing",
	"sign_off":            "who reviewed what never changes",
	"account_touch":       "who could sign in as whom counts for its time",
	"policy_draft_author": "who wrote what never changes",
	"policy_draft_note":   "who said what never changes",
}

// A reset voids all that the account signed in with and had open, whatever
// table it is in: one that is forgotten would be a door that stays open.
func TestReset_VoidsEveryTable(t *testing.T) {
	db := open(t, Config{})
	insertAccounts(t, db, authtest.Everyone())
	if _, err := db.writer.Exec(`PRAGMA foreign_keys = OFF`); err != nil { // rows need not lead anywhere
		t.Fatal(err)
	}
	tables := columnOf(t, db.writer, `SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'account' WHERE m.type = 'table'`)
	walked := 0
	for _, table := range tables {
		if keptByReset[table] != "" {
			continue
		}
		for i, account := range []string{authtest.Kim.ID, authtest.Lee.ID} {
			fillRow(t, db.writer, table, account, i)
		}
		walked++
	}
	if walked < 8 {
		t.Fatalf("only %d of the tables %v were walked", walked, tables)
	}
	if _, err := db.writer.Exec(`PRAGMA foreign_keys = ON`); err != nil {
		t.Fatal(err)
	}
	if err := db.ResetCredential(t.Context(), authtest.Kim.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if keptByReset[table] != "" {
			continue
		}
		for account, want := range map[string]int{authtest.Kim.ID: 0, authtest.Lee.ID: 1} {
			var n int
			if err := db.read().QueryRow(`SELECT count(*) FROM `+table+` WHERE account = ?`, account).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n != want {
				t.Errorf("table %s has %d rows of %s after Kim's reset, want %d: name it in ResetCredential or in keptByReset", table, n, account, want)
			}
		}
	}
}

func columnOf(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// fillRow puts a row of the account into a table, with something in every column.
func fillRow(t *testing.T, db *sql.DB, table, account string, n int) {
	t.Helper()
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
		case name == "account":
			v = account
		case kind == "INTEGER":
			v = 1 + n
		case kind == "BLOB":
			v = []byte{byte(n)}
		}
		names, marks, values = append(names, name), append(marks, "?"), append(values, v)
	}
	rows.Close()
	if _, err := db.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
		t.Fatalf("filling %s: %v", table, err)
	}
}
