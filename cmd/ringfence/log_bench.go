package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog/measure"
)

// newLogBench measures searches on this machine. It needs no gateway and
// touches none.
func newLogBench() *cobra.Command {
	var entries int
	var dir string
	var verify bool
	cmd := &cobra.Command{
		Use: "bench", Hidden: true, Args: exactly(), Short: "Measure searches over a made-up log on this machine",
		Long: "Bench writes a log of made-up entries, compresses and indexes it, and times the questions\n" +
			"that reviewers ask. Ten million entries need about 4 GB of disk and some minutes.",
		Example: "  ringfence log bench --entries 10000000 --dir /var/tmp/bench",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if entries < 1000 {
				return usagef("--entries %d: at least 1000 are needed to measure anything", entries)
			}
			if dir == "" {
				made, err := os.MkdirTemp("", "ringfence-bench-*")
				if err != nil {
					return err
				}
				defer os.RemoveAll(made)
				dir = made
			}
			return measure.Run(cmd.Context(), dir, entries, verify, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.IntVar(&entries, "entries", 1_000_000, "about how many entries")
	f.StringVar(&dir, "dir", "", "`folder` to work in, kept afterwards and used again; default a temporary one")
	f.BoolVar(&verify, "verify", false, "verify the whole log as well")
	return cmd
}
