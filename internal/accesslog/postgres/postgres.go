// Package postgres keeps entries of many gateways' logs in one table of a
// Postgres database and searches them there. It is never on the way of a
// request, and nothing in the table is a proof: those are in each gateway's own
// log. It is good to some tens of millions of entries. Start with [Open].
//
// Origin and index are the primary key, so an entry that was delivered twice is
// there once. Texts sort by their bytes (collation "C"), as the query language
// compares them; the database's encoding must be UTF8.
package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/delivery"
)

// Config says where the table is. URL, Username and Origin are required.
type Config struct {
	// URL is postgres://host:5432/database. Connections are encrypted and the
	// server's certificate is checked, but for one to this machine itself.
	URL                string
	TLS                *tls.Config
	Username, Password string // the password is secret
	Table              string // default "ringfence"; a schema may stand before it with a dot
	Origin             string // of this gateway's log
	Now                func() time.Time
}

// String shows nothing of a Config but where it leads: it holds a secret.
func (c Config) String() string { return c.URL }

// GoString is as [Config.String].
func (c Config) GoString() string { return c.String() }

var nameForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$`)

func quoted(name string) (string, error) {
	if name == "" {
		name = "ringfence"
	}
	if !nameForm.MatchString(name) {
		return "", errors.New("configuring Postgres: names of schemas and tables are of small letters, digits and _")
	}
	return `"` + strings.ReplaceAll(name, ".", `"."`) + `"`, nil
}

// A Table is the table of one database. It is safe for concurrent use.
type Table struct {
	*table.Engine
	pool   *pgxpool.Pool
	origin string
	name   string // quoted
	insert string
	made   atomic.Bool
}

// Open connects to nothing until it is asked for something.
func Open(c Config) (*Table, error) {
	name, err := quoted(c.Table)
	if err != nil {
		return nil, err
	}
	if c.Origin == "" || c.Username == "" {
		return nil, errors.New("configuring Postgres: the log's origin and a user name are required")
	}
	conf, err := poolConfig(c)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), conf)
	if err != nil {
		return nil, fmt.Errorf("configuring Postgres: %w", err)
	}
	names := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		names[i] = c.String()
	}
	list := strings.Join(names, ", ")
	t := &Table{pool: pool, origin: c.Origin, name: name,
		insert: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM json_populate_recordset(NULL::%s, $1::json) ON CONFLICT DO NOTHING", name, list, list, name)}
	t.Engine = &table.Engine{Dialect: table.Postgres, From: name, Own: c.Origin, Runner: t, Now: c.Now}
	return t, nil
}

func poolConfig(c Config) (*pgxpool.Config, error) {
	bad := errors.New("configuring Postgres: the URL is not of the form postgres://host:5432/database")
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "postgres" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || len(u.Path) < 2 {
		return nil, bad
	}
	// What the environment or a file in the home folder says is overridden: the
	// configuration alone says where entries go and as whom.
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	conf, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		return nil, bad
	}
	cc := conf.ConnConfig
	cc.User, cc.Password, cc.Fallbacks = c.Username, c.Password, nil
	cc.RuntimeParams = map[string]string{"application_name": "ringfence"}
	ip := net.ParseIP(u.Hostname())
	if local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback(); c.TLS != nil || !local {
		cc.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLS != nil {
			cc.TLSConfig = c.TLS.Clone()
		}
		cc.TLSConfig.ServerName = u.Hostname()
	}
	cc.ConnectTimeout = 10 * time.Second
	// Statements are planned with their values at hand, so that they find the partial indexes.
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	conf.MaxConns, conf.MinConns = 4, 0
	return conf, nil
}

// Close lets go of connections.
func (t *Table) Close() error {
	t.pool.Close()
	return nil
}

// Run implements [table.Runner].
func (t *Table) Run(ctx context.Context, sql string, args []any, each func(scan func(...any) error) error) error {
	rows, err := t.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Schema returns the statements that make the table, for those who make it
// themselves: with it there, the gateway needs INSERT, SELECT, UPDATE and DELETE,
// the last two for erasures and for what age removes.
func Schema(tableName string) ([]string, error) {
	name, err := quoted(tableName)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", name)
	for _, c := range table.Columns {
		kind, _ := columnType(c)
		fmt.Fprintf(&b, "\t%s %s NOT NULL,\n", c, kind)
	}
	b.WriteString("\t\"time\" timestamptz GENERATED ALWAYS AS (to_timestamp(ns / 1e9::float8)) STORED,\n\tPRIMARY KEY (origin, \"index\")\n)")
	out := []string{b.String()}
	short := strings.Trim(name[strings.LastIndexByte(name, '.')+1:], `"`)
	add := func(column, what string) {
		out = append(out, fmt.Sprintf(`CREATE INDEX IF NOT EXISTS "%s_%s" ON %s %s`, short[:min(len(short), 50)], column, name, what))
	}
	add("ns", `(ns DESC, origin, "index" DESC)`)
	for _, c := range []string{"account", "actor", "email_fold", "name_fold", "session", "request_id"} {
		add(c, fmt.Sprintf("(%s, ns DESC) WHERE %s <> ''", c, c))
	}
	return out, nil
}

// make makes the table unless it is there.
func (t *Table) make(ctx context.Context) error {
	if t.made.Load() {
		return nil
	}
	var encoding string
	var there bool
	err := t.pool.QueryRow(ctx, "SELECT current_setting('server_encoding'), to_regclass($1::text) IS NOT NULL", t.name).Scan(&encoding, &there)
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("the database's encoding is %s and must be UTF8", encoding)
	}
	if err == nil && !there {
		var schema []string
		if schema, err = Schema(strings.ReplaceAll(t.name, `"`, "")); err == nil {
			err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
				for _, s := range schema {
					if _, err := tx.Exec(ctx, s); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err == nil && there {
		err = t.widen(ctx)
	}
	if err != nil {
		return fmt.Errorf("making the table: %w", err)
	}
	t.made.Store(true)
	return nil
}

// widen adds the columns that a table from an older version does not have.
// Entries that are there already have nothing in them.
func (t *Table) widen(ctx context.Context) error {
	var names []string
	err := t.pool.QueryRow(ctx, "SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped", t.name).Scan(&names)
	if err != nil {
		return err
	}
	for _, c := range table.Columns {
		if slices.Contains(names, c.Name) {
			continue
		}
		kind, empty := columnType(c)
		if _, err := t.pool.Exec(ctx, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s NOT NULL DEFAULT %s", t.name, c, kind, empty)); err != nil {
			return err
		}
	}
	return nil
}

// columnType returns a column's type and what stands there for nothing.
func columnType(c table.Column) (kind, empty string) {
	switch c.Kind {
	case table.Count:
		return "bigint", "-1"
	case table.List:
		return `text[] COLLATE "C"`, "'{}'"
	}
	return `text COLLATE "C"`, "''"
}

// Send implements [delivery.Sender]. Entries count as taken once the database
// has them on disk.
func (t *Table) Send(ctx context.Context, batch []*accesslog.Entry) error {
	if err := t.make(ctx); err != nil {
		return err
	}
	return t.write(ctx, t.insert, batch)
}

// write has the database carry out a statement on a batch, durably.
func (t *Table) write(ctx context.Context, sql string, batch []*accesslog.Entry) error {
	rows := []byte{'['}
	for i, e := range batch {
		if i > 0 {
			rows = append(rows, ',')
		}
		var err error
		if rows, err = table.AppendRow(rows, t.origin, e); err != nil {
			return err
		}
	}
	rows = append(rows, ']')
	err := pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		// Whatever the database's default: an answer that a power cut takes back would leave a hole.
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, string(rows))
		return err
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "54")) {
		return &delivery.RefusedError{Reason: e.Code + ": " + e.Message}
	}
	return err
}
