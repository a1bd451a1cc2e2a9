package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// A Runner runs a statement and calls each for every row, whose values scan
// copies to pointers of type *string, *[]string and *int64. It must return an
// error where a row may be missing.
type Runner interface {
	Run(ctx context.Context, sql string, args []any, each func(scan func(...any) error) error) error
}

// An Engine answers searches by statements over the table. It is safe for
// concurrent use where its Runner is. Entries of several logs are ordered by
// time, then origin, then index.
type Engine struct {
	Dialect Dialect
	From    string // the table as it stands after FROM, quoted
	Own     string // the origin of this gateway's log
	Runner  Runner
	Now     func() time.Time // default time.Now
}

var _ query.Engine = (*Engine)(nil)

// where returns a statement begun with r's condition.
func (e *Engine) where(ctx context.Context, r query.Request) (*Statement, string, error) {
	if r.Now.IsZero() {
		r.Now = time.Now()
		if e.Now != nil {
			r.Now = e.Now()
		}
	}
	s := &Statement{Dialect: e.Dialect}
	cond, err := s.Compile(r.Where, r.Now)
	if err != nil || r.Before == 0 {
		return s, cond, err
	}
	origin := cmp.Or(r.BeforeOrigin, e.Own)
	at, found, err := e.timeOf(ctx, origin, r.Before)
	if err != nil {
		return s, cond, err
	}
	o, i := s.Text(origin), s.Int(int64(r.Before))
	before := fmt.Sprintf(`(origin <> %s OR "index" < %s)`, o, i)
	if found {
		ns := s.Int(at)
		before = fmt.Sprintf(`(ns < %s OR (ns = %s AND (origin > %s OR (origin = %s AND "index" < %s))))`, ns, ns, o, o, i)
	}
	return s, "(" + cond + " AND " + before + ")", nil
}

// timeOf returns when the entry was made, or the next one that is there.
func (e *Engine) timeOf(ctx context.Context, origin string, index uint64) (ns int64, found bool, err error) {
	s := &Statement{Dialect: e.Dialect}
	sql := fmt.Sprintf(`SELECT ns FROM %s WHERE origin = %s AND "index" >= %s ORDER BY "index" LIMIT 1`, e.From, s.Text(origin), s.Int(int64(index)))
	err = e.run(ctx, sql, s, func(scan func(...any) error) error {
		found = true
		return scan(&ns)
	})
	return ns, found, err
}

func (e *Engine) run(ctx context.Context, sql string, s *Statement, each func(scan func(...any) error) error) error {
	if err := e.Runner.Run(ctx, sql, s.Args, each); err != nil {
		return fmt.Errorf("searching the shared table: %w", err)
	}
	return nil
}

// Search implements [query.Engine].
func (e *Engine) Search(ctx context.Context, r query.Request) ([]query.Row, error) {
	s, cond, err := e.where(ctx, r)
	if err != nil {
		return nil, err
	}
	wanted := []string{"origin", `"index"`, "ns"}
	columns := make([]Column, len(r.Fields))
	for i, f := range r.Fields {
		var ok bool
		if columns[i], ok = Of(f); ok {
			wanted = append(wanted, columns[i].String())
		}
	}
	sql := fmt.Sprintf(`SELECT %s FROM %s WHERE %s ORDER BY ns DESC, origin, "index" DESC`, strings.Join(wanted, ", "), e.From, cond)
	if r.Limit > 0 {
		sql += " LIMIT " + strconv.Itoa(r.Limit)
	}
	var out []query.Row
	err = e.run(ctx, sql, s, func(scan func(...any) error) error {
		row, err := scanRow(scan, columns)
		out = append(out, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func scanRow(scan func(...any) error, columns []Column) (query.Row, error) {
	var origin string
	var index, ns int64
	texts, lists, counts := make([]string, len(columns)), make([][]string, len(columns)), make([]int64, len(columns))
	to := []any{&origin, &index, &ns}
	for i, c := range columns {
		switch c.Kind {
		case Text, Plain:
			to = append(to, &texts[i])
		case List:
			to = append(to, &lists[i])
		case Count:
			to = append(to, &counts[i])
		}
	}
	if err := scan(to...); err != nil {
		return query.Row{}, err
	}
	for i, c := range columns {
		switch {
		case c.Kind == List:
			texts[i] = query.JoinList(lists[i])
		case c.Kind == Count && counts[i] >= 0:
			texts[i] = strconv.FormatInt(counts[i], 10)
		}
	}
	return query.Row{Origin: origin, Index: uint64(index), Time: time.Unix(0, ns).UTC(), Values: texts}, nil
}

// Count implements [query.Engine].
func (e *Engine) Count(ctx context.Context, r query.Request) (int, error) {
	s, cond, err := e.where(ctx, r)
	if err != nil {
		return 0, err
	}
	var n int64
	rows := 0
	err = e.run(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", e.From, cond), s, func(scan func(...any) error) error {
		rows++
		return scan(&n)
	})
	if err == nil && rows != 1 {
		err = errors.New("searching the shared table: a count has no single answer")
	}
	return int(n), err
}

// value is a column's value as a text, for statements that group by it.
type value struct {
	kind Kind
	text string
	list []string
}

func (v *value) to() any {
	if v.kind == List {
		return &v.list
	}
	return &v.text
}

func (v *value) String() string {
	if v.kind == List {
		return query.JoinList(v.list)
	}
	return v.text
}

func grouped(f query.Field) (Column, error) {
	c, ok := Of(f)
	if !ok || c.Kind == Count {
		return c, query.ErrField
	}
	return c, nil
}

// Histogram implements [query.Engine].
func (e *Engine) Histogram(ctx context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	c, err := grouped(by)
	if err == nil && step <= 0 {
		err = query.ErrField
	}
	if err != nil {
		return nil, err
	}
	s, cond, err := e.where(ctx, r)
	if err != nil {
		return nil, err
	}
	divide := "(ns / %s)" // of whole numbers
	if e.Dialect == ClickHouse {
		divide = "intDiv(ns, %s)"
	}
	sql := fmt.Sprintf(`SELECT %s AS v, %s AS b, count(*) FROM %s WHERE %s GROUP BY v, b`, c, fmt.Sprintf(divide, s.Int(int64(step))), e.From, cond)
	out := []query.Cell{}
	err = e.run(ctx, sql, s, func(scan func(...any) error) error {
		v := value{kind: c.Kind}
		var start, n int64
		err := scan(v.to(), &start, &n)
		out = append(out, query.Cell{Value: v.String(), Start: time.Unix(0, start*int64(step)).UTC(), N: int(n)})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b query.Cell) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Value, b.Value)) })
	return out, nil
}

// Top implements [query.Engine].
func (e *Engine) Top(ctx context.Context, r query.Request, by query.Field, n int) ([]query.Tally, error) {
	c, err := grouped(by)
	if err != nil {
		return nil, err
	}
	s, cond, err := e.where(ctx, r)
	if err != nil {
		return nil, err
	}
	sql := fmt.Sprintf("SELECT %s AS v, count(*) AS n FROM %s WHERE %s GROUP BY v", c, e.From, cond)
	return e.tallies(ctx, sql, s, c, n)
}

// Distinct implements [query.Engine].
func (e *Engine) Distinct(ctx context.Context, r query.Request, of, by query.Field) ([]query.Tally, error) {
	c, err := grouped(by)
	if err != nil {
		return nil, err
	}
	d, err := grouped(of)
	if err != nil {
		return nil, err
	}
	s, cond, err := e.where(ctx, r)
	if err != nil {
		return nil, err
	}
	sql := fmt.Sprintf("SELECT %s AS v, count(DISTINCT %s) AS n FROM %s WHERE %s AND %s AND %s GROUP BY v", c, d, e.From, cond, s.present(c), s.present(d))
	return e.tallies(ctx, sql, s, c, 0)
}

// present is the condition that an entry has a value of c.
func (s *Statement) present(c Column) string {
	if c.Kind == List {
		return "NOT " + s.list(c, query.Exact(""))
	}
	return fmt.Sprintf("%s <> ''", c)
}

func (e *Engine) tallies(ctx context.Context, sql string, s *Statement, c Column, n int) ([]query.Tally, error) {
	if n > 0 && c.Kind != List { // texts that lists are joined to sort otherwise
		sql += " ORDER BY n DESC, v LIMIT " + strconv.Itoa(n)
	}
	out := []query.Tally{}
	err := e.run(ctx, sql, s, func(scan func(...any) error) error {
		v := value{kind: c.Kind}
		var n int64
		err := scan(v.to(), &n)
		out = append(out, query.Tally{Value: v.String(), N: int(n)})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b query.Tally) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value)) })
	if n > 0 && len(out) > n {
		out = out[:n]
	}
	return out, nil
}

// ErrNoEntry: the table does not have the entry.
var ErrNoEntry = errors.New("the shared table does not have this entry")

// Entry returns the entry of a log as it was delivered, which proves nothing:
// proofs are in the log itself. It returns [ErrNoEntry] where it is
// not there.
func (e *Engine) Entry(ctx context.Context, origin string, index uint64) (*accesslog.Entry, error) {
	s := &Statement{Dialect: e.Dialect}
	sql := fmt.Sprintf(`SELECT payload FROM %s WHERE origin = %s AND "index" = %s LIMIT 1`, e.From, s.Text(origin), s.Int(int64(index)))
	var payload string
	if err := e.run(ctx, sql, s, func(scan func(...any) error) error { return scan(&payload) }); err != nil {
		return nil, err
	}
	if payload == "" {
		return nil, ErrNoEntry
	}
	return accesslog.ParseEntry([]byte(payload))
}

// A Holding is what the table has of one log.
type Holding struct {
	Origin  string
	Entries uint64
	// First and Last are the lowest and the highest index. Where every entry is
	// delivered, none between them is missing.
	First, Last uint64
	Newest      time.Time // the time of the newest entry
}

// Missing returns how many entries between the first and the last are not there.
func (h Holding) Missing() uint64 { return h.Last - h.First + 1 - h.Entries }

// Holdings says what the table has of each log, by origin.
func (e *Engine) Holdings(ctx context.Context) ([]Holding, error) {
	sql := fmt.Sprintf(`SELECT origin, count(*), min("index"), max("index"), max(ns) FROM %s GROUP BY origin ORDER BY origin`, e.From)
	var out []Holding
	err := e.run(ctx, sql, &Statement{Dialect: e.Dialect}, func(scan func(...any) error) error {
		var origin string
		var n, first, last, ns int64
		err := scan(&origin, &n, &first, &last, &ns)
		out = append(out, Holding{Origin: origin, Entries: uint64(n), First: uint64(first), Last: uint64(last), Newest: time.Unix(0, ns).UTC()})
		return err
	})
	return out, err
}
