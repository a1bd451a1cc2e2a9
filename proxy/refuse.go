package proxy

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A denial is a refusal that the proxy itself decides on.
type denial struct {
	status        int
	code          string
	message, help string
	retryAfter    int // seconds, 0: not worth trying again
}

func ambiguous(message string) *denial {
	return &denial{http.StatusBadRequest, policy.ReasonRequestAmbiguous, message, "Send the plain form of the address.", 0}
}

func tooLarge() *denial {
	return &denial{http.StatusRequestEntityTooLarge, policy.ReasonRequestTooLarge, "The request's body is too large.", "", 0}
}

func logUnavailable() *denial {
	return &denial{http.StatusServiceUnavailable, policy.ReasonLogUnavailable,
		"The access log cannot be written, and nothing is served without it.", "Try again in a moment.", 5}
}

// deny records that the request is refused for reason d, then refuses it.
func (x *exchange) deny(d *denial) {
	x.decision = policy.Decision{Effect: policy.Deny, Revision: x.decision.Revision,
		Reasons: []policy.Reason{{Code: d.code, Message: d.message, Help: d.help}}}
	if !x.writeRecord(0) {
		return
	}
	x.refuse(d.status, d.retryAfter)
}

// decide asks the engine, and refuses the request itself unless it is allowed.
func (x *exchange) decide() bool {
	x.fillInput()
	t := time.Now()
	x.decision = x.h.Decider.Decide(x.r.Context(), &x.input)
	deciding := time.Since(t)
	retryAfter := 0
	made := x.decision
	if x.decision.Effect == policy.Allow {
		if d := x.unenforceable(x.decision.Obligations); d != nil {
			x.decision.Effect = policy.Deny
			x.decision.Reasons = append(x.decision.Reasons[:len(x.decision.Reasons):len(x.decision.Reasons)], policy.Reason{Code: d.code, Message: d.message, Help: d.help})
			retryAfter = d.retryAfter
		}
	}
	x.keepInput(made.Effect)
	if !x.writeRecord(deciding) {
		return false
	}
	if x.h.Watcher != nil {
		x.h.Watcher.Watch(&x.input, made, x.index)
	}
	switch x.decision.Effect {
	case policy.Allow:
		return true
	case policy.Challenge:
		x.refuse(http.StatusUnauthorized, 0)
	default:
		x.refuse(http.StatusForbidden, retryAfter)
	}
	return false
}

// unenforceable gives the reason to deny an allowed request whose obligations
// cannot be met: serving it without them would be wider than the policy wanted.
func (x *exchange) unenforceable(o policy.Obligations) *denial {
	if len(o.Mask) > 0 && x.protocol != protocolHTTP {
		return notMaskable()
	}
	if !x.spend() {
		return budgetSpent(x.h.Now())
	}
	return nil
}

// writeRecord records the decision durably. When that fails the request is
// refused, and false returned.
func (x *exchange) writeRecord(deciding time.Duration) bool {
	t := time.Now()
	index, err := x.h.Recorder.Record(x.r.Context(), x.fillRecord())
	x.h.metrics.Decided(x.request.Cluster, x.decision.Effect, deciding, time.Since(t))
	if err == nil {
		x.index, x.entry = index, x.entryName(index)
		return true
	}
	level := slog.LevelError
	if x.r.Context().Err() != nil {
		level = slog.LevelDebug // the client left: not our fault, and as often as it likes
	}
	x.h.Logger.Log(x.r.Context(), level, "recording decision", "request_id", x.id, "err", err)
	d := logUnavailable()
	x.decision = policy.Decision{Effect: policy.Deny, Revision: x.decision.Revision,
		Reasons: []policy.Reason{{Code: d.code, Message: d.message, Help: d.help}}}
	x.refuse(d.status, d.retryAfter)
	return false
}

// refuse has the refusal of x.decision worded.
func (x *exchange) refuse(status, retryAfter int) {
	x.out.ours = true
	f := policy.Refusal{Status: status, RequestID: x.id, Decision: x.decision, Subject: x.input.Subject,
		Facts: x.input.Facts.Facts(), RetryAfter: retryAfter}
	if x.cluster != nil {
		f.Cluster, f.Title, f.Owner = x.cluster.Name, x.cluster.Title, x.cluster.Owner
	}
	h := x.w.Header()
	h.Set(HeaderRequestID, x.id)
	if x.entry != "" {
		h.Set(HeaderEntry, x.entry)
	}
	h.Set("Cache-Control", "no-store")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	x.h.Refuser.Refuse(&x.out, x.r, f)
}
