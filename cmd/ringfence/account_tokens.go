package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
)

func newAccountTokens() *cobra.Command {
	var t target
	var revoke string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "tokens EMAIL", Short: "List or revoke an account's machines and tokens", Args: exactly("an EMAIL"),
		Example: "  ringfence account tokens kim@northwind.example --config /etc/ringfence/config.yaml\n" +
			"  ringfence account tokens kim@northwind.example --revoke mac_0123 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return withAccount(ctx, &t, args[0], func(d *deployment, a *directory.Account) error {
				if revoke != "" {
					return revokeOf(cmd, d, a, revoke)
				}
				machines, err := d.auth.MachinesOf(ctx, a.ID)
				if err != nil {
					return err
				}
				tokens, err := d.auth.Tokens(ctx, a.ID)
				if err != nil {
					return err
				}
				return printGrants(cmd, machines, tokens, asJSON)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&revoke, "revoke", "", "end the machine or token with this `id`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one a line as JSON")
	return cmd
}

// revokeOf ends one of the account's own: a mistyped address must not end
// somebody else's.
func revokeOf(cmd *cobra.Command, d *deployment, a *directory.Account, id string) error {
	ctx := cmd.Context()
	machines, err := d.auth.MachinesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	tokens, err := d.auth.Tokens(ctx, a.ID)
	if err != nil {
		return err
	}
	done := errors.New("none of " + a.Email + " in force has the id " + plain(id))
	for _, m := range machines {
		if m.ID == id {
			done = d.auth.EndMachine(ctx, authOperator, id)
		}
	}
	for _, k := range tokens {
		if k.ID == id {
			done = d.auth.RevokeToken(ctx, authOperator, id)
		}
	}
	if done == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s is revoked.\n", plain(id), a.Email)
	}
	return done
}

type grantLine struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // machine, access or token
	Name     string    `json:"name"`
	Cluster  string    `json:"cluster,omitempty"`
	Binding  string    `json:"binding,omitempty"`
	Networks []string  `json:"networks,omitempty"`
	Created  time.Time `json:"created"`
	Ends     time.Time `json:"ends"`
	LastUsed time.Time `json:"last_used,omitzero"`
	LastIP   string    `json:"last_ip,omitempty"`
}

func printGrants(cmd *cobra.Command, machines []auth.Machine, tokens []auth.Token, asJSON bool) error {
	var lines []grantLine
	for _, m := range machines {
		lines = append(lines, grantLine{ID: m.ID, Kind: "machine", Name: m.Name, Binding: "key", Created: m.Created, Ends: m.Ends, LastUsed: m.LastUsed, LastIP: m.LastIP})
	}
	for _, k := range tokens {
		l := grantLine{ID: k.ID, Kind: "token", Name: k.Name, Cluster: k.Cluster, Created: k.Created, Ends: k.Expires, LastUsed: k.LastUsed, LastIP: k.LastIP}
		if k.Kind == auth.TokenAccess {
			l.Kind = "access"
		}
		if k.Key != "" {
			l.Binding = "key"
		}
		for _, n := range k.Networks {
			l.Binding, l.Networks = "network", append(l.Networks, n.String())
		}
		lines = append(lines, l)
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		for _, l := range lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tNAME\tCLUSTER\tBOUND TO\tLAST USED\tENDS")
	for _, l := range lines {
		bound := orDash(l.Binding)
		if l.Networks != nil {
			bound = strings.Join(l.Networks, ",")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Kind, orDash(l.Name), orDash(l.Cluster), bound, stamp(l.LastUsed), stamp(l.Ends))
	}
	return w.Flush()
}
