// Package export writes entries of the access log for other programs: JSON
// lines, CSV and Parquet. It writes to a stream and keeps little in memory,
// whatever is exported. It selects nothing, records nothing and reads no log:
// whoever exports has recorded that first.
package export

import (
	"fmt"
	"io"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Format is how entries are written.
type Format string

// The formats.
const (
	JSON    Format = "json"    // a line of JSON each, as [accesslog.WriteJSON] writes it
	CSV     Format = "csv"     // as [accesslog.CSVWriter] writes it: no cell is a formula
	Parquet Format = "parquet" // typed columns, and the exact bytes of each entry
)

// Formats returns all of them.
func Formats() []Format { return []Format{JSON, CSV, Parquet} }

// Extension returns what the name of a file of the format ends with, without a dot.
func (f Format) Extension() string {
	if f == JSON {
		return "jsonl"
	}
	return string(f)
}

// MediaType returns the type of the format for HTTP.
func (f Format) MediaType() string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8"
	case Parquet:
		return "application/vnd.apache.parquet"
	}
	return "application/x-ndjson"
}

// A Writer writes entries one after the other. It is not safe for concurrent use.
type Writer interface {
	// Write adds one entry, of which it keeps nothing that the caller may change.
	Write(*accesslog.Entry) error
	// Flush hands on what can be handed on before the end.
	Flush() error
	// Close ends what is written. Without it a file is not whole. It leaves the
	// stream below open.
	Close() error
}

// New returns a writer of the format to w.
func New(f Format, w io.Writer) (Writer, error) {
	switch f {
	case JSON:
		return jsonWriter{w}, nil
	case CSV:
		return csvWriter{accesslog.NewCSVWriter(w)}, nil
	case Parquet:
		return newParquetWriter(w), nil
	}
	return nil, fmt.Errorf("exporting: there is no format %q", string(f))
}

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(e *accesslog.Entry) error { return accesslog.WriteJSON(j.w, e) }
func (jsonWriter) Flush() error                     { return nil }
func (jsonWriter) Close() error                     { return nil }

type csvWriter struct{ *accesslog.CSVWriter }

func (c csvWriter) Close() error { return c.CSVWriter.Flush() }
