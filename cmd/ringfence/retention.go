package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/internal/store"
)

// newRetention makes what removes old entries. It connects to nothing.
func newRetention(cfg *config.Config, db *store.DB, l retention.Log, taken func() (uint64, string), logger *slog.Logger) (*retention.Service, error) {
	c, err := retentionConfig(cfg, db, l, taken, logger)
	if err != nil {
		return nil, err
	}
	return retention.New(c)
}

func retentionConfig(cfg *config.Config, db *store.DB, l retention.Log, taken func() (uint64, string), logger *slog.Logger) (retention.Config, error) {
	p := paths{cfg.Data}
	kept, err := newArchive(cfg, logger)
	if err != nil {
		return retention.Config{}, err
	}
	return retention.Config{
		Log: l, LogDir: p.log(), Rules: retentionRules(&cfg.AccessLog.Retention), Archive: kept, Logger: logger, Taken: taken, Memory: p.retention(),
		Set:  func(ctx context.Context) ([]directory.RetentionRule, error) { return setRules(ctx, db) },
		Held: func(ctx context.Context) (retention.Held, error) { return heldEntries(ctx, db) },
		After: func(ctx context.Context, first uint64) error {
			if _, err := os.Stat(p.index()); errors.Is(err, os.ErrNotExist) {
				return nil // there is none
			}
			return index.Prune(ctx, p.log(), p.index(), first)
		},
	}, nil
}

// errRulesWait: what was set is not yet in the access log.
var errRulesWait = errors.New("changes wait to be recorded, and rules count from then on")

// setRules returns the rules that administrators set. What was read just now is
// in the access log once nothing of theirs waits to be recorded. Readings may
// wait: on a full disk they do until room is made, by these rules.
func setRules(ctx context.Context, db *store.DB) ([]directory.RetentionRule, error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		all, err := db.RetentionRules(ctx)
		if err != nil || len(all) == 0 {
			return nil, err
		}
		waits, err := db.RetentionPending(ctx)
		if err != nil || !waits {
			return all, err
		}
		if time.Now().After(deadline) {
			return nil, errRulesWait
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// consoleRetention is what the pages do about how long entries are kept: it is
// recorded when the call returns.
type consoleRetention struct {
	*retention.Service
	g *gateway
}

// Kept implements [console.Retention].
func (c consoleRetention) Kept(ctx context.Context) ([]directory.RetentionRule, error) {
	return c.g.db.RetentionRules(ctx)
}

// Set implements [console.Retention].
func (c consoleRetention) Set(ctx context.Context, actor directory.Actor, r directory.RetentionRule) (directory.RetentionRule, error) {
	file := c.FileRules()
	r, err := c.g.db.SetRetention(ctx, actor, r, func(all []directory.RetentionRule) (bool, error) { return file.NeedsSecond(all, r) })
	if err != nil {
		return r, err
	}
	return r, consolePrivacy{c.g}.recorded(ctx)
}

// Decide implements [console.Retention].
func (c consoleRetention) Decide(ctx context.Context, actor directory.Actor, id int64, approve bool) error {
	if err := c.g.db.DecideRetention(ctx, actor, id, approve); err != nil {
		return err
	}
	return consolePrivacy{c.g}.recorded(ctx)
}

// firstEntry is what the metric of that name reads.
func (g *gateway) firstEntry() float64 {
	first, err := accesslog.FirstHeld(paths{g.cfg.Load().Data}.log())
	if err != nil {
		return math.NaN() // nobody knows, which is not the first
	}
	return float64(first)
}

func retentionRules(c *config.Retention) retention.Rules {
	r := retention.Rules{Days: c.Days, Clusters: map[string]int{}, Classifications: map[string]int{}}
	for _, x := range c.Rules {
		if x.Cluster != "" {
			r.Clusters[x.Cluster] = x.Days
		} else {
			r.Classifications[x.Classification] = x.Days
		}
	}
	return r
}

// newArchive returns nil where none is configured.
func newArchive(cfg *config.Config, logger *slog.Logger) (retention.Archive, error) {
	a := cfg.AccessLog.Retention.Archive
	switch {
	case a == config.Archive{}:
		return nil, nil
	case a.Folder != "":
		return retention.NewFolder(a.Folder, logOrigin(cfg)), nil
	}
	c := config.Delivery{URL: a.URL, Bucket: a.Bucket, Prefix: a.Prefix, Region: a.Region, CAFile: a.CAFile, AccessKey: a.AccessKey, SecretKeyFile: a.SecretKeyFile}
	f, err := newFresh("the archive of the access log", deliveryFiles(c), func() (retention.Archive, error) { return bucket(cfg, c) },
		func(retention.Archive) error { return nil }, logger)
	if err != nil {
		return nil, fmt.Errorf("configuring the archive of the access log: %w", err)
	}
	return renewedArchive{f}, nil
}

// heldEntries returns what stands under a hold: an engagement's also by the
// accounts that are assigned under it.
func heldEntries(ctx context.Context, db *store.DB) (retention.Held, error) {
	held := retention.Held{Accounts: map[string]bool{}, Engagements: map[string]bool{}}
	all, err := db.Holds(ctx)
	if err != nil {
		return held, err
	}
	for i := range all {
		switch h := &all[i]; {
		case !h.Stands():
		case h.Kind == directory.HoldAccount:
			held.Accounts[h.Subject] = true
		default:
			held.Engagements[h.Subject] = true
		}
	}
	if len(held.Engagements) == 0 {
		return held, nil
	}
	d, _, err := db.Directory(ctx)
	if err != nil {
		return held, err
	}
	ids := map[string]string{}
	for i := range d.Accounts {
		ids[d.Accounts[i].Email] = d.Accounts[i].ID
	}
	for i := range d.Assignments {
		if a := &d.Assignments[i]; held.Engagements[a.Engagement] && ids[a.Account] != "" {
			held.Accounts[ids[a.Account]] = true
		}
	}
	return held, nil
}

// gatewayRetention is what removes old entries in a running gateway.
func gatewayRetention(g *gateway, cfg *config.Config) (*retention.Service, error) {
	c, err := retentionConfig(cfg, g.db, g.log, g.taken, g.logger)
	if err != nil {
		return nil, err
	}
	c.Drift = func() time.Duration {
		if s := g.clock.Status(); s.Answered > 0 {
			return s.Drift
		}
		return 0
	}
	return retention.New(c)
}

// taken returns what deliveries have taken and a checkpoint that counts covers.
func (g *gateway) taken() (upTo uint64, by string) {
	low := g.deliver.Lowest()
	for _, s := range g.deliver.States() {
		if s.Next == low || s.Refused > 0 && s.FirstRefused == low {
			by = s.Name
		}
	}
	upTo = beforeCursor(low)
	if g.witness != nil {
		// An unreadable one covers nothing.
		if n, err := accesslog.CheckpointSize(g.witness.Cosigned()); err != nil || n < upTo {
			upTo, by = n, "the witnesses"
		}
	}
	return upTo, by
}

// beforeCursor leaves the entry before a cursor, which it is compared with.
func beforeCursor(next uint64) uint64 { return max(next, 1) - 1 }

// takenOffline is taken while no gateway runs: by the cursors that lie there.
func takenOffline(cfg *config.Config) func() (uint64, string) {
	return func() (upTo uint64, by string) {
		p := paths{cfg.Data}
		upTo = math.MaxUint64
		for _, c := range cfg.AccessLog.Deliver {
			next, found, err := delivery.Position(p.delivery(), c.Name)
			if !found || err != nil {
				next = 0
			}
			if refused, err := delivery.Refusals(p.delivery(), c.Name); err != nil {
				next = 0
			} else if len(refused) > 0 {
				next = min(next, refused[0].Index)
			}
			if next = beforeCursor(next); next < upTo {
				upTo, by = next, c.Name
			}
		}
		if len(cfg.AccessLog.Witnesses) > 0 {
			msg, err := os.ReadFile(p.witnessed())
			n, sizeErr := accesslog.CheckpointSize(msg)
			if err != nil || sizeErr != nil || n < upTo {
				upTo, by = n, "the witnesses"
			}
		}
		return upTo, by
	}
}

// waitsBecause says why nothing is removed for now.
func waitsBecause(w retention.Waiting) string {
	why := map[string]string{
		retention.WaitsFirst: "nobody has looked at the clock here before",
		retention.WaitsClock: "the clock was set, or nobody looked at it for days",
		retention.WaitsRules: "the rules or the archive were changed",
		retention.WaitsDrift: "time servers say that the clock is off",
	}[w.Why]
	if w.Until.IsZero() {
		return why
	}
	return "until " + stamp(w.Until) + ", because " + why
}

// keptBecause says why a segment stays.
func keptBecause(k retention.Keeper) string {
	switch k.Why {
	case retention.KeptByAccount:
		return "a legal hold on account " + k.What
	case retention.KeptByEngagement:
		return "a legal hold on engagement " + k.What
	case retention.KeptByTaker:
		return k.What + " has not taken all of it"
	case retention.KeptByLog:
		return "no checkpoint covers it, or a request in it still runs"
	}
	return ""
}
