package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringfence/ringfence/internal/studio"
)

// TestPolicyReplay_ShowsWhatADraftWouldChange records real requests, then asks
// a folder about them, and this build about what is in force.
func TestPolicyReplay_ShowsWhatADraftWouldChange(t *testing.T) {
	slow(t)
	p := startDemo(t)
	b := p.signIn(t, "kim@northwind.example", 0)
	claims := p.cluster(t, "claims")
	for _, target := range []string{"/claims/CL-20418", "/claims/CL-20418?tab=notes", "/work/item-7"} {
		if pg := b.get(claims+target, "Referer", "https://elsewhere.example/a?token=canary"); pg.status != http.StatusOK {
			t.Fatalf("%s: %d", target, pg.status)
		}
	}
	folder := func(rule string) string {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "all"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "all", "x.rego"), []byte("package ringfence.all\n\nimport rego.v2\n\n"+
			`deny contains {"code": "closed", "message": "Closed.", "help": "Ask."} if `+rule+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	replay := func(args ...string) studio.ReplayResult {
		t.Helper()
		var r studio.ReplayResult
		if err := json.Unmarshal([]byte(ringfence(t, append([]string{"policy", "replay", "--json", "--data", p.ready.Data}, args...)...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		name               string
		args               []string
		narrowed, withheld int
	}{
		{"a path", []string{folder(`input.request.path[0] == "claims"`)}, 2, 0},
		{"a path, decided afresh", []string{folder(`input.request.path[0] == "claims"`), "--afresh"}, 2, 0},
		{"a query value, which is not kept", []string{folder(`"notes" in input.request.query.tab`)}, 0, 1},
		{"a query field that nobody sent", []string{folder(`"notes" in input.request.query.other`)}, 0, 0},
		{"another cluster", []string{folder("true"), "--cluster", "billing"}, 0, 0},
	} {
		r := replay(c.args...)
		if r.Narrowed != c.narrowed || r.Unfit[studio.UnfitWithheld] != c.withheld || r.Widened+r.Reworded+r.Differed != 0 || r.UnfitTotal() != c.withheld {
			t.Errorf("%s: %+v", c.name, r)
		}
		for _, g := range r.Groups {
			if g.Email != "kim@northwind.example" || g.Cluster != "claims" || len(g.New.Reasons) != 1 || g.New.Reasons[0] != "closed" || len(g.Entries) != g.Count {
				t.Errorf("%s: %+v", c.name, g)
			}
		}
	}
	if r := replay("--engine"); r.Replayed < 4 || r.UnfitTotal() != 0 || r.Widened+r.Narrowed+r.Reworded != 0 {
		t.Errorf("this build decides otherwise than it did: %+v", r)
	}
	if n := len(p.entries(t, "--action", "log.replay")); n != 6 {
		t.Errorf("%d of 6 replays are recorded", n)
	}
	if n := len(p.entries(t, "--text", "canary")); n != 0 {
		t.Error("the query of a referer is in the log")
	}
	loaded := p.entries(t, "--action", "policy.loaded")
	if len(loaded) == 0 {
		t.Fatal("nothing says which policies were loaded")
	}
	if d, _ := loaded[0]["detail"].(map[string]any); d["build"] == "" || d["opa"] == nil {
		t.Errorf("%v", loaded[0])
	}
}
