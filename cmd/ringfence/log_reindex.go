package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog/index"
)

func newLogReindex() *cobra.Command {
	var t target
	var folder string
	var missing bool
	cmd := &cobra.Command{
		Use: "reindex", Args: exactly(), Short: "Make the access log's index again",
		Long: "Searches use an index: a copy of the log's closed segments in Parquet files, a day each.\n" +
			"A gateway keeps it up to date by itself and makes damaged files again. Reindex makes all\n" +
			"of it again from the log, each file taking the place of the one before when it is\n" +
			"finished. A running gateway goes on, waits with its own work on the index, and takes the\n" +
			"new files up within seconds. Proofs never rest on the index.",
		Example: "  ringfence log reindex --config /etc/ringfence/config.yaml\n  ringfence log reindex --missing --log /mnt/copy/log",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := reindexed(&t, folder)
			if err != nil {
				return err
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
	return cmd
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
