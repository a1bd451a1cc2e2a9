package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// Actions of entries about witnesses.
const (
	actionWitnessLost     = "witness.lost"     // one does not cosign any more
	actionWitnessBack     = "witness.back"     // it does again
	actionWitnessConflict = "witness.conflict" // it remembers another log
	actionWitnessStopped  = "witness.stopped"  // clusters are not served for want of cosignatures
	actionWitnessResumed  = "witness.resumed"  // they are again
)

const (
	// unwitnessedReason is why a request was cut, in its outcome.
	unwitnessedReason = "log_unwitnessed"
	// guardEvery is how soon open requests are cut once there is no service.
	guardEvery = 200 * time.Millisecond
)

// tellWitness records how a witness fares. It does not wait: the log may not
// run yet, and what it cannot take now is in the operational log.
func tellWitness(l *accesslog.Log, warn func(error)) func(witness.Event) {
	return func(e witness.Event) {
		r := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Result: "ok", Object: "witness:" + e.Witness, Action: actionWitnessBack,
			Detail: map[string]string{"entries": strconv.FormatUint(e.Size, 10)}}
		if e.Err != nil {
			r.Action, r.Result, r.Detail["error"] = actionWitnessLost, "failed", shortened(e.Err.Error())
		}
		if e.Conflict != nil {
			r.Action = actionWitnessConflict
			r.Detail["seen"] = strconv.FormatUint(e.Conflict.Seen, 10)
			tellProof(r.Detail, e.Conflict.Proof)
		}
		if err := l.Append(r); err != nil {
			warn(err)
		}
	}
}

// maxProofKept is the longest checkpoint that stands in an entry. One of this
// log is far shorter; whoever has its key can sign one of any length.
const maxProofKept = 4 << 10

// tellProof puts the checkpoint that a witness shows into an entry, or what
// tells which one it is where it would not fit. nil: there is none.
func tellProof(detail map[string]string, proof []byte) {
	switch {
	case proof == nil:
	case len(proof) <= maxProofKept && utf8.Valid(proof):
		detail["checkpoint"] = string(proof)
	default:
		sum := sha256.Sum256(proof)
		detail["checkpoint_sha256"], detail["checkpoint_bytes"] = hex.EncodeToString(sum[:]), strconv.Itoa(len(proof))
	}
}

// shortened keeps what a witness says from filling an entry.
func shortened(s string) string {
	if len(s) > 500 {
		s = s[:500]
	}
	return strings.ToValidUTF8(s, "")
}

// guardStreams ends open requests while the log is not witnessed: new ones are
// refused by [countedLog], and one that is open would go on unwatched.
func guardStreams(ctx context.Context, serving func() error, cut func(string), tell func(action, why string)) error {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	stopped := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := serving()
		switch {
		case err != nil && !stopped:
			tell(actionWitnessStopped, shortened(err.Error()))
		case err == nil && stopped:
			tell(actionWitnessResumed, "")
		}
		if stopped = err != nil; stopped {
			cut(unwitnessedReason)
		}
	}
}

// guardWitnessed is guardStreams for the gateway.
func (g *gateway) guardWitnessed(ctx context.Context) error {
	return guardStreams(ctx, g.witness.Serving, g.proxy.CutStreams, func(action, why string) {
		r := &policy.Record{Type: policy.RecordLog, Time: time.Now().UTC(), Action: action, Result: "ok"}
		if why != "" {
			r.Result, r.Detail = "failed", map[string]string{"error": why}
		}
		if err := g.log.Append(r); err != nil {
			g.logger.Error("recording what witnesses say", "err", err)
		}
	})
}
