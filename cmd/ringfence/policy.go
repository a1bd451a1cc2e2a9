package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

func newPolicy() *cobra.Command {
	cmd := group("policy", "Write, test and publish policies",
		"Policies are Rego modules in a folder: all/*.rego govern every cluster,\nclusters/NAME/*.rego one cluster. They can only narrow what assignments grant.")
	cmd.AddCommand(
		newPolicyTest(),
		newPolicyLint(),
		newPolicyFmt(),
		newPolicyCoverage(),
		newPolicyKnockout(),
		newPolicyForbidden(),
		newPolicyDecide(),
		newPolicyDiff(),
		newPolicyBundle(),
		newPolicyMutants(),
		newPolicyUnreached(),
		newPolicyMatrix(),
		newPolicyReplay(),
		newPolicyPublish(),
		newPolicyLibrary(),
		newPolicyRollback(),
		newPolicyRevisions(),
		newPolicyDrafts(),
	)
	return cmd
}

func newPolicyTest() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "test FOLDER", Short: "Compile a policy folder strictly and run its tests", Args: exactly("a FOLDER"),
		Example: "  ringfence policy test deploy/policy",
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			report, err := commandTrial().Test(cmd.Context(), src)
			if asJSON {
				if jerr := json.NewEncoder(cmd.OutOrStdout()).Encode(report); jerr != nil {
					return jerr
				}
			}
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			if !asJSON {
				fmt.Fprintln(cmd.OutOrStdout(), describeReport(report))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printDiagnostics prints a compile error's faults one a line, each with its place.
func printDiagnostics(w io.Writer, err error) error {
	lines := policyFaults(err)
	if lines == nil {
		return err
	}
	for _, l := range lines {
		fmt.Fprintln(w, plain(l))
	}
	return fmt.Errorf("%s in the policies; nothing has been changed", plural(len(lines), "fault"))
}

// policyFaults lists what was found in a policy set, one fault a line; nil for
// an error of another kind.
func policyFaults(err error) (out []string) {
	if c, ok := errors.AsType[*rego.CompileError](err); ok {
		for _, d := range c.Diagnostics {
			out = append(out, d.String())
		}
	}
	if t, ok := errors.AsType[*rego.TestError](err); ok {
		for _, f := range t.Failures {
			out = append(out, f.String())
		}
	}
	return out
}

func describeReport(r rego.Report) string {
	return fmt.Sprintf("revision %s, %s passed, those of the stock policies among them", r.Revision, plural(r.Tests-r.Failed, "test"))
}

func newPolicyPublish() *cobra.Command {
	var t target
	var p publication
	var empty bool
	cmd := &cobra.Command{
		Use: "publish FOLDER", Short: "Put a policy folder in force, kept in the store", Args: exactly("a FOLDER"),
		Long: "Publish compiles the folder, runs its tests, and puts the whole set in force on a\n" +
			"running gateway within a second. A set that does not compile, whose tests fail, or in\n" +
			"which a missing field lifts a denial of its tests or of the last 30 days' access log\n" +
			"(see knockout) changes nothing. Where the configuration names a policies folder or a\n" +
			"bundle, that rules and publish refuses.\n\n" +
			"No second person is asked: every administrator and approver is told. With --draft the\n" +
			"folder becomes a draft, which an approver reads and publishes on the console. The\n" +
			"configuration can demand that (policy_changes).",
		Example: "  ringfence policy publish deploy/policy --draft --title 'Office hours' --reason 'nobody works at night' --config /etc/ringfence/config.yaml\n" +
			"  ringfence policy publish deploy/policy --reason 'office hours for claims' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			if len(src) == 0 && !empty {
				return &hintError{fmt.Errorf("publishing: %s holds no policy (no *.rego below it)", args[0]), "Name the folder that holds all/ and clusters/. To do away with every policy, say so with --empty."}
			}
			if _, err := commandTrial().Test(ctx, src); err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			var said string
			err = func() error {
				if d.cfg.Policies != "" {
					return &hintError{fmt.Errorf("publishing: policies come from the folder %s", d.cfg.Policies), "Change the files there, or take 'policies' out of the configuration."}
				}
				if d.cfg.PolicyBundle.Enabled() {
					return &hintError{errors.New("publishing: policies come from a bundle"), "Publish a new bundle, or take 'policy_bundle' out of the configuration."}
				}
				if said, err = d.publish(ctx, src, p, cmd.ErrOrStderr()); err != nil {
					return err
				}
				return d.settle(ctx)
			}()
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), said)
			return nil
		},
	}
	t.flags(cmd)
	p.flags(cmd)
	cmd.Flags().StringVar(&p.title, "title", "Published by command", "what it is, in a few `words`")
	cmd.Flags().StringVar(&p.reason, "reason", "published by command", "why, in a `sentence` that is recorded")
	cmd.Flags().BoolVar(&empty, "empty", false, "publish although the folder holds no policy: none is in force then")
	return cmd
}

func newDecide() *cobra.Command {
	var t target
	var file, folder string
	var explain, asJSON bool
	cmd := &cobra.Command{
		Use: "decide", Short: "Decide one input offline and print the decision", Args: exactly(),
		Long: "Decide reads one policy input as JSON (go doc ./policy describes it) and prints what\n" +
			"the gateway would decide: with a deployment's policies, a folder's, or the stock\n" +
			"policies alone. Nothing is recorded or forwarded.",
		Example: "  ringfence decide -f input.json --policies deploy/policy\n  ringfence decide --explain --config /etc/ringfence/config.yaml < input.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			in, err := readInput(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			src := rego.Source{}
			switch {
			case folder != "":
				if src, err = rego.ReadFolder(folder); err != nil {
					return err
				}
			case t.config != "" || t.data != "":
				if src, err = deployedPolicies(ctx, &t); err != nil {
					return err
				}
			}
			d, err := commandTrial().Decide(ctx, studio.TryRequest{Modules: src, Input: in})
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			if !explain {
				return out.Encode(d.Decision)
			}
			if asJSON {
				return out.Encode(d)
			}
			return errors.Join(printExplanation(cmd.ErrOrStderr(), &d), out.Encode(d.Decision))
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "-", "the input's JSON `file`, - for standard input")
	cmd.Flags().StringVar(&folder, "policies", "", "decide with this policy `folder`")
	cmd.Flags().BoolVar(&explain, "explain", false, "say on standard error which rules were considered, and which condition failed with which values")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --explain: print the explanation, with the decision in it, as JSON")
	return cmd
}

// newPolicyDecide is decide among its like.
func newPolicyDecide() *cobra.Command {
	cmd := newDecide()
	cmd.Example = strings.ReplaceAll(cmd.Example, "ringfence decide", "ringfence policy decide")
	return cmd
}

func readInput(file string, stdin io.Reader) (*policy.Input, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading the input: %w", err)
		}
		defer f.Close()
		r = f
	}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	var in policy.Input
	if err := dec.Decode(&in); errors.Is(err, io.EOF) {
		return nil, errors.New("reading the input: it is empty")
	} else if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the input: there is more than one JSON value")
	}
	return &in, nil
}
