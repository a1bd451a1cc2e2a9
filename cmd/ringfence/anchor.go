package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/people"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

// anchorEvery is how often the store is told the log's newest checkpoint.
const anchorEvery = 10 * time.Second

// replacedHint follows every refusal of a log that is not the one it was.
const replacedHint = "Put the log back from where it is kept. If it is lost for good, 'ringfence log abandon --reason WHY' lets another begin, and that log says so."

// openLog opens the access log as its one writer. It refuses a log that does
// not continue the checkpoint that the store keeps: one that was emptied, cut,
// rolled back or replaced.
func openLog(ctx context.Context, cfg *config.Config, db *store.DB, logger *slog.Logger, edits ...func(*accesslog.Config)) (*accesslog.Log, error) {
	p := paths{cfg.Data}
	anchor, err := db.Anchor(ctx)
	if err != nil {
		return nil, err
	}
	if anchor != nil {
		if _, err := os.Stat(filepath.Join(p.log(), "checkpoint")); errors.Is(err, fs.ErrNotExist) {
			return nil, &hintError{fmt.Errorf("opening the access log: %s holds no checkpoint, and there was a log here before", p.log()), replacedHint}
		}
	}
	key, err := os.ReadFile(p.logKey())
	if err != nil {
		return nil, fmt.Errorf("reading the access log's key: %w", err)
	}
	vouched, err := vouchedFor(p, anchor)
	if err != nil {
		return nil, fmt.Errorf("opening the access log: %w", err)
	}
	var previous []byte
	if anchor == nil {
		if previous, err = givenUp(ctx, db); err != nil {
			return nil, err
		}
	}
	lc := accesslog.Config{
		Dir: p.log(), Node: cfg.AccessLog.Node, Origin: logOrigin(cfg), Key: strings.TrimSpace(string(key)),
		SegmentSize: int64(cfg.AccessLog.SegmentSize), CommitDeadline: cfg.AccessLog.CommitDeadline, Vouched: vouched, Logger: logger,
		SealPersonal: true, Previous: previous,
		Conceal: func(r *policy.Record) { concealPeople(r, db) },
	}
	for _, edit := range edits {
		edit(&lc)
	}
	l, err := accesslog.Open(ctx, lc)
	if _, damaged := errors.AsType[*accesslog.TamperedError](err); damaged {
		err = &hintError{err, "If 'ringfence check' finds the key in order, the log's files were changed or lost. Keep them as they are, look with 'ringfence log verify',\nand see \"Backup and restore\" in deploy/README.md."}
	}
	if errors.Is(err, accesslog.ErrBehind) {
		err = &hintError{err, replacedHint}
	}
	if err != nil || anchor == nil {
		return l, err
	}
	if _, err := accesslog.ProveConsistency(ctx, p.log(), anchor); err != nil {
		return nil, errors.Join(&hintError{fmt.Errorf("opening the access log: it does not continue the checkpoint that was kept apart: %w", err), replacedHint}, l.Close())
	}
	return l, nil
}

// concealTime bounds how long looking for accounts holds up one record.
const concealTime = time.Second

// concealPeople puts ids of accounts in place of their addresses. A store that
// cannot be read keeps nothing from being recorded.
func concealPeople(r *policy.Record, db *store.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), concealTime)
	defer cancel()
	people.Conceal(r, func(name string) (string, bool) { return db.AccountNamed(ctx, name) })
}

// actionAbandon is of the entry that gives up a log.
const actionAbandon = "log.abandon"

// givenUp returns the newest checkpoint that is known of the log that another
// is about to take the place of. It is nil where none was given up.
func givenUp(ctx context.Context, db *store.DB) ([]byte, error) {
	r, err := db.NextRecord(ctx)
	if err != nil || r == nil || r.Action != actionAbandon {
		return nil, err
	}
	return newerOf(r.Detail["cosigned"], r.Detail["checkpoint"]), nil
}

// newerOf returns what witnesses cosigned unless the store kept a larger one:
// witnesses may have been away for days, and somebody may have put an old
// checkpoint of theirs in the place of the newest.
func newerOf(cosigned, kept string) []byte {
	n, err := accesslog.CheckpointSize([]byte(cosigned))
	m, kerr := accesslog.CheckpointSize([]byte(kept))
	if err != nil || kerr == nil && m > n {
		return []byte(kept)
	}
	return []byte(cosigned)
}

// vouchedFor returns how many entries the checkpoints that are kept apart from
// the log vouch for: the store's, and the newest one that witnesses cosigned.
func vouchedFor(p paths, anchor []byte) (uint64, error) {
	n, err := accesslog.CheckpointSize(anchor)
	if err != nil {
		return 0, fmt.Errorf("reading the checkpoint that was kept apart: %w", err)
	}
	cosigned, err := os.ReadFile(p.witnessed())
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	m, err := accesslog.CheckpointSize(cosigned)
	if err != nil {
		return 0, fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	return max(n, m), nil
}

// keepAnchor tells the store the log's newest checkpoint if it is a new one.
func keepAnchor(ctx context.Context, db *store.DB, l *accesslog.Log, before []byte) ([]byte, error) {
	now := l.Checkpoint()
	if len(now) == 0 || bytes.Equal(now, before) {
		return before, nil
	}
	return now, db.SetAnchor(ctx, now)
}

// anchor keeps the newest checkpoint apart from the log until ctx ends.
func (g *gateway) anchor(ctx context.Context) error {
	tick := time.NewTicker(anchorEvery)
	defer tick.Stop()
	var kept []byte
	for {
		var err error
		if kept, err = keepAnchor(ctx, g.db, g.log, kept); err != nil && ctx.Err() == nil {
			g.logger.Error("keeping the log's checkpoint apart", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// continues reports whether the log in its folder goes on from all that is kept
// apart from it.
func continues(ctx context.Context, p paths, anchor []byte) bool {
	vouched, err := vouchedFor(p, anchor)
	if err != nil {
		return false
	}
	now, err := os.ReadFile(filepath.Join(p.log(), "checkpoint"))
	if err != nil {
		return false
	}
	if n, err := accesslog.CheckpointSize(now); err != nil || n < vouched {
		return false
	}
	_, err = accesslog.ProveConsistency(ctx, p.log(), anchor)
	return err == nil
}

func newLogAbandon() *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use: "abandon", Short: "Let another access log begin where one was lost", Args: exactly(),
		Long: "The gateway refuses to start on an access log that does not continue the last one.\n" +
			"Abandon gives the last one up: the next start begins or accepts another. The first entry of\n" +
			"one that begins names the newest root of the last one that is known, by what witnesses\n" +
			"cosigned and what was kept apart, and why. Witnesses remember it all the same, until their\n" +
			"operators agree. Restore the log instead where you can. A log that is there and whole is not\n" +
			"given up.",
		Example: "  ringfence log abandon --reason 'disk lost on 3 March, no copy' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reason == "" {
				return usagef("why? Give the reason with --reason; it is recorded in the log that begins")
			}
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			err = func() error {
				anchor, err := d.db.Anchor(ctx)
				if err != nil {
					return err
				}
				if anchor == nil {
					return errors.New("there is no earlier log to give up")
				}
				if continues(ctx, d.paths, anchor) {
					return &hintError{errors.New("the access log is there and continues the checkpoint that was kept apart: nothing was lost"),
						"Abandon is for a log that is gone. To begin another all the same, stop the gateway and move the folder " + d.paths.log() + " away first."}
				}
				detail := map[string]string{"reason": reason, "checkpoint": string(anchor)}
				cosigned, err := os.ReadFile(d.paths.witnessed())
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("reading the cosigned checkpoint: %w", err)
				}
				if cosigned != nil {
					detail["cosigned"] = string(cosigned)
				}
				if err := d.db.DropAnchor(ctx, &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: actionAbandon, Result: "ok", Actor: operator.Account, Detail: detail}); err != nil {
					return err
				}
				if err := os.Remove(d.paths.witnessed()); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("giving up the cosigned checkpoint: %w", err)
				}
				return nil
			}()
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The earlier log is given up. The next start says so in the log that it finds or begins.")
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence` that is recorded")
	return cmd
}
