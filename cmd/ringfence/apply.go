package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/durable"
)

func newApply() *cobra.Command {
	var t target
	var file string
	var dryRun, prune, asJSON bool
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Bring vendors, engagements, accounts, clusters and assignments to what a file says", Args: exactly(),
		Long: "Apply reads the directory from YAML, says what it changes, and changes all of it or\n" +
			"nothing. What the file does not name stays as it is, unless --prune is given. The\n" +
			"client secrets of identity providers are read from where the file says, and kept\n" +
			"encrypted. A running gateway has the change in force within a second.",
		Example: "  ringfence apply -f directory.yaml --dry-run --config /etc/ringfence/config.yaml\n" +
			"  ringfence apply -f directory.yaml --config /etc/ringfence/config.yaml\n" +
			"  ringfence export --data demo | ringfence apply -f - --data demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("which file? Name it with -f FILE, or -f - for standard input")
			}
			name, text, err := readWhole(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			want, err := directory.ParseYAML(name, text)
			if err != nil {
				return err
			}
			if err := readClientSecrets(file, want); err != nil {
				return err
			}
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			changes, err := applyDirectory(cmd.Context(), d, want, prune, dryRun)
			if err := errors.Join(directory.Locate(name, text, err), d.close()); err != nil {
				return err
			}
			return printChanges(cmd, changes, dryRun, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&file, "file", "f", "", "the directory's YAML `file`, - for standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would change and change nothing")
	cmd.Flags().BoolVar(&prune, "prune", false, "remove what the file does not name")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one change a line as JSON")
	return cmd
}

// readWhole reads a file, or standard input for "-", and names it for messages.
func readWhole(file string, stdin io.Reader) (name string, b []byte, err error) {
	name = file
	if file == "-" {
		name = "standard input"
		b, err = io.ReadAll(stdin)
	} else {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return "", nil, fmt.Errorf("reading the directory: %w", err)
	}
	return name, b, nil
}

func applyDirectory(ctx context.Context, d *deployment, want *directory.Directory, prune, dryRun bool) ([]directory.Change, error) {
	edit := func(have *directory.Directory) error {
		*have = *directory.Merge(have, want, prune)
		return nil
	}
	if dryRun {
		return d.db.Preview(ctx, edit)
	}
	changes, err := d.db.Change(ctx, operator, edit)
	if err != nil {
		return nil, err
	}
	return changes, d.settle(ctx)
}

func printChanges(cmd *cobra.Command, changes []directory.Change, dryRun, asJSON bool) error {
	out := cmd.OutOrStdout()
	for _, c := range changes {
		if asJSON {
			if err := json.NewEncoder(out).Encode(c); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(out, c); err != nil {
			return err
		}
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing to change.")
	case dryRun:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s would be made. Nothing has been changed.\n", plural(len(changes), "change"))
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "%s made.\n", plural(len(changes), "change"))
	}
	return nil
}

func newExport() *cobra.Command {
	var t target
	var file string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the directory as the YAML that apply reads", Args: exactly(),
		Example: "  ringfence export --config /etc/ringfence/config.yaml > directory.yaml\n  ringfence export --data demo -o directory.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			dir, _, err := d.db.Directory(cmd.Context())
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			b, err := dir.YAML()
			if err != nil {
				return err
			}
			if file != "" {
				return durable.WriteFile(file, b, 0o600)
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to a `file` instead of standard output")
	return cmd
}
