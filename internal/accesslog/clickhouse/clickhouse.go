package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/delivery"
)

// Config says where the table is. URL and Origin are required.
type Config struct {
	URL string // https://host:8443, or http to this machine itself
	TLS *tls.Config
	// Authorization is sent as the header of that name. Secret. Default none.
	Authorization string
	Database      string // default "default"
	Table         string // default "ringfence"
	Origin        string // of this gateway's log
	Now           func() time.Time
}

// String shows nothing of a Config but where it leads: it holds a secret.
func (c Config) String() string { return c.URL }

// GoString is as [Config.String].
func (c Config) GoString() string { return c.String() }

var nameForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (c *Config) name() (string, error) {
	if c.Database == "" {
		c.Database = "default"
	}
	if c.Table == "" {
		c.Table = "ringfence"
	}
	if !nameForm.MatchString(c.Database) || !nameForm.MatchString(c.Table) {
		return "", errors.New("configuring ClickHouse: names of databases and tables are of small letters, digits and _")
	}
	return `"` + c.Database + `"."` + c.Table + `"`, nil
}

// A Table is the table of one server. It is safe for concurrent use.
type Table struct {
	*table.Engine
	client *client
	origin string
	name   string
	made   atomic.Bool
}

// Open connects to nothing.
func Open(c Config) (*Table, error) {
	name, err := c.name()
	if err != nil {
		return nil, err
	}
	if c.Origin == "" {
		return nil, errors.New("configuring ClickHouse: the log's origin is required")
	}
	cl, err := newClient(c.URL, c.Authorization, c.TLS)
	if err != nil {
		return nil, err
	}
	t := &Table{client: cl, origin: c.Origin, name: name}
	t.Engine = &table.Engine{Dialect: table.ClickHouse, From: name + " FINAL", Own: c.Origin, Runner: t, Now: c.Now}
	return t, nil
}

// Close lets go of connections.
func (t *Table) Close() error {
	t.client.http.CloseIdleConnections()
	return nil
}

// Run implements [table.Runner].
func (t *Table) Run(ctx context.Context, sql string, args []any, each func(scan func(...any) error) error) error {
	return t.client.rows(ctx, sql, args, each)
}

// Schema returns the statement that makes the table, for those who make it
// themselves: with it there, the gateway needs INSERT and SELECT, and OPTIMIZE
// and ALTER DELETE for erasures and for what age removes.
func Schema(c Config) (string, error) {
	name, err := c.name()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", name)
	for _, col := range table.Columns {
		fmt.Fprintf(&b, "\t%s %s,\n", col, columnType(col))
	}
	b.WriteString("\t\"time\" DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(ns, 'UTC'),\n")
	for _, c := range []string{"account", "actor", "email_fold", "name_fold", "session", "request_id"} {
		fmt.Fprintf(&b, "\tINDEX of_%s %s TYPE bloom_filter(0.01) GRANULARITY 1,\n", c, c)
	}
	b.WriteString("\tINDEX of_ns ns TYPE minmax GRANULARITY 1\n")
	b.WriteString(") ENGINE = ReplacingMergeTree\n" +
		"PARTITION BY (origin, toYYYYMM(fromUnixTimestamp64Nano(ns, 'UTC')))\n" +
		"ORDER BY (origin, \"index\")\n" +
		"SETTINGS fsync_after_insert = 1, fsync_part_directory = 1")
	return b.String(), nil
}

func columnType(c table.Column) string {
	switch {
	case c.Name == "index" || c.Name == "ns":
		return "Int64 CODEC(Delta, ZSTD)"
	case c.Kind == table.Count:
		return "Int64 CODEC(ZSTD)"
	case c.Kind == table.List:
		return "Array(String) CODEC(ZSTD)"
	case c.Kind == table.Plain:
		return "String CODEC(ZSTD(3))"
	}
	return "LowCardinality(String)"
}

// make makes the table unless it is there. Where the account may not, an
// insert tells soon enough whether it is missing.
func (t *Table) make(ctx context.Context, schema string) error {
	if t.made.Load() {
		return nil
	}
	body, err := t.client.statement(ctx, url.Values{}, schema, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		body.Close()
	}
	if e, ok := errors.AsType[*serverError](err); ok && e.code == accessDenied {
		err = nil
	}
	if err == nil {
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
	adds := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		adds[i] = fmt.Sprintf("ADD COLUMN IF NOT EXISTS %s %s", c, columnType(c))
	}
	body, err := t.client.statement(ctx, url.Values{}, "ALTER TABLE "+t.name+" "+strings.Join(adds, ", "), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		body.Close()
	}
	if e, ok := errors.AsType[*serverError](err); ok && e.code == accessDenied {
		return nil // an insert tells soon enough
	}
	return err
}

// Codes of the server's errors.
const accessDenied = 497

// ofContent are codes that are about what was sent.
var ofContent = []int{6, 26, 27, 69, 72, 117}

// Send implements [delivery.Sender].
func (t *Table) Send(ctx context.Context, batch []*accesslog.Entry) error {
	db, tbl, _ := strings.Cut(strings.ReplaceAll(t.name, `"`, ""), ".")
	schema, err := Schema(Config{Database: db, Table: tbl})
	if err != nil {
		return err
	}
	if err := t.make(ctx, schema); err != nil {
		return err
	}
	var rows []byte
	names := make([]string, len(table.Columns))
	for i, c := range table.Columns {
		names[i] = c.String()
	}
	for _, e := range batch {
		if rows, err = table.AppendRow(rows, t.origin, e); err != nil {
			return err
		}
		rows = append(rows, '\n')
	}
	err = t.client.insert(ctx, fmt.Sprintf("INSERT INTO %s (%s) FORMAT JSONEachRow", t.name, strings.Join(names, ", ")), rows)
	if e, ok := errors.AsType[*serverError](err); ok && slices.Contains(ofContent, e.code) {
		return &delivery.RefusedError{Reason: e.what}
	}
	return err
}
