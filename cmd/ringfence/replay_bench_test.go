package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringfence/ringfence/internal/accesslog/accesslogtest"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
)

// BenchmarkReplay holds two demands in one run: 100,000 recorded decisions are
// decided again, old and new, in less than 20 s, and traffic that takes all
// it can get keeps at least 80 % of its throughput meanwhile. Afresh is the
// same with nothing recorded believed. Run it alone, with -benchtime 1x.
func BenchmarkReplay(b *testing.B) {
	const recorded = 100_000
	p := newWarmPath(b)
	record(b, p, recorded+100) // those after the size is read are left out
	draft := map[string]string{"all/x.rego": "package ringfence.all\n\nimport rego.v2\n\n" +
		`deny contains {"code": "closed", "message": "Closed.", "help": "Ask."} if endswith(input.request.path[1], "0")` + "\n"}
	dir, size := paths{p.gateway.cfg.Load().Data}.log(), p.gateway.log.Size()
	runner := studio.New(studio.Config{Command: func() *exec.Cmd { return program("policy-worker") }})
	for _, c := range []struct {
		name            string
		traffic, afresh bool
	}{{"alone", false, false}, {"beside-traffic", true, false}, {"afresh", false, true}, {"afresh-beside-traffic", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				before := 0.0
				stop := func() float64 { return 0 }
				if c.traffic {
					before = undisturbed(b, p)
					stop = closedLoop(b, p)
				}
				start, spent := time.Now(), childrenTime(b)
				r, err := runner.Replay(b.Context(), studio.ReplayRequest{Log: dir, New: draft, Afresh: c.afresh, Before: size}, nil)
				took, during := time.Since(start), stop()
				if err != nil {
					b.Fatal(err)
				}
				if r.Replayed < recorded || r.Narrowed < recorded/10 || r.UnfitTotal() != 0 || r.Differed != 0 {
					b.Fatalf("%d replayed, %d narrowed, unfit %v, %d differ", r.Replayed, r.Narrowed, r.Unfit, r.Differed)
				}
				b.ReportMetric(took.Seconds(), "replay-s")
				b.ReportMetric((childrenTime(b) - spent).Seconds(), "replay-cpu-s")
				if took > 20*time.Second {
					b.Errorf("the replay took %v", took)
				}
				if c.traffic {
					before = (before + undisturbed(b, p)) / 2 // the machine may have other things to do
					b.Logf("the replay took %v and %v of processor time; %.0f requests a second without it, %.0f beside it", took, childrenTime(b)-spent, before, during)
					b.ReportMetric(100*during/before, "traffic-%")
					b.ReportMetric(before, "req/s-before")
					if during < 0.8*before {
						b.Errorf("%.0f requests a second fell to %.0f", before, during)
					}
				}
			}
		})
	}
}

// record puts n decisions on requests of one account into the gateway's log.
func record(b *testing.B, p *warmPath, n int) {
	b.Helper()
	for i := range n {
		in := *p.input
		at := time.Now().UTC()
		in.Request.ID, in.Request.Time, in.Request.TimeNS = fmt.Sprintf("r%d", i), at.Format(time.RFC3339Nano), at.UnixNano()
		in.Request.Path = []string{"claims", fmt.Sprint(i)}
		in.Request.RawPath = "/claims/" + fmt.Sprint(i)
		in.Request.Headers = map[string]string{"accept": "application/json", "user-agent": "bench"}
		in.Request.TLS = &policy.TLS{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
		r := accesslogtest.Request(&in, p.gateway.engine.Decide(context.Background(), &in))
		if err := p.gateway.log.Append(r); err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, time.Minute, "the decisions are in the log", func() bool {
		return p.gateway.log.Size() >= uint64(n)
	})
}

// closedLoop sends requests from several clients, one after the other each, until
// the function that it returns is called, which returns how many a second there were.
func closedLoop(b *testing.B, p *warmPath) func() float64 {
	var done atomic.Bool
	var served atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 16 {
		wg.Go(func() {
			for !done.Load() {
				serveOnce(b, p.gateway.proxy, p.request())
				served.Add(1)
			}
		})
	}
	return func() float64 {
		rate := float64(served.Load()) / time.Since(start).Seconds()
		done.Store(true)
		wg.Wait()
		return rate
	}
}

// undisturbed returns how many requests a second there are without a replay.
func undisturbed(b *testing.B, p *warmPath) float64 {
	stop := closedLoop(b, p)
	time.Sleep(5 * time.Second) // what is measured
	return stop()
}

// childrenTime returns the processor time of all children that have ended.
func childrenTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
