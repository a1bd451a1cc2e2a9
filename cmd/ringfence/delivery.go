package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog/clickhouse"
	"github.com/ringfence/ringfence/internal/accesslog/postgres"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/policy"
)

func newDeliveryCommand() *cobra.Command {
	cmd := group("delivery", "See and steer where the access log's entries go",
		"The configuration names other systems that get the entries (access_log.deliver).\n"+
			"These commands work whether or not the gateway runs: it carries out what they ask\n"+
			"for within seconds, or once it starts. What they ask for is recorded first.")
	cmd.AddCommand(deliveryStatus(), deliveryRefused(), deliverySettle(delivery.Retry), deliverySettle(delivery.Skip), deliveryReset(), deliverySchema())
	return cmd
}

// A deliveryState is what delivery status prints.
type deliveryState struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Next    uint64 `json:"next"`
	Behind  uint64 `json:"behind"`
	Refused int    `json:"refused"`
	// Forgetting counts erased accounts that a table has yet to forget.
	Forgetting int  `json:"forgetting,omitempty"`
	Ordered    bool `json:"ordered,omitempty"`
	Began      bool `json:"began"` // false: the gateway has not run with it
}

func deliveryStates(cfg *config.Config) ([]deliveryState, error) {
	p := paths{cfg.Data}
	size, err := checkpointSize(p.log())
	if err != nil {
		return nil, err
	}
	var out []deliveryState
	for _, c := range cfg.AccessLog.Deliver {
		s := deliveryState{Name: c.Name, Kind: c.To, Ordered: delivery.Ordered(p.delivery(), c.Name)}
		if s.Next, s.Began, err = delivery.Position(p.delivery(), c.Name); err != nil {
			return nil, err
		}
		list, err := delivery.Refusals(p.delivery(), c.Name)
		if err != nil {
			return nil, err
		}
		s.Refused = len(list)
		if c.To == config.ToClickHouse || c.To == config.ToPostgres {
			waiting, err := delivery.Forgetting(p.delivery(), c.Name)
			if err != nil {
				return nil, err
			}
			s.Forgetting = len(waiting)
		}
		if size > s.Next {
			s.Behind = size - s.Next
		}
		out = append(out, s)
	}
	return out, nil
}

// checkpointSize returns how many entries the newest checkpoint is over; none is 0.
func checkpointSize(dir string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the checkpoint: %w", err)
	}
	lines := strings.SplitN(string(b), "\n", 3)
	if len(lines) < 3 {
		return 0, errors.New("reading the checkpoint: it is damaged")
	}
	n, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return 0, errors.New("reading the checkpoint: it is damaged")
	}
	return n, nil
}

func deliveryStatus() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Print how far each destination has come", Args: exactly(),
		Long:    "Print how far each destination has come, counted up to the newest checkpoint. Why one\nfails at the moment is known to the running gateway alone: see /readyz, or the console.",
		Example: "  ringfence delivery status --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := t.load()
			if err != nil {
				return err
			}
			list, err := deliveryStates(cfg)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				for _, s := range list {
					if err := enc.Encode(s); err != nil {
						return err
					}
				}
				return nil
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "The configuration names no destination.")
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tKIND\tNEXT\tBEHIND\tREFUSED")
			for _, s := range list {
				fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", s.Name, s.Kind, s.Next, s.Behind, s.Refused)
			}
			for _, s := range list {
				if s.Forgetting > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d erased accounts are yet to be forgotten there. The running gateway goes on trying; why it fails stands in /readyz.\n", s.Name, s.Forgetting)
				}
			}
			return w.Flush()
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one destination a line as JSON")
	return cmd
}

// destination finds a name in the configuration.
func destination(cfg *config.Config, name string) (config.Delivery, error) {
	for _, c := range cfg.AccessLog.Deliver {
		if c.Name == name {
			return c, nil
		}
	}
	return config.Delivery{}, &hintError{fmt.Errorf("no delivery is called %s", name), "See them with 'ringfence delivery status'."}
}

func deliveryRefused() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "refused NAME", Short: "List the entries that a destination would not take", Args: exactly("the NAME of a delivery"),
		Example: "  ringfence delivery refused siem --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := t.load()
			if err != nil {
				return err
			}
			if _, err := destination(cfg, args[0]); err != nil {
				return err
			}
			list, err := delivery.Refusals(paths{cfg.Data}.delivery(), args[0])
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			for _, r := range list {
				if asJSON {
					err = enc.Encode(r)
				} else {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d\t%s\t%s\n", r.Index, r.Time.Format(time.RFC3339), r.Reason)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one entry a line as JSON")
	return cmd
}

func deliverySettle(act delivery.Act) *cobra.Command {
	var t target
	var all bool
	short, done := "Send refused entries once more", "They are sent again"
	if act == delivery.Skip {
		short, done = "Take refused entries off the list: the destination stays without them", "They are off the list"
	}
	cmd := &cobra.Command{
		Use: string(act) + " NAME [INDEX…]", Short: short, Args: cobra.MinimumNArgs(1),
		Example: "  ringfence delivery " + string(act) + " siem 4711 --config /etc/ringfence/config.yaml\n  ringfence delivery " + string(act) + " siem --all --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			o := delivery.Order{Act: act}
			for _, a := range args[1:] {
				n, err := strconv.ParseUint(a, 10, 63)
				if err != nil {
					return usagef("%s is not the index of an entry", a)
				}
				o.Entries = append(o.Entries, n)
			}
			if all == (len(o.Entries) > 0) {
				return usagef("name the entries, or say --all")
			}
			return orderDelivery(cmd, &t, args[0], o, done)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "every entry that is listed")
	return cmd
}

func deliveryReset() *cobra.Command {
	var t target
	var to string
	cmd := &cobra.Command{
		Use: "reset NAME --to INDEX", Short: "Begin a delivery anew at another entry", Args: exactly("the NAME of a delivery"),
		Long:    "Begin a delivery anew at another entry: what lies before is left out, what lies after is\nsent, perhaps once more. A delivery that has stopped, because the log or the cursor was\nreplaced, goes on from there.",
		Example: "  ringfence delivery reset siem --to oldest --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			o := delivery.Order{Act: delivery.Reset}
			switch n, err := strconv.ParseUint(to, 10, 63); {
			case to == "newest":
				o.To = 1<<63 - 1
			case to == "oldest":
			case err == nil:
				o.To = n
			default:
				return usagef("--to: write an index, oldest or newest")
			}
			return orderDelivery(cmd, &t, args[0], o, "It begins there")
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "`index` of an entry, oldest or newest")
	return cmd
}

// orderDelivery records what is wanted and then leaves it for the gateway.
func orderDelivery(cmd *cobra.Command, t *target, name string, o delivery.Order, done string) error {
	ctx := cmd.Context()
	d, err := openDeployment(ctx, t)
	if err != nil {
		return err
	}
	err = func() error {
		if _, err := destination(d.cfg, name); err != nil {
			return err
		}
		if o.Act != delivery.Reset {
			if err := listed(d.paths.delivery(), name, o.Entries); err != nil {
				return err
			}
		}
		r := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: "delivery." + string(o.Act), Result: "ok", Actor: operator.Account,
			Object: "delivery:" + name, Detail: delivery.Describe(o)}
		if err := d.db.Enqueue(ctx, r); err != nil {
			return err
		}
		if err := d.settle(ctx); err != nil {
			return err
		}
		return delivery.Give(d.paths.delivery(), name, o)
	}()
	if err := errors.Join(err, d.close()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: recorded. %s within seconds where the gateway runs, otherwise once it starts.\n", name, done)
	return nil
}

// listed refuses entries that are not among the refused ones.
func listed(dir, name string, entries []uint64) error {
	list, err := delivery.Refusals(dir, name)
	if err != nil {
		return err
	}
	for _, n := range entries {
		if !slices.ContainsFunc(list, func(r delivery.Refusal) bool { return r.Index == n }) {
			return &hintError{fmt.Errorf("entry %d is not among those that %s refused", n, name), "See them with 'ringfence delivery refused " + name + "'."}
		}
	}
	return nil
}

func deliverySchema() *cobra.Command {
	var database, table string
	cmd := &cobra.Command{
		Use: "schema clickhouse|postgres", Short: "Print the statements that make the table which gateways share", Args: exactly("clickhouse or postgres"),
		Long:    "Print the statements that make the table which gateways share, for those who make it\nthemselves. The account of a gateway then needs INSERT and SELECT on it, and so that\nthe table follows erasures and retention, UPDATE and DELETE (Postgres) or ALTER DELETE and\nOPTIMIZE (ClickHouse); that of the console's search, SELECT alone. Without this, the first delivery makes it.",
		Example: "  ringfence delivery schema postgres | psql logs",
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []string
			var err error
			switch args[0] {
			case config.ToClickHouse:
				var s string
				s, err = clickhouse.Schema(clickhouse.Config{Database: database, Table: table})
				all = []string{s}
			case config.ToPostgres:
				all, err = postgres.Schema(table)
			default:
				return usagef("%s: there are clickhouse and postgres", args[0])
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(all, ";\n\n")+";")
			return err
		},
	}
	cmd.Flags().StringVar(&database, "database", "", "`name` of the database, of clickhouse alone (default \"default\")")
	cmd.Flags().StringVar(&table, "table", "", "`name` of the table (default \"ringfence\")")
	return cmd
}
