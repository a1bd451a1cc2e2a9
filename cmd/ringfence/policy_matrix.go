package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/rego"
)

func newPolicyMatrix() *cobra.Command {
	var t target
	var at, from string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use: "matrix [FOLDER]", Short: "Say who reaches what, today and under a policy folder",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes no argument %q", cmd.CommandPath(), args[1])
			}
			return nil
		},
		Long: "Matrix decides representative requests for each account on each route of the clusters\n" +
			"that it has an assignment for: reading, writing and deleting, and the methods and paths\n" +
			"that the policies name. With a FOLDER it prints what would differ, what is opened first;\n" +
			"with --all everything. The people asked about have just given every factor.",
		Example: "  ringfence policy matrix --config /etc/ringfence/config.yaml\n" +
			"  ringfence policy matrix deploy/policy --at 2026-03-02T08:00:00Z --from 198.51.100.7 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			when, source := time.Now(), netip.MustParseAddr(anyAddress)
			if at != "" {
				if when, err = time.Parse(time.RFC3339, at); err != nil {
					return usagef("--at is %q: it must be a time such as 2026-03-02T08:00:00Z", at)
				}
			}
			if from != "" {
				if source, err = netip.ParseAddr(from); err != nil {
					return usagef("--from is %q: it must be an address", from)
				}
			}
			var draft rego.Source
			if len(args) == 1 {
				if draft, err = rego.ReadFolder(args[0]); err != nil {
					return err
				}
			}
			ask, without, err := askMatrix(cmd, &t, draft, when, source)
			if err != nil {
				return err
			}
			r, err := studio.New(studio.Config{Command: policyWorker}).Matrix(cmd.Context(), ask, progressOn(cmd.ErrOrStderr(), "cells"))
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				for i := range r.Rows {
					if row := &r.Rows[i]; ask.One || all || row.Moved() {
						err = errors.Join(err, enc.Encode(row))
					}
				}
			} else {
				err = printMatrix(cmd.OutOrStdout(), &r, ask.One, all)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), matrixSummary(&r, ask.One, without))
			return err
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&at, "at", "", "the `time` of the requests; now")
	cmd.Flags().StringVar(&from, "from", "", "the `address` that they come from; one of no zone")
	cmd.Flags().BoolVar(&all, "all", false, "print what does not differ too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one row a line")
	return cmd
}

// anyAddress is where requests come from that nobody places (RFC 5737).
const anyAddress = "192.0.2.1"

// askMatrix reads policies and directory of a deployment.
func askMatrix(cmd *cobra.Command, t *target, draft rego.Source, at time.Time, from netip.Addr) (studio.MatrixRequest, int, error) {
	ctx := cmd.Context()
	d, err := openDeployment(ctx, t)
	if err != nil {
		return studio.MatrixRequest{}, 0, err
	}
	have, err := policySource(ctx, d.cfg, d.db)
	if err != nil {
		return studio.MatrixRequest{}, 0, errors.Join(err, d.close())
	}
	s, err := readSnapshot(ctx, d.db, d.cfg)
	if err = errors.Join(err, d.close()); err != nil {
		return studio.MatrixRequest{}, 0, err
	}
	ask, without := studio.Ask(s, have, draft, at, from)
	return ask, without, nil
}

// printMatrix prints one line a request: who, where, what, and the decisions.
func printMatrix(w io.Writer, r *studio.MatrixResult, one, all bool) error {
	for i := range r.Rows {
		row := &r.Rows[i]
		for _, a := range row.Answers {
			if !one && !all && a.Turn == "" {
				continue
			}
			line := fmt.Sprintf("%s %s/%s %s %s: %s", row.Email, row.Cluster, row.Route, a.Method, a.Path, matrixWord(a.Old))
			if a.Turn != "" {
				line = fmt.Sprintf("%s -> %s (%s)", line, matrixWord(a.New), a.Turn)
			}
			if _, err := fmt.Fprintln(w, plain(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

func matrixWord(d studio.MatrixDecision) string {
	if len(d.Reasons) == 0 {
		return d.Effect.String()
	}
	return d.Effect.String() + " " + strings.Join(d.Reasons, ",")
}

func matrixSummary(r *studio.MatrixResult, one bool, without int) string {
	s := plural(r.Cells, "cell") + " of account and route"
	if !one {
		s += fmt.Sprintf(", %d differ, %d of them reach something new", r.Moved, r.Widened)
	}
	s += fmt.Sprintf("; %s of account and cluster without an assignment, which the guardrails deny", plural(without, "pair"))
	if r.Left > 0 {
		s += fmt.Sprintf("; %s are not listed", plural(r.Left, "row"))
	}
	return s + "."
}

// progressOn returns what shows how far a job is, on a terminal alone.
func progressOn(w io.Writer, noun string) func(studio.Progress) {
	if !isTerminal(w) {
		return nil
	}
	return func(p studio.Progress) {
		end := ""
		if p.Done == p.Total {
			end = "\n"
		}
		fmt.Fprintf(w, "\r%d of %d %s%s", p.Done, p.Total, noun, end)
	}
}
