package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/rego"
)

func newCheck() *cobra.Command {
	var file string
	var asJSON, tryMail bool
	cmd := &cobra.Command{
		Use: "check", Short: "Check a configuration, its directory and its policies, and change nothing", Args: exactly(),
		Long: "Check reads the configuration and names every fault with its line, compiles the\n" +
			"policies and runs their tests, and, where a deployment exists, checks its keys, store\n" +
			"and directory.",
		Example: "  ringfence check --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("which configuration? Name it with --config FILE")
			}
			steps, err := check(cmd, file, tryMail)
			if asJSON {
				out := map[string]any{"ok": err == nil, "checked": steps}
				if err != nil {
					out["faults"] = faults(err)
				}
				if jerr := json.NewEncoder(cmd.OutOrStdout()).Encode(out); jerr != nil {
					return jerr
				}
				if err != nil {
					return silentError{}
				}
				return nil
			}
			for _, s := range steps {
				fmt.Fprintln(cmd.OutOrStdout(), s)
			}
			if err != nil {
				for _, f := range faults(err) {
					fmt.Fprintln(cmd.ErrOrStderr(), plain(f))
				}
				return silentError{}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "All is well.")
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&tryMail, "mail", false, "connect to the mail server too, and send nothing")
	return cmd
}

// check returns what it found in order, up to the first part with faults.
func check(cmd *cobra.Command, file string, tryMail bool) (steps []string, err error) {
	ctx := cmd.Context()
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	steps = append(steps, "configuration: "+file+" is well-formed")
	step, err := checkMail(ctx, cfg, tryMail)
	if err != nil {
		return steps, err
	}
	if step != "" {
		steps = append(steps, step)
	}
	src := rego.Source{}
	if cfg.Policies != "" {
		if src, err = readPolicies(cfg.Policies); err != nil {
			return steps, err
		}
	}
	if serr := findDeployment(cfg, file); errors.Is(serr, errNoDeployment) {
		steps = append(steps, "data folder: "+cfg.Data+" holds no deployment yet; 'ringfence init' makes one")
	} else {
		if err := checkKeys(cfg); err != nil {
			return steps, err
		}
		d, err := openConfigured(ctx, cfg)
		if err != nil {
			return steps, err
		}
		dir, _, err := d.db.Directory(ctx)
		if err == nil {
			err = dir.Validate()
		}
		if err == nil && cfg.Policies == "" {
			src, err = policySource(ctx, cfg, d.db)
		}
		if err := errors.Join(err, d.close()); err != nil {
			return steps, err
		}
		steps = append(steps, fmt.Sprintf("directory: %s, %s, %s", plural(len(dir.Vendors), "vendor"), plural(len(dir.Accounts), "account"), plural(len(dir.Clusters), "cluster")))
	}
	report, err := rego.Check(ctx, src)
	if err != nil {
		return steps, err
	}
	return append(steps, "policies: "+describeReport(report)), nil
}

// faults lists what an error says, one fault a line.
func faults(err error) []string {
	if lines := policyFaults(err); lines != nil {
		return lines
	}
	if f, ok := errors.AsType[config.Errors](err); ok {
		out := make([]string, len(f))
		for i, x := range f {
			out[i] = x.String()
		}
		return out
	}
	return []string{err.Error()}
}
