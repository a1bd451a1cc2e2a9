package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

func newPolicyLint() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "lint FOLDER", Short: "Find what compiles and is not meant", Args: exactly("a FOLDER"),
		Long: "Lint finds an allow without a condition, a reason that tells its reader nothing, a rule\n" +
			"that no request can reach, a person by name where an assignment belongs, and a pattern\n" +
			"over the path that another spelling gets around. It fails when it finds something.",
		Example: "  ringfence policy lint deploy/policy\n  ringfence policy lint deploy/policy --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			found, err := rego.Lint(src)
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			if err := printFindings(cmd.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
			if len(found) > 0 {
				return fmt.Errorf("linting policies: %s", plural(len(found), "finding"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one finding a line as JSON")
	return cmd
}

func printFindings(w io.Writer, found []policy.Diagnostic, asJSON bool) error {
	enc := json.NewEncoder(w)
	for _, d := range found {
		var err error
		if asJSON {
			err = enc.Encode(d)
		} else {
			_, err = fmt.Fprintln(w, plain(d.String()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newPolicyFmt() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use: "fmt FOLDER", Short: "Show or apply the one layout of Rego", Args: exactly("a FOLDER"),
		Long: "Fmt shows how each file differs from the layout that OPA's formatter gives, and fails\n" +
			"when one does; with --write it writes the files instead.",
		Example: "  ringfence policy fmt deploy/policy\n  ringfence policy fmt deploy/policy --write",
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			want, err := rego.Format(src)
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			if !write {
				if n := printDiff(cmd.OutOrStdout(), src, want); n > 0 {
					return &hintError{fmt.Errorf("formatting policies: %s to change", plural(n, "file")), "Have them changed with --write."}
				}
				return nil
			}
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if want[name] == src[name] {
					continue
				}
				if err := durable.WriteFile(filepath.Join(args[0], filepath.FromSlash(name)), []byte(want[name]), 0o644); err != nil {
					return fmt.Errorf("formatting %s: %w", name, err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), plain(name))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "write the files that change, and print their names")
	return cmd
}

// printDiff prints how the files of a set change and returns how many do.
func printDiff(w io.Writer, have, want map[string]string) (changed int) {
	names := map[string]bool{}
	for _, m := range []map[string]string{have, want} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := have[name], want[name]
		if was == is {
			continue
		}
		changed++
		for line := range strings.Lines(string(diff.Diff("now/"+name, []byte(was), "then/"+name, []byte(is)))) {
			fmt.Fprintln(w, plainLine(line))
		}
	}
	return changed
}

// plainLine is plain, but for the tabs of indented text.
func plainLine(s string) string {
	parts := strings.Split(strings.TrimSuffix(s, "\n"), "\t")
	for i, p := range parts {
		parts[i] = plain(p)
	}
	return strings.Join(parts, "\t")
}

func newPolicyCoverage() *cobra.Command {
	var asJSON bool
	var least float64
	cmd := &cobra.Command{
		Use: "coverage FOLDER", Short: "Say which lines the policies' tests reach", Args: exactly("a FOLDER"),
		Example: "  ringfence policy coverage deploy/policy\n  ringfence policy coverage deploy/policy --least 90",
		RunE: func(cmd *cobra.Command, args []string) error {
			if least < 0 || least > 100 {
				return usagef("--least is %v: it must be 0 to 100", least)
			}
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			c, err := commandTrial().Cover(cmd.Context(), src)
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(c)
			} else {
				err = printCoverage(cmd.OutOrStdout(), c)
			}
			if err == nil && c.Percent < least {
				err = fmt.Errorf("covering policies: the tests reach %.1f %% of the lines, %.1f %% are demanded", c.Percent, least)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().Float64Var(&least, "least", 0, "fail below this `percentage`")
	return cmd
}

func printCoverage(w io.Writer, c rego.Coverage) error {
	for _, f := range c.Files {
		line := fmt.Sprintf("%5.1f %%  %s", f.Percent, plain(f.File))
		if len(f.Uncovered) > 0 {
			line += "  not reached: " + spans(f.Uncovered)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%5.1f %%  all\n", c.Percent)
	return err
}

// spans writes sorted numbers as 3-5, 9.
func spans(n []int) string {
	var out []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(n[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", n[i], n[j]))
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}

func newPolicyDiff() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "diff FOLDER", Short: "Show how a folder differs from the policies of a deployment", Args: exactly("a FOLDER"),
		Long: "Diff shows, as a unified difference, what publishing the folder would change. It exits 0\n" +
			"whether or not there is a difference.",
		Example: "  ringfence policy diff deploy/policy --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			have, err := deployedPolicies(cmd.Context(), &t)
			if err != nil {
				return err
			}
			n := printDiff(cmd.OutOrStdout(), have, want)
			fmt.Fprintf(cmd.ErrOrStderr(), "%s of the deployment would change.\n", plural(n, "file"))
			return nil
		},
	}
	t.flags(cmd)
	return cmd
}

// deployedPolicies reads the policies that a deployment is to have in force.
func deployedPolicies(ctx context.Context, t *target) (rego.Source, error) {
	d, err := openDeployment(ctx, t)
	if err != nil {
		return nil, err
	}
	src, err := policySource(ctx, d.cfg, d.db)
	return src, errors.Join(err, d.close())
}
