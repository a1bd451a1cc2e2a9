package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog/reconcile"
)

// errReconcile says that the two logs do not agree.
var errReconcile = errors.New("the upstream's log and the access log do not agree")

func newLogReconcile() *cobra.Command {
	var p logPlace
	var asJSON bool
	var cfg reconcile.Config
	cmd := &cobra.Command{
		Use: "reconcile UPSTREAM-LOG", Short: "Compare an upstream's own access log with this one, line by line", Args: exactly("an UPSTREAM-LOG"),
		Long: "Each request that Ringfence forwards carries the header X-Ringfence-Entry, which names its\n" +
			"entry. Reconcile reads an upstream's own access log (- is standard input; .gz is unpacked) and\n" +
			"lists requests that have no entry, entries that have no request, and what differs in method,\n" +
			"path or status. A request without an entry did not come through the gateway.\n\n" +
			"The upstream must write the header into its log: as a last field in quotation marks behind\n" +
			"the common or combined format of nginx (\"$http_x_ringfence_entry\") or Apache\n" +
			"(\"%{X-Ringfence-Entry}i\"), or in JSON under a key that ends in ringfence_entry; Caddy's JSON\n" +
			"has it among the headers. The exit status is 1 when something does not fit.",
		Example: "  ringfence log reconcile /var/log/nginx/access.log.1 --config /etc/ringfence/config.yaml\n" +
			"  zcat access.log.2.gz | ringfence log reconcile - --cluster claims --json --data demo",
		RunE: func(cmd *cobra.Command, args []string) error {
			return reconcileLog(cmd, &p, cfg, args[0], asJSON)
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&cfg.Cluster, "cluster", "", "`name` of the upstream's cluster (default: that of the first entry which its log names)")
	f.StringVar(&cfg.Format.Field, "field", "", "JSON `key`, or number of the quoted field, that holds the entry (default: found by its name; the last)")
	f.StringArrayVar(&cfg.HealthPaths, "health-path", nil, "`path` that is asked for without an entry; those of the cluster's routes are known")
	f.BoolVar(&asJSON, "json", false, "print findings as JSON, one a line, and the counts last")
	return cmd
}

func reconcileLog(cmd *cobra.Command, p *logPlace, cfg reconcile.Config, file string, asJSON bool) (err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	dir, vkey, err := p.find()
	if err != nil {
		return err
	}
	if p.dir != "" && deployed(p.dir) {
		return &hintError{fmt.Errorf("reading %s: it is a deployment's own log, where reading is recorded", plain(p.dir)),
			"Name the deployment with --config FILE or --data DIR; --log is for copies."}
	}
	cfg.Dir = dir
	cfg.Origin, _, _ = strings.Cut(vkey, "+")
	in, err := openUpstreamLog(cmd, file)
	if err != nil {
		return err
	}
	defer in.Close()
	if cfg.Size, err = logEnd(ctx, dir); err != nil {
		return err
	}
	if p.dir == "" { // a copy has nobody to tell
		if err := recordReconcile(ctx, cmd, p, &cfg, file); err != nil {
			return err
		}
	}
	bar := newProgress(cmd.ErrOrStderr(), "Comparing lines")
	defer bar.end()
	cfg.Progress = func(n uint64) { bar.step(n, 0) }
	cfg.Found = func(f reconcile.Finding) error {
		if asJSON {
			return json.NewEncoder(out).Encode(f)
		}
		_, err := fmt.Fprintln(out, findingLine(f))
		return err
	}
	report, err := reconcile.Run(ctx, in, cfg)
	if err != nil {
		return fmt.Errorf("reconciling %s: %w", plain(file), err)
	}
	bar.end()
	if asJSON {
		if err := json.NewEncoder(out).Encode(report); err != nil {
			return err
		}
	} else {
		sayReport(cmd.ErrOrStderr(), report)
	}
	if len(report.Findings) > 0 {
		return errReconcile
	}
	return nil
}

// recordReconcile records the reading of the log, and learns the paths of
// health checks.
func recordReconcile(ctx context.Context, cmd *cobra.Command, p *logPlace, cfg *reconcile.Config, file string) error {
	d, err := openDeployment(ctx, &p.target)
	if err != nil {
		return err
	}
	err = recordRead(ctx, d, "log.reconcile", append(describe(cmd), "log="+filepath.Base(file)))
	if err == nil {
		dir, _, derr := d.db.Directory(ctx)
		if err = derr; err == nil {
			for _, c := range dir.Clusters {
				for _, r := range c.Routes {
					if (cfg.Cluster == "" || c.Name == cfg.Cluster) && r.HealthPath != "" && !slices.Contains(cfg.HealthPaths, r.HealthPath) {
						cfg.HealthPaths = append(cfg.HealthPaths, r.HealthPath)
					}
				}
			}
		}
	}
	return errors.Join(err, d.close())
}

type upstreamLog struct {
	io.Reader
	file *os.File
}

func (l upstreamLog) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

func openUpstreamLog(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	l := upstreamLog{Reader: cmd.InOrStdin()}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the upstream's log: %w", err)
		}
		l.file, l.Reader = f, f
	}
	b := bufio.NewReader(l.Reader)
	l.Reader = b
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("unpacking %s: %w", plain(name), err), l.Close())
		}
		l.Reader = z
	}
	return l, nil
}

var findingWords = map[string]string{
	reconcile.NoEntry: "no entry", reconcile.UnknownEntry: "no such entry", reconcile.SameEntry: "entry named twice",
	reconcile.Differs: "differs", reconcile.NoRequest: "no request", reconcile.Unreadable: "not readable",
}

func findingLine(f reconcile.Finding) string {
	var b strings.Builder
	b.WriteString(findingWords[f.Kind])
	if f.Line > 0 {
		fmt.Fprintf(&b, "  line %d", f.Line)
	}
	if f.Index != nil {
		fmt.Fprintf(&b, "  entry %d", *f.Index)
	}
	if f.Method != "" {
		fmt.Fprintf(&b, "  %s %s", plain(f.Method), plain(f.Path))
	}
	if f.Status != 0 {
		fmt.Fprintf(&b, "  %d", f.Status)
	}
	if f.What != "" {
		fmt.Fprintf(&b, "  (%s)", plain(f.What))
	}
	return b.String()
}

func sayReport(w io.Writer, r *reconcile.Report) {
	fmt.Fprintf(w, "%s of the upstream's log, %d matched", plural(r.Lines, "line"), r.Matched)
	if r.Matched > 0 {
		fmt.Fprintf(w, " with entries from %d to %d", r.From, r.To)
	}
	fmt.Fprintln(w, ".")
	for _, kind := range []string{reconcile.NoEntry, reconcile.UnknownEntry, reconcile.SameEntry, reconcile.Differs, reconcile.NoRequest, reconcile.Unreadable} {
		if n := r.Findings[kind]; n > 0 {
			fmt.Fprintf(w, "%d: %s.\n", n, findingWords[kind])
		}
	}
	if r.Health > 0 {
		fmt.Fprintf(w, "%s for a path of health checks, which have no entry.\n", plural(r.Health, "request"))
	}
	for _, origin := range slices.Sorted(maps.Keys(r.Others)) {
		n := r.Others[origin]
		fmt.Fprintf(w, "%s with an entry of another log, %s.\n", plural(n, "request"), plain(origin))
	}
	if r.Open > 0 {
		fmt.Fprintf(w, "%s still open.\n", plural(r.Open, "request"))
	}
	if r.Unsure > 0 {
		fmt.Fprintf(w, "%s cut short or over only after the upstream's log ends: not judged.\n", plural(r.Unsure, "request"))
	}
	switch {
	case len(r.Findings) > 0:
	case len(r.Others) > 0: // whoever goes around every gateway can name any log
		fmt.Fprintln(w, "Everything fits but those of other logs. Compare with each of these too: one that is no gateway's is a way around them.")
	default:
		fmt.Fprintln(w, "Everything fits.")
	}
}
