package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A logSpan says which recorded requests a policy command looks at.
type logSpan struct {
	t            target
	log          bool
	since, until string
}

func (s *logSpan) flags(cmd *cobra.Command) {
	s.t.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&s.log, "log", false, "look at requests that the deployment recorded, too")
	f.StringVar(&s.since, "since", "30d", "with --log: from this `time` on: 2026-11-22, or 2h, 7d ago")
	f.StringVar(&s.until, "until", "", "with --log: before this `time`")
}

// request makes the request for a job, and records that the log is read.
func (s *logSpan) request(cmd *cobra.Command, src rego.Source) (studio.GapRequest, error) {
	a := studio.GapRequest{Modules: src}
	if !s.log {
		if s.t.config != "" || s.t.data != "" {
			return a, usagef("--config and --data name the log's deployment: give --log too")
		}
		return a, nil
	}
	now := time.Now().UTC()
	var err error
	if a.Since, err = parseWhen(s.since, now); err != nil {
		return a, usagef("--since %w", err)
	}
	if a.Until, err = parseWhen(s.until, now); err != nil {
		return a, usagef("--until %w", err)
	}
	ctx := cmd.Context()
	d, err := openDeployment(ctx, &s.t)
	if err != nil {
		return a, err
	}
	a.Log = d.paths.log()
	if a.Before, err = logEnd(ctx, a.Log); err == nil {
		err = recordRead(ctx, d, "log.query", append([]string{"for " + cmd.CommandPath()}, describe(cmd)...))
	}
	return a, errors.Join(err, d.close())
}

// knockout runs the knock-out test, over recorded denials too where asked to.
func (s *logSpan) knockout(cmd *cobra.Command, src rego.Source) (rego.KnockoutReport, error) {
	a, err := s.request(cmd, src)
	if err != nil {
		return rego.KnockoutReport{}, err
	}
	if _, err := commandTrial().Test(cmd.Context(), src); err != nil { // says it with its places
		return rego.KnockoutReport{}, err
	}
	return commandTrial().Knockout(cmd.Context(), a, progressOn(cmd.ErrOrStderr(), "done"))
}

func printHole(w io.Writer, h rego.Hole) error {
	line := plain(h.String())
	if h.Entry != nil {
		line += fmt.Sprintf(" (shown by entry %d)", *h.Entry)
	}
	if _, err := fmt.Fprintln(w, line); err != nil || h.Repair == "" {
		return err
	}
	verb := "  beside it:"
	if h.Rule == "allow" {
		verb = "  as a further condition:"
	}
	if _, err := fmt.Fprintln(w, verb); err != nil {
		return err
	}
	for l := range strings.Lines(h.Repair) {
		if _, err := fmt.Fprintln(w, "    "+plainLine(l)); err != nil {
			return err
		}
	}
	return nil
}

func printRecorded(w io.Writer, r rego.KnockoutReport) error {
	if r.Recorded+r.Alike+r.Unfit > 0 {
		if _, err := fmt.Fprintf(w, "%s likewise; %d more are like them, of %d the log does not keep what the policies read\n", plural(r.Recorded, "recorded denial"), r.Alike, r.Unfit); err != nil {
			return err
		}
	}
	if r.Cut {
		_, err := fmt.Fprintln(w, "the bound on evaluations was reached: not everything was looked at")
		return err
	}
	return nil
}

func newPolicyMutants() *cobra.Command {
	var asJSON bool
	var span logSpan
	cmd := &cobra.Command{
		Use: "mutants FOLDER", Short: "Find changes of the policies that no test notices", Args: exactly("a FOLDER"),
		Long: "Mutants changes the policies in small ways, one at a time: a rule is dropped, a\n" +
			"comparison turned, a negation removed, a constant or a member of a set changed. It lists\n" +
			"what neither the unit tests nor, with --log, recorded requests notice. It fails when\n" +
			"there is such a change: a test is missing there, or the policy says more than it needs.",
		Example: "  ringfence policy mutants deploy/policy\n  ringfence policy mutants deploy/policy --log --since 7d --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			src, a, err := span.begin(cmd, args[0])
			if err != nil {
				return err
			}
			if _, err := commandTrial().Test(cmd.Context(), src); err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			r, err := commandTrial().Mutants(cmd.Context(), a, progressOn(cmd.ErrOrStderr(), "done"))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				err = json.NewEncoder(out).Encode(r)
			} else {
				for _, m := range r.Survivors {
					fmt.Fprintln(out, plain(fmt.Sprintf("%s (%s)", m.Diagnostic, m.Rule)))
				}
				_, err = fmt.Fprintf(out, "%s: %d noticed by tests, %d by recorded requests alone, %d by nothing\n", plural(r.Mutants, "change"), r.ByTests, r.ByRequests, len(r.Survivors))
			}
			if err == nil && len(r.Survivors) > 0 {
				err = &hintError{fmt.Errorf("trying mutants: nothing notices %s", plural(len(r.Survivors), "change")), "Write a test that fails with the change, or take out what makes no difference."}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	span.flags(cmd)
	return cmd
}

// begin reads the folder and makes the request.
func (s *logSpan) begin(cmd *cobra.Command, folder string) (rego.Source, studio.GapRequest, error) {
	src, err := rego.ReadFolder(folder)
	if err != nil {
		return nil, studio.GapRequest{}, err
	}
	a, err := s.request(cmd, src)
	return src, a, err
}

func newPolicyUnreached() *cobra.Command {
	var asJSON bool
	var span logSpan
	cmd := &cobra.Command{
		Use: "unreached [FOLDER]", Short: "Find rules and reasons that no recorded request reached", Args: cobra.MaximumNArgs(1),
		Long: "Unreached lists the rules that held for no request which a deployment recorded in the\n" +
			"span, and the reasons that nobody was given: for the policies of a folder, or, without\n" +
			"one, for those in force. It changes nothing and exits 0 whatever it finds.",
		Example: "  ringfence policy unreached --since 90d --config /etc/ringfence/config.yaml\n  ringfence policy unreached deploy/policy --since 7d --data demo",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			src, err := folderOrDeployed(ctx, &span.t, args)
			if err != nil {
				return err
			}
			span.log = true
			a, err := span.request(cmd, src)
			if err != nil {
				return err
			}
			if _, err := commandTrial().Test(ctx, src); err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			r, err := commandTrial().Unreached(ctx, a, progressOn(cmd.ErrOrStderr(), "done"))
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printUnreached(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	span.flags(cmd)
	_ = cmd.Flags().MarkHidden("log") // it is about nothing else
	return cmd
}

func folderOrDeployed(ctx context.Context, t *target, args []string) (rego.Source, error) {
	if len(args) == 1 {
		return rego.ReadFolder(args[0])
	}
	return deployedPolicies(ctx, t)
}

func printUnreached(w io.Writer, r studio.UnreachedResult) error {
	var found []policy.Diagnostic
	for _, u := range r.Rules {
		found = append(found, u.Diagnostic)
	}
	for _, u := range r.Reasons {
		found = append(found, u.Diagnostic)
	}
	if err := printFindings(w, found, false); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s never held, %s given to nobody\n", plural(r.Requests, "recorded request"), plural(len(r.Rules), "rule"), plural(len(r.Reasons), "reason"))
	if err == nil && r.Unfit > 0 {
		_, err = fmt.Fprintf(w, "of %d the log does not keep what the policies read\n", r.Unfit)
	}
	return err
}
