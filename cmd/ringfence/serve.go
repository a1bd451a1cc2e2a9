package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/proxy"
)

const (
	// stoppingReason is why a request was cut, in its outcome.
	stoppingReason = "gateway_stopping"
	// streamGrace is how long streams that have no end of their own go on at
	// shutdown, and how long what was cut may take to record its outcome.
	streamGrace = 2 * time.Second
	// watchEvery is how often changes by other processes are looked for.
	watchEvery = 200 * time.Millisecond
	// retryEvery is how often a change that could not be put in force is tried again.
	retryEvery = 2 * time.Second
	// filesEvery is how often configuration and policy files are looked at.
	filesEvery = 500 * time.Millisecond
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the gateway", Args: exactly(),
		Long: "Serve runs the gateway until it is interrupted. SIGHUP, or a change of the\n" +
			"configuration file or the policies folder, reloads whole or not at all.",
		Example: "  ringfence serve --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("which configuration? Name it with --config FILE")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := findDeployment(cfg, file); err != nil {
				return err
			}
			level := new(slog.LevelVar)
			logger := newLogger(cfg, level)
			return serve(cmd.Context(), cfg, serveOptions{file: file, level: level, logger: logger})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file`")
	return cmd
}

// serveOptions are what the demo does differently.
type serveOptions struct {
	file   string
	level  *slog.LevelVar
	logger *slog.Logger
	// listener, operations and plain take the place of the configuration's addresses when set.
	listener, operations net.Listener
	// ready is called once requests are served.
	ready func(*gateway) error
}

// serve runs a gateway until ctx ends. It stops in this order: readiness
// fails, no new connection is accepted, requests in flight get the configured time,
// endless streams two seconds, the last entries are recorded and a last checkpoint is
// signed, the store is closed.
func serve(ctx context.Context, cfg *config.Config, o serveOptions) (err error) {
	g, err := build(ctx, cfg, o.logger)
	if err != nil {
		return err
	}
	listeners, err := listen(cfg, o)
	if err != nil {
		return errors.Join(err, g.close())
	}
	// The log outlives everything that records.
	logCtx, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	logDone := make(chan error, 1)
	fatal, fail := context.WithCancelCause(ctx)
	go func() {
		err := g.log.Run(logCtx)
		if err != nil && logCtx.Err() == nil {
			fail(fmt.Errorf("writing the access log: %w", err))
		}
		logDone <- err
	}()
	err = g.run(fatal, listeners, o)
	if cause := context.Cause(fatal); ctx.Err() == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	fail(nil)
	err = errors.Join(err, g.close())
	stopLog()
	<-logDone
	o.logger.Info("stopped")
	return err
}

type listeners struct{ public, plain, operations net.Listener }

func (l listeners) close() {
	for _, x := range []net.Listener{l.public, l.plain, l.operations} {
		if x != nil {
			_ = x.Close() // nothing was accepted from it
		}
	}
}

func listen(cfg *config.Config, o serveOptions) (l listeners, err error) {
	open := func(given net.Listener, addr, what string) (net.Listener, error) {
		if given != nil || addr == "" {
			return given, nil
		}
		x, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("listening for %s: %w", what, err)
		}
		return x, nil
	}
	if l.public, err = open(o.listener, cfg.Listen, "requests"); err == nil {
		if l.plain, err = open(nil, cfg.HTTPListen, "redirects"); err == nil {
			l.operations, err = open(o.operations, cfg.Operations, "operations")
		}
	}
	if err != nil {
		l.close()
	}
	return l, err
}

// run serves until ctx ends or a part fails, then drains.
func (g *gateway) run(ctx context.Context, l listeners, o serveOptions) error {
	cfg := g.cfg.Load()
	public := proxy.NewServer(g.proxy, limits(cfg), g.logger)
	plain := g.plainServer()
	ops := &http.Server{Handler: g.operations(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug)}

	group, ctx := errgroup.WithContext(ctx)
	serve := func(s *http.Server, l net.Listener) {
		if l == nil {
			return
		}
		group.Go(func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	// What was changed while no gateway ran is recorded before the first request.
	if err := g.refresh(ctx, map[string]bool{store.KindDirectory: true, store.KindSession: true}); err != nil {
		l.close()
		return err
	}
	// Whoever sees that the gateway is ready may ask it to reload: by default
	// the signal would end it.
	hup := make(chan os.Signal, 1)
	if o.file != "" {
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
	}
	serve(public, proxy.NewListener(l.public, g.certs.TLSConfig(), limits(cfg)))
	serve(plain, l.plain)
	serve(ops, l.operations)
	group.Go(func() error { return ended(ctx, g.auth.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.hashes.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.clock.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.proxy.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.certs.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.watch(ctx)) })
	group.Go(func() error { return ended(ctx, g.retry(ctx)) })
	group.Go(func() error { return ended(ctx, g.anchor(ctx)) })
	group.Go(func() error { return ended(ctx, g.rotations(ctx)) })
	if g.witness != nil {
		group.Go(func() error { return ended(ctx, g.witness.Run(ctx)) })
		group.Go(func() error { return ended(ctx, g.guardWitnessed(ctx)) })
	}
	group.Go(func() error { return ended(ctx, g.shadows.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.tend(ctx)) })
	group.Go(func() error { return ended(ctx, g.deliver.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.index.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.alarms.watch.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.alarms.courier.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.erasures(ctx)) })
	group.Go(func() error { return ended(ctx, g.retain.Run(ctx)) })
	group.Go(func() error { return ended(ctx, g.prunes(ctx)) })
	if g.post != nil {
		group.Go(func() error { return ended(ctx, g.post.outbox.Run(ctx)) })
	}
	if g.bundles != nil {
		group.Go(func() error { return ended(ctx, g.bundles.poll(ctx, g)) })
	}
	if o.file != "" {
		group.Go(func() error { g.reloads(ctx, o, hup); return nil })
	}
	group.Go(func() error { <-ctx.Done(); g.drain(ctx, public, plain, ops); return nil })
	g.logger.Info("serving", "gate", gateURL(cfg).String(), "listen", l.public.Addr().String(), "version", buildVersion(), "revision", g.engine.Revision(), "log_entries", g.log.Size())
	if o.ready != nil {
		group.Go(func() error { return o.ready(g) })
	}
	return group.Wait()
}

// ended turns the error of a part that stopped because it was told to into none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (g *gateway) drain(ctx context.Context, public, plain, ops *http.Server) {
	g.stopping.Store(true)
	wait := g.cfg.Load().Limits.ShutdownTimeout
	g.console.StopTrials()
	g.console.StopExports()
	g.console.StopTails()
	g.logger.Info("stopping", "drain", wait.String(), "open_streams", g.proxy.OpenStreams())
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	endless := time.AfterFunc(min(streamGrace, wait), func() { g.proxy.CloseEndless(stoppingReason) })
	defer endless.Stop()
	if err := public.Shutdown(ctx); err != nil {
		g.logger.Warn("cutting requests in flight", "err", err)
	}
	// WebSockets are no longer the server's; what is cut still records its outcome.
	g.proxy.CloseStreams(stoppingReason)
	for end := time.Now().Add(streamGrace); g.proxy.OpenStreams() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	_ = public.Close() // the process ends anyway
	for _, s := range []*http.Server{plain, ops} {
		_ = s.Close() // these have nothing worth waiting for
	}
}

// watch puts changes by other processes in force. Policies are beside the
// rest: their tests may take a minute.
func (g *gateway) watch(ctx context.Context) error {
	refresh := func(kinds map[string]bool) {
		if err := g.refresh(ctx, kinds); err != nil && ctx.Err() == nil {
			g.logger.Error("putting a change in force", "err", err)
		}
	}
	policies := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-policies:
				refresh(map[string]bool{store.KindPolicy: true})
			}
		}
	})
	group.Go(func() error {
		return g.db.Watch(ctx, watchEvery, func(kinds map[string]bool) {
			if kinds[store.KindPolicy] {
				delete(kinds, store.KindPolicy)
				select {
				case policies <- struct{}{}:
				default: // what waits will read the newest
				}
			}
			if len(kinds) > 0 {
				refresh(kinds)
			}
		})
	})
	return group.Wait()
}

// plainServer answers on the unencrypted port: ACME challenges, and redirects
// of known hosts to https.
func (g *gateway) plainServer() *http.Server {
	redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		gate := gateURL(g.cfg.Load())
		if _, known := g.snapshot.Load().ClusterByHost(host); !known && host != gate.Hostname() {
			http.Error(w, "This host is not served here.", http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Use https.", http.StatusForbidden) // what was sent is already in the open
			return
		}
		w.Header().Set("Location", clusterURL(gate, host)+r.URL.RequestURI()[1:])
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	return &http.Server{Handler: g.certs.HTTPChallenge(redirect), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug)}
}

func limits(cfg *config.Config) proxy.Limits {
	l := cfg.Limits
	return proxy.Limits{Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerAddress, HeaderBytes: int(l.HeaderBytes), StreamsPerConnection: l.StreamsPerConnection, HandshakeTimeout: l.HandshakeTimeout,
		ReadHeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout, StallTimeout: l.StallTimeout, RequestsPerAccount: l.RequestsPerAccount}
}

// reloads reloads on SIGHUP and when the configuration file or the policies
// folder changes.
func (g *gateway) reloads(ctx context.Context, o serveOptions, hup <-chan os.Signal) {
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	seen := fingerprint(o.file, g.cfg.Load().Policies)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			g.bundles.look()
		case <-tick.C:
			now := fingerprint(o.file, g.cfg.Load().Policies)
			if now == seen {
				continue
			}
			seen = now
		}
		if err := g.reload(ctx, o); err != nil {
			fault := err.Error()
			g.configFault.Store(&fault)
			g.logger.Error("reloading; everything stays as it was", "err", err)
		}
		seen = fingerprint(o.file, g.cfg.Load().Policies)
	}
}

// reload reads the configuration again and puts it in force whole or not at all.
func (g *gateway) reload(ctx context.Context, o serveOptions) error {
	next, err := config.Load(o.file)
	if err != nil {
		return err
	}
	old := g.cfg.Load()
	if fixed := needsRestart(old, next); fixed != "" {
		return fmt.Errorf("%s has changed, which needs a restart", fixed)
	}
	src, err := policySource(ctx, next, g.db)
	if err != nil {
		return g.refusePolicies(ctx, err)
	}
	snapshot, err := readSnapshot(ctx, g.db, next)
	if err != nil {
		return err
	}
	takeKeys, err := g.nextRootKeys(ctx, old, next)
	if err != nil {
		return err
	}
	before := g.engine.Revision()
	g.loading.Lock()
	defer g.loading.Unlock()
	if _, err := g.loadPolicies(ctx, src); err != nil { // the last step that can fail
		return g.refusePolicies(ctx, err)
	}
	if g.bundles == nil { // of a bundle, poll says what is wrong
		g.policyFault.Store(nil)
	}
	g.configFault.Store(nil)
	g.cfg.Store(next)
	g.snapshot.Store(snapshot)
	takeKeys()
	g.tookForce(ctx, src)
	_ = o.level.UnmarshalText([]byte(next.Log.Level)) // validated by config
	if after := g.engine.Revision(); after != before {
		g.policiesLoaded(ctx, src, after)
	}
	g.proxy.Recheck()
	g.logger.Info("reloaded", "revision", g.engine.Revision())
	return nil
}

// needsRestart names the first setting that differs and cannot change at run time.
func needsRestart(a, b *config.Config) string {
	x, y := *a, *b
	// These are read anew by reload.
	x.Policies, x.Zones, x.TrustedProxies, x.Log.Level = y.Policies, y.Zones, y.TrustedProxies, y.Log.Level
	x.RootKey, x.OldRootKeys = y.RootKey, y.OldRootKeys
	va, vb := reflect.ValueOf(x), reflect.ValueOf(y)
	for i := range va.NumField() {
		if f := va.Type().Field(i); f.IsExported() && !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			if tag := f.Tag.Get("yaml"); tag != "" {
				return tag
			}
			return f.Name
		}
	}
	return ""
}
