// Package bundle brings signed policy bundles from where they are published: a
// file or an HTTPS server. It fetches, checks the signature and the order, and
// keeps the last good bundle durably; it never decides what a good policy is
// and puts nothing in force. Start with [Keeper].
package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/rego"
)

// Config says where bundles come from and whose signature they carry.
type Config struct {
	// File or URL is where the newest bundle is; one of them is given. The URL
	// is https.
	File, URL string
	Key       rego.BundleKey
	// Dir is the folder in which the last good bundle is kept; it is made when
	// it is not there.
	Dir string
	// Timeout bounds one fetch, whole; 30 s when zero.
	Timeout time.Duration
	// CAFile holds PEM certificates that the server is checked against; empty:
	// the system's.
	CAFile string
	// TokenFile holds a token that is shown to the server (RFC 6750). It is read
	// at each fetch. Empty: none.
	TokenFile string
}

// Errors of a [Keeper].
var (
	// ErrUnchanged: what is published is what was looked at before.
	ErrUnchanged = errors.New("nothing new is published")
	// ErrNone: no bundle has been kept yet.
	ErrNone = errors.New("no bundle has been kept yet")
)

// An OrderError says that a bundle is not newer than one that was good before:
// somebody shows an old one again.
type OrderError struct{ Number, Newest uint64 }

// Error names both.
func (e *OrderError) Error() string {
	if e.Number == e.Newest {
		return fmt.Sprintf("the bundle is refused: number %d was another bundle before", e.Number)
	}
	return fmt.Sprintf("the bundle is refused: it has number %d, and number %d was in force before; to go back, publish the old policies under a new number", e.Number, e.Newest)
}

// A Keeper fetches bundles and keeps the last good one. It is safe for
// concurrent use; one process writes a folder at a time.
type Keeper struct {
	cfg    Config
	client *http.Client

	mu   sync.Mutex
	etag string   // of what was fetched last
	seen [32]byte // the same, by content
}

// New returns a keeper. It reads the key and the certificates and fetches nothing.
func New(c Config) (*Keeper, error) {
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if err := c.Key.Validate(); err != nil {
		return nil, fmt.Errorf("reading the key of policy bundles: %w", err)
	}
	k := &Keeper{cfg: c}
	if c.URL != "" {
		var err error
		if k.client, err = newClient(c.CAFile); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Fetch returns the bundle that is published now, if it is newer than the last
// one kept, or is that one. Errors: ErrUnchanged where it is the same as at the
// Fetch before; *rego.BundleError and *OrderError for one that must not be used;
// others where it could not be had.
func (k *Keeper) Fetch(ctx context.Context) (rego.Bundle, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := k.read(ctx)
	if err != nil {
		return rego.Bundle{}, nil, err
	}
	sum := sha256.Sum256(data)
	if sum == k.seen {
		return rego.Bundle{}, nil, ErrUnchanged
	}
	b, err := rego.OpenBundle(data, k.cfg.Key)
	if err == nil {
		err = k.inOrder(b.Number, sum)
	}
	k.seen = sum // a bad one is said once, and is bad for as long as it is there
	if err != nil {
		return rego.Bundle{}, nil, err
	}
	return b, data, nil
}

// Forget makes the next Fetch look at what is published even if it was looked
// at before.
func (k *Keeper) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.etag, k.seen = "", [32]byte{}
}

// read returns the bytes of what is published.
func (k *Keeper) read(ctx context.Context) ([]byte, error) {
	if k.cfg.File != "" {
		return readFile(k.cfg.File)
	}
	return k.get(ctx)
}

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading the policy bundle: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the policy bundle: %s is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the policy bundle: %w", err)
	}
	defer f.Close()
	data, err := limited(f)
	if err != nil {
		return nil, fmt.Errorf("reading the policy bundle %s: %w", name, err)
	}
	return data, nil
}

// limited reads all of r, or fails where that is too much.
func limited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, rego.MaxBundle+1))
	if err == nil && len(data) > rego.MaxBundle {
		err = fmt.Errorf("it is larger than %d bytes", rego.MaxBundle)
	}
	return data, err
}

// newest is what is remembered of the last good bundle beside the bundle: its
// number outlives a change of the key, under which the bundle itself is good.
type newest struct {
	Number uint64 `json:"number"`
	SHA256 string `json:"sha256"`
}

func (k *Keeper) bundlePath() string { return filepath.Join(k.cfg.Dir, "bundle.tar.gz") }
func (k *Keeper) newestPath() string { return filepath.Join(k.cfg.Dir, "newest.json") }

func (k *Keeper) newest() (newest, error) {
	var n newest
	text, err := os.ReadFile(k.newestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return n, fmt.Errorf("reading which policy bundle was the newest: %w", err)
	}
	return n, nil
}

// inOrder refuses a bundle that is older than the newest, or has its number
// and not its content.
func (k *Keeper) inOrder(number uint64, sum [32]byte) error {
	n, err := k.newest()
	if err != nil {
		return err
	}
	if number < n.Number || number == n.Number && hex.EncodeToString(sum[:]) != n.SHA256 {
		return &OrderError{number, n.Number}
	}
	return nil
}

// Keep makes a bundle that [Keeper.Fetch] returned the last good one, durably.
// Nothing older is good from then on, also after a restart.
func (k *Keeper) Keep(b rego.Bundle, data []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	sum := sha256.Sum256(data)
	if err := k.inOrder(b.Number, sum); err != nil {
		return err
	}
	if err := durable.Mkdir(k.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("keeping the policy bundle: %w", err)
	}
	if old, err := os.ReadFile(k.bundlePath()); err == nil && bytes.Equal(old, data) {
		if n, err := k.newest(); err == nil && n.Number == b.Number {
			return nil
		}
	}
	text, err := json.Marshal(newest{b.Number, hex.EncodeToString(sum[:])})
	if err != nil {
		return fmt.Errorf("keeping the policy bundle: %w", err)
	}
	// The bundle first: cut off in between, the next start finds a bundle that
	// is newer than what is remembered, and it is good.
	if err := durable.WriteFile(k.bundlePath(), data, 0o600); err != nil {
		return fmt.Errorf("keeping the policy bundle: %w", err)
	}
	if err := durable.WriteFile(k.newestPath(), text, 0o600); err != nil {
		return fmt.Errorf("keeping the policy bundle: %w", err)
	}
	return nil
}

// Last returns the last good bundle, checked anew, or ErrNone.
func (k *Keeper) Last() (rego.Bundle, error) {
	data, err := readFile(k.bundlePath())
	if errors.Is(err, fs.ErrNotExist) {
		return rego.Bundle{}, ErrNone
	}
	if err != nil {
		return rego.Bundle{}, err
	}
	b, err := rego.OpenBundle(data, k.cfg.Key)
	if err == nil {
		err = k.inOrder(b.Number, sha256.Sum256(data))
	}
	if err != nil {
		return rego.Bundle{}, fmt.Errorf("reading the last good bundle, kept in %s: %w", k.cfg.Dir, err)
	}
	return b, nil
}
