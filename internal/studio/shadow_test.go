package studio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// silent is a child that ends at once and says nothing.
func silent() *exec.Cmd { return exec.Command(os.Args[0], "-test.run=^$") }

// TestShadow_EndlessAnswer: a child that says more than a decision can be is
// ended before it fills the gateway's memory.
func TestShadow_EndlessAnswer(t *testing.T) {
	r := New(Config{Command: func() *exec.Cmd { return exec.Command("cat", "/dev/zero") }})
	err := r.NewShadow(ShadowRequest{}).Run(t.Context(), func(*ShadowDifference) { t.Error("it has decided") })
	if l, ok := errors.AsType[*LimitError](err); !ok || l.What != "room for its answer" {
		t.Errorf("%v", err)
	}
}

// asked is the input and today's decision of one request of kim's.
func asked(t *testing.T, e *rego.Engine, facts *policy.Document, method string, n int) (*policy.Input, policy.Decision) {
	t.Helper()
	in := matrixInput(&MatrixRequest{At: matrixNow, Source: "198.51.100.7"},
		&MatrixCell{Account: "kim", Email: "kim@example.com", Vendor: "acme", Roles: []policy.Role{policy.Contractor}, Cluster: "claims", Classification: "internal", Route: "web", Host: "claims.test", Facts: facts},
		question{method, []string{"a", fmt.Sprint(n)}})
	return in, e.Decide(t.Context(), in)
}

func claimsFacts(t *testing.T) *policy.Document {
	t.Helper()
	cells, _ := Cells(matrixSnapshot(t), noAddress)
	return cells[0].Facts
}

// TestShadow_Differences: what the other set decides otherwise is told with its
// entry, in order, in a child process and without one.
func TestShadow_Differences(t *testing.T) {
	e, err := rego.NewEngine(rego.Config{Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	facts := claimsFacts(t)
	for name, runner := range map[string]*Runner{"inline": New(Config{}), "child": children(t, Limits{})} {
		t.Run(name, func(t *testing.T) {
			s := runner.NewShadow(ShadowRequest{Modules: denyWhen(`input.request.method == "POST"`)})
			const n = 300
			for i := range n {
				in, made := asked(t, e, facts, []string{"GET", "POST", "DELETE"}[i%3], i)
				s.Offer(in, made, uint64(i))
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var got []*ShadowDifference
			seen := 0
			if err := s.Run(ctx, func(d *ShadowDifference) {
				if d != nil {
					got = append(got, d)
				}
				if seen++; seen == n {
					stop()
				}
			}); err != nil {
				t.Fatal(err)
			}
			if seen != n || len(got) != n/3 || s.TakeDropped() != 0 {
				t.Fatalf("%d decided, %d differ", seen, len(got))
			}
			for i, d := range got {
				if want := uint64(3*i + 1); d.Entry != want || d.Turn != rego.Narrowed || d.Request.Path[1] != fmt.Sprint(want) ||
					d.Cluster != "claims" || d.Subject.Account != "kim" || d.New.Reasons[0].Code != "x" || d.Old.Effect != policy.Allow {
					t.Fatalf("difference %d: %+v", i, d)
				}
			}
		})
	}
}

// TestShadow_DropsRatherThanWaits: while the child does not keep up, what comes
// is counted as dropped, and nobody waits.
func TestShadow_DropsRatherThanWaits(t *testing.T) {
	e, err := rego.NewEngine(rego.Config{Deadline: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{}).NewShadow(ShadowRequest{})
	in, made := asked(t, e, claimsFacts(t), "GET", 1)
	for range shadowQueue + 50 { // nothing runs: were Offer to wait, this would not end
		s.Offer(in, made, 1)
	}
	if n := s.TakeDropped(); n != 50 {
		t.Errorf("%d dropped", n)
	}
	if n := s.TakeDropped(); n != 0 {
		t.Errorf("%d dropped a second time", n)
	}
}

// TestShadow_Ends: a set that cannot decide ends the shadow with the reason.
func TestShadow_Ends(t *testing.T) {
	for name, c := range map[string]struct {
		runner  *Runner
		modules map[string]string
		want    string
	}{
		"does not compile":          {New(Config{}), denyWhen("input.request.methd"), "methd"},
		"does not compile in child": {children(t, Limits{}), denyWhen("input.request.methd"), "methd"},
		"dies":                      {New(Config{Command: silent}), nil, "child process"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.runner.NewShadow(ShadowRequest{Modules: c.modules})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := s.Run(ctx, func(*ShadowDifference) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestShadow_StopsWhileItWaits: the end of the context ends a shadow at once,
// also one that has nothing to do.
func TestShadow_StopsWhileItWaits(t *testing.T) {
	for name, runner := range map[string]*Runner{"inline": New(Config{}), "child": children(t, Limits{})} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- runner.NewShadow(ShadowRequest{}).Run(ctx, func(*ShadowDifference) {}) }()
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
		})
	}
}

// TestServeShadow_Garbage: what is no request ends the child with words.
func TestServeShadow_Garbage(t *testing.T) {
	for in, want := range map[string]string{"{]": "reading a request", "": "", `{"facts":"x","document":[]}`: "reading facts"} {
		var said message
		if err := serveShadow(t.Context(), []byte("{}"), bufio.NewReader(strings.NewReader(in)), func(m message) error { said = m; return nil }); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.Error, want) || (want == "") != (said.Error == "") {
			t.Errorf("%q: said %q", in, said.Error)
		}
	}
}
