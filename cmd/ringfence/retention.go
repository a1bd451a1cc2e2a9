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
	kept, err := newArchive(cfg)
	if err != nil {
		return retention.Config{}, err
	}
	return retention.Config{
		Log: l, LogDir: p.log(), Rules: retentionRules(&cfg.AccessLog.Retention), Archive: kept, Logger: logger, Taken: taken, Memory: p.retention(),
		Held: func(ctx context.Context) (retention.Held, error) { return heldEntries(ctx, db) },
		After: func(ctx context.Context, first uint64) error {
			if _, err := os.Stat(p.index()); errors.Is(err, os.ErrNotExist) {
				return nil // there is none
			}
			return index.Prune(ctx, p.log(), p.index(), first)
		},
	}, nil
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
func newArchive(cfg *config.Config) (retention.Archive, error) {
	a := cfg.AccessLog.Retention.Archive
	switch {
	case a == config.Archive{}:
		return nil, nil
	case a.Folder != "":
		return retention.NewFolder(a.Folder, logOrigin(cfg)), nil
	}
	conf, err := deliveryTLS(config.Delivery{CAFile: a.CAFile})
	if err != nil {
		return nil, fmt.Errorf("configuring the archive of the access log: %w", err)
	}
	secret, err := secretFile(a.SecretKeyFile)
	if err != nil {
		return nil, fmt.Errorf("configuring the archive of the access log: %w", err)
	}
	return delivery.NewS3(delivery.S3Config{URL: a.URL, TLS: conf, Bucket: a.Bucket, Prefix: a.Prefix, Region: a.Region,
		Origin: logOrigin(cfg), AccessKey: a.AccessKey, SecretKey: secret})
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
