package witness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Peer is a witness that a [Collector] asks, ours or anybody's.
type Peer struct {
	// Name is what people call it here.
	Name string
	// URL is where its add-checkpoint is, without that last part.
	URL string
	// Key is its public key, for cosignatures in Ed25519 or ML-DSA-44.
	Key string
	// CAs are trusted for the connection. Default: the system's.
	CAs *x509.CertPool
}

// A Source is the log that a [Collector] has witnessed.
type Source struct {
	// Key is the log's public key, or several as they lie beside it: one a line,
	// behind it from which and up to which number of entries it signs.
	Key string
	// Checkpoint returns the newest signed checkpoint.
	Checkpoint func() []byte
	// Older returns the root of the first size entries of a checkpoint's log,
	// and the proof that the checkpoint continues it.
	Older func(ctx context.Context, checkpoint []byte, size uint64) (proof []tlog.Hash, root tlog.Hash, err error)
}

// A ConflictError says that a witness remembers another log than the one that
// is here: the log was rolled back, forked or replaced, or the witness lies.
type ConflictError struct {
	Witness string
	Have    uint64 // entries of the log here
	Seen    uint64 // entries of the log that the witness has seen
	// Proof is the checkpoint that the witness shows, signed by a key of the
	// log that speaks for its size, with no other signatures; nil when it shows
	// none, and there is only its word.
	Proof []byte
}

// Error returns a sentence that names the witness and both sizes.
func (e *ConflictError) Error() string {
	said := "says without proof"
	if e.Proof != nil {
		said = "has a checkpoint, signed by this log's key, which shows"
	}
	if e.Seen > e.Have {
		return fmt.Sprintf("witness %s %s that the log had %d entries, and here it has %d", e.Witness, said, e.Seen, e.Have)
	}
	return fmt.Sprintf("witness %s %s that the log had other entries among its first %d", e.Witness, said, e.Seen)
}

const (
	maxAnswer = 64 << 10
	// maxSkew is how far a witness's clock may be from ours. An older
	// signature could be one that is replayed to hide that it is silent.
	maxSkew = 5 * time.Minute
)

type peer struct {
	name     string
	base     string
	verifier note.Verifier
	log      *logKeys
	http     *http.Client
	seen     uint64 // entries that it has cosigned, as far as is known
}

func newPeer(p Peer, log *logKeys) (*peer, error) {
	v, err := newVerifier(p.Key)
	if err != nil {
		return nil, fmt.Errorf("witness %s: reading its key: %w", p.Name, err)
	}
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("witness %s: its URL is none", p.Name)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes, t.MaxIdleConns = 16<<10, 1
	t.TLSClientConfig = &tls.Config{RootCAs: p.CAs, MinVersion: tls.VersionTLS12}
	return &peer{name: p.Name, base: strings.TrimSuffix(p.URL, "/"), verifier: v, log: log, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// submit has the source's newest checkpoint, msg, cosigned. The error is a
// [ConflictError] when the witness remembers another log.
func (p *peer) submit(ctx context.Context, src *Source, msg []byte, now time.Time) (cosignature, error) {
	at, _, err := openCheckpoint(msg, p.log.all())
	if err != nil {
		return cosignature{}, fmt.Errorf("reading our own checkpoint: %w", err)
	}
	old := p.seen
	if old > at.Size {
		old = 0 // it will tell
	}
	// The second try is with the size that it told. It may have changed once
	// more by then if a request that timed out was still under way.
	for range 3 {
		req := &request{old: old, note: msg}
		if old > 0 && old < at.Size {
			if req.proof, _, err = src.Older(ctx, msg, old); err != nil {
				return cosignature{}, fmt.Errorf("proving the log to witness %s: %w", p.name, err)
			}
		}
		status, kind, body, err := p.do(ctx, http.MethodPost, "/add-checkpoint", req.encode())
		if err != nil {
			return cosignature{}, err
		}
		switch {
		case status == http.StatusOK:
			c, err := p.accept(msg, body, now)
			if err == nil {
				p.seen = at.Size
			}
			return c, err
		case status == http.StatusConflict && strings.HasPrefix(kind, "text/x.tlog.size"):
			n, err := parseSize(strings.TrimSuffix(string(body), "\n"))
			if err != nil {
				return cosignature{}, fmt.Errorf("witness %s: the size that it told is none", p.name)
			}
			if n > at.Size {
				return cosignature{}, p.dispute(ctx, src, msg, at, n)
			}
			if n == old {
				return cosignature{}, fmt.Errorf("witness %s: it refuses the size that it told", p.name)
			}
			old = n
		case status == http.StatusUnprocessableEntity, status == http.StatusConflict:
			// Older witnesses answer 409 where the newer protocol has 422.
			return cosignature{}, p.dispute(ctx, src, msg, at, old)
		default:
			return cosignature{}, fmt.Errorf("witness %s: it answers %d", p.name, status)
		}
	}
	return cosignature{}, fmt.Errorf("witness %s: it tells another size each time", p.name)
}

// accept takes the witness's own cosignature out of an answer.
func (p *peer) accept(msg, body []byte, now time.Time) (cosignature, error) {
	// Only the text: whose signatures stand below it already is no concern here.
	text, _, _ := bytes.Cut(msg, []byte("\n\n"))
	found, err := cosignatures(append(append(bytes.Clone(text), "\n\n"...), body...), []note.Verifier{p.verifier})
	if err != nil {
		return cosignature{}, fmt.Errorf("witness %s: its answer is no cosignature of this checkpoint under its key", p.name)
	}
	c := found[p.verifier.Name()]
	if d := now.Sub(c.at); d > maxSkew || d < -maxSkew {
		return cosignature{}, fmt.Errorf("witness %s: it signs with the time %s, which is not now", p.name, c.at.UTC().Format(time.RFC3339))
	}
	return c, nil
}

// dispute finds out what a refusal is worth: the witness shows a checkpoint
// that the log's own key has signed and that this log does not continue; or
// it shows one that this log does continue, and so is at fault; or there is
// only its word.
func (p *peer) dispute(ctx context.Context, src *Source, msg []byte, at Point, seen uint64) error {
	conflict := &ConflictError{Witness: p.name, Have: at.Size, Seen: seen}
	status, _, held, err := p.do(ctx, http.MethodGet, "/"+originHash(at.Origin)+"/checkpoint", nil)
	if err != nil || status != http.StatusOK {
		return conflict
	}
	theirs, n, err := openCheckpoint(held, p.log.all())
	if err != nil {
		return conflict
	}
	// Whatever else the witness sends along is no proof, and would only fill
	// the entry that tells of it.
	if held, err = signedOnly(n); err != nil {
		return errors.Join(conflict, err)
	}
	if theirs.Size > at.Size {
		conflict.Seen, conflict.Proof = theirs.Size, held
		return conflict
	}
	_, root, err := src.Older(ctx, msg, theirs.Size)
	if err != nil {
		return errors.Join(conflict, err)
	}
	if root != theirs.Root {
		conflict.Seen, conflict.Proof = theirs.Size, held
		return conflict
	}
	if seen > at.Size {
		return conflict // it shows an older one than it speaks of
	}
	return fmt.Errorf("witness %s: it refuses a checkpoint that continues the one it shows", p.name)
}

func (p *peer) do(ctx context.Context, method, path string, body []byte) (status int, kind string, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, p.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", nil, fmt.Errorf("witness %s: %w", p.name, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, "", nil, fmt.Errorf("witness %s: %w", p.name, err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, "", nil, fmt.Errorf("witness %s: %w", p.name, err)
	}
	if len(answer) > maxAnswer {
		return 0, "", nil, fmt.Errorf("witness %s: its answer is too long", p.name)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), answer, nil
}
