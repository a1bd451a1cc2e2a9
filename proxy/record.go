package proxy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const (
	maxText  = 1024 // bytes of one field that the client chose
	maxNames = 100  // of the query's fields
)

// fillRecord makes the access-log record of the decision from what is known by
// now, which for a request refused early is little.
func (x *exchange) fillRecord() *policy.Record {
	rec, s := &x.request, &x.input.Subject
	*rec = policy.Record{
		Type: policy.RecordRequest, Time: x.now, RequestID: x.id,
		Account: s.Account, Email: s.Email, Vendor: s.Vendor, Session: s.Session, Credential: s.Credential, Factors: s.Factors,
		Protocol: x.protocol, Method: clip(x.r.Method), Host: clip(x.host), SourceIP: x.sourceText,
		UserAgent: clip(x.r.UserAgent()), Path: clip(x.target.Raw),
		Effect: x.decision.Effect.String(), Revision: x.decision.Revision,
	}
	if x.host == "" {
		rec.Host = clip(x.r.Host)
	}
	if rec.Path == "" {
		rec.Path, _, _ = strings.Cut(clip(x.r.RequestURI), "?")
		if !strings.HasPrefix(rec.Path, "/") { // an absolute form, perhaps with a password
			rec.Path = rec.Path[strings.LastIndexByte(rec.Path, '@')+1:]
		}
	}
	if x.cluster != nil {
		rec.Cluster, rec.Classification, rec.Mode = x.cluster.Name, x.cluster.Classification, policy.ModeStrict
		if x.cluster.LogMode == policy.ModeRelaxed {
			rec.Mode = policy.ModeRelaxed
		}
	}
	if x.route != nil {
		rec.Route = x.route.Name
	}
	if f := s.Refused; f != nil {
		rec.Detail = map[string]string{"token_refused": f.Code}
		if f.Token != "" { // whose it is, for whoever looks for a theft
			rec.Detail["token"], rec.Detail["token_account"] = f.Token, f.Account
		}
	}
	if age, ok := s.CodeAgeUnder(x.input.Facts); ok {
		x.codeAge = age
		rec.CodeAge = &x.codeAge
	}
	if len(x.target.Query) > 0 {
		rec.QueryNames = slices.Sorted(maps.Keys(x.target.Query))
		if len(rec.QueryNames) > maxNames {
			rec.QueryNames = rec.QueryNames[:maxNames]
		}
		for i, n := range rec.QueryNames {
			rec.QueryNames[i] = clip(n)
		}
	}
	if d := x.input.Facts; d != nil {
		rec.Facts, rec.Document, rec.Agreements = d.Hash(), d, d.Accepted()
		if e := d.Facts().Engagement; e != nil {
			rec.Engagement = e.Name
		}
	}
	if x.kept.Version != 0 {
		rec.Input = &x.kept
	}
	for _, r := range x.decision.Reasons {
		rec.Reasons = append(rec.Reasons, r.Code)
	}
	if !x.decision.Obligations.IsZero() {
		x.obligations = x.decision.Obligations
		rec.Obligations = &x.obligations
	}
	return rec
}

// appendOutcome records what became of an allowed request.
func (x *exchange) appendOutcome(ended string) {
	duration := time.Since(x.start)
	first := x.out.firstByte
	if first == 0 {
		first = duration
	}
	x.counts = [4]int64{x.body.n.Load(), x.out.n.Load(), first.Milliseconds(), duration.Milliseconds()}
	rq := &x.request
	x.outcome = policy.Record{
		Type: policy.RecordOutcome, Time: x.h.Now().UTC(), RequestID: x.id,
		Account: rq.Account, Email: rq.Email, Vendor: rq.Vendor, Engagement: rq.Engagement, Session: rq.Session,
		Cluster: rq.Cluster, Classification: rq.Classification, Route: rq.Route, Agreements: rq.Agreements,
		Protocol: rq.Protocol, Method: rq.Method, Host: rq.Host, Path: rq.Path, SourceIP: rq.SourceIP,
		Status: x.out.status, BytesIn: &x.counts[0], BytesOut: &x.counts[1], FirstByte: &x.counts[2], Duration: &x.counts[3],
		Ended: ended,
	}
	if x.upstream != nil {
		x.outcome.Upstream = x.upstream.url
	}
	if err := x.h.Recorder.Append(&x.outcome); err != nil {
		x.h.Logger.Error("appending outcome", "request_id", x.id, "err", err)
	}
	x.h.metrics.Finished(rq.Cluster, rq.Route, x.out.status, x.counts[0], x.counts[1], duration, ended)
}

func (x *exchange) entryName(index uint64) string {
	var b [64]byte
	s := append(b[:0], x.h.Origin...)
	s = append(s, '#')
	return string(strconv.AppendUint(s, index, 10))
}

// clip makes text that a client chose fit for a record.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
