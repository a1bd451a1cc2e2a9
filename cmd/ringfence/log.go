package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/export"
	"github.com/ringfence/ringfence/policy"
)

func newLog() *cobra.Command {
	cmd := group("log", "Search, follow, export and verify the access log",
		"The access log holds every request, sign-in and change. These commands read its files\n"+
			"and work whether or not the gateway runs. Reading the log is itself recorded.")
	cmd.AddCommand(newLogQuery())
	cmd.AddCommand(newLogTail())
	cmd.AddCommand(newLogExport())
	cmd.AddCommand(newLogVerify())
	cmd.AddCommand(newLogEvidence())
	cmd.AddCommand(newLogProve())
	cmd.AddCommand(newLogCheckpoint())
	cmd.AddCommand(newLogRotateKey())
	cmd.AddCommand(newLogPublish())
	cmd.AddCommand(newLogAbandon())
	cmd.AddCommand(newLogReindex())
	cmd.AddCommand(newLogBench())
	cmd.AddCommand(newLogReconcile())
	cmd.AddCommand(newLogHolds(), newLogHold(), newLogUnhold())
	cmd.AddCommand(newLogPrune(), newLogRestore())
	return cmd
}

// filterFlags are the conditions that query, tail and export share.
type filterFlags struct {
	f                    accesslog.Filter
	status, since, until string
}

func (q *filterFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&q.f.Account, "account", "", "account `id or address`")
	f.StringVar(&q.f.Vendor, "vendor", "", "vendor `name`")
	f.StringVar(&q.f.Cluster, "cluster", "", "cluster `name`")
	f.StringVar(&q.f.Effect, "effect", "", "allow, challenge or deny")
	f.StringVar(&q.status, "status", "", "response status, such as 403 or 4xx")
	f.StringVar(&q.f.Path, "path", "", "path `prefix`, or a pattern with *")
	f.StringVar(&q.f.Type, "type", "", "request, outcome, login, admin, policy or log")
	f.StringVar(&q.f.Action, "action", "", "`action` of a login, admin, policy or log entry")
	f.StringVar(&q.f.RequestID, "request-id", "", "one request's `id`")
	f.StringVar(&q.f.Session, "session", "", "one session's `id`")
	f.StringVar(&q.f.Text, "text", "", "`words` anywhere in the entry")
	f.StringVar(&q.since, "since", "", "from this `time` on: 2026-11-22, 2026-11-22T08:00:00Z, or 2h, 7d ago")
	f.StringVar(&q.until, "until", "", "before this `time`")
}

// filter reads the flags strictly: what cannot be understood is an error,
// never a condition left out.
func (q *filterFlags) filter(now time.Time) (accesslog.Filter, error) {
	f := q.f
	if f.Effect != "" {
		var e policy.Effect
		if err := e.UnmarshalText([]byte(f.Effect)); err != nil {
			return f, usagef("--effect %s: there are allow, challenge and deny", f.Effect)
		}
	}
	switch policy.RecordType(f.Type) {
	case "", policy.RecordRequest, policy.RecordOutcome, policy.RecordLogin, policy.RecordAdmin, policy.RecordPolicy, policy.RecordLog:
	default:
		return f, usagef("--type %s: there are request, outcome, login, admin, policy and log", f.Type)
	}
	if q.status != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.ToLower(q.status), "xx"))
		whole := strings.HasSuffix(strings.ToLower(q.status), "xx")
		if err != nil || (whole && (n < 1 || n > 5)) || (!whole && (n < 100 || n > 599)) {
			return f, usagef("--status %s: write a status such as 403, or a class such as 4xx", q.status)
		}
		f.Status = n
	}
	var err error
	if f.Since, err = parseWhen(q.since, now); err != nil {
		return f, usagef("--since %w", err)
	}
	if f.Until, err = parseWhen(q.until, now); err != nil {
		return f, usagef("--until %w", err)
	}
	return f, nil
}

// parseWhen reads a day, an instant, or a span before now.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%s: write 2026-11-22, 2026-11-22T08:00:00Z, or a span such as 2h or 7d", s)
}

// recordRead puts the reading of the log into the log before anything is shown.
func recordRead(ctx context.Context, d *deployment, action string, args []string) error {
	r := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: action, Result: "ok", Actor: operator.Account,
		Detail: map[string]string{"filter": strings.Join(args, " ")}}
	if err := d.db.Enqueue(ctx, r); err != nil {
		return err
	}
	return d.settle(ctx)
}

// describe repeats the conditions that were given, for the record of the read.
func describe(cmd *cobra.Command) []string {
	var out []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "data" {
			out = append(out, f.Name+"="+f.Value.String())
		}
	})
	return out
}

// logEnd returns the index that the next entry will have.
func logEnd(ctx context.Context, dir string) (uint64, error) {
	end := uint64(0)
	err := accesslog.Query(ctx, dir, accesslog.Filter{Limit: 1}, func(e *accesslog.Entry) bool {
		end = e.Index + 1
		return true
	})
	return end, err
}

func newLogQuery() *cobra.Command {
	var t target
	var q filterFlags
	var limit int
	var folder string
	var asJSON, ascending, unrecorded bool
	cmd := &cobra.Command{
		Use: "query [QUERY]", Short: "Find entries, newest first", Long: "Query finds entries and prints them, the newest first.\n\n" + queryHelp,
		Example: "  ringfence log query account:kim since:7d --config /etc/ringfence/config.yaml\n" +
			"  ringfence log query 'cluster:claims effect:deny,challenge not path:/health*' --json --data demo\n" +
			"  ringfence log query --path '/export*' --status 4xx --limit 200 --log /mnt/copy/log",
		RunE: func(cmd *cobra.Command, words []string) error {
			ctx := cmd.Context()
			w, err := q.wanted(words)
			if err != nil {
				return err
			}
			if limit < 1 {
				return usagef("--limit %d: at least 1", limit)
			}
			r, err := openReading(ctx, &t, folder)
			if err != nil && unrecorded {
				r, err = openUnrecorded(ctx, &t, err, cmd.ErrOrStderr())
			}
			if err != nil {
				return err
			}
			// The record of this very read is not part of the answer.
			w.options.Limit, w.options.Ascending, w.options.Before = limit, ascending, r.size
			err = r.recordOrSay(ctx, "log.query", w.describe(cmd), unrecorded, cmd.ErrOrStderr())
			if err == nil {
				err = showEntries(ctx, cmd.OutOrStdout(), asJSON, func(yield func(*accesslog.Entry) bool) error {
					return r.find(ctx, w, yield)
				})
			}
			return errors.Join(err, r.close())
		},
	}
	t.flags(cmd)
	q.flags(cmd)
	copyFlag(cmd, &folder)
	unrecordedFlag(cmd, &unrecorded)
	cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many entries")
	cmd.Flags().BoolVar(&ascending, "ascending", false, "oldest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one entry a line as JSON")
	return cmd
}

// showEntries prints entries as they come; a write that fails ends the reading.
func showEntries(_ context.Context, w io.Writer, asJSON bool, each func(func(*accesslog.Entry) bool) error) error {
	var werr error
	err := each(func(e *accesslog.Entry) bool {
		if asJSON {
			werr = accesslog.WriteJSON(w, e)
		} else {
			_, werr = fmt.Fprintln(w, accesslog.Line(e))
		}
		return werr == nil
	})
	return errors.Join(err, werr)
}

func newLogTail() *cobra.Command {
	var t target
	var q filterFlags
	var follow, asJSON bool
	var last int
	cmd := &cobra.Command{
		Use: "tail [QUERY]", Short: "Show the newest entries, and with -f what comes",
		Long:    "Tail shows the newest entries and, with -f, goes on with those that come.\n\n" + queryHelp,
		Example: "  ringfence log tail -f --config /etc/ringfence/config.yaml\n  ringfence log tail -f effect:deny --json --data demo",
		RunE: func(cmd *cobra.Command, words []string) error {
			ctx := cmd.Context()
			w, err := q.wanted(words)
			if err != nil {
				return err
			}
			if last < 0 {
				return usagef("--lines %d: at least 0", last)
			}
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			err = tailLog(cmd, d, w, last, follow, asJSON)
			if follow && ctx.Err() != nil && errors.Is(err, context.Canceled) {
				err = nil // interrupted by the person: that is how following ends
			}
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	q.flags(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new entries as they come")
	cmd.Flags().IntVarP(&last, "lines", "n", 10, "how many of the newest entries to begin with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one entry a line as JSON")
	return cmd
}

func tailLog(cmd *cobra.Command, d *deployment, w *wanted, last int, follow, asJSON bool) error {
	ctx, out, dir := cmd.Context(), cmd.OutOrStdout(), d.paths.log()
	size, err := logEnd(ctx, dir)
	if err != nil {
		return err
	}
	if err := recordRead(ctx, d, "log.tail", w.describe(cmd)); err != nil {
		return err
	}
	newest := *w
	newest.options.Limit, newest.options.Before = last, size
	var found []*accesslog.Entry
	if last > 0 {
		if err := (searched{dir, d.paths.index()}).find(ctx, &newest, func(e *accesslog.Entry) bool {
			found = append(found, e)
			return true
		}); err != nil {
			return err
		}
	}
	if err := showEntries(ctx, out, asJSON, func(yield func(*accesslog.Entry) bool) error {
		for i := len(found) - 1; i >= 0 && yield(found[i]); i-- {
		}
		return nil
	}); err != nil || !follow {
		return err
	}
	return showEntries(ctx, out, asJSON, func(yield func(*accesslog.Entry) bool) error {
		return accesslog.Tail(ctx, dir, w.options, size, func(e *accesslog.Entry) bool { return !w.filter.Match(e) || yield(e) })
	})
}

func newLogExport() *cobra.Command {
	var t target
	var q filterFlags
	var format, file string
	cmd := &cobra.Command{
		Use: "export [QUERY]", Short: "Write entries as JSON lines, CSV or Parquet, oldest first",
		Long: "Export writes entries, the oldest first.\n\n" + queryHelp,
		Example: "  ringfence log export since:2026-11-01 --format csv -o november.csv --config /etc/ringfence/config.yaml\n" +
			"  ringfence log export cluster:claims --format parquet -o claims.parquet --data demo\n" +
			"  ringfence log export vendor:northwind --data demo > northwind.jsonl",
		RunE: func(cmd *cobra.Command, words []string) error {
			w, err := q.wanted(words)
			if err != nil {
				return err
			}
			if !slices.Contains(export.Formats(), export.Format(format)) {
				return usagef("--format %s: there are json, csv and parquet", format)
			}
			w.options.Ascending = true
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			return errors.Join(exportLog(cmd, d, w, format, file), d.close())
		},
	}
	t.flags(cmd)
	q.flags(cmd)
	cmd.Flags().StringVar(&format, "format", "json", "json (one entry a line), csv or parquet")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to a new `file` instead of standard output")
	return cmd
}

func exportLog(cmd *cobra.Command, d *deployment, w *wanted, format, file string) (err error) {
	ctx, dir := cmd.Context(), d.paths.log()
	size, err := logEnd(ctx, dir)
	if err != nil {
		return err
	}
	w.options.Before = size
	out := cmd.OutOrStdout()
	if file != "" {
		made, cerr := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if cerr != nil {
			return fmt.Errorf("creating the export: %w", cerr)
		}
		defer func() { err = errors.Join(err, made.Sync(), made.Close()) }()
		out = made
	}
	if err := recordRead(ctx, d, "log.export", w.describe(cmd)); err != nil {
		return err
	}
	p := newProgress(cmd.ErrOrStderr(), "Exporting")
	defer p.end()
	n := uint64(0)
	sink, err := export.New(export.Format(format), out)
	if err != nil {
		return err
	}
	var werr error
	err = searched{dir, d.paths.index()}.find(ctx, w, func(e *accesslog.Entry) bool {
		if werr = sink.Write(e); werr == nil {
			n++
			p.step(n, 0)
		}
		return werr == nil
	})
	if err = errors.Join(err, werr); err == nil {
		err = sink.Close()
	}
	return errors.Join(err, recordExported(ctx, d, n, err))
}

// recordExported records how an export ended.
func recordExported(ctx context.Context, d *deployment, n uint64, failed error) error {
	r := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: "log.exported", Result: "ok", Actor: operator.Account,
		Detail: map[string]string{"entries": strconv.FormatUint(n, 10)}}
	if failed != nil {
		r.Result = "failed"
	}
	ctx = context.WithoutCancel(ctx) // also one that was interrupted
	if err := d.db.Enqueue(ctx, r); err != nil {
		return err
	}
	return d.settle(ctx)
}

// logPlace finds the log's folder and public key: of a deployment, or of a copy.
type logPlace struct {
	target
	dir, key string
}

func (p *logPlace) flags(cmd *cobra.Command) {
	p.target.flags(cmd)
	cmd.Flags().StringVar(&p.dir, "log", "", "a copied log `folder`, instead of a deployment's")
	cmd.Flags().StringVar(&p.key, "key", "", "`file` with the log's public key (default: log.pub in the folder; a key you kept yourself proves more)")
}

func (p *logPlace) find() (dir, vkey string, err error) {
	dir = p.dir
	if dir == "" {
		cfg, err := p.load()
		if err != nil {
			return "", "", err
		}
		dir = paths{cfg.Data}.log()
	}
	file := p.key
	if file == "" {
		file = filepath.Join(dir, "log.pub")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", "", fmt.Errorf("reading the log's public key: %w", err)
	}
	vkey = strings.TrimSpace(string(b))
	if err := accesslog.CheckPublicKey(vkey); err != nil {
		return "", "", fmt.Errorf("reading the log's public key from %s: %w", file, err)
	}
	return dir, vkey, nil
}
