package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

var oldRoot, newRoot = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)

// schema returns the columns of every table, each with its declared type.
func schema(t *testing.T, db *DB) map[string][][2]string {
	t.Helper()
	rows, err := db.writer.Query(`SELECT m.name, c.name, c.type FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	tables := map[string][][2]string{}
	for rows.Next() {
		var table, column, kind string
		if err := rows.Scan(&table, &column, &kind); err != nil {
			t.Fatal(err)
		}
		tables[table] = append(tables[table], [2]string{column, kind})
	}
	if err := rows.Err(); err != nil || len(tables) < 15 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	return tables
}

func isSealed(column string) bool { return column == "sealed" || strings.HasPrefix(column, "sealed_") }

// TestSealed_EveryColumnIsKnown: a column of secrets that re-sealing does not
// know would be lost with the old root key.
func TestSealed_EveryColumnIsKnown(t *testing.T) {
	var have, known []string
	for table, columns := range schema(t, open(t, Config{})) {
		for _, c := range columns {
			if isSealed(c[0]) {
				have = append(have, table+"."+c[0])
			}
		}
	}
	for _, c := range sealedColumns {
		known = append(known, c.table+"."+c.column)
	}
	slices.Sort(have)
	slices.Sort(known)
	known = slices.Compact(known)
	if !slices.Equal(have, known) {
		t.Errorf("the tables have %v, sealedColumns has %v", have, known)
	}
}

// fillSealed puts two rows into every table with sealed columns, whatever its
// columns are, and seals each value for its place under root.
func fillSealed(t *testing.T, db *DB, root []byte) []auth.SealedValue {
	t.Helper()
	if _, err := db.writer.Exec(`PRAGMA foreign_keys = 0`); err != nil {
		t.Fatal(err)
	}
	for table, columns := range schema(t, db) {
		if !slices.ContainsFunc(columns, func(c [2]string) bool { return isSealed(c[0]) }) {
			continue
		}
		for i := range 2 {
			var names, marks []string
			var values []any
			for _, c := range columns {
				names, marks = append(names, c[0]), append(marks, "?")
				switch c[1] {
				case "INTEGER":
					values = append(values, i)
				case "BLOB":
					values = append(values, fmt.Appendf(nil, "00000000%s%s%d", table, c[0], i))
				default:
					values = append(values, fmt.Sprintf("%s-%d", c[0], i))
				}
			}
			if _, err := db.writer.Exec(`INSERT INTO `+table+` (`+strings.Join(names, ", ")+`) VALUES (`+strings.Join(marks, ", ")+`)`, values...); err != nil {
				t.Fatalf("filling %s: %v", table, err)
			}
		}
	}
	columns := map[string]bool{}
	for _, c := range sealedColumns {
		columns[c.table+"."+c.column] = true
	}
	was, err := db.SealedValues(t.Context(), "ffffffff", 1000)
	if err != nil || len(was) != 2*len(columns) {
		t.Fatalf("%d values of %d columns with two rows, %v", len(was), len(columns), err)
	}
	now := make([][]byte, len(was))
	for i, v := range was {
		if now[i], err = auth.SealAt(root, v.Place, []byte(fmt.Sprintf("secret of %+v", v.Place))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Reseal(t.Context(), was, now); err != nil {
		t.Fatal(err)
	}
	filled, err := db.SealedValues(t.Context(), "ffffffff", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return filled
}

// TestSecretsAtRest_Moved moves every sealed value to every other place, over
// rows, columns and tables: it opens nowhere but at its own.
func TestSecretsAtRest_Moved(t *testing.T) {
	all := fillSealed(t, open(t, Config{}), oldRoot)
	moved := 0
	for i, v := range all {
		plain, err := auth.OpenAt(v, newRoot, oldRoot)
		if err != nil || string(plain) != fmt.Sprintf("secret of %+v", v.Place) {
			t.Errorf("%+v holds %q, %v", v.Place, plain, err)
		}
		for j, other := range all {
			if i == j || v.Place == other.Place {
				continue // a factor is the same secret while it waits for its first code
			}
			moved++
			if _, err := auth.OpenAt(auth.SealedValue{Place: other.Place, Sealed: v.Sealed}, oldRoot); err == nil {
				t.Errorf("what was sealed for %+v opens at %+v", v.Place, other.Place)
			}
		}
	}
	if moved < len(all)*(len(all)-3) {
		t.Errorf("only %d moves of %d values", moved, len(all))
	}
}

// TestReseal_Killed kills the re-sealing with SIGKILL after every second
// transaction and starts it again, until it is done: nothing is lost, nothing done
// twice, and the old key opens nothing at the end.
func TestReseal_Killed(t *testing.T) {
	p := filepath.Join(t.TempDir(), "ringfence.db")
	db := open(t, Config{Path: p})
	fillSealed(t, db, oldRoot)
	const many = 500
	err := db.write(t.Context(), func(tx *sql.Tx) error {
		for i := range many {
			at := auth.Place{Table: "totp_device", Column: "sealed", Row: fmt.Sprintf("acc-%d/dev-%[1]d", i)}
			sealed, err := auth.SealAt(oldRoot, at, []byte(at.Row))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO totp_device (id, account, name, sealed, confirmed, last_step) VALUES (?, ?, '', ?, 1, 1)`, fmt.Sprintf("dev-%d", i), fmt.Sprintf("acc-%d", i), sealed); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`DELETE FROM signing_key; DELETE FROM secret`) // these are no keys
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	oldID, err := auth.RootKeyID(oldRoot)
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "STORE_TEST_RESEAL="+p)
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || !exit.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("%v: %s", err, out)
		}
		counts, err := db.CountSealed(t.Context())
		if err != nil || kills < 2 && (counts[oldID] == 0 || len(counts) != 2) {
			t.Fatalf("after %d kills: %v, %v", kills+1, counts, err)
		}
		if kills++; kills > many {
			t.Fatal("it does not go on where it was")
		}
	}
	if kills < 2 {
		t.Fatalf("killed %d times only", kills)
	}
	all, err := db.SealedValues(t.Context(), "ffffffff", 10*many)
	if err != nil || len(all) < many {
		t.Fatalf("%d values, %v", len(all), err)
	}
	for _, v := range all {
		if _, err := auth.OpenAt(v, newRoot); err != nil {
			t.Fatalf("%+v: %v", v.Place, err)
		}
		if _, err := auth.OpenAt(v, oldRoot); err == nil {
			t.Fatalf("the old key opens %+v", v.Place)
		}
	}
}

// resealUntilKilled is a process that re-seals and is killed in the middle.
func resealUntilKilled(path string) {
	ctx := context.Background()
	db, err := Open(ctx, Config{Path: path})
	if err == nil {
		var s *auth.Service
		s, err = auth.New(auth.Config{Store: db, Recorder: new(authtest.Recorder), RootKey: newRoot, OldRootKeys: [][]byte{oldRoot}, Issuer: authtest.Issuer})
		if err == nil {
			batches := 0
			_, err = s.Reseal(ctx, authtest.Operator, func(int, int) {
				if batches++; batches == 2 {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			})
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestRootKeys_Noted keeps which root key a gateway has taken last.
func TestRootKeys_Noted(t *testing.T) {
	now := day
	db := open(t, Config{Now: func() time.Time { now = now.Add(1); return now }})
	for _, c := range []struct {
		id    string
		taken bool
	}{{"a", true}, {"b", false}, {"b", true}, {"a", false}} {
		if err := db.NoteRootKey(t.Context(), c.id, c.taken); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := db.RootKeys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].ID != "a" || !keys[1].Taken.After(keys[0].Taken) || !keys[1].Seen.After(keys[0].Seen) {
		t.Errorf("noted %+v, %v", keys, err)
	}
}
