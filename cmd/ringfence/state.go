package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/store"
)

// errNoDeployment is wrapped where a data folder holds no store.
var errNoDeployment = errors.New("no deployment has been made here yet")

// findDeployment says whether cfg's data folder holds a deployment that this
// process can open. An empty store is none that anybody made: it would come up
// without accounts, clusters and policies.
func findDeployment(cfg *config.Config, file string) error {
	info, err := os.Stat(paths{cfg.Data}.db())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &hintError{fmt.Errorf("opening %s: %w", cfg.Data, errNoDeployment), "Make one with 'ringfence init --config " + file + " --email ADDRESS'."}
	case errors.Is(err, fs.ErrPermission):
		return &hintError{fmt.Errorf("opening the data folder: %w", err), "Run this as the account that the gateway runs as, such as with 'sudo -u ringfence'."}
	case err != nil:
		return fmt.Errorf("opening the data folder: %w", err)
	case info.Mode().IsRegular() && info.Size() == 0:
		return &hintError{fmt.Errorf("opening database %s: it is empty", paths{cfg.Data}.db()), restoreHint}
	}
	return nil
}

const restoreHint = "Keep the data folder as it is, move it away, and bring back the last backup with 'ringfence restore'."

// openStore opens the store, with the next step where it is damaged.
func openStore(ctx context.Context, cfg *config.Config, logger *slog.Logger) (*store.DB, error) {
	db, err := store.Open(ctx, store.Config{Path: paths{cfg.Data}.db(), GateHost: cfg.GateHost(), Logger: logger})
	if err != nil && (strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "not a database")) {
		err = &hintError{err, restoreHint}
	} else if err != nil && (strings.Contains(err.Error(), "disk I/O error") || strings.Contains(err.Error(), "disk is full")) {
		err = &hintError{err, "Is the disk of " + cfg.Data + " full? Look with df, and see \"Disk full\" in deploy/README.md."}
	}
	return db, err
}

// checkKeys compares the access log's key with the public one beside the log,
// and sees to it that strangers on this machine cannot read the keys.
func checkKeys(cfg *config.Config) error {
	p := paths{cfg.Data}
	key, err := os.ReadFile(p.logKey())
	if err != nil {
		return fmt.Errorf("reading the access log's key: %w", err)
	}
	public, err := os.ReadFile(p.logPublic())
	if err != nil {
		return fmt.Errorf("reading the access log's public key: %w", err)
	}
	if err := accesslog.CheckKeys(strings.TrimSpace(string(key)), strings.TrimSpace(string(public))); err != nil {
		return fmt.Errorf("comparing %s with %s: %w", p.logKey(), p.logPublic(), err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(p.logKey()), "*.key"))
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if info, err := os.Stat(f); err != nil {
			errs = append(errs, err)
		} else if info.Mode().Perm()&0o007 != 0 {
			errs = append(errs, fmt.Errorf("checking keys: everybody on this machine can use %s: chmod 0600 it, and take what it protects as known", f))
		}
	}
	return errors.Join(errs...)
}
