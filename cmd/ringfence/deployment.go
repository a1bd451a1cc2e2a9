package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

// demoConfig is the file in a demo's data folder that makes --data DIR mean
// the same as --config DIR/ringfence.yaml.
const demoConfig = "ringfence.yaml"

// target is where a command finds its deployment.
type target struct{ config, data string }

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.config, "config", "", "configuration `file` of the deployment")
	cmd.Flags().StringVar(&t.data, "data", "", "data `folder` of a demo")
}

// load reads the configuration that the flags name.
func (t *target) load() (*config.Config, error) {
	switch {
	case t.config != "" && t.data != "":
		return nil, usagef("--config and --data exclude each other")
	case t.config != "":
		return config.Load(t.config)
	case t.data != "":
		path := filepath.Join(t.data, demoConfig)
		c, err := config.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &hintError{fmt.Errorf("reading %s: no demo keeps its data here", t.data),
				"Start one with 'ringfence demo --data " + t.data + "', or name a configuration with --config FILE."}
		}
		return c, err
	}
	return nil, usagef("which deployment? Name it with --config FILE, or --data DIR for a demo's folder")
}

// paths are the files inside a data folder.
type paths struct{ data string }

func (p paths) db() string           { return filepath.Join(p.data, "ringfence.db") }
func (p paths) log() string          { return filepath.Join(p.data, "log") }
func (p paths) index() string        { return filepath.Join(p.data, "index") }
func (p paths) delivery() string     { return filepath.Join(p.data, "delivery") }
func (p paths) logPublic() string    { return filepath.Join(p.data, "log", "log.pub") }
func (p paths) logKey() string       { return filepath.Join(p.data, "keys", "log.key") }
func (p paths) nextLogKey() string   { return filepath.Join(p.data, "keys", "log.next.key") }
func (p paths) retireLogKey() string { return filepath.Join(p.data, "keys", "log.retire") }
func (p paths) rootKey() string      { return filepath.Join(p.data, "keys", "root.key") }
func (p paths) bundle() string       { return filepath.Join(p.data, "bundle") }
func (p paths) pruneAsked() string   { return filepath.Join(p.data, "prune") }
func (p paths) retention() string    { return filepath.Join(p.data, "retention") }
func (p paths) witnessed() string    { return filepath.Join(p.data, "witnessed") }
func (p paths) certs() string        { return filepath.Join(p.data, "certs") }

// A deployment is a gateway's state, opened by a command on the same machine,
// whether or not the gateway runs.
type deployment struct {
	cfg   *config.Config
	paths paths
	db    *store.DB
	auth  *auth.Service
	post  *post // nil: no mail server is configured
}

// operator is who acts in commands: whoever may read the data folder.
var operator = directory.Actor{Account: "operator"}

var authOperator = auth.Actor{Account: operator.Account}

// openDeployment opens what load names. Close it afterwards.
func openDeployment(ctx context.Context, t *target) (*deployment, error) {
	cfg, err := t.load()
	if err != nil {
		return nil, err
	}
	return openConfigured(ctx, cfg)
}

func openConfigured(ctx context.Context, cfg *config.Config) (*deployment, error) {
	d := &deployment{cfg: cfg, paths: paths{cfg.Data}}
	if err := findDeployment(cfg, "FILE"); err != nil {
		return nil, err
	}
	var err error
	quiet := slog.New(slog.DiscardHandler)
	if d.db, err = openStore(ctx, cfg, quiet); err != nil {
		return nil, err
	}
	keys, err := readRootKeys(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	if d.auth, d.post, err = newAuth(ctx, cfg, d.db, keys, enqueuer{d.db}, nil, nil, quiet); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	d.db.UseSecrets(d.auth)
	return d, nil
}

func (d *deployment) close() error { return d.db.Close() }

// enqueuer records by way of the store's outbox: the running gateway, or
// settle, moves the record to the access log.
type enqueuer struct{ db *store.DB }

func (e enqueuer) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	if r.Time.IsZero() {
		r.Time = time.Now().UTC()
	}
	return 0, e.db.Enqueue(ctx, r)
}

// settleWait is how long a command waits for a running gateway to take over
// its records and put the change in force.
const settleWait = 5 * time.Second

// settle sees to it that what the command did is in the access log: it writes
// there itself when no gateway runs, and waits for the gateway otherwise.
func (d *deployment) settle(ctx context.Context) error {
	deadline := time.Now().Add(settleWait)
	for {
		n, err := d.db.Pending(ctx)
		if err != nil || n == 0 {
			return err
		}
		l, err := openLog(ctx, d.cfg, d.db, slog.New(slog.DiscardHandler))
		if err == nil {
			return d.drainInto(ctx, l)
		}
		if !errors.Is(err, accesslog.ErrLocked) {
			return fmt.Errorf("recording the change: %w", err)
		}
		if time.Now().After(deadline) {
			return &hintError{errors.New("the change is kept, but the running gateway has not recorded it yet"),
				"It takes effect once it is recorded. Look at the gateway's /readyz and its log."}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *deployment) drainInto(ctx context.Context, l *accesslog.Log) error {
	runCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- l.Run(runCtx) }()
	_, err := d.db.Drain(ctx, drainTo(l))
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	if _, aerr := keepAnchor(ctx, d.db, l, nil); err == nil {
		err = aerr
	}
	stop()
	<-done
	return err
}

// newAuth builds the sign-in service on db, and what tells by mail, nil without a server.
func newAuth(ctx context.Context, cfg *config.Config, db *store.DB, keys rootKeys, rec auth.Recorder, known func(string) bool, changed func(), logger *slog.Logger, edits ...func(*auth.Config)) (*auth.Service, *post, error) {
	p, err := newPost(cfg, db, logger)
	if err != nil {
		return nil, nil, err
	}
	c := auth.Config{
		Store:    db,
		Recorder: touching{rec, db}, RootKey: keys.root, OldRootKeys: keys.old, KeyMaxAge: cfg.Keys.MaxAge, Issuer: gateURL(cfg).String(), GateHost: cfg.GateHost(), Organisation: cfg.Organisation.Name,
		Idle: cfg.Sessions.Idle, Absolute: cfg.Sessions.Absolute, Skew: skew(cfg), KnownHost: known, Changed: changed, Told: p.told, Logger: logger,
		ProviderNetworks: cfg.IdentityProviders.AllowNetworks,
		DeviceLogin:      auth.DeviceLogin{Disabled: !cfg.DeviceLogin.Enabled, SameNetwork: cfg.DeviceLogin.SameNetwork},
		AccessTokenLife:  time.Duration(cfg.AccessTokens.MaxDays) * 24 * time.Hour,
	}
	for _, edit := range edits {
		edit(&c)
	}
	s, err := auth.New(c)
	if err != nil {
		return nil, nil, keyHint(err)
	}
	return s, p, p.attach(s)
}

// skew is the configured number of steps in auth's words, where 0 is the default and -1 is none.
func skew(cfg *config.Config) int {
	if cfg.Codes.Skew == 0 {
		return -1
	}
	return cfg.Codes.Skew
}

// gateURL is the gate's address without a trailing slash; config has validated it.
func gateURL(cfg *config.Config) *url.URL {
	u, err := url.Parse(strings.TrimSuffix(cfg.Gate, "/"))
	if err != nil {
		return &url.URL{Scheme: "https", Host: cfg.GateHost()}
	}
	return u
}

// clusterURL is where people reach a cluster's host: the gate's scheme and port.
func clusterURL(gate *url.URL, host string) string {
	if p := gate.Port(); p != "" {
		host += ":" + p
	}
	return gate.Scheme + "://" + host + "/"
}

// logOrigin names the log in its checkpoints; it never changes over a log's life.
func logOrigin(cfg *config.Config) string { return cfg.GateHost() + "/" + cfg.AccessLog.Node }

// decodeKey reads 32 bytes of base64.
func decodeKey(b []byte) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, errors.New("a root key is 32 bytes in base64")
	}
	return key, nil
}

// hintError is an error with the likely next step.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func hint(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
