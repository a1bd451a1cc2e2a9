package console

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/internal/witness"
)

// entryProof shows that an entry is in the log that the newest checkpoint
// signs, step by step. Its template is "proof".
type entryProof struct {
	Missing   ui.Text // why there is no proof yet; empty: there is one
	Fault     ui.Text // what does not fit
	Walk      accesslog.Walk
	Index     uint64
	Point     accesslog.SignedPoint
	Key       string
	Text      string // the entry as it is hashed
	Payload   string // the same in base64, for the script that computes it again
	Signed    string // base64 of the text that is signed
	Signature string // the log's own line
	// Witnessed says that the log has witnesses, and Cosigners which of them
	// vouch for the checkpoint. Without any, it is the log's newest one.
	Witnessed bool
	Cosigners []cosignerRow
}

// cosignerRow is a witness's cosignature, which was checked.
type cosignerRow struct {
	Name string
	Key  ui.Hash
	At   time.Time // as it says
}

var errCosignature = errors.New("checking the cosignatures")

// prove proves an entry under the newest checkpoint that witnesses have
// cosigned, and notes who they are; under the log's newest one where none of
// those covers it.
func (c *Console) prove(ctx context.Context, index uint64, p *entryProof) (*accesslog.Proof, error) {
	if c.Witnesses == nil {
		return accesslog.Prove(ctx, c.LogFolder, index)
	}
	cosigned := c.Witnesses.Cosigned()
	if n, err := accesslog.CheckpointSize(cosigned); err != nil || index >= n {
		return accesslog.Prove(ctx, c.LogFolder, index)
	}
	var keys []string
	peers := c.Witnesses.Status().Peers
	for i := range peers {
		keys = append(keys, peers[i].Key)
	}
	found, err := witness.Cosigners(cosigned, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCosignature, err)
	}
	for _, f := range found {
		i := slices.Index(keys, f.Key)
		p.Cosigners = append(p.Cosigners, cosignerRow{Name: peers[i].Name, Key: ui.Hash{Value: f.Key, Short: witnessKeyShown}, At: f.At})
	}
	return accesslog.ProveUnder(ctx, c.LogFolder, cosigned, index)
}

// proofOf proves an entry in front of whoever looks. What does not fit is shown
// and not hidden behind an error page: it is what a reviewer is here to see.
func (c *Console) proofOf(ctx context.Context, e *accesslog.Entry) *entryProof {
	if c.LogFolder == "" {
		return nil
	}
	p := &entryProof{Index: e.Index, Witnessed: c.Witnesses != nil}
	proof, err := c.prove(ctx, e.Index, p)
	switch {
	case errors.Is(err, errCosignature):
		c.Logger.ErrorContext(ctx, "proving an entry", "index", e.Index, "err", err)
		p.Fault = "The proof does not hold: a cosignature under the checkpoint is not the witness’s."
		return p
	case errors.Is(err, accesslog.ErrNotFound):
		p.Missing = "No checkpoint covers this entry yet. One is signed every second while entries arrive: load the page again."
		return p
	case err != nil:
		c.Logger.ErrorContext(ctx, "proving an entry", "index", e.Index, "err", err)
		p.Fault = "The proof does not hold: the log's files are damaged or were changed. Have the log verified, and keep a copy of it. The operational log says more."
		return p
	}
	if proof.Payload != string(e.Payload) {
		p.Fault = "The entry that is shown here is not the one that the proof is of."
		return p
	}
	if p.Point, err = proof.Point(); err == nil {
		p.Walk, err = proof.Walk(p.Point.Size)
	}
	if err == nil {
		p.Key, err = accesslog.KeyOf(c.LogFolder, p.Point)
	}
	if err == nil && p.Walk.Root != p.Point.Root {
		err = errors.New("the steps lead to another root")
	}
	if err != nil {
		c.Logger.ErrorContext(ctx, "proving an entry", "index", e.Index, "err", err)
		p.Fault = "The proof does not hold: what is computed does not lead to what the checkpoint signs."
		return p
	}
	p.Text = proof.Payload
	p.Payload = base64.StdEncoding.EncodeToString([]byte(proof.Payload))
	p.Signed = base64.StdEncoding.EncodeToString([]byte(p.Point.Text))
	p.Signature = p.Point.Signatures[0]
	for _, s := range p.Point.Signatures {
		if name, _, ok := strings.Cut(strings.TrimPrefix(s, "— "), " "); ok && name == p.Point.Origin {
			p.Signature = s
		}
	}
	return p
}
