package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/change/changetest"
)

// Whoever writes into the file itself, past our own triggers, changes nothing
// unseen: neither what is in force nor what the next draft is begun from.
func TestRevisions_Tampered(t *testing.T) {
	other, _, err := accesslog.GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, tamper := range map[string][]string{
		"a file":                 {`UPDATE policy_module SET source = 'allow' WHERE revision = 2`},
		"a file more":            {`INSERT INTO policy_module VALUES (2, 'all/x.rego', 'x')`},
		"a file less":            {`DELETE FROM policy_module WHERE revision = 2 AND name = 'all/b.rego'`},
		"the hash":               {`UPDATE policy_revision SET hash = 'x' WHERE id = 2`},
		"who":                    {`UPDATE policy_revision SET actor = 'ada' WHERE id = 2`},
		"when":                   {`UPDATE policy_revision SET published = published + 1 WHERE id = 2`},
		"why":                    {`UPDATE policy_revision SET reason = 'a good one' WHERE id = 2`},
		"no statement":           {`UPDATE policy_revision SET statement = x'' WHERE id = 2`},
		"no statements, no mark": {`UPDATE policy_revision SET statement = x''`, `UPDATE policy_unsigned SET below = 2`},
		"the first one's":        {`UPDATE policy_revision SET statement = (SELECT statement FROM policy_revision WHERE id = 1) WHERE id = 2`},
		"the first one whole":    {`DELETE FROM policy_module WHERE revision = 2`, `INSERT INTO policy_module SELECT 2, name, source FROM policy_module WHERE revision = 1`, `UPDATE policy_revision SET (hash, statement) = (SELECT hash, statement FROM policy_revision WHERE id = 1) WHERE id = 2`},
		"a byte of it":           {`UPDATE policy_revision SET statement = CAST(replace(CAST(statement AS TEXT), 'because', 'Because') AS BLOB) WHERE id = 2`},
		"gone":                   {`DELETE FROM policy_module WHERE revision = 2`, `DELETE FROM policy_revision WHERE id = 2`},
		"one without statement":  {`INSERT INTO policy_revision (id, hash, published, actor, email, reason) VALUES (3, '', 1, 'operator', '', '')`},
		"another key":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			db := filled(t)
			first := publishAlone(t, db, map[string]string{"all/a.rego": "1"})
			publishAlone(t, db, map[string]string{"all/a.rego": "2", "all/b.rego": "b"})
			for _, trigger := range columnOf(t, db.writer, `SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'policy%'`) {
				if _, err := db.writer.Exec(`DROP TRIGGER ` + trigger); err != nil {
					t.Fatal(err)
				}
			}
			if tamper == nil {
				r, err := changesOf(t, db).Revision(t.Context(), 2)
				if err != nil {
					t.Fatal(err)
				}
				text, err := r.State()
				if err != nil {
					t.Fatal(err)
				}
				forged, err := accesslog.SignText(other, text)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.writer.Exec(`UPDATE policy_revision SET statement = ? WHERE id = 2`, forged); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range tamper {
				if res, err := db.writer.Exec(statement); err != nil {
					t.Fatal(err)
				} else if n, _ := res.RowsAffected(); n == 0 {
					t.Fatalf("%s changed nothing", statement)
				}
			}
			c, ines := changesOf(t, db), actorOf(t, db, ines)
			if r, err := c.InForce(t.Context()); !errors.Is(err, change.ErrTampered) {
				t.Errorf("in force: %+v, %v", r, err)
			}
			if _, err := c.Begin(t.Context(), ines, "Title", "reason"); !errors.Is(err, change.ErrTampered) {
				t.Errorf("a draft was begun from it: %v", err)
			}
			if name == "no statements, no mark" {
				return // the first one is forged as well
			}
			// The way out: what is known to be good, by one person's act.
			r, err := c.RollBackAlone(t.Context(), ines, first.ID, "the store was changed")
			if err != nil || r.ID < 3 {
				t.Fatalf("rolling back: %+v, %v", r, err)
			}
			if now, err := c.InForce(t.Context()); err != nil || now.ID != r.ID || now.Modules["all/a.rego"] != "1" {
				t.Errorf("in force: %+v, %v", now, err)
			}
			if name == "gone" || strings.HasPrefix(name, "one without") {
				return
			}
			if _, err := c.RollBackAlone(t.Context(), ines, 2, "and back"); !errors.Is(err, change.ErrTampered) {
				t.Errorf("rolled back to what was tampered with: %v", err)
			}
			if bad, err := c.Revision(t.Context(), 2); err != nil || bad.Fault == "" {
				t.Errorf("%+v, %v", bad, err)
			}
		})
	}
}

// Revisions from before they were signed stay good, and none may follow them.
func TestRevisions_FromBefore(t *testing.T) {
	db := filled(t)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.writer.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`DROP TRIGGER policy_unsigned_fixed`)
	old := map[string]string{"all/a.rego": "old"}
	found, err := changetest.Check(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	exec(`INSERT INTO policy_revision (id, hash, published, actor, email, reason) VALUES (1, ?, 1, 'operator', '', 'by hand')`, found.Of)
	exec(`INSERT INTO policy_module VALUES (1, 'all/a.rego', 'old')`)
	exec(`UPDATE policy_unsigned SET below = 2`)
	c := changesOf(t, db)
	if r, err := c.InForce(t.Context()); err != nil || r.ID != 1 || r.Reason != "by hand" || r.Modules["all/a.rego"] != "old" {
		t.Errorf("in force: %+v, %v", r, err)
	}
	exec(`DROP TRIGGER policy_module_fixed`)
	exec(`UPDATE policy_module SET source = 'new'`)
	if _, err := c.InForce(t.Context()); !errors.Is(err, change.ErrTampered) {
		t.Errorf("its file was changed: %v", err)
	}
	exec(`UPDATE policy_module SET source = 'old'`)
	if r := publishAlone(t, db, map[string]string{"all/a.rego": "signed"}); r.ID != 2 {
		t.Errorf("published %+v", r)
	}
	r, err := c.RollBackAlone(t.Context(), actorOf(t, db, ines), 1, "the old one was good")
	if err != nil || r.ID != 3 || len(r.Statement) == 0 {
		t.Errorf("rolled back: %+v, %v", r, err)
	}
}
