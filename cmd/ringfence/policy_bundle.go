package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/rego"
)

func newPolicyBundle() *cobra.Command {
	var out, revision, key string
	by := rego.BundleSigner{Algorithm: "ES256"}
	cmd := &cobra.Command{
		Use: "bundle FOLDER", Short: "Make a signed bundle of a policy folder", Args: exactly("a FOLDER"),
		Long: "Bundle checks the folder as publish does and writes it as a signed bundle in OPA's\n" +
			"format, for gateways whose configuration names one (policy_bundle). The revision must\n" +
			"begin with a higher number than that of the bundle before: the number of a build or a\n" +
			"count of commits. OPA's own tools make such bundles too.",
		Example: "  ringfence policy bundle deploy/policy --revision 42 --signing-key signer.key -o policy.tar.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if revision == "" || key == "" || out == "" {
				return usagef("give --revision, --signing-key and --output")
			}
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			if _, err := commandTrial().Test(ctx, src); err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			holes, err := commandTrial().Knockout(ctx, studio.GapRequest{Modules: src}, nil)
			if err != nil {
				return err
			}
			if err := refuseHoles(holes); err != nil {
				return errors.Join(printKnockout(cmd.ErrOrStderr(), holes), err)
			}
			pem, err := os.ReadFile(key)
			if err != nil {
				return fmt.Errorf("reading the signing key: %w", err)
			}
			by.PEM = string(pem)
			b, err := rego.SignBundle(src, revision, by)
			if err != nil {
				return err
			}
			if err := durable.WriteFile(out, b, 0o644); err != nil {
				return fmt.Errorf("writing the bundle: %w", err)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Wrote revision %s (%s) to %s.\n", plain(revision), plural(len(src), "file"), plain(out))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&out, "output", "o", "", "the bundle's `file`")
	f.StringVar(&revision, "revision", "", "the bundle's `revision`, such as 42 or 42-9fceb02")
	f.StringVar(&key, "signing-key", "", "PEM `file` of the private key")
	f.StringVar(&by.ID, "key-id", "", "the key's `name` in the signature")
	f.StringVar(&by.Algorithm, "algorithm", by.Algorithm, "`algorithm` of the signature")
	f.StringVar(&by.Scope, "scope", "", "`scope` of the signature")
	return cmd
}
