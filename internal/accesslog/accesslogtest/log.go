// Package accesslogtest makes access logs for tests of what reads them: a
// folder, and the records of decisions as the gateway writes them.
package accesslogtest

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// A Log is a log in a temporary folder with its writer running.
type Log struct {
	*accesslog.Log
	Dir string
}

// New opens a log that is closed at the end of the test. Segments are as large
// as segment says; 0: the smallest there are, so that a few records fill one.
func New(t testing.TB, segment int64) *Log {
	t.Helper()
	return newLog(t, segment, time.Hour, 0)
}

// NewSigning is [New] with a checkpoint soon behind each entry, the smallest
// segments and hardly an entry in memory, so that entries go by age.
func NewSigning(t testing.TB) *Log {
	t.Helper()
	return newLog(t, 0, 5*time.Millisecond, 16)
}

func newLog(t testing.TB, segment int64, every time.Duration, recent int) *Log {
	t.Helper()
	skey, _, err := accesslog.GenerateKey("test.example/log")
	if err != nil {
		t.Fatal(err)
	}
	if segment == 0 {
		segment = 64 << 10
	}
	dir := filepath.Join(t.TempDir(), "log")
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Node: "node-1", Key: skey, SegmentSize: segment,
		CommitDeadline: time.Minute, CheckpointEvery: every, Recent: recent, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &Log{l, dir}
}

// Add records and returns the index.
func (l *Log) Add(t testing.TB, r *policy.Record) uint64 {
	t.Helper()
	index, err := l.Record(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// Request returns the record of a decision on in, whole: nothing is withheld,
// and of the query every value is kept.
func Request(in *policy.Input, d policy.Decision) *policy.Record {
	s, q := in.Subject, in.Request
	r := &policy.Record{Type: policy.RecordRequest, Time: time.Unix(0, q.TimeNS).UTC(), RequestID: q.ID,
		Account: s.Account, Email: s.Email, Vendor: s.Vendor, Session: s.Session, Credential: s.Credential, Factors: s.Factors,
		Cluster: in.Resource.Cluster, Classification: in.Resource.Classification, Route: in.Resource.Route,
		Protocol: q.Protocol, Method: q.Method, Host: q.Host, Path: q.RawPath, SourceIP: q.SourceIP, UserAgent: q.Headers["user-agent"],
		Effect: d.Effect.String(), Revision: d.Revision, Facts: in.Facts.Hash(), Document: in.Facts,
		Input: &policy.RecordedInput{Version: in.Version, Roles: s.Roles, TokenCluster: s.TokenCluster, TokenBinding: s.TokenBinding,
			TokenScope: s.TokenScope, Query: q.Query, Headers: q.Headers, TLS: q.TLS}}
	for name := range q.Query {
		r.QueryNames = append(r.QueryNames, name)
	}
	for _, reason := range d.Reasons {
		r.Reasons = append(r.Reasons, reason.Code)
	}
	if !d.Obligations.IsZero() {
		r.Obligations = &d.Obligations
	}
	return r
}
