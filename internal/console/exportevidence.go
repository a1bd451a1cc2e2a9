package console

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/ringfence/ringfence/internal/accesslog/export"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	bundle "github.com/ringfence/ringfence/internal/evidence"
	"github.com/ringfence/ringfence/internal/ui"
)

// Evidence makes bundles of evidence.
type Evidence interface {
	// Bundle must write one with every entry that q selects. It must write
	// nothing before it is certain that there are some, and not too many.
	Bundle(ctx context.Context, out io.Writer, q bundle.Question, progress func(entries int)) (*bundle.Manifest, error)
}

// formatEvidence exports entries with all that proves them.
const formatEvidence export.Format = "evidence"

// exportFormats are those that can be had here.
func (c *Console) exportFormats() []export.Format {
	if c.Evidence == nil {
		return export.Formats()
	}
	return append(export.Formats(), formatEvidence)
}

// exportFile returns what a file of a format is called behind its date, and its type.
func exportFile(f export.Format) (ending, mediaType string) {
	if f == formatEvidence {
		return "-evidence.zip", "application/zip"
	}
	return "." + f.Extension(), f.MediaType()
}

// writeEvidence writes a bundle of what the job selects.
func (c *Console) writeEvidence(ctx context.Context, out *exportStream, j *exportJob) error {
	q := bundle.Ask(query.All(j.where, within(j.First, j.Past)), j.Asked)
	q.MadeFor = j.Email
	buffer := bufio.NewWriterSize(out, 64<<10)
	m, err := c.Evidence.Bundle(ctx, buffer, q, func(n int) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.entries = uint64(n)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	j.reached(min(j.Past, m.Size))
	return buffer.Flush()
}

// noBundle words why there is no bundle; nil for any other error. Nothing was
// written then.
func noBundle(w http.ResponseWriter, err error) error {
	var e *ui.Error
	switch {
	case errors.Is(err, bundle.ErrNothing):
		e = &ui.Error{Status: http.StatusNotFound, Title: "No entry matches", Detail: "Nothing in the access log fits this query, so there is nothing to prove."}
	case errors.Is(err, bundle.ErrTooMany):
		e = &ui.Error{Status: http.StatusBadRequest, Title: "Too many entries", Detail: "One bundle of evidence holds 200,000 entries. Ask for a shorter time, and make several."}
	default:
		return nil
	}
	w.Header().Del("Content-Disposition")
	w.Header().Del("Content-Type")
	return e
}
