package console

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	logindex "github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/policy"
)

// largeLog reads the files of a log and records nothing in them.
type largeLog struct {
	dir        string
	checkpoint []byte
	size       uint64
}

func (l *largeLog) Query(ctx context.Context, f accesslog.Filter, yield func(*accesslog.Entry) bool) error {
	return accesslog.Query(ctx, l.dir, f, yield)
}
func (l *largeLog) Record(context.Context, *policy.Record) (uint64, error) { return l.size, nil }
func (l *largeLog) Size() uint64                                           { return l.size }
func (l *largeLog) Checkpoint() []byte                                     { return l.checkpoint }
func (l *largeLog) Healthy() error                                         { return nil }

// BenchmarkPages_OfALargeLog times the pages over a log of millions of entries that
// `ringfence log bench --entries 10000000 --dir DIR` made, when
// RINGFENCE_TEST_LARGE_LOG names its DIR: none may take more than a second.
func BenchmarkPages_OfALargeLog(b *testing.B) {
	dir := os.Getenv("RINGFENCE_TEST_LARGE_LOG")
	if dir == "" {
		b.Skip("RINGFENCE_TEST_LARGE_LOG names no folder")
	}
	o := newOffice(b, plainText)
	log := &largeLog{dir: filepath.Join(dir, "log")}
	var err error
	if log.checkpoint, err = os.ReadFile(filepath.Join(log.dir, "checkpoint")); err != nil {
		b.Fatal(err)
	}
	if log.size, err = accesslog.CheckpointSize(log.checkpoint); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	x, err := logindex.Open(logindex.Config{Dir: filepath.Join(dir, "index"), LogDir: log.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	rows, err := x.Search(b.Context(), query.Request{Now: o.now, Limit: 1})
	if err != nil || len(rows) != 1 {
		b.Fatal(len(rows), err)
	}
	b.Logf("%d entries; the index was opened in %s", log.size, time.Since(began).Round(time.Millisecond))
	now := rows[0].Time.Add(time.Minute)
	o.Console.Now = func() time.Time { return now } // sessions have a clock of their own
	o.Console.Log, o.Console.Search, o.Console.LogFolder, o.Console.UI = log, x, log.dir, newRenderer(b)
	sample := func(q, field string) string {
		b.Helper()
		n, err := query.Parse(q)
		if err != nil {
			b.Fatal(err)
		}
		f := map[string]query.Field{"account": query.AccountID, "cluster": query.Cluster, "session": query.Session}[field]
		rows, err := x.Search(b.Context(), query.Request{Where: n, Now: now, Limit: 1, Fields: []query.Field{f}})
		if err != nil || len(rows) == 0 {
			b.Fatal(q, err)
		}
		return rows[0].Values[0]
	}
	account, session, cluster := sample("type:request", "account"), sample(`type:request -session:""`, "session"), sample("type:request", "cluster")
	middle := log.size / 2
	pages := []struct{ name, path string }{
		{"first page", "/console/log"}, {"older page", fmt.Sprintf("/console/log?before=%d", log.size-50)}, {"page in the middle", fmt.Sprintf("/console/log?before=%d", middle)}, {"newer page in the middle", fmt.Sprintf("/console/log?after=%d", middle)},
		{"an account", "/console/log?q=account:" + account}, {"an account, facets", "/console/log?q=account:" + account + "&facets=more"}, {"a cluster", "/console/log?q=cluster:" + cluster}, {"denied, 30 days", "/console/log?q=effect:deny+since:30d"}, {"all facets, 30 days", "/console/log?q=since:30d&facets=more"},
		{"everything asked for", "/console/log?q=type:request"}, {"a word", "/console/log?q=nowhere-at-all"}, {"a request", "/console/log?q=request_id:none"}, {"account timeline", "/console/log/account/" + account}, {"session timeline", "/console/log/session/" + url.PathEscape(session)},
		{"entry, newest", fmt.Sprintf("/console/log/%d", log.size-1)}, {"entry in the middle", fmt.Sprintf("/console/log/%d", middle)}, {"first entry", "/console/log/0"},
		{"live", livePath}, {"export, asked for", exportsPath + "/new?q=cluster:" + cluster}, {"review, asked for", reviewsPath + "/new?q=" + url.QueryEscape("effect:deny since:7d")}, {"queue", queuePath},
		{"recorded", recordedPath}, {"readers", readersPath},
	}
	began = time.Now()
	if found, err := o.Console.entriesOf(b.Context(), is(query.AccountID, account), now, 0, ownRows+1); err != nil || len(found) != ownRows+1 {
		b.Fatal(len(found), err)
	}
	if took := time.Since(began); took > time.Second {
		b.Errorf("a page of an account's own entries takes %s", took)
	}
	only := os.Getenv("RINGFENCE_TEST_LARGE_PAGE")
	for _, p := range pages {
		if only != "" && !regexp.MustCompile(only).MatchString(p.name) {
			continue
		}
		var took [3]time.Duration
		for i := range took {
			as := "rae"
			if p.path == recordedPath || p.path == readersPath {
				as = "kim"
			}
			began := time.Now()
			w := o.get(as, p.path)
			took[i] = time.Since(began).Round(time.Millisecond)
			if w.Code != http.StatusOK {
				text, _ := io.ReadAll(w.Body)
				b.Fatalf("%s: status %d %s %.2000s", p.name, w.Code, w.Header(), text)
			}
		}
		b.Logf("%-28s %8s %8s %8s", p.name, took[0], took[1], took[2])
		if took[1] > time.Second && took[2] > time.Second {
			b.Errorf("%s takes %s", p.name, took[2])
		}
	}
}
