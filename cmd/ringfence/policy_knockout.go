package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/rego"
)

func newPolicyKnockout() *cobra.Command {
	var asJSON bool
	var span logSpan
	cmd := &cobra.Command{
		Use: "knockout FOLDER", Short: "Find denials that vanish when a field is missing", Args: exactly("a FOLDER"),
		Long: "Knockout takes each field that the policies read away from every input that their tests\n" +
			"deny, and lists what is allowed then: the rule, the field, and the repair. With --log it\n" +
			"does the same to the denials that a deployment has recorded. It fails when it finds such\n" +
			"a hole; publish refuses a set that has one.",
		Example: "  ringfence policy knockout deploy/policy\n  ringfence policy knockout deploy/policy --log --since 7d --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := rego.ReadFolder(args[0])
			if err != nil {
				return err
			}
			r, err := span.knockout(cmd, src)
			if err != nil {
				return printDiagnostics(cmd.ErrOrStderr(), err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				err = printKnockout(cmd.OutOrStdout(), r)
			}
			if err == nil {
				err = refuseHoles(r)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	span.flags(cmd)
	return cmd
}

func printKnockout(w io.Writer, r rego.KnockoutReport) error {
	for _, h := range r.Holes {
		if err := printHole(w, h); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s of the tests run without each of %s: %s\n", plural(r.Denials, "denial"), plural(r.Fields, "field"), plural(len(r.Holes), "hole"))
	if err == nil {
		err = printRecorded(w, r)
	}
	if err == nil && r.Unjudged > 0 {
		_, err = fmt.Fprintf(w, "%s could not be judged: the guardrails deny them whatever the policies say\n", plural(r.Unjudged, "input"))
	}
	return err
}

// refuseHoles is the error of a set that has holes.
func refuseHoles(r rego.KnockoutReport) error {
	if len(r.Holes) == 0 {
		return nil
	}
	return &hintError{fmt.Errorf("knocking out fields: %s in the policies; nothing has been changed", plural(len(r.Holes), "hole")),
		"A rule that denies by what is there says nothing about what is not: write down what must be so, and deny with 'not'."}
}
