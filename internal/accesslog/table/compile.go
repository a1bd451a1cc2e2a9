package table

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// A Dialect is how an engine writes SQL.
type Dialect uint8

// The dialects.
const (
	ClickHouse Dialect = iota + 1
	Postgres
)

// A Statement collects the parameters of a statement while it is put together.
// The zero value is not usable: set Dialect. It is not safe for concurrent use.
type Statement struct {
	Dialect Dialect
	// Args are the parameters: texts and 64-bit numbers. Those of ClickHouse
	// are called p0, p1, …
	Args []any
}

// Text adds a parameter and returns what stands for it.
func (s *Statement) Text(v string) string {
	s.Args = append(s.Args, clean(v))
	if s.Dialect == ClickHouse {
		return fmt.Sprintf("{p%d:String}", len(s.Args)-1)
	}
	return fmt.Sprintf("$%d::text", len(s.Args))
}

// Int adds a parameter and returns what stands for it.
func (s *Statement) Int(v int64) string {
	s.Args = append(s.Args, v)
	if s.Dialect == ClickHouse {
		return fmt.Sprintf("{p%d:Int64}", len(s.Args)-1)
	}
	return fmt.Sprintf("$%d::bigint", len(s.Args))
}

// Name quotes the name of a column.
func (c Column) String() string { return `"` + c.Name + `"` }

// Compile returns the condition n, asked at now, for a statement's WHERE. A
// tree that cannot be said exactly is an error, never a looser condition.
func (s *Statement) Compile(n query.Node, now time.Time) (string, error) {
	switch n := n.(type) {
	case nil:
		return always, nil
	case query.And:
		return s.each(n, " AND ", always, now)
	case query.Or:
		return s.each(n, " OR ", never, now)
	case query.Not:
		of, err := s.Compile(n.Of, now)
		return "(NOT " + of + ")", err
	case query.Match:
		return s.match(n)
	case query.Within:
		if n.Field != query.SourceIP {
			return "", unknown(n)
		}
		low, high := ends(n.Network)
		return fmt.Sprintf("(address >= %s AND address <= %s)", s.Text(low), s.Text(high)), nil
	case query.Range:
		c, ok := Of(n.Field)
		if !ok || c.Kind != Count {
			return "", unknown(n)
		}
		return fmt.Sprintf("(%s >= %s AND %s <= %s)", c, s.Int(n.Min), c, s.Int(n.Max)), nil
	case query.Bound:
		op := "<"
		if n.Field == query.Since {
			op = ">="
		}
		return fmt.Sprintf("(ns %s %s)", op, s.Int(n.Moment(now).UnixNano())), nil
	case query.Anywhere:
		return s.anywhere(n.Text)
	}
	return "", unknown(n)
}

const (
	always = "(1 = 1)"
	never  = "(1 = 0)"
)

func unknown(n query.Node) error {
	return fmt.Errorf("writing a query as SQL: a condition of type %T on this field is not known", n)
}

func (s *Statement) each(nodes []query.Node, word, none string, now time.Time) (string, error) {
	if len(nodes) == 0 {
		return none, nil
	}
	all := make([]string, len(nodes))
	for i, n := range nodes {
		var err error
		if all[i], err = s.Compile(n, now); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(all, word) + ")", nil
}

func (s *Statement) match(n query.Match) (string, error) {
	if n.Field == query.Account {
		return s.who(n.Pattern), nil
	}
	c, ok := Of(n.Field)
	switch {
	case !ok || c.Kind == Count:
		return "", unknown(n)
	case c.Kind == List:
		return s.list(c, n.Pattern), nil
	}
	return s.text(c.String(), n.Pattern), nil
}

// text is [query.Pattern.Match].
func (s *Statement) text(column string, p query.Pattern) string {
	if whole, ok := p.Whole(); ok {
		return fmt.Sprintf("(%s = %s)", column, s.Text(whole))
	}
	return fmt.Sprintf("(%s <> '' AND %s LIKE %s)", column, column, s.Text(like(p.Parts)))
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

func like(parts []string) string {
	all := make([]string, len(parts))
	for i, p := range parts {
		all[i] = likeEscapes.Replace(p)
	}
	return strings.Join(all, "%")
}

// list is [query.Pattern.MatchList].
func (s *Statement) list(c Column, p query.Pattern) string {
	whole, exact := p.Whole()
	ch := s.Dialect == ClickHouse
	switch {
	case exact && whole == "" && ch:
		return fmt.Sprintf("empty(%s)", c)
	case exact && whole == "":
		return fmt.Sprintf("(cardinality(%s) = 0)", c)
	case exact && ch:
		return fmt.Sprintf("has(%s, %s)", c, s.Text(whole))
	case exact:
		return fmt.Sprintf("(%s @> ARRAY[%s])", c, s.Text(whole))
	case ch:
		return fmt.Sprintf("arrayExists(x -> %s, %s)", s.text("x", p), c)
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM unnest(%s) AS x WHERE %s)", c, s.text("x", p))
}

// who is [query.Pattern.MatchWho].
func (s *Statement) who(p query.Pattern) string {
	whole, exact := p.Whole()
	switch {
	case exact && whole == "":
		return "(account = '' AND email = '' AND actor = '')"
	case exact:
		v, f := s.Text(whole), s.Text(Fold(whole))
		return fmt.Sprintf("(account = %s OR actor = %s OR email_fold = %s OR name_fold = %s)", v, v, f, f)
	}
	return "(" + s.text("account", p) + " OR " + s.text("actor", p) + " OR " + s.text("email", p) + " OR " + s.text("email_name", p) + ")"
}

// anywhere is what [query.Compile] makes of [query.Anywhere].
func (s *Statement) anywhere(text string) (string, error) {
	if strings.Contains(text, Separator) {
		return "", errors.New("writing a query as SQL: the text holds the character 0x1F, which separates texts")
	}
	if small := query.Fold(text).Small(); small != nil {
		return fmt.Sprintf("(words LIKE %s)", s.Text("%"+likeEscapes.Replace(string(small))+"%")), nil
	}
	expression, ok := s.anyCase(text)
	if !ok {
		return never, nil
	}
	if s.Dialect == ClickHouse {
		return fmt.Sprintf("match(words, %s)", s.Text(expression)), nil
	}
	return fmt.Sprintf("(words ~ %s)", s.Text(expression)), nil
}
