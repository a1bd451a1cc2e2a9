package index

import (
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// A row is an entry as a day file keeps it. Columns are named as the fields of
// an exported entry; other engines may read them. An empty text, and -1 for a
// count, mean that the entry does not have the field.
type row struct {
	Index          int64  `parquet:"index,delta"`
	Time           int64  `parquet:"time,delta,timestamp(nanosecond)"`
	Node           string `parquet:"node,dict"`
	Type           string `parquet:"type,dict"`
	Action         string `parquet:"action,dict"`
	Result         string `parquet:"result,dict"`
	RequestID      string `parquet:"request_id"`
	Account        string `parquet:"account,dict"`
	Email          string `parquet:"email,dict"`
	Vendor         string `parquet:"vendor,dict"`
	Engagement     string `parquet:"engagement,dict"`
	Session        string `parquet:"session,dict"`
	Credential     string `parquet:"credential,dict"`
	CodeAge        int64  `parquet:"code_age_s"`
	Cluster        string `parquet:"cluster,dict"`
	Classification string `parquet:"classification,dict"`
	Mode           string `parquet:"mode,dict"`
	Route          string `parquet:"route,dict"`
	Protocol       string `parquet:"protocol,dict"`
	Method         string `parquet:"method,dict"`
	Host           string `parquet:"host,dict"`
	Path           string `parquet:"path"`
	QueryNames     string `parquet:"query_names,dict"`
	SourceIP       string `parquet:"source_ip,dict"`
	UserAgent      string `parquet:"user_agent,dict"`
	Effect         string `parquet:"effect,dict"`
	Reasons        string `parquet:"reasons,dict"`
	Revision       string `parquet:"revision,dict"`
	Facts          string `parquet:"facts,dict"`
	Agreements     string `parquet:"agreements,dict"`
	Status         int64  `parquet:"status,dict"`
	BytesIn        int64  `parquet:"bytes_in"`
	BytesOut       int64  `parquet:"bytes_out"`
	FirstByte      int64  `parquet:"first_byte_ms"`
	Duration       int64  `parquet:"duration_ms"`
	Upstream       string `parquet:"upstream,dict"`
	Ended          string `parquet:"ended,dict"`
	Actor          string `parquet:"actor,dict"`
	Object         string `parquet:"object,dict"`
	Detail         string `parquet:"detail,dict"`
	Personal       string `parquet:"personal,dict"` // accounts whose keys the entry's personal fields are under
	Sieve          string `parquet:"sieve,dict"`    // of a row group, in its last row
}

const (
	timeColumn     = "time"
	personalColumn = "personal"
	sieveColumn    = "sieve"
)

// isText reports whether the field's column holds texts, and isCount whether it
// holds counts. Neither is true of those that have no column of their own.
func isText(f query.Field) bool {
	k := f.Kind()
	return k == query.Text || k == query.Address || k == query.List
}

func isCount(f query.Field) bool {
	switch f.Kind() {
	case query.Number, query.Bytes, query.Millis, query.Seconds, query.Position:
		return true
	}
	return false
}

// textFields and countFields are those with columns.
var textFields, countFields = func() (texts, counts []query.Field) {
	for _, f := range query.Fields() {
		if isText(f) {
			texts = append(texts, f)
		} else if isCount(f) {
			counts = append(counts, f)
		}
	}
	return texts, counts
}()

func textOf(f query.Field, e *accesslog.Entry) string {
	if f.Kind() == query.List {
		return join(f.ListOf(e))
	}
	return f.TextOf(e)
}

func countOf(f query.Field, e *accesslog.Entry) int64 {
	if n, ok := f.NumberOf(e); ok {
		return n
	}
	return -1
}

// fill makes r the entry's row.
func (r *row) fill(e *accesslog.Entry) {
	*r = row{
		Index: int64(e.Index), Time: e.Time.UnixNano(), Node: e.Node, Type: string(e.Type), Action: e.Action, Result: e.Result,
		RequestID: e.RequestID, Account: e.Account, Email: e.Email, Vendor: e.Vendor, Engagement: e.Engagement,
		Session: e.Session, Credential: e.Credential, CodeAge: countOf(query.CodeAge, e),
		Cluster: e.Cluster, Classification: e.Classification, Mode: e.Mode, Route: e.Route, Protocol: e.Protocol, Method: e.Method,
		Host: e.Host, Path: e.Path, QueryNames: join(e.QueryNames), SourceIP: e.SourceIP, UserAgent: e.UserAgent,
		Effect: e.Effect, Reasons: join(e.Reasons), Revision: e.Revision, Facts: e.Facts, Agreements: join(e.Agreements),
		Status: countOf(query.Status, e), BytesIn: countOf(query.BytesIn, e), BytesOut: countOf(query.BytesOut, e),
		FirstByte: countOf(query.FirstByte, e), Duration: countOf(query.Duration, e), Upstream: e.Upstream, Ended: e.Ended,
		Actor: e.Actor, Object: e.Object,
	}
	if len(e.Personal) > 0 {
		accounts := make([]string, len(e.Personal))
		for i, p := range e.Personal {
			accounts[i] = p.Account
		}
		r.Personal = join(accounts)
	}
	if len(e.Detail) > 0 {
		r.Detail = join(query.Detail.ListOf(e))
	}
}

var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// join writes a list as one text, an element a line, and split reads it.
func join(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		if list[0] != "" {
			return escapes.Replace(list[0])
		}
	}
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		if s == "" {
			b.WriteString(`\e`) // so that a list of one empty text is not an empty list
		}
		escapes.WriteString(&b, s)
	}
	return b.String()
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	list := strings.Split(s, "\n")
	for i, e := range list {
		if strings.IndexByte(e, '\\') < 0 {
			continue
		}
		var b strings.Builder
		for j := 0; j < len(e); j++ {
			if e[j] != '\\' || j+1 == len(e) {
				b.WriteByte(e[j])
				continue
			}
			switch j++; e[j] {
			case 'n':
				b.WriteByte('\n')
			case '\\':
				b.WriteByte('\\')
			}
		}
		list[i] = b.String()
	}
	return list
}
