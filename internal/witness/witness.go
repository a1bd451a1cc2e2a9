package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	cosign "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ringfence/ringfence/internal/durable"
)

// A Witness cosigns checkpoints of the logs that its folder trusts. Its
// methods are safe for concurrent use.
type Witness struct {
	dir    string
	lock   *os.File
	signer *cosign.Signer
	logger *slog.Logger

	mu   sync.Mutex // guards the map, never held over a write
	logs map[string]*remembered
}

// Open opens the witness that [Init] made, as the one process that serves it.
// A checkpoint in it that cannot be read is an error: see [Forget].
func Open(dir string, logger *slog.Logger) (w *Witness, err error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	key, err := os.ReadFile(filepath.Join(dir, "witness.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the witness's key: %w", err)
	}
	signer, err := cosign.NewSignerForCosignatureV1(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, errors.New("reading the witness's key: it is none") // the cause could quote it
	}
	w = &Witness{dir: dir, lock: lock, signer: signer, logger: logger, logs: map[string]*remembered{}}
	homes, err := os.ReadDir(filepath.Join(dir, "logs"))
	if err != nil {
		return nil, fmt.Errorf("reading the witness's folder: %w", err)
	}
	for _, h := range homes {
		keys, err := readKeyFile(filepath.Join(dir, "logs", h.Name()), "")
		if err != nil {
			return nil, fmt.Errorf("reading the witness's folder: %w", err)
		}
		if len(keys) == 0 {
			continue
		}
		if _, err := w.find(keys[0].Name()); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Close lets go of the folder.
func (w *Witness) Close() error { return w.lock.Close() }

// find returns what is remembered of origin, nil for a log that is not
// trusted. It looks on disk for one that was trusted after the start.
func (w *Witness) find(origin string) (*remembered, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.logs[origin]; r != nil {
		return r, nil
	}
	r := &remembered{home: filepath.Join(w.dir, "logs", originHash(origin))}
	if _, err := os.Stat(filepath.Join(r.home, "keys")); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.load(origin, w.signer.Verifier()); err != nil {
		return nil, err
	}
	w.logs[origin] = r
	return r, nil
}

// A refusal is an answer to a request that was not granted.
type refusal struct {
	status int
	size   uint64 // what a 409 tells
	why    string
}

func (r *refusal) Error() string { return r.why }

// add answers one request: with lines of signatures, a *refusal, or an error
// of the witness's own.
func (w *Witness) add(body []byte) ([]byte, error) {
	req, err := parseRequest(body)
	if err != nil {
		return nil, &refusal{status: http.StatusBadRequest, why: err.Error()}
	}
	r, err := w.find(originOf(req.note))
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, &refusal{status: http.StatusNotFound, why: "This witness does not know the log."}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, n, err := r.open(req.note)
	if err != nil {
		return nil, err
	}
	if req.old > p.Size {
		return nil, &refusal{status: http.StatusBadRequest, why: "The old size is more than the checkpoint's."}
	}
	if err := r.judge(req, p); err != nil {
		w.keep(r, body, p, n.Text)
		return nil, err
	}
	return w.cosign(r, p, n)
}

// open checks the log's signature under the keys on disk, where one may have
// been added or ended since.
func (r *remembered) open(msg []byte) (Point, *note.Note, error) {
	if err := r.readKeys(r.last.Origin); err != nil {
		return Point{}, nil, err
	}
	p, n, err := openCheckpoint(msg, r.keys)
	if err == nil {
		return p, n, nil
	}
	_, unsigned := errors.AsType[*note.UnverifiedNoteError](err)
	_, forged := errors.AsType[*note.InvalidSignatureError](err)
	if unsigned || forged || errors.Is(err, errOutOfRange) {
		return p, nil, &refusal{status: http.StatusForbidden, why: "The checkpoint is not signed by a key of the log that this witness knows for that size."}
	}
	return p, nil, &refusal{status: http.StatusBadRequest, why: "The checkpoint is malformed."}
}

// judge decides whether a signed checkpoint continues the one held.
func (r *remembered) judge(req *request, p Point) error {
	unproven := func(why string) error { return &refusal{status: http.StatusUnprocessableEntity, why: why} }
	switch {
	case req.old != r.last.Size:
		return &refusal{status: http.StatusConflict, size: r.last.Size, why: "The old size is not that of the checkpoint held here."}
	case p.Size == 0 && p.Root != emptyRoot:
		return unproven("The root of no entries is not that of the empty tree.")
	case p.Size == req.old && p.Root != r.last.Root:
		return unproven("The checkpoint held here has as many entries and another root.")
	case (req.old == 0 || p.Size == req.old) && len(req.proof) > 0:
		return unproven("There is nothing to prove, and yet a proof.")
	case req.old == 0 || p.Size == req.old:
		return nil
	}
	if tlog.CheckTree(req.proof, int64(p.Size), p.Root, int64(req.old), r.last.Root) != nil {
		return unproven("The proof does not show that the checkpoint continues the one held here.")
	}
	return nil
}

// keep writes down what speaks against the log, if anything does.
func (w *Witness) keep(r *remembered, body []byte, p Point, text string) {
	e := Evidence{Kind: EvidenceUnproven, Time: time.Now().UTC(), Held: string(r.held), Request: string(body)}
	switch {
	case p.Size == r.last.Size && p.Root != r.last.Root || p.Size == 0 && p.Root != emptyRoot:
		e.Kind = EvidenceFork
	case p.Size < r.last.Size:
		e.Kind = EvidenceBehind
	case p.Size == r.last.Size:
		return // the same one again
	}
	if e.Kind == EvidenceUnproven {
		if req, err := parseRequest(body); err == nil && req.old != r.last.Size {
			return // whoever asked did not know the size yet
		}
	}
	if err := r.keep(e, text); err != nil {
		w.logger.Error("keeping evidence", "log", p.Origin, "err", err)
	}
	w.logger.Error("refused a checkpoint that the log had signed", "log", p.Origin, "kind", e.Kind, "held", r.last.Size, "sent", p.Size)
}

// cosign remembers the checkpoint and then signs it away. It is called with r.mu held.
func (w *Witness) cosign(r *remembered, p Point, n *note.Note) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		return nil, fmt.Errorf("cosigning: %w", err)
	}
	lines := signed[len(n.Text)+1:]
	logs, err := signedOnly(n)
	if err != nil {
		return nil, fmt.Errorf("cosigning: %w", err)
	}
	held := slices.Concat(logs, lines)
	if err := durable.WriteFile(filepath.Join(r.home, "checkpoint"), held, 0o600); err != nil {
		return nil, fmt.Errorf("remembering a checkpoint: %w", err)
	}
	r.last, r.held = p, held
	return lines, nil
}

// Latest returns the newest checkpoint of a log with its signature and the
// witness's, by the hash of its origin; nil when none was cosigned.
func (w *Witness) Latest(hash string) []byte {
	r := w.byHash(hash)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func (w *Witness) byHash(hash string) *remembered {
	w.mu.Lock()
	defer w.mu.Unlock()
	for origin, r := range w.logs {
		if originHash(origin) == hash {
			return r
		}
	}
	return nil
}
