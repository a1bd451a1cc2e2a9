package rego

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego/regotest"
)

// hostile are bodies of a deny rule that try to take time or memory, or to reach out.
var hostile = regotest.Hostile

// TestHostileRego holds the row of that name: each attempt is refused when it
// is compiled or ends by its deadline or soon after, with bounded memory.
func TestHostileRego(t *testing.T) {
	most, memory := 400*time.Millisecond, uint64(256<<20)
	if raceEnabled { // which is many times slower and empties pools
		most, memory = 10*time.Second, 4<<30
	}
	for title, body := range hostile {
		t.Run(title, func(t *testing.T) {
			s, err := compile(Source{"all/hostile.rego": "package ringfence.all\n\nimport rego.v2\n\n" +
				`deny contains {"code": "hostile", "message": "hostile"} if { ` + body + " }\n"})
			if refused, ok := errors.AsType[*CompileError](err); ok {
				if code := refused.Diagnostics[0].Code; code != "rego_type_error" && code != codeRule {
					t.Fatalf("refused for a reason of its own: %v", refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			e := newEngine(t, Config{Logger: quiet.Logger})
			e.current.Store(s)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			done := make(chan policy.Decision, 1)
			start := time.Now()
			go func() { done <- e.Decide(context.Background(), trialInput("claims", noon)) }()
			select {
			case d := <-done:
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				grown := after.TotalAlloc - before.TotalAlloc
				t.Logf("%v after %v, %d MiB", d.Reasons, took.Round(time.Millisecond), grown>>20)
				if took > most || grown > memory {
					t.Errorf("%v after %v and %d bytes", d, took, grown)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}

// TestHostileRego_Trial shows that a set that does not finish is not put in force.
func TestHostileRego_Trial(t *testing.T) {
	e := newEngine(t, Config{Deadline: 20 * time.Millisecond, Logger: quiet.Logger})
	before := e.Revision()
	_, err := e.Load(context.Background(), Source{"clusters/claims/slow.rego": "package ringfence.clusters.claims\n\nimport rego.v2\n\n" +
		`deny contains {"code": "slow", "message": "slow"} if { ` + hostile["three nested loops"] + " }\n"})
	refused, ok := errors.AsType[*CompileError](err)
	if !ok || refused.Diagnostics[0].Code != codeTrial || refused.Diagnostics[0].File != "clusters/claims" {
		t.Fatalf("got %v", err)
	}
	if e.Revision() != before {
		t.Error("the revision changed")
	}
}
