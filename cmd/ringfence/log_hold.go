package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/directory"
)

func newLogHolds() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "holds", Short: "List the legal holds", Args: exactly(),
		Long:    "A legal hold keeps an account, or everybody who is assigned under an engagement,\nfrom being erased, and entries about them from being removed by age, until it is lifted.",
		Example: "  ringfence log holds --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			all, err := d.db.Holds(cmd.Context())
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			return printHolds(cmd, all, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one hold a line as JSON")
	return cmd
}

func printHolds(cmd *cobra.Command, all []directory.Hold, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		for _, h := range all {
			row := map[string]any{"id": h.ID, "kind": h.Kind, "subject": h.Subject, "reason": h.Reason, "placed": h.Placed, "placed_by": h.PlacedBy}
			if !h.Stands() {
				row["lifted"], row["lifted_by"], row["lifted_reason"] = h.Lifted, h.LiftedBy, h.LiftedWhy
			}
			if err := enc.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tON\tSINCE\tLIFTED\tREASON")
	for _, h := range all {
		lifted := "-"
		if !h.Stands() {
			lifted = h.Lifted.UTC().Format("2006-01-02")
		}
		fmt.Fprintf(w, "%d\t%s %s\t%s\t%s\t%s\n", h.ID, h.Kind, plain(h.Subject), h.Placed.UTC().Format("2006-01-02"), lifted, plain(h.Reason))
	}
	return w.Flush()
}

func newLogHold() *cobra.Command {
	var t target
	var account, engagement, reason string
	cmd := &cobra.Command{
		Use: "hold", Short: "Place a legal hold on an account or an engagement", Args: exactly(),
		Long: "While a hold stands, the account, or each account that is assigned under the\n" +
			"engagement, cannot be erased, and entries about it are not removed by age.",
		Example: "  ringfence log hold --account kim@northwind.example --reason 'case 7' --config /etc/ringfence/config.yaml\n" +
			"  ringfence log hold --engagement claims-2026 --reason 'audit' --data demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if (account == "") == (engagement == "") {
				return usagef("on what? Give either --account EMAIL or --engagement NAME")
			}
			if reason == "" {
				return usagef("why? Give the reason with --reason WHY; it is kept in the access log")
			}
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			err = func() error {
				kind, subject := directory.HoldEngagement, engagement
				if account != "" {
					a, err := findAccount(ctx, d, account)
					if err != nil {
						return err
					}
					kind, subject = directory.HoldAccount, a.ID
				}
				h, err := d.db.PlaceHold(ctx, operator, kind, subject, reason)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Hold %d stands on %s %s.\n", h.ID, h.Kind, h.Subject)
				return d.settle(ctx)
			}()
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&account, "account", "", "an account's `address`")
	cmd.Flags().StringVar(&engagement, "engagement", "", "an engagement's `name`")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the access log")
	return cmd
}

func newLogUnhold() *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use: "unhold ID", Short: "Lift a legal hold", Args: exactly("an ID"),
		Example: "  ringfence log unhold 3 --reason 'settled' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usagef("%s is no hold's id: see them with 'ringfence log holds'", args[0])
			}
			if reason == "" {
				return usagef("why? Give the reason with --reason WHY; it is kept in the access log")
			}
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			if err = d.db.LiftHold(ctx, operator, id, reason); err == nil {
				err = d.settle(ctx)
			}
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the access log")
	return cmd
}
