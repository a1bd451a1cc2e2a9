package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/rego/library"
)

func newPolicyLibrary() *cobra.Command {
	var into, params string
	var place library.Place
	var asJSON bool
	cmd := &cobra.Command{
		Use: "library [MODULE]", Short: "List, explain or add modules of the policy library", Args: cobra.MaximumNArgs(1),
		Long: "Library lists the modules that come with Ringfence, or explains one. With --into it writes\n" +
			"the module, its tests and its parameters into a policy folder; files that are there stay.\n" +
			"Parameters are data: change the JSON file later, and no Rego.",
		Example: "  ringfence policy library\n  ringfence policy library working_hours\n" +
			"  ringfence policy library working_hours --into deploy/policy --cluster claims --params hours.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if len(args) == 0 {
				return listLibrary(out, asJSON)
			}
			m := library.Named(args[0])
			if m == nil {
				return &hintError{fmt.Errorf("there is no module %s in the library", plain(args[0])), "List them with 'ringfence policy library'."}
			}
			if into == "" {
				return explainModule(out, m, asJSON)
			}
			values := m.Sample()
			if params != "" {
				var err error
				if values, err = os.ReadFile(params); err != nil {
					return fmt.Errorf("reading the parameters: %w", err)
				}
			}
			return addModule(out, cmd.ErrOrStderr(), m, place, values, into)
		},
	}
	cmd.Flags().StringVar(&into, "into", "", "write the module into this policy `folder`")
	cmd.Flags().StringVar(&params, "params", "", "with --into: take the parameters from this JSON `file`; an example is written otherwise")
	cmd.Flags().StringVar(&place.Cluster, "cluster", "", "with --into: govern this `cluster` alone")
	cmd.Flags().StringVar(&place.Name, "name", "", "with --into: call the files so, to add a module twice")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one module a line")
	return cmd
}

// describedModule is a module as programs read it.
type describedModule struct {
	Name string `json:"name"`
	*library.Module
}

func listLibrary(out io.Writer, asJSON bool) error {
	enc := json.NewEncoder(out)
	for _, m := range library.All() {
		var err error
		if asJSON {
			err = enc.Encode(describedModule{m.Name, m})
		} else {
			_, err = fmt.Fprintf(out, "%-22s %s\n", m.Name, m.Summary)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func explainModule(out io.Writer, m *library.Module, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(describedModule{m.Name, m})
	}
	fmt.Fprintf(out, "%s\n%s\n", m.Title, m.Summary)
	for _, p := range m.Page {
		fmt.Fprintf(out, "\n%s\n", p)
	}
	fmt.Fprintln(out, "\nParameters")
	for _, f := range m.Fields {
		fmt.Fprintf(out, "  %-12s %s. %s\n", f.Name, f.Label, f.Hint)
	}
	_, err := fmt.Fprintf(out, "\nFor example\n%s", m.Sample())
	return err
}

// addModule writes the files of a module and replaces none.
func addModule(out, words io.Writer, m *library.Module, place library.Place, params []byte, into string) error {
	if faults := m.Check(params); len(faults) > 0 {
		for _, f := range faults {
			fmt.Fprintf(words, "line %d: %s\n", f.Line, plain(f.String()))
		}
		return fmt.Errorf("%s in the parameters; nothing has been written", plural(len(faults), "fault"))
	}
	files, err := m.Files(place, params)
	if err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(into, filepath.FromSlash(name))); err == nil {
			return &hintError{fmt.Errorf("%s is there already; nothing has been written", name), "Choose another name with --name, or change its parameters in the JSON file."}
		}
	}
	for _, name := range names {
		to := filepath.Join(into, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := durable.WriteFile(to, []byte(files[name]), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		fmt.Fprintln(out, name)
	}
	return nil
}
