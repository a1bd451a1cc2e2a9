package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog/index"
)

func newLogReindex() *cobra.Command {
	var t target
	var folder string
	var missing, check bool
	cmd := &cobra.Command{
		Use: "reindex", Args: exactly(), Short: "Make the access log's index again",
		Long: "Searches use an index: a copy of the log's closed segments in Parquet files, a day each.\n" +
			"A gateway keeps it up to date by itself and makes damaged files again. Reindex makes all\n" +
			"of it again from the log, each file taking the place of the one before when it is\n" +
			"finished. A running gateway goes on, waits with its own work on the index, and takes the\n" +
			"new files up within seconds. Proofs never rest on the index. Searches, counts and the queue of\n" +
			"what waits for review do: --check tells whether somebody changed it. A gateway does so once a day.",
		Example: "  ringfence log reindex --config /etc/ringfence/config.yaml\n  ringfence log reindex --missing --log /mnt/copy/log",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := reindexed(&t, folder)
			if err != nil {
				return err
			}
			if check {
				return checkIndex(cmd, s)
			}
			build := index.Rebuild
			if missing {
				build = index.Update
			}
			bar := newProgress(cmd.ErrOrStderr(), "Indexing")
			made := uint64(0)
			err = build(cmd.Context(), s.log, s.index, func(done, of uint64) {
				made = done
				bar.step(done, of)
			})
			bar.end()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries were indexed in %s. Newer ones are searched in the log itself.\n", made, s.index)
			return err
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&folder, "log", "", "a copied log `folder`, instead of a deployment's; the index is made beside it")
	cmd.Flags().BoolVar(&missing, "missing", false, "make only what is missing, damaged or of another log")
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, and name the files that are not what the log gives")
	cmd.MarkFlagsMutuallyExclusive("missing", "check")
	return cmd
}

// checkIndex holds the index against the log.
func checkIndex(cmd *cobra.Command, s searched) error {
	bar := newProgress(cmd.ErrOrStderr(), "Checking")
	differ, err := index.Check(cmd.Context(), s.log, s.index, bar.step)
	bar.end()
	if err != nil {
		return err
	}
	for _, name := range differ {
		fmt.Fprintln(cmd.OutOrStdout(), name)
	}
	if n := len(differ); n > 0 {
		return &hintError{fmt.Errorf("%s of the index are not what the log gives", plural(n, "file")),
			"Somebody changed them, or another version of the program made them. 'ringfence log reindex' makes them again; keep copies first if you want to know what was changed."}
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "Every file of the index is what the log gives.")
	return err
}

func reindexed(t *target, folder string) (searched, error) {
	if folder != "" {
		if t.config != "" || t.data != "" {
			return searched{}, usagef("--log excludes --config and --data")
		}
		return besides(folder), nil
	}
	cfg, err := t.load()
	if err != nil {
		return searched{}, err
	}
	if err := findDeployment(cfg, "FILE"); err != nil {
		return searched{}, err
	}
	return searched{log: paths{cfg.Data}.log(), index: paths{cfg.Data}.index()}, nil
}
