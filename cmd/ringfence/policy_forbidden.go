package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/rego"
)

func newPolicyForbidden() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "forbidden", Short: "Say which functions policies do not get, and why", Args: exactly(),
		Long: "Forbidden lists the functions of Rego that no policy can call, with the cause of each:\n" +
			"a decision is made from its input alone, ends in time, and can be made again.",
		Example: "  ringfence policy forbidden\n  ringfence policy forbidden --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printForbiddenJSON(cmd.OutOrStdout())
			}
			return printForbidden(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one function a line")
	return cmd
}

func printForbiddenJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, p := range rego.Forbidden() {
		if err := enc.Encode(struct {
			rego.Prohibition
			Sentence string `json:"sentence"`
		}{p, p.Why.Sentence()}); err != nil {
			return err
		}
	}
	return nil
}

// printForbidden prints the functions below the cause that they share.
func printForbidden(w io.Writer) error {
	names := map[rego.Why][]string{}
	var whys []rego.Why
	for _, p := range rego.Forbidden() {
		if names[p.Why] == nil {
			whys = append(whys, p.Why)
		}
		names[p.Why] = append(names[p.Why], p.Name)
	}
	slices.Sort(whys)
	for _, why := range whys {
		if _, err := fmt.Fprintf(w, "%s: %s\n", why, why.Sentence()); err != nil {
			return err
		}
		for _, name := range names[why] {
			if _, err := fmt.Fprintln(w, "  "+name); err != nil {
				return err
			}
		}
	}
	return nil
}
