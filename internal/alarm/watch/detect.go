package watch

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/policy"
)

// wrongCodes are the actions of a factor that failed behind a right password.
var wrongCodes = []string{"totp.failed", "totp.reused", "recovery.failed", "webauthn.failed", "webauthn.cloned"}

// learnAndAsk asks the rules that know what to look for, and remembers the
// entry for those that speak of an account's past.
func (x *engine) learnAndAsk(e *accesslog.Entry) {
	switch e.Type {
	case policy.RecordRequest:
		if e.Effect == policy.Deny.String() {
			x.of(alarm.Denials, e, func(r *rule) { x.count(r, about(e)) })
		}
		if e.Effect == policy.Allow.String() && e.Account != "" {
			x.allowed(e)
		}
	case policy.RecordOutcome:
		x.outcome(e)
	case policy.RecordLogin:
		if slices.Contains(wrongCodes, e.Action) && e.Account != "" {
			x.of(alarm.WrongCodes, e, func(r *rule) { x.count(r, e.Account) })
		}
	case policy.RecordPolicy:
		x.policies(e)
	case policy.RecordLog:
		x.trouble(e)
	}
}

// allowed looks at a request that is let through, against the account's past.
func (x *engine) allowed(e *accesslog.Entry) {
	p := x.pastOf(e)
	if p == nil {
		return
	}
	if e.Cluster != "" {
		if _, known := p.Clusters[e.Cluster]; !known {
			if p.Clusters == nil {
				p.Clusters = map[string]int64{}
			}
			x.of(alarm.NewCluster, e, func(r *rule) { x.raise(r, e.Account+" "+e.Cluster, map[string]string{"cluster": e.Cluster}) })
		}
		p.Clusters[e.Cluster] = dayOf(e.Time)
	}
	d := p.today(e.Time)
	hour := e.Time.UTC().Hour()
	if bit := uint32(1) << hour; d.Hours&bit == 0 {
		x.of(alarm.UnusualHour, e, func(r *rule) {
			if p.unusualHour(e.Time, r.Days) {
				x.raise(r, e.Account, map[string]string{"hour": strconv.Itoa(hour), "days": strconv.Itoa(len(p.before()))})
			}
		})
		d.Hours |= bit
	}
	d.Requests++
	x.volume(e, p, d)
	if e.Obligations != nil && e.Obligations.EgressBudget > 0 && e.Cluster != "" {
		x.egressOf(e).Budget = e.Obligations.EgressBudget
	}
}

// outcome adds what an answer had.
func (x *engine) outcome(e *accesslog.Entry) {
	if e.Ended == accesslog.EndedTimedOut {
		x.of(alarm.LogTrouble, e, func(r *rule) { x.raise(r, "deadline", map[string]string{"what": "deadline"}) })
	}
	if e.BytesOut == nil || *e.BytesOut <= 0 || e.Account == "" {
		return
	}
	if p := x.pastOf(e); p != nil {
		d := p.today(e.Time)
		d.Bytes += *e.BytesOut
		x.volume(e, p, d)
	}
	if e.Cluster == "" {
		return
	}
	s := x.egressOf(e)
	s.Bytes += *e.BytesOut
	if s.Budget > 0 {
		x.of(alarm.Egress, e, func(r *rule) {
			if share(s.Bytes, s.Budget) >= int64(r.Percent) {
				x.raise(r, e.Account+" "+e.Cluster+" "+strconv.FormatInt(s.Day, 10),
					map[string]string{"bytes": strconv.FormatInt(s.Bytes, 10), "budget": strconv.FormatInt(s.Budget, 10), "percent": strconv.FormatInt(share(s.Bytes, s.Budget), 10)})
			}
		})
	}
}

// share returns n of total in percent; total is more than 0.
func share(n, total int64) int64 { return int64(float64(n) / float64(total) * 100) }

func (x *engine) egressOf(e *accesslog.Entry) *spent {
	k := e.Account + "|" + e.Cluster
	s := x.state.Egress[k]
	if day := dayOf(e.Time); s == nil || s.Day < day {
		budget := int64(0)
		if s != nil {
			budget = s.Budget
		}
		s = &spent{Day: day, Budget: budget, Vendor: e.Vendor}
		x.state.Egress[k] = s
	}
	return s
}

// volume compares the day so far with a usual one.
func (x *engine) volume(e *accesslog.Entry, p *past, d *dayFigures) {
	x.of(alarm.Volume, e, func(r *rule) {
		if len(p.before()) < r.Days || d.Requests <= r.Floor && d.Bytes <= r.FloorMB*1_000_000 {
			return
		}
		requests, bytes := p.usual(func(d *dayFigures) int64 { return d.Requests }), p.usual(func(d *dayFigures) int64 { return d.Bytes })
		facts := map[string]string{"requests": strconv.FormatInt(d.Requests, 10), "usual_requests": strconv.FormatInt(requests, 10),
			"bytes": strconv.FormatInt(d.Bytes, 10), "usual_bytes": strconv.FormatInt(bytes, 10)}
		switch {
		case d.Requests > r.Floor && d.Requests > requests*int64(r.Times):
			facts["what"] = "requests"
		case d.Bytes > r.FloorMB*1_000_000 && d.Bytes > bytes*int64(r.Times):
			facts["what"] = "bytes"
		default:
			return
		}
		x.raise(r, e.Account, facts)
	})
}

func (x *engine) pastOf(e *accesslog.Entry) *past {
	p := x.Past[e.Account]
	if p == nil {
		if len(x.Past) >= maxAccounts {
			return nil
		}
		p = &past{}
		x.Past[e.Account] = p
	}
	p.Vendor = e.Vendor
	return p
}

// policies looks for what one person did alone. Whoever works on the machine
// is recorded as publishing, a second person as an approver.
func (x *engine) policies(e *accesslog.Entry) {
	alone := e.Action == "policy.rollback_alone" || e.Action == "policy.publish" && e.Detail["alone"] != ""
	if !alone || e.Result != "ok" {
		return
	}
	what := "publish"
	if strings.HasPrefix(e.Action, "policy.rollback") {
		what = "rollback"
	}
	x.of(alarm.PolicyAlone, e, func(r *rule) {
		x.raise(r, e.Object, map[string]string{"what": what, "by": e.Actor, "object": e.Object})
	})
}

// trouble looks at what the log says about itself. Reads of the log that were
// refused are no trouble of its own.
func (x *engine) trouble(e *accesslog.Entry) {
	what, key := "", ""
	switch {
	case e.Action == accesslog.ActionRecovered, e.Action == accesslog.ActionClock:
		what = e.Action
	case e.Action == accesslog.ActionDisk && e.Result != "ok", e.Action == "log.abandon":
		what, key = e.Action, e.Result // the second mark is no news of the first
	case strings.HasPrefix(e.Action, "witness.") && e.Result != "ok":
		x.of(alarm.Unanchored, e, func(r *rule) {
			x.raise(r, e.Action+" "+e.Object, map[string]string{"what": e.Action, "object": e.Object})
		})
		return
	default:
		return
	}
	x.of(alarm.LogTrouble, e, func(r *rule) { x.raise(r, what+key, map[string]string{"what": what}) })
}
