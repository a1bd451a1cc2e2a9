package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// row is an entry as a Parquet file has it. Columns are named as the fields of
// an exported entry; one that the entry does not have is null. Entry holds the
// exact bytes that are hashed, so that proofs can be checked against it; in them
// personal fields are sealed.
type row struct {
	Index          int64             `parquet:"index,delta"`
	Time           int64             `parquet:"time,delta,timestamp(nanosecond)"`
	Clock          *int64            `parquet:"clock,optional,timestamp(nanosecond)"`
	Node           string            `parquet:"node,optional,dict"`
	Type           string            `parquet:"type,optional,dict"`
	Action         string            `parquet:"action,optional,dict"`
	Result         string            `parquet:"result,optional,dict"`
	RequestID      string            `parquet:"request_id,optional"`
	Account        string            `parquet:"account,optional,dict"`
	Email          string            `parquet:"email,optional,dict"`
	Vendor         string            `parquet:"vendor,optional,dict"`
	Engagement     string            `parquet:"engagement,optional,dict"`
	Session        string            `parquet:"session,optional,dict"`
	Credential     string            `parquet:"credential,optional,dict"`
	Factors        map[string]int64  `parquet:"factors"`
	CodeAge        *int64            `parquet:"code_age_s,optional"`
	Cluster        string            `parquet:"cluster,optional,dict"`
	Classification string            `parquet:"classification,optional,dict"`
	Route          string            `parquet:"route,optional,dict"`
	Protocol       string            `parquet:"protocol,optional,dict"`
	Method         string            `parquet:"method,optional,dict"`
	Host           string            `parquet:"host,optional,dict"`
	Path           string            `parquet:"path,optional"`
	QueryNames     []string          `parquet:"query_names,list"`
	SourceIP       string            `parquet:"source_ip,optional,dict"`
	UserAgent      string            `parquet:"user_agent,optional,dict"`
	Mode           string            `parquet:"mode,optional,dict"`
	Effect         string            `parquet:"effect,optional,dict"`
	Reasons        []string          `parquet:"reasons,list"`
	Obligations    string            `parquet:"obligations,optional,dict"` // JSON
	Revision       string            `parquet:"revision,optional,dict"`
	Facts          string            `parquet:"facts,optional,dict"`
	Agreements     []string          `parquet:"agreements,list"`
	Input          string            `parquet:"input,optional"` // JSON
	Status         *int32            `parquet:"status,optional,dict"`
	BytesIn        *int64            `parquet:"bytes_in,optional"`
	BytesOut       *int64            `parquet:"bytes_out,optional"`
	FirstByte      *int64            `parquet:"first_byte_ms,optional"`
	Duration       *int64            `parquet:"duration_ms,optional"`
	Upstream       string            `parquet:"upstream,optional,dict"`
	Ended          string            `parquet:"ended,optional,dict"`
	Actor          string            `parquet:"actor,optional,dict"`
	Object         string            `parquet:"object,optional,dict"`
	Detail         map[string]string `parquet:"detail"`
	Document       string            `parquet:"document,optional"` // JSON of a facts document
	Entry          []byte            `parquet:"entry"`
}

// groupRows is how many entries are held in memory before they are compressed
// and written: about 10 MB.
const groupRows = 8192

type parquetWriter struct {
	w    *parquet.GenericWriter[row]
	rows []row
}

func newParquetWriter(w io.Writer) *parquetWriter {
	return &parquetWriter{
		w: parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(groupRows),
			parquet.CreatedBy("ringfence", "", ""), parquet.KeyValueMetadata("ringfence.format", "access log entries, 1")),
		rows: make([]row, 0, 256),
	}
}

func (p *parquetWriter) Write(e *accesslog.Entry) error {
	r, err := rowOf(e)
	if err != nil {
		return err
	}
	if p.rows = append(p.rows, r); len(p.rows) == cap(p.rows) {
		return p.Flush()
	}
	return nil
}

// Flush leaves the entries of an unfinished group in memory: a group of few
// would take more room than it has to say.
func (p *parquetWriter) Flush() error {
	_, err := p.w.Write(p.rows)
	clear(p.rows)
	p.rows = p.rows[:0]
	return err
}

func (p *parquetWriter) Close() error {
	if err := p.Flush(); err != nil {
		return err
	}
	return p.w.Close()
}

func rowOf(e *accesslog.Entry) (row, error) {
	if e.Payload == nil {
		return row{}, errors.New("exporting: the entry did not come from a log")
	}
	r := row{
		Index: int64(e.Index), Time: e.Time.UnixNano(), Node: e.Node, Type: string(e.Type), Action: e.Action, Result: e.Result, RequestID: e.RequestID,
		Account: e.Account, Email: e.Email, Vendor: e.Vendor, Engagement: e.Engagement, Session: e.Session, Credential: e.Credential, Factors: e.Factors, CodeAge: e.CodeAge,
		Cluster: e.Cluster, Classification: e.Classification, Route: e.Route, Protocol: e.Protocol, Method: e.Method, Host: e.Host, Path: e.Path, QueryNames: e.QueryNames,
		SourceIP: e.SourceIP, UserAgent: e.UserAgent, Mode: e.Mode, Effect: e.Effect, Reasons: e.Reasons, Revision: e.Revision, Facts: e.Facts, Agreements: e.Agreements,
		BytesIn: e.BytesIn, BytesOut: e.BytesOut, FirstByte: e.FirstByte, Duration: e.Duration, Upstream: e.Upstream, Ended: e.Ended,
		Actor: e.Actor, Object: e.Object, Detail: e.Detail, Document: string(e.FactsJSON), Entry: bytes.Clone(e.Payload),
	}
	if !e.Clock.IsZero() {
		at := e.Clock.UnixNano()
		r.Clock = &at
	}
	if e.Status != 0 {
		s := int32(e.Status)
		r.Status = &s
	}
	if e.Obligations != nil {
		b, err := json.Marshal(e.Obligations)
		if err != nil {
			return row{}, err
		}
		r.Obligations = string(b)
	}
	if e.Record.Input != nil {
		b, err := json.Marshal(e.Record.Input)
		if err != nil {
			return row{}, err
		}
		r.Input = string(b)
	}
	return r, nil
}
