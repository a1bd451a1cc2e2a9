package accesslog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// typical is a record as the proxy makes one.
func typical(doc *policy.Document) *policy.Record {
	r := request(4711)
	r.Session, r.Credential, r.Engagement = "s-9f2c1a77b3d04e55", policy.CredentialSession, "crm-2026"
	r.Classification, r.Route, r.Protocol = "confidential", "api", "HTTP/2.0"
	r.UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
	r.Revision, r.Document = "0123456789abcdef0123456789abcdef", doc
	r.Facts = doc.Hash()
	return r
}

func document(t testing.TB, zone string) *policy.Document {
	t.Helper()
	d, err := policy.NewDocument(policy.Facts{Zone: zone, Account: &policy.AccountFacts{ID: "acc-7", Email: "kim@vendor.example", Status: "active"}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func BenchmarkEncode(b *testing.B) {
	r := typical(document(b, "office"))
	buf := make([]byte, 0, 2048)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		buf = appendBody(appendHead(buf[:0], 123456, "node-1", now, time.Time{}), r)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecode(b *testing.B) {
	p := appendBody(appendHead(nil, 123456, "node-1", time.Now(), time.Time{}), typical(document(b, "office")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeEntry(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			x := newTestLog(b, func(c *Config) { c.SegmentSize, c.CheckpointEvery = 64<<20, time.Second }).run()
			r := typical(document(b, "office"))
			r.RequestID = ""
			b.ReportAllocs()
			before := x.Stats().Commits
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for n := w; n < b.N; n += writers {
						if _, err := x.Record(context.Background(), r); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(b.N)/float64(x.Stats().Commits-before), "records/sync")
			x.close()
		})
	}
}

// TestRecord_Allocations holds the request path to a ceiling: encoding and
// queueing allocate nothing, and the whole of Record, batch included, little.
func TestRecord_Allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x := newTestLog(t, func(c *Config) { c.SegmentSize = 64 << 20 }).open()
	r := typical(document(t, "office"))
	n := testing.AllocsPerRun(1000, func() {
		it, err := x.newItem(r, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.send(it, nil); err != nil {
			t.Fatal(err)
		}
		release(<-x.queue)
	})
	if n > 0 {
		t.Errorf("encoding and queueing allocates %v times a record, want 0", n)
	}
	x.Log.Close()
	y := newTestLog(t, func(c *Config) { c.SegmentSize = 64 << 20 }).run()
	ctx := t.Context()
	n = testing.AllocsPerRun(200, func() { y.Record(ctx, r) })
	if n > 4 {
		t.Errorf("Record allocates %v times, want at most 4", n)
	}
}

// filled returns the folder of a log with n entries.
func filled(b *testing.B, n int) *testLog {
	x := newTestLog(b, func(c *Config) { c.SegmentSize = 16 << 20 })
	newShim(&x.cfg)
	x.run()
	doc := document(b, "office")
	for i := range n {
		r := typical(doc)
		r.RequestID, r.Path = fmt.Sprintf("r%09d", i), fmt.Sprintf("/api/claims/%d", i*7919%100000)
		if i%1000 == 0 {
			r.Email = "lee@vendor.example"
		}
		if err := x.Append(r); err != nil {
			b.Fatal(err)
		}
	}
	x.record(denied(1))
	waitFor(b, "compression", func() bool { return !x.keep.waiting() })
	x.close()
	return x
}

func BenchmarkVerify(b *testing.B) {
	const n = 200_000
	x := filled(b, n)
	for b.Loop() {
		if _, err := Verify(context.Background(), x.cfg.Dir, x.vkey, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkQuery(b *testing.B) {
	const n = 200_000
	x := filled(b, n)
	for name, f := range map[string]Filter{
		"newest50": {Limit: 50}, "rare account": {Account: "lee@vendor.example", Limit: 50}, "substring of all": {Text: "/api/claims/4711\""},
		"request id": {RequestID: "r000000007"}, "cluster, none": {Cluster: "nowhere"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := Query(context.Background(), x.cfg.Dir, f, func(*Entry) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
