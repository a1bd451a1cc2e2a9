package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/zalando/go-keyring"

	"github.com/ringfence/ringfence/internal/durable"
)

// ErrNoSecret means that nothing is kept under a name.
var ErrNoSecret = errors.New("nothing is kept under this name")

// A Vault keeps secrets by name. Its methods may be called by several
// programs at once; the last to write wins.
type Vault interface {
	// Get must return the secret, or [ErrNoSecret].
	Get(name string) (string, error)
	Set(name, secret string) error
	// Delete must succeed when nothing is kept under the name.
	Delete(name string) error
	// Where says in a few words where the secrets are.
	Where() string
}

// keyringService is what the system's keyring files our secrets under.
const keyringService = "ringfence"

type systemKeyring struct{}

func (systemKeyring) Get(name string) (string, error) {
	s, err := keyring.Get(keyringService, name)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", ErrNoSecret
	}
	if err != nil {
		return "", fmt.Errorf("reading the keyring: %w", err)
	}
	return s, nil
}

func (systemKeyring) Set(name, secret string) error {
	if err := keyring.Set(keyringService, name, secret); err != nil {
		return fmt.Errorf("writing the keyring: %w", err)
	}
	return nil
}

func (systemKeyring) Delete(name string) error {
	if err := keyring.Delete(keyringService, name); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("writing the keyring: %w", err)
	}
	return nil
}

func (systemKeyring) Where() string { return "the system's keyring" }

// keyringWorks tries the keyring out: many servers and containers have none.
func keyringWorks() bool {
	const probe = "probe"
	if keyring.Set(keyringService, probe, "works") != nil {
		return false
	}
	s, err := keyring.Get(keyringService, probe)
	return keyring.Delete(keyringService, probe) == nil && err == nil && s == "works"
}

// A folder keeps each secret in a file of its own, mode 0600, replaced whole.
type folder struct{ dir string }

func (f folder) path(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(f.dir, hex.EncodeToString(sum[:16]))
}

func (f folder) Get(name string) (string, error) {
	b, err := readPrivate(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNoSecret
	}
	return string(b), err
}

func (f folder) Set(name, secret string) error { return writePrivate(f.path(name), []byte(secret)) }

func (f folder) Delete(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting a secret: %w", err)
	}
	return nil
}

func (f folder) Where() string { return f.dir }

// readPrivate reads a file that its owner alone may read, and refuses one that
// others may: what it holds may be known already.
func readPrivate(path string) ([]byte, error) {
	if runtime.GOOS != "windows" { // where a file's mode says nothing
		for _, p := range []string{filepath.Dir(path), path} {
			i, err := os.Lstat(p)
			if err != nil {
				return nil, err
			}
			if i.Mode().Perm()&0o077 != 0 || i.Mode()&fs.ModeSymlink != 0 {
				return nil, fmt.Errorf("reading %s: others than its owner may reach it (mode %04o): sign in again after 'chmod go= %s'", p, i.Mode().Perm(), p)
			}
		}
	}
	return os.ReadFile(path)
}

func writePrivate(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	if i, err := os.Lstat(dir); err != nil || runtime.GOOS != "windows" && i.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("writing to %s: others than its owner may reach it: 'chmod go= %s' first", dir, dir)
	}
	return durable.WriteFile(path, b, 0o600)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting a sign-in: %w", err)
	}
	return nil
}
