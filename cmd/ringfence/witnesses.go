package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/witness"
)

// witnessedHint follows every refusal of a log that witnesses remember otherwise.
const witnessedHint = "Put the log back from where it is kept, whole. If it is lost for good, 'ringfence log abandon --reason WHY' gives it up here, and each\n" +
	"witness's operator lets another begin with 'ringfence witness forget'. If a witness is wrong, and says so without proof, take it out of access_log.witnesses."

// witnesses reads what the configuration says of witnesses.
func witnesses(cfg *config.Config) ([]witness.Peer, error) {
	var out []witness.Peer
	for _, w := range cfg.AccessLog.Witnesses {
		p := witness.Peer{Name: w.Name, URL: w.URL, Key: w.Key}
		if err := witness.CheckKey(w.Key); err != nil {
			return nil, fmt.Errorf("reading the key of witness %s: %w", w.Name, err)
		}
		if w.CAFile != "" {
			pem, err := os.ReadFile(w.CAFile)
			if err != nil {
				return nil, fmt.Errorf("reading the authorities of witness %s: %w", w.Name, err)
			}
			if p.CAs = x509.NewCertPool(); !p.CAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("reading the authorities of witness %s: %s holds no certificate", w.Name, w.CAFile)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// buildWitness compares the log with what the witnesses remember before
// anything is served.
func (g *gateway) buildWitness(ctx context.Context) error {
	cfg := g.cfg.Load()
	peers, err := witnesses(cfg)
	if err != nil || len(peers) == 0 {
		return err
	}
	p := paths{cfg.Data}
	c, err := witness.New(witness.Config{
		Source: witness.Source{Key: g.log.Keys(), Checkpoint: g.log.Checkpoint, Older: accesslog.Older(p.log(), "")},
		Peers:  peers, Require: cfg.AccessLog.Require, MaxGap: cfg.AccessLog.MaxGap, File: p.witnessed(), Logger: g.logger,
		Every: witnessEvery(cfg.AccessLog.MaxGap), Timeout: witnessEvery(cfg.AccessLog.MaxGap) / 2,
		Tell: tellWitness(g.log, func(err error) { g.logger.Error("recording what witnesses say", "err", err) }),
	})
	if err != nil {
		return err
	}
	if err := c.Compare(ctx); err != nil {
		if _, conflict := errors.AsType[*witness.ConflictError](err); conflict {
			err = &hintError{fmt.Errorf("opening the access log: %w", err), witnessedHint}
		}
		return err
	}
	g.witness = c
	return nil
}

// witnessEvery is how often checkpoints are taken to the witnesses: often enough
// that a round or two may fail before the gap is too large.
func witnessEvery(maxGap time.Duration) time.Duration {
	const usual = 10 * time.Second
	if maxGap == 0 {
		return usual
	}
	return min(usual, maxGap/4)
}

// witnesses is what pages show of the witnesses, nil where there are none.
func (g *gateway) witnesses() console.Witnesses {
	if g.witness == nil {
		return nil
	}
	return g.witness
}

// lastRound is how long stopping waits for the witnesses.
const lastRound = 2 * time.Second

// witnessLast takes the log's last words to the witnesses.
func (g *gateway) witnessLast() {
	ctx, cancel := context.WithTimeout(context.Background(), lastRound)
	defer cancel()
	g.witness.Round(ctx)
}

// witnessStatus is what readiness tells of the witnesses.
func witnessStatus(s witness.Status) map[string]any {
	out := map[string]any{"gap_seconds": int(s.Gap.Seconds()), "entries": s.Witnessed}
	failing := map[string]string{}
	for _, p := range s.Peers {
		if p.Err != nil {
			failing[p.Name] = p.Err.Error()
		}
	}
	if len(failing) > 0 {
		out["failing"] = failing
	}
	if s.Stopped != nil {
		out["stopped"] = s.Stopped.Error()
	}
	return out
}

// observeWitnesses adds what is read off the collector at each scrape.
func (m *metrics) observeWitnesses(g *gateway) {
	if g.witness == nil {
		return
	}
	gauge := func(name, help string, read func(witness.Status) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return read(g.witness.Status()) }))
	}
	gauge("ringfence_witness_gap_seconds", "Time since enough witnesses cosigned a checkpoint of the access log.", func(s witness.Status) float64 { return s.Gap.Seconds() })
	gauge("ringfence_witness_entries", "Entries that enough witnesses vouch for.", func(s witness.Status) float64 { return float64(s.Witnessed) })
	gauge("ringfence_witnesses_answering", "Witnesses that cosigned when they were last asked.", func(s witness.Status) float64 {
		n := 0
		for _, p := range s.Peers {
			if p.Err == nil && !p.At.IsZero() {
				n++
			}
		}
		return float64(n)
	})
}
