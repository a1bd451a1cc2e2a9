package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/ringfence/ringfence/internal/durable"
)

// Init makes the folder of a new witness and returns its public key. A folder
// that holds a key already is refused.
func Init(dir, name string) (vkey string, err error) {
	skey, vkey, err := GenerateKey(name)
	if err != nil {
		return "", err
	}
	if err := durable.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "witness.key")); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("making a witness: %s holds one already", dir)
	}
	if err := durable.WriteFile(filepath.Join(dir, "witness.pub"), []byte(vkey+"\n"), 0o644); err != nil {
		return "", err
	}
	return vkey, durable.WriteFile(filepath.Join(dir, "witness.key"), []byte(skey+"\n"), 0o600)
}

// Trust makes the witness in dir cosign checkpoints that a public key signs,
// also while it serves: a line as it lies beside the log, the key and where it
// is bounded from which and up to which number of entries it signs. A log may
// have several keys. A bound that is told later is taken over; none is ever
// lifted. It returns the log's name.
func Trust(dir, line string) (origin string, err error) {
	given, err := readLogKey(line)
	if err != nil {
		return "", fmt.Errorf("trusting a log: %w", err)
	}
	home := filepath.Join(dir, "logs", originHash(given.Name()))
	if err := durable.Mkdir(home, 0o700); err != nil {
		return "", err
	}
	keys, err := readKeyFile(home, given.Name())
	if err != nil {
		return "", err
	}
	var lines []string
	for i := range keys {
		lines = append(lines, keys[i].String())
	}
	at := slices.IndexFunc(keys, func(k logKey) bool { return k.vkey == given.vkey })
	if at < 0 {
		lines = append(lines, given.String())
	} else {
		if err := keys[at].narrow(given); err != nil {
			return "", fmt.Errorf("trusting %s: its key %s: %w", given.Name(), given.vkey, err)
		}
		if lines[at] == keys[at].String() {
			return given.Name(), nil
		}
		lines[at] = keys[at].String()
	}
	return given.Name(), durable.WriteFile(filepath.Join(home, "keys"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// Forget lets the log origin begin anew before the witness in dir: the
// checkpoint that it held, which shows what the former log was, is set aside
// with the reason. The witness must not be serving.
func Forget(dir, origin, reason string, now time.Time) error {
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	home := filepath.Join(dir, "logs", originHash(origin))
	name := filepath.Join(home, "checkpoint")
	held, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting %s: the witness remembers no checkpoint of it", origin)
	}
	if err != nil {
		return fmt.Errorf("forgetting %s: %w", origin, err)
	}
	b, err := json.MarshalIndent(map[string]string{"reason": reason, "checkpoint": string(held), "time": now.UTC().Format(time.RFC3339)}, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(home, "forgotten-"+now.UTC().Format("20060102T150405.000000000")), append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("forgetting %s: %w", origin, err)
	}
	return durable.SyncDir(home)
}

// readKeyFile reads the public keys of a log that is trusted; none where it is not.
func readKeyFile(home, origin string) ([]logKey, error) {
	b, err := os.ReadFile(filepath.Join(home, "keys"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys of a log: %w", err)
	}
	keys, err := readLogKeys(string(b))
	if err == nil && origin != "" && keys[0].Name() != origin {
		err = fmt.Errorf("they are those of %s", keys[0].Name())
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys in %s: %w", home, err)
	}
	return keys, nil
}

// A remembered log is what the witness knows of one log.
type remembered struct {
	home string

	mu   sync.Mutex // held over each look and change, and over the write between them
	keys []logKey
	last Point
	held []byte // the newest checkpoint with both signatures; nil when there was none
}

// readKeys takes over the keys on disk. It is called with mu held.
func (r *remembered) readKeys(origin string) (err error) {
	r.keys, err = readKeyFile(r.home, origin)
	return err
}

// load reads what was remembered of origin. What cannot be read is an error
// and never nothing: a witness that forgets would cosign a fork.
func (r *remembered) load(origin string, own note.Verifier) error {
	if err := r.readKeys(origin); err != nil {
		return err
	}
	held, err := os.ReadFile(filepath.Join(r.home, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		r.last = Point{Origin: origin, Root: emptyRoot}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the checkpoint of %s: %w", origin, err)
	}
	// It was judged when it came: a bound that was told since must not make a
	// witness that cosigned it unable to start.
	p, _, err := openSigned(held, r.keys)
	if err == nil {
		_, err = note.Open(held, note.VerifierList(own))
	}
	if err != nil {
		return fmt.Errorf("reading the checkpoint of %s: it is damaged, or not one that this witness cosigned: %w", origin, err)
	}
	r.last, r.held = p, held
	return nil
}

// Kinds of evidence.
const (
	// EvidenceFork: the log signed two roots for one size.
	EvidenceFork = "fork"
	// EvidenceUnproven: the log signed a checkpoint that came without proof
	// that it continues the one held. Somebody else may have sent it so.
	EvidenceUnproven = "unproven"
	// EvidenceBehind: the log signed a checkpoint of fewer entries than the
	// one held. It may only have come late.
	EvidenceBehind = "behind"
)

// maxEvidence bounds what is kept of each kind, for one log: whoever has
// checkpoints of it could fill the disk otherwise.
const maxEvidence = 100

// Evidence is a request that was refused although the log had signed it.
type Evidence struct {
	Kind    string    `json:"kind"`
	Time    time.Time `json:"time"`
	Held    string    `json:"held"`    // the checkpoint that the witness had cosigned
	Request string    `json:"request"` // as it came, with the checkpoint that the log signed
}

// keep writes evidence once for each checkpoint.
func (r *remembered) keep(e Evidence, text string) error {
	dir := filepath.Join(r.home, "evidence")
	if err := durable.Mkdir(dir, 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	name := filepath.Join(dir, e.Kind+"-"+hex.EncodeToString(sum[:12])+".json")
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	have, err := filepath.Glob(filepath.Join(dir, e.Kind+"-*.json"))
	if err != nil || len(have) >= maxEvidence {
		return err
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(name, append(b, '\n'), 0o600)
}
