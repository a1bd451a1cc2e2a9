package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
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
			steps, warnings, err := check(cmd, file, tryMail)
			if asJSON {
				out := map[string]any{"ok": err == nil, "checked": steps}
				if len(warnings) > 0 {
					out["warnings"] = warnings
				}
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
			if len(warnings) > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "All is well but the clock:")
				for _, w := range warnings {
					fmt.Fprintln(cmd.OutOrStdout(), "  "+plain(w))
				}
				return nil
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

// check returns what it found in order, up to the first part with faults, and
// what is worth a look although nothing is wrong with the deployment.
func check(cmd *cobra.Command, file string, tryMail bool) (steps, warnings []string, err error) {
	cfg, codes, steps, err := checkParts(cmd, file, tryMail)
	if err != nil {
		return steps, nil, err
	}
	warnings = clockSentences(clockWarnings(newClock(cfg, slog.New(slog.DiscardHandler)).Check(cmd.Context()), codes))
	if len(warnings) == 0 {
		steps = append(steps, "clock: nothing speaks against it")
	}
	return steps, warnings, nil
}

func checkParts(cmd *cobra.Command, file string, tryMail bool) (cfg *config.Config, codes auth.CodeOffsets, steps []string, err error) {
	ctx := cmd.Context()
	if cfg, err = config.Load(file); err != nil {
		return nil, codes, nil, err
	}
	steps = append(steps, "configuration: "+file+" is well-formed")
	step, err := checkMail(ctx, cfg, tryMail)
	if err != nil {
		return cfg, codes, steps, err
	}
	if step != "" {
		steps = append(steps, step)
	}
	peers, err := witnesses(cfg)
	if err != nil {
		return cfg, codes, steps, err
	}
	if len(peers) > 0 {
		steps = append(steps, fmt.Sprintf("witnesses: %d, of which %d must cosign; they were not asked", len(peers), cfg.AccessLog.Require))
	}
	if n := len(cfg.AccessLog.Deliver); n > 0 {
		if _, err := destinations(cfg); err != nil {
			return cfg, codes, steps, err
		}
		steps = append(steps, "delivery: "+plural(n, "destination")+", whose secrets and certificates can be read")
	}
	if t, err := openSearch(cfg, slog.New(slog.DiscardHandler)); err != nil {
		return cfg, codes, steps, err
	} else if t != nil {
		steps = append(steps, "search of many gateways' entries: "+cfg.AccessLog.Search.Engine+", which was not asked")
		_ = t.Close() // it has connected to nothing
	}
	src := rego.Source{}
	if cfg.Policies != "" {
		if src, err = readPolicies(cfg.Policies); err != nil {
			return cfg, codes, steps, err
		}
	}
	if cfg.PolicyBundle.Enabled() {
		if src, step, err = checkBundle(ctx, cfg); err != nil {
			return cfg, codes, steps, err
		}
		steps = append(steps, step)
	}
	if serr := findDeployment(cfg, file); errors.Is(serr, errNoDeployment) {
		steps = append(steps, "data folder: "+cfg.Data+" holds no deployment yet; 'ringfence init' makes one")
	} else {
		if err := checkKeys(cfg); err != nil {
			return cfg, codes, steps, err
		}
		for _, f := range openKeyFiles(cfg) {
			fmt.Fprintf(cmd.ErrOrStderr(), "Warning: others on this machine can use the root key in %s: chmod 0600 it, and take what it protects as known.\n", f)
		}
		d, err := openConfigured(ctx, cfg)
		if err != nil {
			return cfg, codes, steps, err
		}
		dir, _, err := d.db.Directory(ctx)
		if err == nil {
			err = dir.Validate()
		}
		if err == nil {
			codes, err = d.auth.CodeOffsets(ctx)
		}
		if err == nil && cfg.Policies == "" && !cfg.PolicyBundle.Enabled() {
			src, err = policySource(ctx, cfg, d.db)
		}
		if err := errors.Join(err, d.close()); err != nil {
			return cfg, codes, steps, err
		}
		steps = append(steps, fmt.Sprintf("directory: %s, %s, %s", plural(len(dir.Vendors), "vendor"), plural(len(dir.Accounts), "account"), plural(len(dir.Clusters), "cluster")))
	}
	report, err := commandTrial().Test(ctx, src)
	if err != nil {
		return cfg, codes, steps, err
	}
	return cfg, codes, append(steps, "policies: "+describeReport(report)), nil
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
