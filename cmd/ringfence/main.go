// Command ringfence is an access-policy enforcement gateway: contractors sign
// in with two factors, reach only the data cluster assigned to them, and every
// request is recorded before it is served.
//
// The command joins the packages of this module and decides nothing itself:
// build.go turns a configuration into running parts, serve.go starts and stops
// them, and each other file holds one group of subcommands.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // policies reckon in the contractor's time zone, also where the system has no zone data

	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	if errors.As(err, &usage) || isCobraUsage(err) {
		fmt.Fprintf(os.Stderr, "ringfence: %s\nSee '%s --help'.\n", printable(err), cmd.CommandPath())
		return 2
	}
	var other *exitError
	if errors.As(err, &other) {
		return other.code
	}
	var silent silentError
	if !errors.As(err, &silent) {
		fmt.Fprintf(os.Stderr, "ringfence: %s\n", printable(err))
	}
	if h := hint(err); h != "" {
		fmt.Fprintln(os.Stderr, h)
	}
	return 1
}

// usageError marks a command line that cannot be understood: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// silentError is a failure whose words are already printed.
type silentError struct{}

func (silentError) Error() string { return "failed" }

// isCobraUsage recognises a missing or unknown subcommand, which cobra gives
// no type of its own.
func isCobraUsage(err error) bool {
	var u *unknownCommandError
	return errors.As(err, &u)
}

type unknownCommandError struct{ name, parent string }

func (e *unknownCommandError) Error() string {
	if e.name == "" {
		return fmt.Sprintf("%s needs a subcommand", e.parent)
	}
	return fmt.Sprintf("unknown command %q for %q", e.name, e.parent)
}

func newRoot() *cobra.Command {
	root := group("ringfence", "An access-policy enforcement gateway",
		"Ringfence stands in front of a company's systems: each contractor signs in with two\n"+
			"factors, reaches only the data cluster assigned to them, and every request is\n"+
			"recorded before it is served.")
	root.Example = "  ringfence demo\n  ringfence check --config /etc/ringfence/config.yaml\n  ringfence serve --config /etc/ringfence/config.yaml"
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		newDemo(), newServe(), newInit(), newCheck(),
		newApply(), newExport(), newAccount(), newVendor(), newAgreement(), newKeys(), newMail(),
		newDecide(), newPolicy(), newLog(), newDeliveryCommand(), newAlarmCommand(),
		newBackup(), newRestore(), newVersion(), newWitness(), newHashWorker(), newPolicyWorker(),
		newLogin(), newLogout(), newToken(), newCurl(), newGitCredential(), newConnect(),
	)
	return root
}

// group makes a command that only holds others.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if cmd.Parent() == nil {
					return cmd.Help()
				}
				return &unknownCommandError{parent: cmd.CommandPath()}
			}
			return &unknownCommandError{name: args[0], parent: cmd.CommandPath()}
		},
	}
}

// exactly demands n arguments and says which are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s needs %s", cmd.CommandPath(), names[len(args)])
		}
		if len(args) > len(names) {
			return usagef("%s takes no argument %q", cmd.CommandPath(), args[len(names)])
		}
		return nil
	}
}
