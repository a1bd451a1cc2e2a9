package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/internal/retention"
)

// pruneEvery is how often a running gateway looks whether 'log prune' asks for it.
const pruneEvery = time.Second

// prunes removes what is due when a command asks, until ctx ends.
func (g *gateway) prunes(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	asked := paths{g.cfg.Load().Data}.pruneAsked()
	for {
		if how, err := os.ReadFile(asked); err == nil {
			err := apply(ctx, g.retain, string(how) == pruneConfirmed)
			if err = errors.Join(err, os.Remove(asked)); err != nil && ctx.Err() == nil {
				g.logger.Error("removing old entries of the access log", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// pruneConfirmed is what a command asks with that was told that clock and rules are right.
const pruneConfirmed = "confirmed\n"

func apply(ctx context.Context, s *retention.Service, confirmed bool) error {
	if confirmed {
		if err := s.Confirm(); err != nil {
			return err
		}
	}
	_, err := s.Apply(ctx, retention.Operator)
	return err
}

// logFiles is a log that nothing is removed from.
type logFiles string

func (dir logFiles) Removable() (uint64, error) { return accesslog.Removable(string(dir)) }

func (logFiles) Prune(context.Context, accesslog.Removal) error {
	return errors.New("it is looked at only")
}

func newLogPrune() *cobra.Command {
	var t target
	var dry, confirmed, asJSON bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove entries whose time is over, and keep their hashes", Args: exactly(),
		Long: "Prune removes the log's oldest files whose time is over by the rules of access_log.retention,\n" +
			"after putting them into the archive where there is one. A file stays as long as the longest\n" +
			"rule of any entry in it; and one that a legal hold keeps, that a delivery has not taken or\n" +
			"that no checkpoint covers stays with all behind it. Hashes stay, so the log goes on to verify;\n" +
			"an entry says what went. A running gateway does this once a day by itself, and at once when\n" +
			"this command asks for it. --dry-run only says what would go.\n\n" +
			"For a week after the clock was set or the rules or the archive were changed nothing is\n" +
			"removed: what goes by mistake is gone. --confirm says that both are right.",
		Example: "  ringfence log prune --dry-run --config /etc/ringfence/config.yaml\n  ringfence log prune --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			return errors.Join(prune(cmd, d, dry, confirmed, asJSON), d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "remove nothing")
	cmd.Flags().BoolVar(&confirmed, "confirm", false, "remove what is over although the clock or the rules have changed of late")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	return cmd
}

func prune(cmd *cobra.Command, d *deployment, dry, confirmed, asJSON bool) error {
	ctx, quiet := cmd.Context(), slog.New(slog.DiscardHandler)
	look, err := newRetention(d.cfg, d.db, logFiles(d.paths.log()), takenOffline(d.cfg), quiet)
	if err != nil {
		return err
	}
	plan, err := look.Plan(ctx)
	if err != nil {
		return err
	}
	waits, err := look.Waits(false)
	if err != nil {
		return err
	}
	if err := printPlan(cmd, &plan, waits, asJSON); err != nil || dry || len(plan.Due) == 0 {
		return err
	}
	if err := pruneNow(ctx, d, confirmed, quiet); err != nil {
		return err
	}
	if waits.Why != "" && !confirmed {
		return &hintError{errors.New("nothing is removed " + waitsBecause(waits)), "Look at the clock and at what --dry-run says. If both are right, --confirm removes it now."}
	}
	first, err := accesslog.FirstHeld(d.paths.log())
	if err != nil {
		return err
	}
	if first < plan.Before {
		return &hintError{fmt.Errorf("the log still begins with entry %d", first), "The running gateway could not do it; its log, /readyz and /console/retention say why."}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Done. The log begins with entry %d.\n", first)
	return nil
}

// pruneNow removes what is due where no gateway runs, and has one that does do it.
func pruneNow(ctx context.Context, d *deployment, confirmed bool, logger *slog.Logger) error {
	l, err := openLog(ctx, d.cfg, d.db, logger)
	if err == nil {
		return withLog(ctx, d, l, func() error {
			s, err := newRetention(d.cfg, d.db, l, takenOffline(d.cfg), logger)
			if err == nil {
				err = apply(ctx, s, confirmed)
			}
			return err
		})
	}
	if !errors.Is(err, accesslog.ErrLocked) {
		return err
	}
	how := ""
	if confirmed {
		how = pruneConfirmed
	}
	if err := durable.WriteFile(d.paths.pruneAsked(), []byte(how), 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(d.paths.pruneAsked()); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func printPlan(cmd *cobra.Command, p *retention.Plan, waits retention.Waiting, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		row := map[string]any{"first_left": p.Before, "segments": len(p.Due), "rule": p.Rule}
		if p.Oldest != nil {
			row["kept"] = map[string]any{"first": p.Oldest.First, "rule": p.Longest, "until": p.Until, "because": keptBecause(p.Kept)}
		}
		if waits.Why != "" {
			row["waits"] = map[string]any{"until": waits.Until, "because": waits.Why}
		}
		return json.NewEncoder(out).Encode(row)
	}
	if n := len(p.Due); n > 0 {
		fmt.Fprintf(out, "Due: %s with entries %d to %d, from %s to %s (%s).\n", plural(n, "file"), p.Due[0].First, p.Before-1,
			stamp(p.Due[0].Oldest), stamp(p.Due[n-1].Newest), plain(p.Rule))
		if waits.Why != "" {
			fmt.Fprintf(out, "Not removed for now: %s.\n", waitsBecause(waits))
		}
	} else {
		fmt.Fprintln(out, "Nothing is due.")
	}
	if p.Oldest == nil {
		return nil
	}
	why := keptBecause(p.Kept)
	switch {
	case why != "":
		why = "because of " + why
		if p.Kept.Why == retention.KeptByTaker || p.Kept.Why == retention.KeptByLog {
			why = "because " + keptBecause(p.Kept)
		}
	case p.Until.IsZero():
		why = "for ever (" + p.Longest + ")"
	default:
		why = "until " + stamp(p.Until) + " (" + p.Longest + ")"
	}
	_, err := fmt.Fprintf(out, "Kept: what is behind entry %d, %s.\n", p.Oldest.First, plain(why))
	return err
}

func newLogRestore() *cobra.Command {
	var t target
	var to string
	cmd := &cobra.Command{
		Use: "restore INDEX…", Short: "Fetch archived entries back and prove that they are the log's", Args: cobra.MinimumNArgs(1),
		Long: "Restore fetches, out of the archive, each file of the log that begins with one of the INDEXes,\n" +
			"and proves it with the hashes that the log kept and its newest checkpoint. What does not hold\n" +
			"is refused. Without --to that is all; with it the files are put into that folder, from which\n" +
			"'ringfence log query --log FOLDER' reads them. They never come back into the log itself.\n" +
			"Choose a folder outside the data folder. Personal fields stay sealed there, unless a copy of\n" +
			"the data folder's personal lies beside it.",
		Example: "  ringfence log restore 0 482113 --to /srv/review/restored --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			if err := errors.Join(recordRead(ctx, d, "log.restore", append(describe(cmd), args...)), d.close()); err != nil {
				return err
			}
			kept, err := newArchive(d.cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if kept == nil {
				return &hintError{errors.New("there is no archive"), "Name one under access_log.retention.archive."}
			}
			for _, arg := range args {
				first, err := strconv.ParseUint(arg, 10, 63)
				if err != nil {
					return usagef("%s is no index: name the first entry of an archived file", arg)
				}
				if err := restore(ctx, cmd, d, kept, first, to); err != nil {
					return err
				}
			}
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "put what holds into this `folder`, apart from the log")
	return cmd
}

func restore(ctx context.Context, cmd *cobra.Command, d *deployment, kept retention.Archive, first uint64, to string) error {
	content, seg, err := retention.Fetch(ctx, kept, d.paths.log(), first)
	if err != nil {
		return err
	}
	if to != "" {
		if same, err := filepath.Abs(to); err == nil && same == d.paths.log() {
			return usagef("--to names the log's own folder: name another")
		}
		if err := accesslog.Unpack(to, seg, content); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Entries %d to %d, from %s to %s, are the log's: its checkpoint covers their hashes.\n",
		seg.First, seg.First+seg.Entries-1, stamp(seg.Oldest), stamp(seg.Newest))
	return err
}
