package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/certs"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/drift"
	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/internal/retention"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/proxy"
	"github.com/ringfence/ringfence/rego"
)

// The parts fit the seams that their consumers declare.
var (
	_ proxy.Identifier = (*auth.Service)(nil)
	_ proxy.Decider    = (*rego.Engine)(nil)
	_ proxy.Recorder   = (*accesslog.Log)(nil)
	_ proxy.Asserter   = (*auth.Service)(nil)
	_ proxy.Toucher    = (*auth.Service)(nil)
	_ proxy.Refuser    = (*console.Console)(nil)
	_ auth.Recorder    = (*accesslog.Log)(nil)
	_ console.Log      = (*accesslog.Log)(nil)
	_ proxy.Metrics    = (*metrics)(nil)
)

// decisionDeadline bounds one decision. A warm one takes a tenth of a
// millisecond: this leaves room for a machine that is busy with other things.
const decisionDeadline = 500 * time.Millisecond

// A gateway is all running parts, joined.
type gateway struct {
	cfg     atomic.Pointer[config.Config]
	logger  *slog.Logger
	metrics *metrics

	db      *store.DB
	log     *accesslog.Log
	witness *witness.Collector // nil: no witness is configured
	engine  *rego.Engine
	auth    *auth.Service
	post    *post // nil: no mail server is configured
	hashes  *hashWorker
	clock   *drift.Monitor
	certs   *certs.Manager
	studio  *studio.Runner
	bundles *bundles // nil: policies come from no bundle
	deliver *delivery.Service
	retain  *retention.Service
	shared  sharedTable  // where the console searches many gateways' entries; nil: only this one's
	index   *index.Index // of the access log
	alarms  alarms
	forced  atomic.Pointer[forced]
	shadows *shadows
	changes *store.Changes
	effects effects
	console *console.Console
	proxy   *proxy.Handler

	// snapshot is what requests read: swapped whole, never changed.
	snapshot atomic.Pointer[directory.Snapshot]

	// syncing admits one refresh of the state above at a time; requests never take it.
	syncing sync.Mutex
	due     map[string]bool // kinds of changes not in force yet; guarded by syncing
	// loading admits one policy set after another, so that the newest stays. A
	// set takes as long as its tests: what revokes access never waits for it.
	loading sync.Mutex
	// inForce is what the engine decides by.
	inForce atomic.Pointer[policySet]
	// policyFault is why the newest policies are not in force, for readiness and the console.
	policyFault atomic.Pointer[string]
	// configFault is why the newest configuration is not in force, for readiness.
	configFault atomic.Pointer[string]
	// stopping makes readiness fail while the gateway drains.
	stopping atomic.Bool
}

// build makes every part of a gateway from its configuration and state; it
// starts nothing. On error everything already opened is closed.
func build(ctx context.Context, cfg *config.Config, logger *slog.Logger) (g *gateway, err error) {
	g = &gateway{logger: logger, hashes: &hashWorker{logger: logger}, metrics: newMetrics(), due: map[string]bool{}}
	g.cfg.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.db, err = openStore(ctx, cfg, logger); err != nil {
		return g, err
	}
	if g.log, err = openLog(ctx, cfg, g.db, logger, func(c *accesslog.Config) { c.Mends = g.mends }); err != nil {
		if errors.Is(err, accesslog.ErrLocked) {
			err = &hintError{err, "Another gateway runs on this data folder."}
		}
		return g, err
	}
	if err = g.buildWitness(ctx); err != nil {
		return g, err
	}
	if g.index, err = index.Open(index.Config{Dir: paths{cfg.Data}.index(), LogDir: paths{cfg.Data}.log(), Log: g.log, Logger: logger}); err != nil {
		return g, err
	}
	if g.shared, err = openSearch(cfg, logger); err != nil {
		return g, err
	}
	if g.deliver, err = newDelivery(cfg, g.log, logger); err != nil {
		return g, err
	}
	if g.retain, err = gatewayRetention(g, cfg); err != nil {
		return g, err
	}
	g.studio = studio.New(studio.Config{Command: policyWorker, Logger: logger})
	if err = g.buildPolicy(ctx); err != nil {
		return g, err
	}
	if err = g.buildSignIn(ctx); err != nil {
		return g, err
	}
	if err = g.loadSnapshot(ctx); err != nil {
		return g, err
	}
	if err = g.buildCerts(ctx); err != nil {
		return g, err
	}
	g.shadows = newShadows(g)
	g.buildChanges()
	if err = g.buildAlarms(); err != nil {
		return g, err
	}
	if err = g.buildConsole(); err != nil {
		return g, err
	}
	if err = g.buildProxy(); err != nil {
		return g, err
	}
	if err = g.restoreEgress(ctx); err != nil {
		return g, err
	}
	g.metrics.observe(g)
	g.metrics.observeClock(g)
	g.metrics.observeWitnesses(g)
	g.metrics.registry.MustRegister(deliveryMetrics{g.deliver})
	g.metrics.registry.MustRegister(g.alarmFigures()...)
	g.metrics.registry.MustRegister(logMetrics{g.log})
	return g, nil
}

// close releases what build opened. The log goes last but one, so that what
// the others still have to say is kept under a signed checkpoint.
func (g *gateway) close() error {
	var errs []error
	if g.log != nil {
		errs = append(errs, g.log.Close())
	}
	if g.index != nil {
		errs = append(errs, g.index.Close())
	}
	if g.shared != nil {
		errs = append(errs, g.shared.Close())
	}
	if g.witness != nil {
		g.witnessLast()
	}
	if g.db != nil && g.engine != nil {
		g.countEffects(context.Background())
	}
	if g.log != nil && g.db != nil {
		_, err := keepAnchor(context.Background(), g.db, g.log, nil) // the last words, whatever ended the rest
		errs = append(errs, err)
	}
	if g.db != nil {
		errs = append(errs, g.db.Close())
	}
	return errors.Join(errs...)
}

func (g *gateway) buildSignIn(ctx context.Context) error {
	cfg := g.cfg.Load()
	keys, err := readRootKeys(ctx, cfg)
	if err != nil {
		return err
	}
	warnOfKeys(cfg, g.logger)
	known := func(host string) bool {
		s := g.snapshot.Load()
		if s == nil {
			return false
		}
		_, ok := s.ClusterByHost(host)
		return ok
	}
	demands := func(account string) bool {
		s := g.snapshot.Load()
		// Before there is a snapshot nobody is signed in; if it were so, a code would add no key.
		return s == nil || s.PhishingResistant(account, time.Now())
	}
	g.clock = newClock(cfg, g.logger)
	if g.auth, g.post, err = newAuth(ctx, cfg, g.db, keys, g.log, known, func() { g.recheck() }, g.logger, newCodeMetrics(g.metrics.registry).seam,
		func(c *auth.Config) {
			c.Behind = g.log.Behind
			c.Derive, c.PhishingResistant, c.Limits = g.hashes.Derive, demands, g.sessionLimits
		}); err != nil {
		return err
	}
	g.db.UseSecrets(g.auth)
	return g.db.NoteRootKey(ctx, g.auth.RootKey(), true)
}

// sessionLimits returns what the engagements in force set for an account's sessions.
func (g *gateway) sessionLimits(account string) auth.Limits {
	s := g.snapshot.Load()
	if s == nil {
		return auth.Limits{} // before the first snapshot nothing is served
	}
	l := s.SessionLimits(account, time.Now())
	return auth.Limits{Idle: l.Idle, Absolute: l.Absolute}
}

func (g *gateway) buildCerts(ctx context.Context) (err error) {
	cfg := g.cfg.Load()
	c := certs.Config{Mode: certs.Mode(cfg.TLS.Mode), Dir: paths{cfg.Data}.certs(), Hosts: g.hosts, Fallback: cfg.GateHost(), Domains: cfg.TLS.Local.Domains, Logger: g.logger,
		ACME: certs.ACME{Directory: cfg.TLS.ACME.Directory, Email: cfg.TLS.ACME.Email, CAFile: cfg.TLS.ACME.CAFile,
			KeyID: cfg.TLS.ACME.ExternalAccount.KeyID, KeyFile: cfg.TLS.ACME.ExternalAccount.KeyFile,
			HTTPPort: cfg.TLS.ACME.HTTPPort, TLSPort: cfg.TLS.ACME.TLSPort, NoHTTP: cfg.HTTPListen == ""}}
	if host, _, err := net.SplitHostPort(cfg.Listen); err == nil {
		c.ACME.ListenHost = host
	}
	for _, f := range cfg.TLS.Files {
		c.Files = append(c.Files, certs.Pair{Certificate: f.Certificate, Key: f.Key})
	}
	g.certs, err = certs.New(c)
	return err
}

// hosts are the names that certificates are needed for.
func (g *gateway) hosts() []string {
	out := []string{g.cfg.Load().GateHost()}
	for _, c := range g.snapshot.Load().Directory().Clusters {
		out = append(out, c.Hosts...)
	}
	return out
}

func (g *gateway) buildConsole() error {
	cfg := g.cfg.Load()
	pages, err := ui.New(ui.Config{Logger: g.logger})
	if err != nil {
		return err
	}
	var post console.Mail
	if g.post != nil {
		post = g.post
	}
	g.console, err = console.New(console.Config{
		Mail: post,
		Auth: g.auth, Directory: consoleDirectory{g}, Agreements: consoleAgreements{g}, Log: g.log, Search: query.InTurn(g.index, 8, 4), Follow: g.log, Status: consoleStatus{g}, UI: pages,
		Evidence: consoleEvidence{g}, Policies: g.engine, Studio: g.studio, LogFolder: paths{cfg.Data}.log(),
		Shadows: consoleShadows{g},
		Alarms:  consoleAlarms{g.db, g},
		Reviews: consoleReviews{g},
		Privacy: consolePrivacy{g}, Retention: consoleRetention{g.retain, g},
		Witnesses: g.witnesses(),
		Deliver:   g.deliver, Shared: g.everyGateway(),
		Sets:    consoleSets{g},
		Changes: consoleChanges{g.changes, g},
		GateURL: gateURL(cfg).String(), Organisation: cfg.Organisation.Name, ClientIP: g.clientIP, CAPEM: g.certs.AuthorityPEM(), Clock: g.clockWarnings, Logger: g.logger,
	})
	return err
}

func (g *gateway) clientIP(r *http.Request) netip.Addr {
	return proxy.ClientIP(r, g.cfg.Load().TrustedProxies)
}

func (g *gateway) buildProxy() (err error) {
	cfg := g.cfg.Load()
	g.proxy, err = proxy.New(proxy.Config{
		GateHost: cfg.GateHost(), Gate: g.console.Gate(), Reserved: g.console.Reserved(),
		Identifier: g.auth, Decider: g.engine, Recorder: countedLog{g.log, &g.effects, g.witness}, Knower: knower{g}, Refuser: g.console, Asserter: g.auth,
		Watcher:        g.shadows,
		TrustedProxies: cfg.TrustedProxies, AllowUpstreamNetworks: cfg.Upstreams.AllowNetworks,
		Origin: logOrigin(cfg), Limits: limits(cfg), Logger: g.logger, Metrics: g.metrics,
		QueryValues: cfg.AccessLog.QueryValues,
	})
	if err != nil {
		return err
	}
	return g.proxy.SetClusters(proxyClusters(g.snapshot.Load().Directory()))
}

// recheck has open streams decided again; before the proxy is built there are none.
func (g *gateway) recheck() {
	if g.proxy != nil {
		g.proxy.Recheck()
	}
}

// knower gives the proxy the facts of the snapshot in force.
type knower struct{ g *gateway }

func (k knower) Facts(account, cluster string, source netip.Addr) *policy.Document {
	return k.g.snapshot.Load().Facts(account, cluster, source)
}

func proxyClusters(d *directory.Directory) []proxy.Cluster {
	out := make([]proxy.Cluster, 0, len(d.Clusters))
	for _, c := range d.Clusters {
		p := proxy.Cluster{Name: c.Name, Title: c.Title, Classification: c.Classification, Hosts: c.Hosts, Owner: c.Owner, LogMode: c.LogMode}
		for _, r := range c.Routes {
			p.Routes = append(p.Routes, proxy.Route{Name: r.Name, Path: r.Path, Upstreams: r.Upstreams, HealthPath: r.HealthPath,
				EncodedSlashes: r.EncodedSlashes, Timeout: r.Timeout, UpstreamCA: r.UpstreamCA, PreserveHost: r.PreserveHost})
		}
		out = append(out, p)
	}
	return out
}

// loadSnapshot reads the directory and puts it in force.
func (g *gateway) loadSnapshot(ctx context.Context) error {
	s, err := readSnapshot(ctx, g.db, g.cfg.Load())
	if err != nil {
		return err
	}
	g.snapshot.Store(s)
	return nil
}

func readSnapshot(ctx context.Context, db *store.DB, cfg *config.Config) (*directory.Snapshot, error) {
	d, accepted, err := db.Directory(ctx)
	if err != nil {
		return nil, err
	}
	zones := make([]directory.Zone, 0, len(cfg.Zones))
	for _, z := range cfg.Zones {
		zones = append(zones, directory.Zone{Name: z.Name, Networks: z.Networks})
	}
	return directory.NewSnapshot(d, accepted, zones)
}

// refresh puts in force what has changed in the store. Records of a change
// become durable before the change takes effect. What fails stays due and is
// tried again by retry.
func (g *gateway) refresh(ctx context.Context, kinds map[string]bool) error {
	policies, err := g.refreshState(ctx, kinds)
	if policies { // a faulty set is not tried again
		err = errors.Join(err, g.refreshPolicy(ctx))
	}
	g.recheck()
	return err
}

// refreshState puts everything but policies in force, and reports whether they
// are due too.
func (g *gateway) refreshState(ctx context.Context, kinds map[string]bool) (policies bool, err error) {
	g.syncing.Lock()
	defer g.syncing.Unlock()
	for k := range kinds {
		g.due[k] = true
	}
	if _, err := g.db.Drain(ctx, drainTo(g.log)); err != nil {
		return false, fmt.Errorf("recording changes: %w", err)
	}
	due := g.due
	g.due = map[string]bool{}
	var errs []error
	again := func(kind string, err error) {
		if err != nil {
			g.due[kind] = true
			errs = append(errs, err)
		}
	}
	if due[store.KindDirectory] {
		again(store.KindDirectory, g.refreshDirectory(ctx))
	}
	if due[store.KindDirectory] || due[store.KindSession] {
		again(store.KindSession, g.auth.Reload(ctx))
	}
	if due[store.KindPolicy] {
		g.recheck() // the rest does not wait for a new set
	}
	if due[store.KindShadow] {
		g.shadows.look()
	}
	return due[store.KindPolicy], errors.Join(errs...)
}

// retry tries again what could not be put in force, such as while the log's
// disk was full.
func (g *gateway) retry(ctx context.Context) error {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		g.syncing.Lock()
		due := len(g.due) > 0
		g.syncing.Unlock()
		if !due {
			continue
		}
		if err := g.refresh(ctx, nil); err != nil && ctx.Err() == nil {
			g.logger.Error("putting a change in force", "err", err)
		}
	}
}

func (g *gateway) refreshDirectory(ctx context.Context) error {
	if err := g.loadSnapshot(ctx); err != nil {
		return err
	}
	if err := g.certs.SetHosts(g.hosts()); err != nil { // in force all the same, for the hosts that can be served
		g.logger.Error("some hosts have no certificate", "err", err)
	}
	return g.proxy.SetClusters(proxyClusters(g.snapshot.Load().Directory()))
}

// prepare makes a data folder's keys where they do not exist yet. It never
// replaces one.
func prepare(cfg *config.Config) error {
	p := paths{cfg.Data}
	for _, dir := range []string{cfg.Data, p.data + "/keys", p.log(), p.certs()} {
		if err := durable.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("making the data folder: %w", err)
		}
	}
	if cfg.RootKey.File == "" && cfg.RootKey.Env == "" && len(cfg.RootKey.Command) == 0 {
		if _, err := os.Stat(p.db()); err == nil {
			if _, err := os.Stat(p.rootKey()); errors.Is(err, fs.ErrNotExist) {
				return &hintError{fmt.Errorf("reading the root key: %s is missing, and %s was sealed with it", p.rootKey(), p.db()),
					"Put it back from a backup. Without it no second factor can be read: make a new deployment, apply what 'ringfence export' of a backup says, and invite everybody."}
			}
		}
		if err := writeNew(p.rootKey(), func() ([]byte, error) {
			key := make([]byte, 32)
			rand.Read(key)
			return []byte(base64.StdEncoding.EncodeToString(key) + "\n"), nil
		}); err != nil {
			return err
		}
	}
	return writeNew(p.logKey(), func() ([]byte, error) {
		skey, vkey, err := accesslog.GenerateKey(logOrigin(cfg))
		if err != nil {
			return nil, err
		}
		return []byte(skey + "\n"), durable.WriteFile(p.logPublic(), []byte(vkey+"\n"), 0o644)
	})
}

// writeNew writes a private file unless it exists.
func writeNew(path string, make func() ([]byte, error)) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := make()
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	return durable.WriteFile(path, b, 0o600)
}

// newLogger makes the operational log, on standard error.
func newLogger(cfg *config.Config, level *slog.LevelVar) *slog.Logger {
	_ = level.UnmarshalText([]byte(strings.ToUpper(cfg.Log.Level))) // validated by config
	opt := &slog.HandlerOptions{Level: level}
	logger := slog.New(slog.NewTextHandler(os.Stderr, opt))
	if cfg.Log.Format == "json" {
		logger = slog.New(slog.NewJSONHandler(os.Stderr, opt))
	}
	adoptStandardLog(logger)
	return logger
}
