package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func newAccount() *cobra.Command {
	cmd := group("account", "Invite, list, disable and reset accounts", "")
	cmd.AddCommand(newAccountInvite(), newAccountList(),
		accountSwitch("disable", "Refuse an account and end its sessions at once", true),
		accountSwitch("enable", "Let a disabled account sign in again", false),
		newAccountReset(), newAccountEnd(), newAccountTokens(), newAccountErase())
	return cmd
}

// withAccount opens the deployment, finds the account by its address, acts, and settles.
func withAccount(ctx context.Context, t *target, email string, act func(*deployment, *directory.Account) error) error {
	d, err := openDeployment(ctx, t)
	if err != nil {
		return err
	}
	err = func() error {
		a, err := findAccount(ctx, d, email)
		if err != nil {
			return err
		}
		if err := act(d, a); err != nil {
			return err
		}
		return d.settle(ctx)
	}()
	return errors.Join(err, d.close())
}

func findAccount(ctx context.Context, d *deployment, email string) (*directory.Account, error) {
	want, err := directory.CanonicalEmail(email)
	if err != nil {
		return nil, err
	}
	dir, _, err := d.db.Directory(ctx)
	if err != nil {
		return nil, err
	}
	for i := range dir.Accounts {
		if dir.Accounts[i].Email == want {
			return &dir.Accounts[i], nil
		}
	}
	return nil, &hintError{fmt.Errorf("no account has the address %s", want), "See them all with 'ringfence account list'."}
}

func newAccountInvite() *cobra.Command {
	var t target
	var name, vendor, ends string
	var roles []string
	var asJSON bool
	var pass passOn
	cmd := &cobra.Command{
		Use: "invite EMAIL", Short: "Make a single-use invitation link, and the account if it is new", Args: exactly("an EMAIL"),
		Long: "Invite prints a link that is good once and for 24 hours; an earlier link of the same\n" +
			"account stops working. Pass it on by any channel. For a new account name its role,\n" +
			"and for a contractor the vendor and the end date.",
		Example: "  ringfence account invite kim@northwind.example --config /etc/ringfence/config.yaml\n" +
			"  ringfence account invite lee@northwind.example --name 'Lee Park' --vendor northwind --ends 2027-03-31 --config /etc/ringfence/config.yaml\n" +
			"  ringfence account invite ada@example.com --name 'Ada Berg' --role reviewer --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			err = func() error {
				if err := pass.check(d); err != nil {
					return err
				}
				a, err := findAccount(ctx, d, args[0])
				if err == nil {
					for _, f := range []string{"name", "vendor", "role", "ends"} {
						if cmd.Flags().Changed(f) {
							return usagef("%s has an account already: --%s is for a new one. Change it with 'ringfence apply' or in the console", a.Email, f)
						}
					}
				} else {
					if len(roles) == 0 && vendor == "" {
						return err
					}
					if a, err = createAccount(ctx, d, args[0], name, vendor, roles, ends); err != nil {
						return err
					}
				}
				i, err := d.auth.InviteWith(ctx, authOperator, a.ID, pass.options())
				if err != nil {
					return err
				}
				if err := d.settle(ctx); err != nil {
					return err
				}
				return pass.on(cmd, d, a, i, asJSON)
			}()
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "the person's `name` (new account)")
	f.StringVar(&vendor, "vendor", "", "the contractor's `vendor` (new account)")
	f.StringSliceVar(&roles, "role", nil, "contractor, administrator, approver or reviewer (new account; default contractor with --vendor)")
	f.StringVar(&ends, "ends", "", "last `day` of the account, such as 2027-03-31 (new account)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	pass.flags(cmd)
	return cmd
}

func createAccount(ctx context.Context, d *deployment, email, name, vendor string, roles []string, ends string) (*directory.Account, error) {
	a := directory.Account{Email: email, Name: name, Vendor: vendor}
	if len(roles) == 0 {
		roles = []string{string(policy.Contractor)}
	}
	for _, r := range roles {
		if !policy.Role(r).Valid() {
			return nil, usagef("--role %s: there are contractor, administrator, approver and reviewer", r)
		}
		a.Roles = append(a.Roles, policy.Role(r))
	}
	if ends != "" {
		day, err := time.Parse(time.DateOnly, ends)
		if err != nil {
			return nil, usagef("--ends %s: write a day as 2027-03-31", ends)
		}
		a.Ends = day.AddDate(0, 0, 1).Add(-time.Second) // the day's last second, as a directory file has it
	}
	if a.Name == "" {
		a.Name, _, _ = strings.Cut(email, "@")
	}
	if _, err := d.db.Change(ctx, operator, func(dir *directory.Directory) error {
		dir.Accounts = append(dir.Accounts, a)
		return nil
	}); err != nil {
		return nil, err
	}
	return findAccount(ctx, d, email)
}

func newAccountList() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the accounts", Args: exactly(),
		Example: "  ringfence account list --config /etc/ringfence/config.yaml\n  ringfence account list --json --data demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			dir, _, err := d.db.Directory(cmd.Context())
			var factors map[string][]auth.Authenticator
			if err == nil {
				factors, err = allFactors(cmd.Context(), d, dir.Accounts)
			}
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			return printAccounts(cmd, dir.Accounts, factors, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one account a line as JSON")
	return cmd
}

func printAccounts(cmd *cobra.Command, accounts []directory.Account, factors map[string][]auth.Authenticator, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		for _, a := range accounts {
			row := map[string]any{"id": a.ID, "email": a.Email, "name": a.Name, "roles": a.Roles, "status": a.Status, "factors": factorRows(factors[a.ID])}
			if a.Vendor != "" {
				row["vendor"] = a.Vendor
			}
			if !a.Ends.IsZero() {
				row["ends"] = a.Ends.UTC()
			}
			if err := enc.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "EMAIL\tNAME\tVENDOR\tROLES\tSTATUS\tFACTORS\tENDS")
	for _, a := range accounts {
		roles := make([]string, len(a.Roles))
		for i, r := range a.Roles {
			roles[i] = string(r)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", plain(a.Email), plain(a.Name), orDash(a.Vendor), strings.Join(roles, ","), a.Status, len(factors[a.ID]), lastDay(a.Ends))
	}
	return w.Flush()
}

func accountSwitch(name, short string, disable bool) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: name + " EMAIL", Short: short, Args: exactly("an EMAIL"),
		Example: "  ringfence account " + name + " kim@northwind.example --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withAccount(ctx, &t, args[0], func(d *deployment, a *directory.Account) error {
				changes, err := d.db.Change(ctx, operator, func(dir *directory.Directory) error {
					for i := range dir.Accounts {
						if dir.Accounts[i].ID == a.ID {
							dir.Accounts[i].Disabled = disable
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				if len(changes) == 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s is %sd already.\n", a.Email, name)
					return nil
				}
				n := 0
				if disable {
					if n, err = d.auth.EndSessions(ctx, authOperator, a.ID); err != nil {
						return err
					}
				}
				if disable {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s is disabled; %s ended.\n", a.Email, plural(n, "session"))
				} else {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s is enabled.\n", a.Email)
				}
				return nil
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func newAccountReset() *cobra.Command {
	var t target
	var asJSON bool
	var pass passOn
	cmd := &cobra.Command{
		Use: "reset-factor EMAIL", Short: "Void password and second factor and make a new invitation link", Args: exactly("an EMAIL"),
		Long: "Reset-factor is for a lost phone or a suspected leak: password, authenticator and\n" +
			"recovery codes stop working, every session ends, and a new invitation link is printed.\n" +
			"Make sure by another channel that the request came from the account's owner.",
		Example: "  ringfence account reset-factor kim@northwind.example --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withAccount(ctx, &t, args[0], func(d *deployment, a *directory.Account) error {
				if err := pass.check(d); err != nil {
					return err
				}
				i, err := d.auth.ResetFactorWith(ctx, authOperator, a.ID, pass.options())
				if err != nil {
					return err
				}
				return pass.on(cmd, d, a, i, asJSON)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	pass.flags(cmd)
	return cmd
}
