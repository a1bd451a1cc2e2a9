package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/export"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

const (
	exportsPath = "/console/log/exports"
	// exportWaits is how long an export waits to be fetched.
	exportWaits = 10 * time.Minute
	maxExports  = 64 // that are kept in memory
	exportsOfMe = 8  // of one account
	exportsRun  = 2  // at a time, of everybody: each reads much of the log
)

// An exportJob is one file that somebody asked for: it waits to be fetched, is
// written while it is, and has ended. It is its account's alone, and this
// process's: the file is kept nowhere.
type exportJob struct {
	ID          string
	Account     string
	Email       string
	Query       string
	Format      export.Format
	First, Past uint64
	Asked       time.Time
	where       query.Node // with what the account might see
	scope       string

	mu      sync.Mutex
	state   exportState
	began   time.Time
	ended   time.Time
	at      uint64 // the entry that was looked at last, plus one
	entries uint64
	bytes   uint64
	sum     string
	cancel  context.CancelCauseFunc
}

type exportState string

const (
	exportReady   exportState = "ready"
	exportRunning exportState = "running"
	exportDone    exportState = "done"
	exportStopped exportState = "stopped" // by its account
	exportCut     exportState = "cut"     // its account lost the right, or the gateway stops
	exportSlow    exportState = "slow"    // the client took too little
	exportBroken  exportState = "broken"  // the connection, or the log
)

// ended reports whether nothing more becomes of it.
func (s exportState) over() bool { return s != exportReady && s != exportRunning }

// Why a running export ends before its end.
var (
	errExportStopped = errors.New("the export was stopped")
	errExportCut     = errors.New("whoever exports may no longer read this")
)

// exportJobs are those of the last minutes, oldest first.
type exportJobs struct {
	patience time.Duration // default exportPatience
	mu       sync.Mutex
	all      []*exportJob
}

func (k *exportJobs) waits() time.Duration { return cmp.Or(k.patience, exportPatience) }

// add keeps a job, and reports false when its account has too many under way.
func (k *exportJobs) add(j *exportJob, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = slices.DeleteFunc(k.all, func(o *exportJob) bool { return o.forgotten(now) })
	own := 0
	for _, o := range k.all {
		if o.Account == j.Account && !o.stateNow().over() {
			own++
		}
	}
	if own >= exportsOfMe {
		return false
	}
	for len(k.all) >= maxExports {
		i := slices.IndexFunc(k.all, func(o *exportJob) bool { return o.stateNow() != exportRunning })
		if i < 0 {
			return false
		}
		k.all = slices.Delete(k.all, i, i+1)
	}
	k.all = append(k.all, j)
	return true
}

// of returns an account's job, nil for none.
func (k *exportJobs) of(account, id string, now time.Time) *exportJob {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, j := range k.all {
		if j.ID == id && j.Account == account && !j.forgotten(now) {
			return j
		}
	}
	return nil
}

// begin has a job that waits begin, unless as many as may run at a time do.
func (k *exportJobs) begin(j *exportJob, now time.Time, cancel context.CancelCauseFunc) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	running := 0
	for _, o := range k.all {
		if o.stateNow() == exportRunning {
			running++
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != exportReady {
		return &ui.Error{Status: http.StatusConflict, Title: "This export was fetched already", Detail: "Each export is fetched once. Ask for it again."}
	}
	if running >= exportsRun {
		return &ui.Error{Status: http.StatusTooManyRequests, RetryAfter: 30 * time.Second, Title: "Other exports are under way", Detail: "Each export reads much of the log. Fetch this one when another has ended."}
	}
	j.state, j.began, j.cancel = exportRunning, now, cancel
	return nil
}

func (j *exportJob) stateNow() exportState {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state
}

// forgotten reports whether a job has waited, or been over, for too long.
func (j *exportJob) forgotten(now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.state == exportReady:
		return now.Sub(j.Asked) > exportWaits
	case j.state.over():
		return now.Sub(j.ended) > exportWaits
	}
	return false
}

// stop ends a job, whether it waits or runs.
func (j *exportJob) stop(why error, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch j.state {
	case exportReady:
		j.state, j.ended = exportStopped, now
	case exportRunning:
		j.cancel(why)
	}
}

// StopExports ends every export that runs, for shutdown.
func (c *Console) StopExports() {
	c.exports.mu.Lock()
	defer c.exports.mu.Unlock()
	for _, j := range c.exports.all {
		j.stop(errExportCut, c.Now())
	}
}

// newExportPage is the data of the form that asks for an export.
type newExportPage struct {
	Base
	Query   string
	Matched int
	Past    uint64
	Field   ui.Field
	Format  choices
	Faulty  int
	Faults  []ui.Text
	URL     string
	Back    string
}

var formatWords = map[export.Format]choice{
	export.JSON:    {Label: "JSON lines", Hint: "One entry a line, with all its fields. For programs."},
	export.CSV:     {Label: "CSV", Hint: "For spreadsheets. No cell is taken for a formula."},
	export.Parquet: {Label: "Parquet", Hint: "Typed columns for DuckDB, Spark, pandas and others, with the exact bytes of each entry."},
	formatEvidence: {Label: "Bundle of evidence", Hint: "The entries with all that proves them: proofs, signed checkpoints, facts, policies, agreements, keys, and how to check it. Anybody can, without this gateway."},
}

func (c *Console) newExportForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	return c.showNewExport(w, r, v, newForm(url.Values{keptQuery: {q.Get(keptQuery)}, "past": {q.Get("past")}, "format": {string(export.JSON)}}))
}

func (c *Console) showNewExport(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	n := f.keptQueryOf(keptQuery)
	page := newExportPage{Base: v.page("Export entries"), Query: query.Print(n), URL: exportsPath, Matched: -1}
	page.Back = searchAddress(page.Query)
	page.Past = c.exportPast(f)
	var items []choice
	for _, format := range c.exportFormats() {
		item := formatWords[format]
		item.Value = string(format)
		items = append(items, item)
	}
	page.Format = f.boxes("format", "File format", items)
	page.Format.One = true
	page.Field = with(f.text(keptQuery, "Query"), func(u *ui.Field) {
		u.Rows, u.Mono, u.Hint = 2, true, "Exactly what this selects is exported, oldest first."
	})
	page.Faulty, page.Faults = f.Faulty(), f.Notes
	if f.Fault(keptQuery) == "" {
		if err := c.recordRead(r, v, "log.count", "log", map[string]string{"query": page.Query}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(r.Context(), searchTime/5)
		defer cancel()
		var err error
		if page.Matched, err = c.countOf(ctx, v, n, page.Past); overdueIsNothing(err) != nil {
			return err
		} else if err != nil {
			page.Matched = -1
		}
	}
	return c.show(w, r, f.status(), "log-export", page)
}

// exportPast reads up to which entry is exported: what has come since somebody
// looked is no part of what they saw.
func (c *Console) exportPast(f *form) uint64 {
	size := c.Log.Size()
	past, err := strconv.ParseUint(f.Value("past"), 10, 63)
	if err != nil || past > size || past == 0 {
		return size
	}
	return past
}

// newExport keeps what is to be exported, for the page that fetches it.
func (c *Console) newExport(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	n := f.keptQueryOf(keptQuery)
	format := f.oneOf("format", "a format", names(c.exportFormats(), func(x export.Format) string { return string(x) }))
	if !f.OK() {
		return c.showNewExport(w, r, v, f)
	}
	j := &exportJob{ID: strings.ToLower(rand.Text()), Account: v.Session.Account, Email: v.Session.Email, Query: query.Print(n), Format: export.Format(format), Asked: v.Now, state: exportReady,
		where: pinned(n, v.Now), scope: query.Print(v.mayRead())}
	_, bounds, ok := unbounded(j.where)
	if !ok {
		bounds = nil
	}
	var err error
	if j.First, j.Past, err = c.indexesOf(r.Context(), bounds, v.Now, c.exportPast(f)); err != nil {
		return err
	}
	j.First = min(j.First, j.Past)
	j.at = j.First
	j.where = query.All(j.where, v.mayRead())
	if !c.exports.add(j, v.Now) {
		return &ui.Error{Status: http.StatusTooManyRequests, RetryAfter: time.Minute, Title: "Too many exports", Detail: "Fetch or stop the ones that wait first."}
	}
	return c.seeOther(w, r, v, exportsPath+"/"+j.ID, "")
}

// pinned returns n with its spans as the moments that they are at now.
func pinned(n query.Node, now time.Time) query.Node {
	switch n := n.(type) {
	case query.And:
		out := make(query.And, len(n))
		for i, t := range n {
			out[i] = pinned(t, now)
		}
		return out
	case query.Or:
		out := make(query.Or, len(n))
		for i, t := range n {
			out[i] = pinned(t, now)
		}
		return out
	case query.Not:
		return query.Not{Of: pinned(n.Of, now)}
	case query.Bound:
		return query.Bound{Field: n.Field, At: n.Moment(now).UTC()}
	}
	return n
}

// exportPage shows how far an export is.
type exportPage struct {
	Base
	Query       string
	Format      ui.Text
	First, Last uint64
	State       string
	Fault       ui.Text
	Percent     int
	Entries     uint64
	Size        ui.Text
	Sum         ui.Hash
	Ready       bool
	Running     bool
	Done        bool
	Until       time.Time
	File        string
	Stop        string
	Again       string
}

func (c *Console) exportOf(r *http.Request, v *visit) (*exportJob, error) {
	j := c.exports.of(v.Session.Account, r.PathValue("id"), v.Now)
	if j == nil {
		return nil, ui.NotFound()
	}
	return j, nil
}

func (c *Console) showExport(w http.ResponseWriter, r *http.Request, v *visit) error {
	j, err := c.exportOf(r, v)
	if err != nil {
		return err
	}
	j.mu.Lock()
	page := exportPage{Base: v.page("Export"), Query: j.Query, Format: formatWords[j.Format].Label, First: j.First, Last: max(j.Past, 1) - 1, State: string(j.state),
		Entries: j.entries, Size: size(int64(j.bytes)), Sum: ui.Hash{Value: j.sum, Short: 24}, Ready: j.state == exportReady, Running: j.state == exportRunning, Done: j.state == exportDone,
		Until: j.Asked.Add(exportWaits), File: exportsPath + "/" + j.ID + "/file", Stop: exportsPath + "/" + j.ID + "/stop",
		Again: address(exportsPath+"/new", url.Values{keptQuery: {j.Query}})}
	if n := j.Past - j.First; n > 0 {
		page.Percent = int((j.at - j.First) * 100 / n)
	}
	j.mu.Unlock()
	page.Fault = cmp.Or(exportFaults[exportState(page.State)], "")
	if !exportState(page.State).over() {
		refreshing(w)
	}
	return c.show(w, r, http.StatusOK, "log-export-job", page)
}

var exportFaults = map[exportState]ui.Text{
	exportStopped: "You stopped this export. What was fetched until then is not whole.",
	exportCut:     "This export was ended, because your session or your right to read these entries ended, or the gateway stopped. What was fetched until then is not whole.",
	exportSlow:    "Your side took this file too slowly or not at all, so the gateway ended the export and others have their turn. What was fetched until then is not whole.",
	exportBroken:  "This export broke off. What was fetched until then is not whole.",
}

func (c *Console) stopExport(w http.ResponseWriter, r *http.Request, v *visit) error {
	j, err := c.exportOf(r, v)
	if err != nil {
		return err
	}
	j.stop(errExportStopped, v.Now)
	return c.seeOther(w, r, v, exportsPath+"/"+j.ID, "Stopped.")
}
