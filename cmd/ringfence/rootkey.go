package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/config"
)

const (
	// rootKeyTime is how long a program that prints a root key may take.
	rootKeyTime = 10 * time.Second
	// maxRootKey bounds what is read where a root key should be, in bytes.
	maxRootKey = 4096
)

// rootKeys are the root key in force and those of before. They are secrets:
// nothing prints them.
type rootKeys struct {
	root []byte
	old  [][]byte
}

// String shows nothing of the keys.
func (rootKeys) String() string { return "[secret]" }

// GoString shows nothing of the keys.
func (rootKeys) GoString() string { return "[secret]" }

// LogValue shows nothing of the keys.
func (rootKeys) LogValue() slog.Value { return slog.StringValue("[secret]") }

// readRootKeys reads the keys that encrypt secrets in the store from their sources.
func readRootKeys(ctx context.Context, cfg *config.Config) (rootKeys, error) {
	var k rootKeys
	source := cfg.RootKey
	if source.File == "" && source.Env == "" && len(source.Command) == 0 {
		source.File = paths{cfg.Data}.rootKey()
	}
	var err error
	if k.root, err = readRootKey(ctx, source); err != nil {
		return rootKeys{}, fmt.Errorf("reading the root key: %w", err)
	}
	for i, source := range cfg.OldRootKeys {
		key, err := readRootKey(ctx, source)
		if err != nil {
			return rootKeys{}, fmt.Errorf("reading old_root_keys[%d]: %w", i, err)
		}
		k.old = append(k.old, key)
	}
	return k, nil
}

// readRootKey reads one key. What was read is never part of an error.
func readRootKey(ctx context.Context, k config.RootKey) ([]byte, error) {
	var b []byte
	var err error
	switch {
	case k.Env != "":
		v, ok := os.LookupEnv(k.Env)
		if !ok {
			return nil, fmt.Errorf("the environment has no %s", k.Env)
		}
		b = []byte(v)
	case len(k.Command) > 0:
		b, err = rootKeyFrom(ctx, k.Command)
	default:
		b, err = readBounded(k.File)
	}
	if err != nil {
		return nil, err
	}
	return decodeKey(b)
}

func readBounded(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRootKey {
		return nil, fmt.Errorf("%s is no file with a key of 32 bytes in base64", name)
	}
	return os.ReadFile(name)
}

// rootKeyFrom runs a program that prints a key. One that hangs, or goes on
// printing, is ended.
func rootKeyFrom(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, rootKeyTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second // a child of the program may hold its output open
	out := &bounded{limit: maxRootKey}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("%s did not print the key within %v", command[0], rootKeyTime)
	case out.over:
		return nil, fmt.Errorf("%s printed more than a key", command[0])
	case err != nil:
		return nil, fmt.Errorf("%s: %w", command[0], err)
	}
	return out.b.Bytes(), nil
}

// bounded keeps what is written, up to a limit.
type bounded struct {
	b     bytes.Buffer
	limit int
	over  bool
}

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.limit {
		w.over = true
		return 0, errors.New("too much")
	}
	return w.b.Write(p)
}

// openKeyFiles names the root keys' files that others than the service may
// use. The group may read them: container platforms mount secrets so.
func openKeyFiles(cfg *config.Config) []string {
	var open []string
	for _, k := range append([]config.RootKey{cfg.RootKey}, cfg.OldRootKeys...) {
		if k.File == "" {
			continue
		}
		if info, err := os.Stat(k.File); err == nil && info.Mode().Perm()&(fs.ModePerm&0o037) != 0 {
			open = append(open, k.File)
		}
	}
	return open
}

// warnOfKeys logs which keys are not kept as they should be.
func warnOfKeys(cfg *config.Config, logger *slog.Logger) {
	for _, f := range openKeyFiles(cfg) {
		logger.Warn("others on this machine can use the root key: chmod 0600 its file, and take what it protects as known", "file", f)
	}
}

// keyHint adds the next step to an error about root keys that do not fit the store.
func keyHint(err error) error {
	if _, ok := errors.AsType[*auth.RootKeyError](err); ok {
		return &hintError{err, "Name the root key of before under old_root_keys, until 'ringfence keys rotate root' has encrypted everything anew."}
	}
	return err
}

// nextRootKeys reads the root keys of the next configuration, where it names
// others, and returns what puts them in force.
func (g *gateway) nextRootKeys(ctx context.Context, old, next *config.Config) (take func(), err error) {
	if reflect.DeepEqual(old.RootKey, next.RootKey) && reflect.DeepEqual(old.OldRootKeys, next.OldRootKeys) {
		return func() {}, nil
	}
	keys, err := readRootKeys(ctx, next)
	if err != nil {
		return nil, err
	}
	swap, err := g.auth.PrepareRootKeys(ctx, keys.root, keys.old...)
	if err != nil {
		return nil, keyHint(err)
	}
	warnOfKeys(next, g.logger)
	return func() {
		swap()
		g.logger.Info("root key in force", "id", g.auth.RootKey())
		// Until this is noted nobody re-seals under the new key.
		if err := g.db.NoteRootKey(ctx, g.auth.RootKey(), true); err != nil {
			g.logger.Error("noting which root key is in force", "err", err)
		}
	}, nil
}
