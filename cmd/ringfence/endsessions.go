package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newAccountEnd() *cobra.Command {
	var t target
	var vendor string
	var everybody bool
	cmd := &cobra.Command{
		Use: "end-sessions [EMAIL]", Short: "Sign an account, a vendor or everybody out at once",
		Long: "End-sessions ends every session, token and sign-in under way: of one account, of all\n" +
			"accounts of a vendor with --vendor, or of everybody with --everybody. Open connections\n" +
			"are cut. Whoever may sign in can do so again at once: to keep people out, disable the\n" +
			"account or suspend the vendor.",
		Example: "  ringfence account end-sessions kim@northwind.example --config /etc/ringfence/config.yaml\n" +
			"  ringfence account end-sessions --vendor northwind --config /etc/ringfence/config.yaml\n" +
			"  ringfence account end-sessions --everybody --config /etc/ringfence/config.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("end-sessions takes one EMAIL")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen := len(args)
			if vendor != "" {
				chosen++
			}
			if everybody {
				chosen++
			}
			if chosen != 1 {
				return usagef("whose sessions? Give an EMAIL, --vendor NAME or --everybody")
			}
			ctx := cmd.Context()
			said := ""
			act := func(d *deployment) (err error) {
				said, err = endSessions(ctx, d, args, vendor)
				return err
			}
			if err := withDeployment(ctx, &t, act); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), said)
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&vendor, "vendor", "", "end the sessions of all accounts of this `vendor`")
	cmd.Flags().BoolVar(&everybody, "everybody", false, "end the sessions of all accounts")
	return cmd
}

// endSessions ends the sessions of the account in args, of the vendor, or of
// everybody, and says how many.
func endSessions(ctx context.Context, d *deployment, args []string, vendor string) (string, error) {
	switch {
	case len(args) == 1:
		a, err := findAccount(ctx, d, args[0])
		if err != nil {
			return "", err
		}
		n, err := d.auth.EndSessions(ctx, authOperator, a.ID)
		return fmt.Sprintf("%s of %s ended.", plural(n, "session"), a.Email), err
	case vendor != "":
		if err := findVendor(ctx, d, vendor); err != nil {
			return "", err
		}
		n, err := d.auth.EndVendor(ctx, authOperator, vendor)
		return fmt.Sprintf("%s of %s ended.", plural(n, "session"), vendor), err
	}
	n, err := d.auth.EndEverybody(ctx, authOperator, "")
	return plural(n, "session") + " ended.", err
}

func findVendor(ctx context.Context, d *deployment, name string) error {
	dir, _, err := d.db.Directory(ctx)
	if err != nil {
		return err
	}
	for i := range dir.Vendors {
		if dir.Vendors[i].Name == name {
			return nil
		}
	}
	return &hintError{fmt.Errorf("no vendor is called %s", name), "See them with 'ringfence export'."}
}

// withDeployment opens the deployment, acts, and settles.
func withDeployment(ctx context.Context, t *target, act func(*deployment) error) error {
	d, err := openDeployment(ctx, t)
	if err != nil {
		return err
	}
	err = act(d)
	if err == nil {
		err = d.settle(ctx)
	}
	return errors.Join(err, d.close())
}
