package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
)

// finishErasures carries out the erasures that are in the access log: the
// account's rows, then the key of its personal fields, then what the index
// keeps of them. What fails, or a stop ends, is done again by the next call.
func finishErasures(ctx context.Context, db *store.DB, p paths, forget func(ctx context.Context, account string) error) error {
	all, err := db.Erasures(ctx)
	if err != nil {
		return err
	}
	waiting := 0
	for _, e := range all {
		if e.Done.IsZero() {
			waiting++
		}
	}
	if waiting == 0 {
		return nil
	}
	// Those that were read just now are in the log once nothing waits to be recorded.
	if n, err := db.Pending(ctx); err != nil || n > 0 {
		return err
	}
	for _, e := range all {
		if !e.Done.IsZero() {
			continue
		}
		err := db.EraseRows(ctx, e.Account)
		if errors.Is(err, store.ErrPending) {
			return nil // again in a moment
		}
		if err == nil {
			err = accesslog.ErasePersonal(p.log(), e.Account)
		}
		if err == nil {
			err = forget(ctx, e.Account)
		}
		if err == nil {
			err = db.ErasureDone(ctx, e.Account)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eraseEvery is how soon a gateway carries out what was asked for.
const eraseEvery = time.Second

// erasures carries out erasures until ctx ends.
func (g *gateway) erasures(ctx context.Context) error {
	tick := time.NewTicker(eraseEvery)
	defer tick.Stop()
	for {
		if err := finishErasures(ctx, g.db, paths{g.cfg.Load().Data}, g.forget); err != nil && ctx.Err() == nil {
			g.logger.Error("erasing an account's personal data", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// forget has what was made of the log let go of an account: the index at once,
// and tables that entries were delivered to once they can be reached.
func (g *gateway) forget(ctx context.Context, account string) error {
	if err := delivery.Forget(paths{g.cfg.Load().Data}.delivery(), account, g.log.Size()); err != nil {
		return err
	}
	return g.index.Forget(ctx, account)
}

// forgetOffline is forget while no gateway runs: the next one sees to the tables.
func (d *deployment) forgetOffline(ctx context.Context, account string) error {
	size, err := checkpointSize(d.paths.log())
	if err == nil {
		err = delivery.Forget(d.paths.delivery(), account, size)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(d.paths.index()); err != nil {
		return nil // there is none
	}
	return index.Forget(ctx, d.paths.log(), d.paths.index(), account, nil)
}

// consolePrivacy is what the pages do about holds and erasures: it is recorded
// when the call returns.
type consolePrivacy struct{ g *gateway }

func (p consolePrivacy) Holds(ctx context.Context) ([]directory.Hold, error) {
	return p.g.db.Holds(ctx)
}

func (p consolePrivacy) Erasures(ctx context.Context) ([]directory.Erasure, error) {
	return p.g.db.Erasures(ctx)
}

func (p consolePrivacy) PlaceHold(ctx context.Context, actor directory.Actor, kind, subject, reason string) (directory.Hold, error) {
	h, err := p.g.db.PlaceHold(ctx, actor, kind, subject, reason)
	if err != nil {
		return h, err
	}
	return h, p.recorded(ctx)
}

func (p consolePrivacy) LiftHold(ctx context.Context, actor directory.Actor, id int64, why string) error {
	if err := p.g.db.LiftHold(ctx, actor, id, why); err != nil {
		return err
	}
	return p.recorded(ctx)
}

func (p consolePrivacy) AskErasure(ctx context.Context, actor directory.Actor, account, reason string) error {
	if err := p.g.db.AskErasure(ctx, actor, account, reason); err != nil {
		return err
	}
	return p.recorded(ctx)
}

func (p consolePrivacy) recorded(ctx context.Context) error {
	return p.g.refresh(ctx, map[string]bool{store.KindOutbox: true})
}

func newAccountErase() *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use: "erase EMAIL", Short: "Erase an account's personal data, for good", Args: exactly("an EMAIL"),
		Long: "Erase takes a person's name, address and devices out of the directory, disables the\n" +
			"account and destroys the key of its personal fields in the access log: its e-mail\n" +
			"address, IP addresses, browsers and names can never be read there again. Entries\n" +
			"themselves stay, with an opaque id, and every proof of them holds. What the person\n" +
			"accepted stays as well, as the proof of a contract, and who signed policies that\n" +
			"were in force. ClickHouse and Postgres tables and Parquet files that entries were\n" +
			"delivered to forget it once the gateway runs and reaches them. Backups and other\n" +
			"systems are not reached: see to them yourself. It is refused under a legal hold, and\n" +
			"for the owner of a vendor or a cluster.",
		Example: "  ringfence account erase kim@northwind.example --reason 'asked for on 22 November' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if reason == "" {
				return usagef("why? Give the reason with --reason WHY; it is kept in the access log")
			}
			return withAccount(ctx, &t, args[0], func(d *deployment, a *directory.Account) error {
				if err := d.db.AskErasure(ctx, operator, a.ID, reason); err != nil {
					if held, ok := errors.AsType[*directory.HeldError](err); ok {
						return &hintError{err, fmt.Sprintf("It was placed because: %s. See them with 'ringfence log holds'.", plain(held.Hold.Reason))}
					}
					if _, stands := errors.AsType[*directory.StandsError](err); stands {
						return &hintError{err, "Name somebody else there first, with 'ringfence apply' or in the console, so that messages go on reaching somebody."}
					}
					return err
				}
				if err := d.settle(ctx); err != nil {
					return err
				}
				if err := d.erase(ctx, a.ID); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "Erased account %s. Entries of the access log keep this id and nothing else of the person.\n", a.ID)
				sayForgetting(cmd.ErrOrStderr(), d.cfg, a.ID)
				return nil
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the access log (`words` without personal data)")
	return cmd
}

// sayForgetting names the tables that have yet to forget an account.
func sayForgetting(to io.Writer, cfg *config.Config, account string) {
	for _, c := range cfg.AccessLog.Deliver {
		if c.To != config.ToClickHouse && c.To != config.ToPostgres {
			continue
		}
		if waiting, err := delivery.Forgetting(paths{cfg.Data}.delivery(), c.Name); err != nil || slices.Contains(waiting, account) {
			fmt.Fprintf(to, "The table of the delivery %s has yet to forget it. See 'ringfence delivery status'.\n", c.Name)
		}
	}
}

// erase carries out an erasure that is recorded, or waits until the running gateway has.
func (d *deployment) erase(ctx context.Context, account string) error {
	deadline := time.Now().Add(4 * settleWait)
	for {
		all, err := d.db.Erasures(ctx)
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.Account == account && !e.Done.IsZero() {
				return nil
			}
		}
		if !accesslog.InUse(d.paths.log()) {
			if err := finishErasures(ctx, d.db, d.paths, d.forgetOffline); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return &hintError{errors.New("the erasure is recorded, but the running gateway has not carried it out yet"), "It goes on trying. Look at its log for the reason."}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
