package console

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/export"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

const (
	// exportSlice is how many entries are read between two looks at whether to go on.
	exportSlice = 20_000
	// exportLook is how often an export is asked whether its account may still read.
	exportLook = time.Second
)

// fetchExport writes a file that somebody asked for. The export is recorded
// before its first byte, and what became of it before its last. A file that is
// not whole is cut off, so that nobody takes it for whole.
func (c *Console) fetchExport(w http.ResponseWriter, r *http.Request, v *visit) error {
	j, err := c.exportOf(r, v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	if err := c.exports.begin(j, v.Now, cancel); err != nil {
		return err
	}
	defer func() { // a job that runs for ever would keep all others from it
		if j.stateNow() == exportRunning {
			j.end(exportBroken, c.Now(), "")
		}
	}()
	if scope := query.Print(v.mayRead()); scope != j.scope {
		j.end(exportCut, c.Now(), "")
		return c.seeOther(w, r, v, exportsPath+"/"+j.ID, "")
	}
	if err := c.recordRead(r, v, "log.export", "export:"+j.ID, j.detail()); err != nil {
		j.end(exportBroken, c.Now(), "")
		return err
	}
	go c.watchExport(ctx, cancel, r, v, j.scope)
	out := &exportStream{ctx: ctx, to: w, control: http.NewResponseController(w), sum: sha256.New(), job: j, left: c.exports.waits(), most: c.exports.waits()}
	// A write to a client that reads nothing does not end with the context.
	defer context.AfterFunc(ctx, func() { _ = out.control.SetWriteDeadline(time.Unix(1, 0)) })()
	h := w.Header()
	ending, mediaType := exportFile(j.Format)
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", `attachment; filename="access-log-`+j.Asked.UTC().Format("20060102T1504Z")+ending+`"`)
	h.Set("Cache-Control", "no-store")
	err = c.writeExport(ctx, out, j)
	state := exportStateOf(err)
	sum := hex.EncodeToString(out.sum.Sum(nil))
	if rerr := c.recordExported(r, v, j, state, sum); rerr != nil && state == exportDone {
		state, err = exportBroken, rerr // without its entry it does not end well
	}
	if state != exportDone {
		sum = ""
	}
	j.end(state, c.Now(), sum)
	if none := noBundle(w, err); none != nil {
		return none
	}
	if state != exportDone {
		c.Logger.Warn("exporting entries of the access log", "export", j.ID, "state", string(state), "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// detail is what the log says of an export before it begins.
func (j *exportJob) detail() map[string]string {
	d := map[string]string{"format": string(j.Format), "query": query.Print(query.All(j.where, within(j.First, j.Past)))}
	if j.scope != "" {
		d["scope"] = j.scope
	}
	return d
}

// recordExported records what became of an export.
func (c *Console) recordExported(r *http.Request, v *visit, j *exportJob, state exportState, sum string) error {
	j.mu.Lock()
	detail := map[string]string{"entries": strconv.FormatUint(j.entries, 10), "bytes": strconv.FormatUint(j.bytes, 10), "sha256": sum}
	j.mu.Unlock()
	result := "ok"
	if state != exportDone {
		result = string(state)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
	defer cancel()
	return c.recordEnd(r.WithContext(ctx), v, "log.exported", "export:"+j.ID, result, detail)
}

func (j *exportJob) end(state exportState, now time.Time, sum string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state, j.ended, j.sum = state, now, sum
}

func exportStateOf(err error) exportState {
	switch {
	case err == nil:
		return exportDone
	case errors.Is(err, errExportStopped):
		return exportStopped
	case errors.Is(err, errExportCut):
		return exportCut
	case errors.Is(err, errExportSlow):
		return exportSlow
	}
	return exportBroken
}

// watchExport ends an export once its account may no longer read what it
// exports: a stream does not outlive its permission.
func (c *Console) watchExport(ctx context.Context, cancel context.CancelCauseFunc, r *http.Request, v *visit, scope string) {
	tick := time.NewTicker(exportLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !c.stillReads(r, v, scope) {
			cancel(errExportCut)
			return
		}
	}
}

// stillReads reports whether the visitor of a long answer may still have it.
func (c *Console) stillReads(r *http.Request, v *visit, scope string) bool {
	s, err := c.Auth.Current(r, c.gateHost)
	if err != nil || s == nil || s.ID != v.Session.ID || !v.rt.need.met(s) {
		return false
	}
	now := *v
	now.Session, now.Snapshot, now.Now = s, c.Directory.Snapshot(), c.Now().UTC()
	return query.Print(now.mayRead()) == scope
}

// writeExport writes the entries, oldest first, from the log itself: what is
// exported does not depend on an index.
func (c *Console) writeExport(ctx context.Context, out *exportStream, j *exportJob) error {
	if j.Format == formatEvidence {
		return c.writeEvidence(ctx, out, j)
	}
	buffer := bufio.NewWriterSize(out, 64<<10)
	w, err := export.New(j.Format, buffer)
	if err != nil {
		return err
	}
	match := query.Compile(j.where, j.Asked)
	filter := hinted(j.where)
	filter.Ascending = true
	flushed := time.Now()
	for from := j.First; from < j.Past; {
		to := min(from+exportSlice, j.Past)
		filter.Before, filter.After = to, max(from, 1)-1
		var werr error
		err := c.Log.Query(ctx, filter, func(e *accesslog.Entry) bool {
			if e.Index < from || !match.Match(e) { // After 0 is no bound
				return true
			}
			if werr = context.Cause(ctx); werr == nil {
				werr = w.Write(e)
			}
			if werr == nil {
				j.wrote(e.Index + 1)
			}
			return werr == nil
		})
		if err = errors.Join(werr, err, context.Cause(ctx)); err != nil {
			return fmt.Errorf("exporting: %w", err)
		}
		j.reached(to)
		from = to
		if time.Since(flushed) > exportLook/2 {
			if err := errors.Join(w.Flush(), buffer.Flush(), out.flush()); err != nil {
				return fmt.Errorf("exporting: %w", err)
			}
			flushed = time.Now()
		}
	}
	if err := errors.Join(w.Close(), buffer.Flush()); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return nil
}

func (j *exportJob) wrote(at uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries++
	j.at = at
}

func (j *exportJob) reached(at uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.at = at
}

// hinted returns a filter that lets through at least what n selects, from those
// of its conditions that the log's own reading can skip entries by.
func hinted(n query.Node) (f accesslog.Filter) {
	of := query.And{n}
	if a, ok := n.(query.And); ok {
		of = a
	}
	for _, t := range of {
		m, ok := t.(query.Match)
		if !ok {
			continue
		}
		whole, ok := m.Pattern.Whole()
		if !ok || whole == "" {
			continue
		}
		switch m.Field {
		case query.Type:
			f.Type = whole
		case query.Vendor:
			f.Vendor = whole
		case query.Cluster:
			f.Cluster = whole
		case query.Effect:
			f.Effect = whole
		case query.RequestID:
			f.RequestID = whole
		case query.Session:
			f.Session = whole
		case query.Action:
			f.Action = whole
		}
	}
	return f
}
