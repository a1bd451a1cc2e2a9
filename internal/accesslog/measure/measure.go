// Package measure times a reviewer's questions over a made-up log. It is no
// part of serving. Start with [Run].
package measure

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/synthetic"
)

const (
	rounds    = 5
	fullScale = 10_000_000 // entries that the targets are for
)

// Run makes a log of about n entries in dir/log, unless one is there, and its
// index in dir/index, and prints how long that and each question took and how
// much room it takes. Verify includes checking the whole log.
func Run(ctx context.Context, dir string, n int, verify bool, out io.Writer) error {
	log, ix := filepath.Join(dir, "log"), filepath.Join(dir, "index")
	if _, err := os.Stat(filepath.Join(log, "checkpoint")); err != nil {
		begun := time.Now()
		made, err := synthetic.Fill(ctx, log, n, 0, nil)
		if err != nil {
			return fmt.Errorf("making a log: %w", err)
		}
		rate(out, "log written and compressed", int(made), begun)
	}
	begun := time.Now()
	done := 0
	if err := index.Update(ctx, log, ix, func(_, of uint64) { done = int(of) }); err != nil {
		return err
	}
	if done > 0 {
		rate(out, "index built", done, begun)
	}
	x, err := index.Open(index.Config{Dir: ix, LogDir: log, Now: func() time.Time { return synthetic.End }})
	if err != nil {
		return err
	}
	defer x.Close()
	begun = time.Now()
	total, err := x.Count(ctx, query.Request{})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-34s %10.1f ms, of which most is the tail read into memory\n", "first look", ms(time.Since(begun)))
	if err := room(out, log, ix, total); err != nil {
		return err
	}
	if err := questions(ctx, x, total, out); err != nil || !verify {
		return err
	}
	return check(ctx, log, out)
}

func rate(out io.Writer, what string, n int, begun time.Time) {
	d := time.Since(begun)
	fmt.Fprintf(out, "%-34s %10.1f s, %d entries, %.0f a second\n", what, d.Seconds(), n, float64(n)/d.Seconds())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// room prints bytes an entry; raw segments and spares are not at rest.
func room(out io.Writer, log, ix string, total int) error {
	sums := map[string]int64{}
	for _, dir := range []string{log, ix} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			kind := strings.TrimPrefix(filepath.Ext(path), ".")
			if strings.HasPrefix(d.Name(), "hashes-") {
				kind = "hashes"
			}
			sums[kind] += info.Size()
			return nil
		})
		if err != nil {
			return err
		}
	}
	per := func(kind string) float64 { return float64(sums[kind]) / float64(total) }
	fmt.Fprintf(out, "%-34s %10.1f sealed, %.1f hashes, %.1f index (target 60), %.1f in all (target 210)\n", "bytes an entry",
		per("sealed"), per("hashes"), per("parquet"), per("sealed")+per("hashes")+per("parquet"))
	return nil
}

type question struct {
	name   string
	target float64 // ms at fullScale
	ask    func(context.Context, *index.Index) (int, error)
}

var shown = []query.Field{query.AccountID, query.Email, query.Cluster, query.Method, query.Host, query.Path, query.Effect, query.Status, query.Reasons, query.SourceIP}

func search(text string, limit int) func(context.Context, *index.Index) (int, error) {
	return func(ctx context.Context, x *index.Index) (int, error) {
		n, err := query.Parse(text)
		if err != nil {
			return 0, err
		}
		rows, err := x.Search(ctx, query.Request{Where: n, Limit: limit, Fields: shown})
		return len(rows), err
	}
}

func asked(requestID string, total int) ([]question, error) {
	w, err := synthetic.New()
	if err != nil {
		return nil, err
	}
	id, _, vendor := w.Account(100)
	rare, _, _ := w.Account(synthetic.Accounts - 1)
	parse := func(s string) query.Node {
		n, err := query.Parse(s)
		if err != nil {
			panic(err) // the texts stand below
		}
		return n
	}
	week, denied := parse("since:7d"), parse("vendor:"+vendor+" effect:deny")
	return []question{
		{"last 50 of an account", 50, search("account:"+id, 50)},
		{"last 50 of the rarest account", 50, search("account:"+rare, 50)},
		{"last 50 by id alone", 50, search("account_id:"+id, 50)},
		{"one request id", 20, search("request_id:"+requestID, 2)},
		{"counts by cluster and hour, 7 d", 60, func(ctx context.Context, x *index.Index) (int, error) {
			c, err := x.Histogram(ctx, query.Request{Where: week}, query.Cluster, time.Hour)
			return len(c), err
		}},
		{"top denied paths of a vendor", 700, func(ctx context.Context, x *index.Index) (int, error) {
			t, err := x.Top(ctx, query.Request{Where: denied}, query.Path, 20)
			return len(t), err
		}},
		{"distinct addresses by account", 700, func(ctx context.Context, x *index.Index) (int, error) {
			t, err := x.Distinct(ctx, query.Request{}, query.SourceIP, query.AccountID)
			return len(t), err
		}},
		{"rare substring in all paths", 500, search("path:*39206/permissions*", 0)},
		{"rare substring in everything", 500, search("39206/permissions", 0)},
		{"newest 100 with a substring", 50, search("path:*/search*", 100)},
		{"effect by hour, 90 d", 700, func(ctx context.Context, x *index.Index) (int, error) {
			c, err := x.Histogram(ctx, query.Request{}, query.Effect, time.Hour)
			return len(c), err
		}},
	}, nil
}

func questions(ctx context.Context, x *index.Index, total int, out io.Writer) error {
	n, err := query.Parse("type:request index:>=" + fmt.Sprint(total/3))
	if err != nil {
		return err
	}
	some, err := x.Search(ctx, query.Request{Where: query.All(n, query.Range{Field: query.Index, Max: int64(total/3 + 100)}), Limit: 1, Fields: []query.Field{query.RequestID}})
	if err != nil || len(some) == 0 {
		return fmt.Errorf("finding a request id to ask for: %w", err)
	}
	all, err := asked(some[0].Values[0], total)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-34s %10s %10s %10s %10s   %s\n", "question", "first ms", "warm ms", "cpu ms", "target", "rows")
	for _, q := range all {
		var took []float64
		rows, used := 0, processor()
		for range rounds {
			begun := time.Now()
			if rows, err = q.ask(ctx, x); err != nil {
				return fmt.Errorf("asking for the %s: %w", q.name, err)
			}
			took = append(took, ms(time.Since(begun)))
		}
		first := took[0]
		slices.Sort(took)
		used = (processor() - used) / rounds
		fmt.Fprintf(out, "%-34s %10.1f %10.1f %10.1f %10.0f   %d\n", q.name, first, took[rounds/2], ms(used), q.target, rows)
	}
	if total < fullScale*9/10 {
		fmt.Fprintf(out, "The targets are for %d entries; there are %d.\n", fullScale, total)
	}
	return nil
}

// processor is how long this process has had a processor, which other work on
// the machine changes little.
func processor() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func check(ctx context.Context, log string, out io.Writer) error {
	vkey, err := os.ReadFile(filepath.Join(log, "log.pub"))
	if err != nil {
		return err
	}
	begun := time.Now()
	report, err := accesslog.Verify(ctx, log, string(vkey), nil)
	if err != nil {
		return err
	}
	rate(out, "whole log verified (target 30 s)", int(report.Entries), begun)
	return nil
}
