package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
)

const closesClaims = "package ringfence.all\n\nimport rego.v2\n\n" +
	`deny contains {"code": "closed", "message": "That is closed.", "help": "Ask."} if input.resource.cluster == "claims"` + "\n"

// TestShadow_OfADraft: a draft decides beside the policies in force about real
// requests, nothing of it is enforced, and the same requests are then replayed
// and laid out in the matrix, all on the pages of a running gateway.
func TestShadow_OfADraft(t *testing.T) {
	p := startDemo(t, "--data", filepath.Join(t.TempDir(), "state"))
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "all"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "all", "closed.rego"), []byte(closesClaims), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "policy", "publish", folder, "--draft", "--title", "Close the claims", "--reason", "They move", "--data", p.ready.Data)
	var ada, kim string
	for _, a := range p.ready.Accounts {
		switch {
		case slices.Contains(a.Roles, "administrator"):
			ada = a.Email
		case kim == "" && slices.ContainsFunc(a.Clusters, func(c demoCluster) bool { return c.Name == "claims" }):
			kim = a.Email
		}
	}
	admin, person := p.signIn(t, ada, 0), p.signIn(t, kim, 0)
	gate, claims := p.ready.Gate, p.cluster(t, "claims")
	if pg := admin.post(gate+"/console/policies/shadow", url.Values{"of": {"draft:1"}}); pg.status != 200 || !strings.Contains(pg.body, "deciding") {
		t.Fatalf("starting: %d\n%s", pg.status, pg.body)
	}
	eventually(t, time.Minute, "the shadow decides otherwise", func() bool {
		if pg := person.get(claims); pg.status != 200 {
			t.Fatalf("what the shadow says is enforced: %d at %s", pg.status, pg.url)
		}
		pg := admin.get(gate + "/console/policies/shadow")
		return strings.Contains(pg.body, "<code>closed</code>") && strings.Contains(pg.body, "shut out")
	})
	admin.post(gate+"/console/policies/shadow/stop", url.Values{"id": {"1"}})

	const replay = "/console/policies/drafts/1/replay"
	admin.post(gate+replay, url.Values{"since": {"1h"}})
	eventually(t, time.Minute, "the replay finds the same", func() bool {
		body := admin.get(gate + replay).body
		return strings.Contains(body, "<code>closed</code>") && strings.Contains(body, replay+"/test")
	})
	admin.post(gate+"/console/policies/matrix", url.Values{"draft": {"1"}, "source": {"127.0.0.1"}})
	eventually(t, time.Minute, "the matrix shows who is shut out", func() bool {
		body := admin.get(gate + "/console/policies/matrix?draft=1").body
		return strings.Contains(body, `class="narrowed"`) && strings.Contains(body, kim)
	})
	out := ringfence(t, "policy", "matrix", folder, "--data", p.ready.Data)
	if !strings.Contains(out, kim+" claims/") || !strings.Contains(out, "allow -> deny closed (narrowed)") {
		t.Errorf("the command prints\n%s", out)
	}
	var said []string
	for _, e := range p.entries(t, "--type", "policy") {
		said = append(said, e["action"].(string))
	}
	for _, want := range []string{"policy.shadow_start", "policy.shadow_stop"} {
		if !slices.Contains(said, want) {
			t.Errorf("%s is not recorded: %q", want, said)
		}
	}
}

// TestShadowTally: what cannot be kept is kept the next time, and one way of
// differing is one group.
func TestShadowTally(t *testing.T) {
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	difference := func(n int) *studio.ShadowDifference {
		d := &studio.ShadowDifference{Turn: "widened", Entry: uint64(n), New: policy.Decision{Effect: policy.Allow}}
		d.Subject.Account, d.Request.TimeNS = "kim", at.Add(time.Duration(n)*time.Second).UnixNano()
		d.Old.Reasons = []policy.Reason{{Code: "a"}, {Code: "b"}}
		return d
	}
	tally := new(shadowTally)
	for n := range 30 {
		tally.add(difference(n))
		tally.add(nil)
	}
	tally.addDropped(3)
	counts, found := tally.take()
	tally.giveBack(counts, found)
	tally.add(difference(30))
	counts, found = tally.take()
	if counts != (change.ShadowCounts{Decided: 61, Widened: 31, Dropped: 3}) || len(found) != 1 {
		t.Fatalf("%+v, %d groups", counts, len(found))
	}
	d := found[0]
	if d.Count != 31 || !d.First.Equal(at) || !d.Last.Equal(at.Add(30*time.Second)) || d.OldReasons != "a,b" || d.NewEffect != "allow" ||
		len(d.Entries) != change.MaxEntries || d.Entries[0] != 11 || d.Entries[19] != 30 {
		t.Errorf("%+v", d)
	}
	if counts, found = tally.take(); counts != (change.ShadowCounts{}) || found != nil {
		t.Errorf("%+v, %v", counts, found)
	}
}

// TestShadow_EndsWhereItCannotDecide: policies that cannot be run end their own
// shadow, which says why, and no request notices.
func TestShadow_EndsWhereItCannotDecide(t *testing.T) {
	slow(t)
	p := newWarmPath(t)
	g := p.gateway
	g.studio = studio.New(studio.Config{})
	if _, err := g.db.StartShadow(t.Context(), operator, change.Shadow{Revision: 1, Title: "Broken", Modules: map[string]string{"all/x.rego": "no rego"}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.shadows.Run(ctx) }()
	eventually(t, time.Minute, "the shadow ends", func() bool {
		all, err := g.db.Shadows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return !all[0].Running() && strings.Contains(all[0].Fault, "all/x.rego")
	})
	serveOnce(t, g.proxy, p.request())
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if g.shadows.current.Load() != nil {
		t.Error("it goes on")
	}
}
