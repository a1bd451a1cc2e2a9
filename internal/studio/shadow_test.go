package studio

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// TestShadowChild is the child process of the tests below, and no test itself.
func TestShadowChild(t *testing.T) {
	switch os.Getenv("RINGFENCE_TEST_SHADOW") {
	case "":
		t.Skip("run by other tests")
	case "dies":
		os.Exit(3)
	}
	if err := Serve(t.Context(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func shadowChild(mode string) func() *exec.Cmd {
	return func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestShadowChild$")
		cmd.Env = append(os.Environ(), "RINGFENCE_TEST_SHADOW="+mode)
		return cmd
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
	for name, config := range map[string]Config{"inline": {}, "child": {Command: shadowChild("serves")}} {
		t.Run(name, func(t *testing.T) {
			s := New(config).NewShadow(ShadowRequest{Modules: denyWhen(`input.request.method == "POST"`)})
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
		config  Config
		modules map[string]string
		want    string
	}{
		"does not compile":          {Config{}, denyWhen("input.request.methd"), "methd"},
		"does not compile in child": {Config{Command: shadowChild("serves")}, denyWhen("input.request.methd"), "methd"},
		"dies":                      {Config{Command: shadowChild("dies")}, nil, "child process"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(c.config).NewShadow(ShadowRequest{Modules: c.modules})
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
	for name, config := range map[string]Config{"inline": {}, "child": {Command: shadowChild("serves")}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- New(config).NewShadow(ShadowRequest{}).Run(ctx, func(*ShadowDifference) {}) }()
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
	var out strings.Builder
	unconfined := func(Limits) error { return nil }
	if err := serve(t.Context(), strings.NewReader(`{"kind":"shadow","body":{}}`+"\n{]\n"), &out, unconfined); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "reading a request") {
		t.Errorf("said %q", out.String())
	}
	if err := serve(t.Context(), strings.NewReader(`{"kind":"shadow","body":{}}`+"\n"), io.Discard, unconfined); err != nil {
		t.Errorf("without a request: %v", err)
	}
}
