package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/witness"
)

// proving is what 'log prove' is told.
type proving struct {
	logPlace
	under       string   // file with the checkpoint to prove under
	witnessKeys []string // files with keys that must have cosigned it
}

// A cosignedProof is a proof as the command prints it.
type cosignedProof struct {
	*accesslog.Proof
	Cosigners []proofCosigner `json:"cosigners,omitempty"`
}

type proofCosigner struct {
	Key  string    `json:"key"`
	Time time.Time `json:"time"` // when it signed, as it says
}

func newLogProve() *cobra.Command {
	var p proving
	cmd := &cobra.Command{
		Use: "prove INDEX", Short: "Print one entry with the proof that the checkpoint covers it", Args: exactly("an INDEX"),
		Long: "Prove prints an entry, its audit path and the signed checkpoint that this leads to. Where\n" +
			"the configuration names witnesses it is the newest checkpoint that they have cosigned,\n" +
			"with their signatures, each checked, or the log's newest one while no cosigned one covers\n" +
			"the entry. With --witness-key that is an error, as is a checkpoint without a cosignature\n" +
			"under each of the keys. --under names another checkpoint of the log, such as a witness's:\n" +
			"an entry of a copy is proven under a cosigned one so.",
		Example: "  ringfence log prove 4711 --config /etc/ringfence/config.yaml\n  ringfence log prove 4711 --log /mnt/copy/log --under checkpoint-of-the-witness --witness-key witness.pub",
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usagef("INDEX %s: write the entry's number", args[0])
			}
			proof, err := p.prove(cmd, index)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(proof)
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&p.under, "under", "", "`file` with the checkpoint to prove under")
	cmd.Flags().StringArrayVar(&p.witnessKeys, "witness-key", nil, "`file` with the public key of a witness that must have cosigned; again for more")
	return cmd
}

func (p *proving) prove(cmd *cobra.Command, index uint64) (*cosignedProof, error) {
	dir, vkey, err := p.find()
	if err != nil {
		return nil, err
	}
	keys, err := p.cosigners()
	if err != nil {
		return nil, err
	}
	msg, err := p.checkpoint()
	if err != nil {
		return nil, err
	}
	proof, err := proveUnder(cmd.Context(), dir, msg, index, p.under == "" && len(p.witnessKeys) == 0)
	if err != nil {
		return nil, err
	}
	if p.key != "" {
		if err := proof.Check(vkey); err != nil {
			return nil, fmt.Errorf("under the key in %s: %w", p.key, err)
		}
	}
	return cosigned(cmd, proof, keys, len(p.witnessKeys) > 0)
}

// cosigners returns the public keys of the witnesses that are given, or those
// that the configuration names.
func (p *proving) cosigners() ([]string, error) {
	files, err := readFiles(p.witnessKeys, "the public key of a witness")
	if err != nil {
		return nil, err
	}
	var out []string
	for i, b := range files {
		keys := strings.Fields(string(b))
		if len(keys) == 0 {
			return nil, fmt.Errorf("reading the public key of a witness: %s is empty", p.witnessKeys[i])
		}
		out = append(out, keys...)
	}
	if len(out) > 0 || p.dir != "" {
		return out, nil
	}
	cfg, err := p.load()
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.AccessLog.Witnesses {
		out = append(out, strings.TrimSpace(w.Key))
	}
	return out, nil
}

// checkpoint reads the checkpoint to prove under; nil: the log's newest one.
func (p *proving) checkpoint() ([]byte, error) {
	if p.under != "" {
		b, err := os.ReadFile(p.under)
		if err != nil {
			return nil, fmt.Errorf("reading the checkpoint to prove under: %w", err)
		}
		return b, nil
	}
	if p.dir != "" {
		return nil, nil
	}
	cfg, err := p.load()
	if err != nil || len(cfg.AccessLog.Witnesses) == 0 {
		return nil, err
	}
	b, err := os.ReadFile(paths{cfg.Data}.witnessed())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	return b, nil
}

// proveUnder proves an entry under a checkpoint. Where that does not cover it
// the log's newest one takes its place, if it may.
func proveUnder(ctx context.Context, dir string, msg []byte, index uint64, orNewest bool) (*accesslog.Proof, error) {
	if msg == nil {
		return accesslog.Prove(ctx, dir, index)
	}
	n, err := accesslog.CheckpointSize(msg)
	if err != nil {
		return nil, err
	}
	if index < n || !orNewest {
		return accesslog.ProveUnder(ctx, dir, msg, index)
	}
	return accesslog.Prove(ctx, dir, index)
}

// cosigned checks the cosignatures on a proof's checkpoint under keys, and says
// whose they are. If all must have signed, one that has not is an error.
func cosigned(cmd *cobra.Command, proof *accesslog.Proof, keys []string, all bool) (*cosignedProof, error) {
	found, err := witness.Cosigners([]byte(proof.Checkpoint), keys)
	if err != nil {
		return nil, fmt.Errorf("proving entry %d: %w", proof.Index, err)
	}
	if all && len(found) < len(keys) {
		return nil, &hintError{fmt.Errorf("proving entry %d: of the %d witnesses whose keys were given %d have cosigned the checkpoint", proof.Index, len(keys), len(found)),
			"Prove it under one that they have cosigned, with --under FILE."}
	}
	out := &cosignedProof{Proof: proof}
	for _, c := range found {
		out.Cosigners = append(out.Cosigners, proofCosigner{c.Key, c.At.UTC()})
		fmt.Fprintf(cmd.ErrOrStderr(), "Cosigned on %s by %s\n", stamp(c.At), plain(c.Key))
	}
	if len(keys) > 0 && len(found) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No cosigned checkpoint covers the entry yet: this proof is under the word of the log's key alone.")
	}
	return out, nil
}
