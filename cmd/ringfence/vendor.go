package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/directory"
)

func newVendor() *cobra.Command {
	cmd := group("vendor", "Suspend and resume vendors", "")
	cmd.AddCommand(vendorSwitch("suspend", "Refuse all of a vendor's people and cut what they have open", true),
		vendorSwitch("resume", "Let a suspended vendor's people work again", false))
	return cmd
}

func vendorSwitch(name, short string, suspend bool) *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use: name + " VENDOR", Short: short, Args: exactly("a VENDOR"),
		Example: "  ringfence vendor " + name + " northwind --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			var changes []directory.Change
			err = func() error {
				if changes, err = d.db.Change(ctx, operator, func(dir *directory.Directory) error {
					for i := range dir.Vendors {
						if v := &dir.Vendors[i]; v.Name == args[0] {
							if v.Suspended != suspend {
								v.Suspended, v.SuspendedReason = suspend, reason
							}
							return nil
						}
					}
					return &hintError{fmt.Errorf("no vendor is called %s", args[0]), "See them with 'ringfence export'."}
				}); err != nil {
					return err
				}
				return d.settle(ctx)
			}()
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			if len(changes) == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: nothing to change.\n", args[0])
				return nil
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s done, in force on a running gateway.\n", args[0], name)
			return nil
		},
	}
	t.flags(cmd)
	if suspend {
		cmd.Example = "  ringfence vendor suspend northwind --reason 'incident 4711' --config /etc/ringfence/config.yaml"
		cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence` that is recorded and shown to administrators")
	}
	return cmd
}
