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

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
)

func newLogVerify() *cobra.Command {
	var p logPlace
	var asJSON bool
	var against, witnessKeys []string
	cmd := &cobra.Command{
		Use: "verify [BUNDLE]", Short: "Check the whole log, or a bundle of evidence", Args: cobra.MaximumNArgs(1),
		Long: "Verify reads every entry, rebuilds the Merkle tree and compares it with the signed\n" +
			"checkpoint. It needs the public key only and works on a copy, offline. It fails with\n" +
			"exit status 1 and names the first entry that does not match. Checkpoints that were kept\n" +
			"elsewhere, such as a witness's, show with --against that the log was not rolled back.\n" +
			"A deployment's own log is held against the checkpoint that its store keeps as well, and\n" +
			"the newest that witnesses cosigned.\n" +
			"With a BUNDLE it checks that file alone, as 'ringfence log evidence' writes it, and says\n" +
			"what is proven, and by whose keys.",
		Example: "  ringfence log verify --config /etc/ringfence/config.yaml\n  ringfence log verify --log /mnt/copy/log --key auditors-copy.pub --against checkpoint-of-the-witness\n" +
			"  ringfence log verify kim.zip --key log.pub --witness-key witness.pub",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return verifyBundle(cmd, args[0], p.key, witnessKeys, against, asJSON)
			}
			if len(witnessKeys) > 0 {
				return usagef("--witness-key is for a BUNDLE; compare a log with --against")
			}
			dir, vkey, err := p.find()
			if err != nil {
				return err
			}
			var kept []olderCheckpoint
			if p.dir == "" { // a deployment's own log, whose checkpoint is kept apart from it
				if kept, err = keptApart(cmd.Context(), &p.target); err != nil {
					return err
				}
			}
			for _, file := range against {
				b, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("reading the checkpoint to compare with: %w", err)
				}
				kept = append(kept, olderCheckpoint{"in " + file, b, false})
			}
			return verifyLog(cmd, dir, vkey, kept, asJSON)
		},
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringArrayVar(&against, "against", nil, "`file` with a checkpoint that was kept elsewhere; again for more")
	cmd.Flags().StringArrayVar(&witnessKeys, "witness-key", nil, "`file` with the public key of a witness, for a BUNDLE; again for more")
	return cmd
}

// An olderCheckpoint is one that a log has to continue, and where it was found.
type olderCheckpoint struct {
	where string
	text  []byte
	here  bool // on the log's own machine
}

// keptApart returns the checkpoints that a deployment keeps apart from its log:
// the store's, and the newest one that witnesses cosigned.
func keptApart(ctx context.Context, t *target) (kept []olderCheckpoint, err error) {
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	db, err := openStore(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, &hintError{fmt.Errorf("reading the checkpoint that is kept apart: %w", err), "The log's folder alone is verified with --log."}
	}
	anchor, err := db.Anchor(ctx)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("reading the checkpoint that is kept apart: %w", err)
	}
	if anchor != nil {
		kept = append(kept, olderCheckpoint{"that was kept apart", anchor, true})
	}
	cosigned, err := os.ReadFile(paths{cfg.Data}.witnessed())
	switch {
	case err == nil:
		kept = append(kept, olderCheckpoint{"that witnesses cosigned", cosigned, true})
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	return kept, nil
}

// verifyLog checks a log whole, and against checkpoints that were kept elsewhere.
func verifyLog(cmd *cobra.Command, dir, vkey string, against []olderCheckpoint, asJSON bool) error {
	bar := newProgress(cmd.ErrOrStderr(), "Verifying")
	report, err := accesslog.Verify(cmd.Context(), dir, vkey, bar.step)
	bar.end()
	if err != nil {
		return fmt.Errorf("verifying %s: %w", dir, err)
	}
	for _, old := range against {
		if _, err := accesslog.ProveConsistency(cmd.Context(), dir, old.text); err != nil {
			err = fmt.Errorf("verifying %s: it does not continue the checkpoint %s: %w", dir, old.where, err)
			if was, rerr := accesslog.ReadCheckpoint(old.text, vkey); rerr == nil && report.Previous.Is(was) {
				err = &hintError{err, "This log says itself that it began after the one of that checkpoint was given up. Ask why: 'ringfence log query action:log.abandon'."}
			}
			return err
		}
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "The log %s is whole: %d entries in %s, from %s to %s.\nThe signed checkpoint vouches for %d of them, root %s.\n",
		plain(report.Origin), report.Entries, plural(report.Segments, "segment"), stamp(report.First), stamp(report.Last), report.Signed, report.Root)
	if err == nil && report.Removed > 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The first %d were removed by age, as an entry says; their hashes are whole.\n", report.Removed)
	}
	if err == nil && report.Previous != nil {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), previousWords(report.Previous))
	}
	here := 0
	for _, old := range against {
		if old.here {
			here++
		}
	}
	if err == nil && here > 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "It continues %s that this machine keeps apart from it.\n", plural(here, "checkpoint"))
	}
	if elsewhere := len(against) - here; err == nil && elsewhere > 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "It continues %s from elsewhere.\n", plural(elsewhere, "checkpoint"))
	}
	return err
}

func newLogCheckpoint() *cobra.Command {
	var p logPlace
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "Print the newest signed checkpoint, to be kept elsewhere", Args: exactly(),
		Example: "  ringfence log checkpoint --config /etc/ringfence/config.yaml > checkpoint-of-today",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _, err := p.find()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
			if err != nil {
				return fmt.Errorf("reading the checkpoint: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	p.flags(cmd)
	return cmd
}
