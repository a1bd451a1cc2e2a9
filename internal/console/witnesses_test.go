package console

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/witness"
)

// allStates has a witness in each state.
func allStates() witness.Status {
	return witness.Status{Gap: 4 * time.Second, Witnessed: 40, Require: 2, MaxGap: 10 * time.Minute, Peers: []witness.PeerState{
		{Name: "audit", Key: "w.example.org/1+1a2b3c4d+AYCz", Size: 40, At: sampleNow.Add(-4 * time.Second)},
		{Name: "bank", Key: "w.example.net/2+5a6b7c8d+AYCz", Size: 12, At: sampleNow.Add(-3 * time.Hour), Err: errors.New("witness bank: dial tcp: connection refused <b>")},
		{Name: "court", Key: "w.example.com/3+9a0b1c2d+AYCz"},
		{Name: "fork", Key: "w.example.com/4+9a0b1c2d+AYCz", Err: &witness.ConflictError{Witness: "fork", Have: 40, Seen: 90, Proof: []byte("x")}},
		{Name: "word", Key: "w.example.com/5+9a0b1c2d+AYCz", Err: &witness.ConflictError{Witness: "word", Have: 40, Seen: 90}},
	}}
}

// TestWitnesses_Page: each witness is shown as it fares, and the gap with what
// follows from it.
func TestWitnesses_Page(t *testing.T) {
	o := newOffice(t, plainText)
	shows(t, o.get("rae", witnessesPath), http.StatusOK, "Nobody witnesses this log", "access_log.witnesses")
	w := &memoryWitnesses{status: allStates()}
	o.Console.Witnesses = w
	shows(t, o.get("rae", witnessesPath), http.StatusOK, "4.0 seconds", "40 of ", "2 of 5", "After 10m without, clusters are not served", ">witnessed<",
		">cosigns<", "40 entries", "just now", ">does not cosign<", "connection refused &lt;b&gt;", "3 hours ago", ">not asked yet<", "Nothing since the start", ">proves another log<", ">says there was another log<",
		"w.example.org/1&#43;1a2b3c4d&#43;AYCz", "/log/checkpoint", "/console/log?q=action:witness.lost,")
	for _, tt := range []struct {
		change func(*witness.Status)
		want   []string
	}{
		{func(s *witness.Status) { s.Gap = 59 * time.Second }, []string{">witnessed<"}},
		{func(s *witness.Status) { s.Gap = time.Minute }, []string{">the gap grows<"}},
		{func(s *witness.Status) { s.Gap, s.Witnessed = 0, 0 }, []string{">nothing is witnessed yet<"}},
		{func(s *witness.Status) { s.Stopped = witness.ErrUnwitnessed }, []string{">clusters are not served<", `role="alert"`, "too few witnesses have cosigned"}},
		{func(s *witness.Status) {
			s.Stopped = fmt.Errorf("%w: %w", witness.ErrUnwitnessed, &witness.ConflictError{Witness: "fork", Have: 40, Seen: 90, Proof: []byte("x")})
		}, []string{"witness fork shows a checkpoint of 90 entries"}},
		{func(s *witness.Status) { s.MaxGap, s.Stopped = 0, nil }, []string{"Service goes on however long that lasts."}},
		{func(s *witness.Status) { s.MaxGap, s.Require = time.Hour, 0 }, []string{"1 of 5", "Service goes on"}},
	} {
		tt.change(&w.status)
		shows(t, o.get("ada", witnessesPath), http.StatusOK, tt.want...)
	}
	shows(t, o.get("kim", witnessesPath), http.StatusForbidden)
	shows(t, o.get("abe", witnessesPath), http.StatusForbidden)
	o.limit("claims")
	if page := o.get("rae", witnessesPath); page.Code != http.StatusOK || strings.Contains(page.Body.String(), `href="/log/checkpoint"`) {
		t.Errorf("a reviewer of one cluster is offered the whole log: %d", page.Code)
	}
}
