package postgres

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/enginetest"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

func opened(t *testing.T, url, origin string) *Table {
	t.Helper()
	x, err := Open(Config{URL: url, Username: deliverytest.User, Password: deliverytest.Password, Origin: origin, Now: func() time.Time { return enginetest.Now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// TestTable runs the corpus that holds for every engine on a real server.
func TestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("does one thing after the other")
	}
	url := deliverytest.Postgres(t)
	all := enginetest.Log(t, filepath.Join(t.TempDir(), "log"), 1200)
	x := opened(t, url, enginetest.Origin)
	ready(t, x)
	enginetest.Tables(t, all, func(origin string) enginetest.Shared { return opened(t, url, origin) })

	// Whoever only searches needs to read alone, and nothing that was asked for became part of a statement.
	exec := func(sql string) {
		t.Helper()
		if _, err := x.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE ROLE reader LOGIN PASSWORD 'reads'`)
	exec(`GRANT SELECT ON ringfence TO reader`)
	r, err := Open(Config{URL: url, Username: "reader", Password: "reads", Origin: enginetest.Origin})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Count(t.Context(), query.Request{}); err != nil || n < len(all) {
		t.Errorf("a reader counts %d, %v", n, err)
	}
	if err := r.Send(t.Context(), all[:1]); err == nil {
		t.Error("a reader wrote")
	}
	// A table from before there was a column gets it, and what was there stays.
	exec(`ALTER TABLE ringfence DROP COLUMN mode, DROP COLUMN status, DROP COLUMN reasons`)
	before, err := r.Count(t.Context(), query.Request{})
	if err != nil {
		t.Fatal(err)
	}
	wider := opened(t, url, "wider.example.com/log")
	if err := wider.Send(t.Context(), all[:10]); err != nil {
		t.Fatalf("into a table from an older version: %v", err)
	}
	strict, err := query.Parse("mode:strict or status:200 or reasons:a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wider.Count(t.Context(), query.Request{Where: strict}); err != nil {
		t.Errorf("asking for the new columns: %v", err)
	}
	if n, err := r.Count(t.Context(), query.Request{}); err != nil || n != before+10 {
		t.Errorf("%d entries, %v; want %d", n, err, before+10)
	}
	exec(`DROP TABLE ringfence`)
	enginetest.Upkeep(t, func(origin string) enginetest.Kept { return opened(t, url, origin) })
	if err := r.Replace(t.Context(), all[:1]); err == nil {
		t.Error("a reader replaced an entry")
	}
	// Whoever may only add entries is told so when one is to be forgotten or to go.
	exec(`CREATE ROLE writer LOGIN PASSWORD 'writes'`)
	exec(`GRANT SELECT, INSERT ON ringfence TO writer`)
	w, err := Open(Config{URL: url, Username: "writer", Password: "writes", Origin: enginetest.Origin})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Send(t.Context(), all[:1]); err != nil {
		t.Error(err)
	}
	if w.Replace(t.Context(), all[:1]) == nil || w.Trim(t.Context(), 1) == nil {
		t.Error("an account that may only add entries changed or removed one")
	}
	// A fault of the database is no refusal: the entries are sent again.
	exec(`ALTER TABLE ringfence ADD CONSTRAINT none CHECK (ns < 0) NOT VALID`)
	again := opened(t, url, "third.example.com/log")
	err = again.Send(t.Context(), all[:1])
	if _, refused := errors.AsType[*delivery.RefusedError](err); err == nil || refused {
		t.Errorf("a constraint of somebody's own: %v", err)
	}
}

// ready waits until the server answers.
func ready(t *testing.T, x *Table) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		err := x.pool.Ping(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestOpen_Refuses(t *testing.T) {
	for _, c := range []Config{
		{URL: "postgres://host/db", Username: "u"},
		{URL: "postgres://host/db", Origin: "o"},
		{URL: "https://host/db", Username: "u", Origin: "o"},
		{URL: "postgres://host", Username: "u", Origin: "o"},
		{URL: "postgres://u:p@host/db", Username: "u", Origin: "o"},
		{URL: "postgres://host/db?sslmode=disable", Username: "u", Origin: "o"},
		{URL: "postgres://host/db", Username: "u", Origin: "o", Table: `a"; DROP TABLE b; --`},
	} {
		if x, err := Open(c); err == nil {
			x.Close()
			t.Errorf("%+v: opened", c)
		}
	}
}

// Entries and passwords go over an encrypted connection, whatever the environment says.
func TestOpen_Encrypts(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	t.Setenv("PGUSER", "somebody")
	t.Setenv("PGPASSWORD", "else")
	t.Setenv("PGHOST", "elsewhere.example")
	conf, err := poolConfig(Config{URL: "postgres://db.example:5432/logs", Username: "ringfence", Password: "p", Origin: "o"})
	if err != nil {
		t.Fatal(err)
	}
	c := conf.ConnConfig
	if c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify || c.TLSConfig.ServerName != "db.example" || len(c.Fallbacks) != 0 || c.User != "ringfence" || c.Password != "p" || c.Host != "db.example" {
		t.Errorf("%+v", c)
	}
}
