package proxy

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ringfence/ringfence/policy"
)

func budget(n int64) policy.Obligations { return policy.Obligations{EgressBudget: n} }

// sized answers with as many bytes as the query says, in parts, with a length
// where it says so.
func sized(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	if r.URL.Query().Has("length") {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	part := strings.Repeat("x", 4096)
	for n > 0 {
		m, err := io.WriteString(w, part[:min(n, len(part))])
		if n -= m; err != nil {
			return
		}
	}
}

func as(t testing.TB, account, path string) *http.Request {
	r := request(t, "GET", "https://"+testHost+path, nil)
	r.Header.Set("Cookie", "__Host-ringfence="+account)
	return r
}

func fetch(g *gateway, r *http.Request) (status, n int, err error) {
	res, err := g.client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, len(b), err
}

// TestBudget_SpentAndCut: what is left is sent, the rest is cut, and from then
// on requests are denied, whatever session or token they come with.
func TestBudget_SpentAndCut(t *testing.T) {
	g := obliged(t, budget(10_000), sized)
	if status, n, err := fetch(g, as(t, "a1", "/x?n=6000")); status != 200 || n != 6000 || err != nil {
		t.Fatal(status, n, err)
	}
	if _, n, err := fetch(g, as(t, "a1", "/x?n=6000")); err == nil || n != 4000 {
		t.Errorf("got %d bytes and %v, want 4000 and a cut", n, err)
	}
	if out := g.outcome(1); out.Ended != policy.ReasonEgressBudget || *out.BytesOut != 4000 {
		t.Errorf("outcome %q of %d bytes", out.Ended, *out.BytesOut)
	}
	r := request(t, "GET", "https://"+testHost+"/x?n=1", nil)
	r.Header.Del("Cookie")
	r.Header.Set("Authorization", "Bearer rft_a1")
	res, body := g.do(r)
	wantRefusal(t, res, body, http.StatusForbidden, policy.ReasonEgressBudget)
	if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 86_400 {
		t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
	}
	records := g.of(policy.RecordRequest)
	if last := records[len(records)-1]; last.Effect != "deny" || last.Reasons[0] != policy.ReasonEgressBudget {
		t.Errorf("recorded %s %v", last.Effect, last.Reasons)
	}
	if status, n, _ := fetch(g, as(t, "a2", "/x?n=6000")); status != 200 || n != 6000 {
		t.Errorf("another account: %d, %d bytes", status, n)
	}
}

// TestBudget_KnownLength: what is too much is not begun, and costs nothing.
func TestBudget_KnownLength(t *testing.T) {
	g := obliged(t, budget(10_000), sized)
	told := 0
	for told < 10_000 { // the words of refusals are no part of what a cluster gives
		res, body := g.do(as(t, "a1", "/x?n=10001&length"))
		wantRefusal(t, res, body, http.StatusForbidden, policy.ReasonEgressBudget)
		told += len(body)
	}
	if n := g.h.Egress("a1", "claims"); n != 0 {
		t.Errorf("refusals cost %d bytes", n)
	}
	if status, n, err := fetch(g, as(t, "a1", "/x?n=9000&length")); status != 200 || n != 9000 || err != nil {
		t.Error(status, n, err)
	}
}

// TestBudget_Concurrent: a hundred downloads at once get no byte more than one.
func TestBudget_Concurrent(t *testing.T) {
	const allowed = 1 << 20
	g := obliged(t, budget(allowed), sized)
	var got atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			res, err := g.client.Do(as(t, "a1", "/x?n=200000"))
			if err != nil {
				return
			}
			defer res.Body.Close()
			n, _ := io.Copy(io.Discard, res.Body)
			if res.StatusCode == http.StatusOK {
				got.Add(n)
			}
		})
	}
	wg.Wait()
	if n := got.Load(); n > allowed || n < allowed/2 {
		t.Errorf("%d bytes were sent of a budget of %d", n, allowed)
	}
}

// TestBudget_Streams: a WebSocket is cut when the budget is spent.
func TestBudget_Streams(t *testing.T) {
	g := start(t, claims(streamServer(t)))
	g.set(func() {
		g.decide = func(*policy.Input) policy.Decision {
			return policy.Decision{Effect: policy.Allow, Obligations: budget(300)}
		}
	})
	c := g.websocket(t)
	got := 0
	for range 100 {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("y", 50))); err != nil {
			break
		}
		_, b, err := c.Read(t.Context())
		if got += len(b); err != nil {
			break
		}
	}
	if got == 0 || got > 300 {
		t.Errorf("%d bytes of messages came of a budget of 300", got)
	}
	if out := g.outcome(0); out.Ended != policy.ReasonEgressBudget {
		t.Errorf("ended %q", out.Ended)
	}
}

// TestBudget_Day: the count begins anew at midnight UTC, also within a
// download, and a clock that goes back gives nothing back.
func TestBudget_Day(t *testing.T) {
	m := &meter{}
	if m.take(5, 100, 150) != 100 || m.take(5, 100, 150) != 50 || m.take(5, 1, 150) != 0 || m.left(5, 150) != 0 {
		t.Error("the first day")
	}
	if m.take(4, 10, 150) != 0 || m.left(4, 150) != 0 {
		t.Error("the clock went back")
	}
	if m.left(6, 150) != 150 || m.take(6, 200, 150) != 150 {
		t.Error("the second day")
	}
	m.giveBack(5, 100)
	m.giveBack(6, 30)
	if m.left(6, 150) != 30 || m.take(6, 1000, 0) != 1000 || m.left(6, 150) != 0 {
		t.Error("what was not sent")
	}
}

// TestBudget_Restored: what the log has of today counts, what it has of
// yesterday does not, and a day that is over is forgotten.
func TestBudget_Restored(t *testing.T) {
	now := time.Date(2026, 1, 5, 1, 0, 0, 0, time.UTC)
	var at atomic.Pointer[time.Time]
	at.Store(&now)
	g := start(t, claims(upstream(t, sized).URL), func(c *Config) { c.Now = func() time.Time { return *at.Load() } })
	g.set(func() {
		g.decide = func(*policy.Input) policy.Decision {
			return policy.Decision{Effect: policy.Allow, Obligations: budget(10_000)}
		}
	})
	g.h.RestoreEgress("a1", "claims", now.Add(-2*time.Hour), 5000)
	g.h.RestoreEgress("a1", "claims", now.Add(-time.Minute), 4000)
	g.h.RestoreEgress("a1", "claims", now, 3000)
	g.h.RestoreEgress("a1", "payroll", now, 999)
	g.h.RestoreEgress("", "claims", now, 999)
	if n := g.h.Egress("a1", "claims"); n != 7000 {
		t.Fatalf("restored %d bytes", n)
	}
	if _, n, err := fetch(g, as(t, "a1", "/x?n=5000")); err == nil || n != 3000 {
		t.Errorf("%d bytes, %v", n, err)
	}
	next := now.Add(23 * time.Hour)
	at.Store(&next)
	g.h.Recheck()
	until(t, "yesterday is forgotten", func() bool {
		sh := g.h.streams.shardOf("a1")
		sh.mu.Lock()
		defer sh.mu.Unlock()
		return len(sh.meters) == 0
	})
	if status, n, err := fetch(g, as(t, "a1", "/x?n=5000")); status != 200 || n != 5000 || err != nil {
		t.Error(status, n, err)
	}
}
