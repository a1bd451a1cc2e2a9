package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// queryHelp says in each command that takes a query what one is.
const queryHelp = "QUERY is what the console's search takes: account:kim cluster:claims effect:deny\n" +
	"path:/export* since:7d. Terms must all hold; \"or\" and \"not\" work as they read; a comma is\n" +
	"between alternatives; * is any run of characters; a word alone is found anywhere. A\n" +
	"refused request has no status: ask for effect:deny. Options and QUERY may be used together."

// A wanted is what a command was asked for: options and a query, both of which must hold.
type wanted struct {
	options accesslog.Filter
	where   query.Node
	filter  *query.Filter
	now     time.Time
}

// wanted reads the options and the words of a query.
func (q *filterFlags) wanted(words []string) (*wanted, error) {
	w := &wanted{now: time.Now().UTC()}
	var err error
	if w.options, err = q.filter(w.now); err != nil {
		return nil, err
	}
	if w.where, err = query.Parse(strings.Join(words, " ")); err != nil {
		return nil, usagef("QUERY: %w", err)
	}
	w.filter = query.Compile(w.where, w.now)
	return w, nil
}

// describe says for the log what was asked for.
func (w *wanted) describe(cmd *cobra.Command) []string {
	out := describe(cmd)
	if text := query.Print(w.where); text != "" {
		out = append(out, "query="+text)
	}
	return out
}

// match reports whether the query and the options select e.
func (w *wanted) match(e *accesslog.Entry) bool { return w.filter.Match(e) && w.options.Match(e) }

// narrow is the query joined with what of the options the index can answer.
// It selects every entry that match does, and perhaps more.
func (w *wanted) narrow() query.Node {
	nodes := []query.Node{w.where}
	text := func(f query.Field, s string) {
		if s != "" {
			nodes = append(nodes, query.Match{Field: f, Pattern: query.Exact(s)})
		}
	}
	o := w.options
	text(query.Type, o.Type)
	text(query.Account, o.Account)
	text(query.Vendor, o.Vendor)
	text(query.Cluster, o.Cluster)
	text(query.Effect, o.Effect)
	text(query.RequestID, o.RequestID)
	text(query.Session, o.Session)
	text(query.Action, o.Action)
	if parts := strings.Split(o.Path, "*"); o.Path != "" && len(parts) == 1 {
		nodes = append(nodes, query.Match{Field: query.Path, Pattern: query.Pattern{Parts: append(parts, "")}})
	} else if o.Path != "" && strings.Trim(o.Path, "*") != "" {
		nodes = append(nodes, query.Match{Field: query.Path, Pattern: query.Pattern{Parts: parts}})
	}
	switch {
	case o.Status >= 10:
		nodes = append(nodes, query.Range{Field: query.Status, Min: int64(o.Status), Max: int64(o.Status)})
	case o.Status > 0:
		nodes = append(nodes, query.Range{Field: query.Status, Min: int64(o.Status) * 100, Max: int64(o.Status)*100 + 99})
	}
	if !o.Since.IsZero() {
		nodes = append(nodes, query.Bound{Field: query.Since, At: o.Since})
	}
	if !o.Until.IsZero() {
		nodes = append(nodes, query.Bound{Field: query.Until, At: o.Until.Add(1)}) // the option includes its moment
	}
	return query.All(nodes...)
}

// A searched is a log's folder and that of its index, which need not be there.
type searched struct{ log, index string }

// besides finds the index of a copy where a data folder has it.
func besides(log string) searched {
	return searched{log: log, index: paths{filepath.Dir(filepath.Clean(log))}.index()}
}

var errEnough = errors.New("enough")

// find yields the entries that w selects, in the order and number that its
// options say. The index says where they are; they are read from the log.
func (s searched) find(ctx context.Context, w *wanted, yield func(*accesslog.Entry) bool) error {
	left := w.options.Limit
	if left <= 0 {
		left = math.MaxInt
	}
	take := func(e *accesslog.Entry) bool {
		if !w.match(e) {
			return true
		}
		left--
		return yield(e) && left > 0
	}
	if w.options.Text != "" { // it is looked for in all of an entry, of which the index has a part
		all := w.options
		all.Limit = 0
		return accesslog.Query(ctx, s.log, all, take)
	}
	x, err := index.Open(index.Config{Dir: s.index, LogDir: s.log, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer x.Close()
	r := query.Request{Where: w.narrow(), Now: w.now, Before: w.options.Before}
	err = x.Each(ctx, r, w.options.Ascending, func(indexes []uint64) error {
		return accesslog.Pick(ctx, s.log, indexes, func(e *accesslog.Entry) error {
			if !take(e) {
				return errEnough
			}
			return nil
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// A reading is where a command reads the log: in a deployment, where that is
// recorded first, or in a copy.
type reading struct {
	searched
	size uint64 // what was there before the reading itself was recorded
	d    *deployment
}

// openReading opens the deployment that t names, or the copy in folder.
func openReading(ctx context.Context, t *target, folder string) (*reading, error) {
	r := &reading{searched: besides(folder)}
	switch {
	case folder != "" && (t.config != "" || t.data != ""):
		return nil, usagef("--log excludes --config and --data")
	case folder != "":
		if deployed(folder) {
			return nil, &hintError{fmt.Errorf("reading %s: it is a deployment's own log, where reading is recorded", folder),
				"Name the deployment with --config FILE or --data DIR; --log is for copies."}
		}
	default:
		d, err := openDeployment(ctx, t)
		if err != nil {
			return nil, err
		}
		r.d, r.searched = d, searched{log: d.paths.log(), index: d.paths.index()}
	}
	var err error
	if r.size, err = logEnd(ctx, r.log); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// deployed reports whether a log's folder is a deployment's and no copy.
func deployed(log string) bool {
	_, err := os.Stat(paths{filepath.Dir(filepath.Clean(log))}.db())
	return accesslog.InUse(log) || !errors.Is(err, fs.ErrNotExist)
}

// record puts the reading into the log before anything is shown.
func (r *reading) record(ctx context.Context, action string, what []string) error {
	if r.d == nil {
		return nil
	}
	return recordRead(ctx, r.d, action, what)
}

func (r *reading) close() error {
	if r.d == nil {
		return nil
	}
	return r.d.close()
}

// copyFlag is the folder of a copied log.
func copyFlag(cmd *cobra.Command, folder *string) {
	cmd.Flags().StringVar(folder, "log", "", "a copied log `folder`, instead of a deployment's; the index is used if its folder was copied beside it")
}
