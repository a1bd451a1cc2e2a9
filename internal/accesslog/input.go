package accesslog

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Errors of [Entry.Input].
var (
	// ErrNotDecided: the policies decided nothing about what the entry is about;
	// it is no request, or the gateway refused it before it asked them.
	ErrNotDecided = errors.New("the policies did not decide this")
	// ErrNoFacts: the facts document that the entry names is missing, another
	// one, or of a newer version.
	ErrNoFacts = errors.New("the facts of this entry are not to be had")
)

// formerly is what entries from before whole inputs were kept do not say.
var formerly = []string{"request.headers", "request.query", "request.time", "request.time_ns", "request.tls",
	"subject.roles", "subject.token_binding", "subject.token_cluster", "subject.token_scope"}

// Input rebuilds what the policies decided from. doc is the facts document whose
// hash the entry names, as [Facts] finds it, and nil where it names none.
// Withheld names, sorted, what was in the input then and is not kept, or not in
// full, such as "request.query.q"; nothing else differs from the input then. An
// entry from before inputs were kept has everything withheld that it does not
// say. The error is [ErrNotDecided] or [ErrNoFacts]. The input shares memory
// with the entry.
func (e *Entry) Input(doc *policy.Document) (in *policy.Input, withheld []string, err error) {
	kept := e.Record.Input
	if e.Type != policy.RecordRequest || kept == nil && e.Revision == "" {
		return nil, nil, ErrNotDecided
	}
	if doc.Hash() != e.Facts {
		return nil, nil, fmt.Errorf("%w: entry %d names %q", ErrNoFacts, e.Index, e.Facts)
	}
	at := e.Time
	if !e.Clock.IsZero() {
		at = e.Clock
	}
	in = &policy.Input{
		Version: policy.ContractVersion,
		Subject: policy.Subject{Account: e.Account, Email: e.Email, Vendor: e.Vendor, Session: e.Session,
			Credential: e.Credential, Factors: e.Factors},
		Facts: doc,
		Request: policy.Request{ID: e.RequestID, Time: at.UTC().Format(time.RFC3339Nano), TimeNS: at.UnixNano(),
			Protocol: e.Protocol, Method: e.Method, Host: e.Host, Path: segmentsOf(e.Path), RawPath: e.Path, SourceIP: e.SourceIP},
		Resource: policy.Resource{Cluster: e.Cluster, Classification: e.Classification, Route: e.Route},
	}
	if f := doc.Facts(); f != nil && f.Account != nil {
		in.Subject.Roles = f.Account.Roles
	}
	if e.UserAgent != "" {
		in.Request.Headers = map[string]string{userAgentHeader: e.UserAgent}
	}
	if kept == nil {
		return in, formerly, nil
	}
	withheld = e.complete(in, kept)
	if e.Erased() {
		withheld = slices.Concat(withheld, []string{"request.headers.user-agent", "request.source_ip", "subject.email"})
		slices.Sort(withheld)
	}
	return in, withheld, nil
}

// complete puts what was kept into the input and returns what was not.
func (e *Entry) complete(in *policy.Input, kept *policy.RecordedInput) (withheld []string) {
	in.Version = kept.Version
	s := &in.Subject
	s.TokenCluster, s.TokenBinding, s.TokenScope = kept.TokenCluster, kept.TokenBinding, kept.TokenScope
	if kept.Roles != nil {
		s.Roles = kept.Roles
	}
	q := &in.Request
	q.TLS = kept.TLS
	if len(kept.Headers) > 0 {
		headers := make(map[string]string, len(kept.Headers)+1)
		if e.UserAgent != "" {
			headers[userAgentHeader] = e.UserAgent
		}
		for name, v := range kept.Headers {
			headers[name] = v
		}
		q.Headers = headers
	}
	withheld = kept.Withheld
	if len(kept.Query) == len(e.QueryNames) {
		q.Query = kept.Query
		return withheld
	}
	q.Query = make(map[string][]string, len(e.QueryNames))
	withheld = slices.Clip(withheld)
	for _, name := range e.QueryNames {
		values, ok := kept.Query[name]
		if !ok {
			withheld = append(withheld, "request.query."+name)
			values = []string{}
		}
		q.Query[name] = values
	}
	slices.Sort(withheld)
	return withheld
}

// segmentsOf cuts an escaped path as the gateway's canonical form is cut.
func segmentsOf(raw string) []string {
	if raw == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(raw, "/"), "/")
	for i, p := range parts {
		if strings.IndexByte(p, '%') < 0 {
			continue
		}
		if plain, err := url.PathUnescape(p); err == nil { // only a clipped path can end in half an escape
			parts[i] = plain
		}
	}
	return parts
}
