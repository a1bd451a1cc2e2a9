package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`)

// shownForm returns the hidden fields of the form that a page shows.
func shownForm(pg page) url.Values {
	form := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(pg.body, -1) {
		form.Set(m[1], m[2])
	}
	return form
}

// TestGateway_NewVersionOfAgreement puts a new version in force: the next
// request is asked to accept it and the open stream is cut, until the person
// accepts; then every entry names the new version, and the signed statement of it
// checks on its own.
func TestGateway_NewVersionOfAgreement(t *testing.T) {
	p := startDemo(t)
	b := p.signIn(t, "kim@northwind.example", 0)
	target := p.cluster(t, "claims")
	if pg := b.get(target + "/"); pg.status != 200 {
		t.Fatalf("before: %d", pg.status)
	}
	b.client.Timeout = 0
	stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.client.Do(stream)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("stream: %v %v", res, err)
	}
	defer res.Body.Close()
	ended := make(chan time.Time, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := res.Body.Read(buf); err != nil {
				ended <- time.Now()
				return
			}
		}
	}()
	second := filepath.Join(t.TempDir(), "second.yaml")
	if err := os.WriteFile(second, []byte("version: 1\nagreements:\n  - name: confidentiality\n    title: Confidentiality and data access\n    version: 2\n    text: |\n      # Second text\n\n      Tell nobody.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "apply", "-f", second, "--data", p.ready.Data)
	put := time.Now()
	b.accept = "application/json"
	if pg := b.get(target + "/after"); pg.status != 401 || reasonsOf(t, pg.body) != "agreement_missing" {
		t.Errorf("after the new version: %d %s", pg.status, pg.body)
	}
	select {
	case at := <-ended:
		if at.Sub(put) > time.Second {
			t.Errorf("the stream ended after %v", at.Sub(put))
		}
	case <-time.After(5 * time.Second):
		t.Error("the stream went on without the agreement")
	}

	b.accept = "text/html"
	pg := b.get(target + "/after")
	if pg.url.Path != "/agreements" || !strings.Contains(pg.body, "Tell nobody.") {
		t.Fatalf("headed for the cluster: %d at %s", pg.status, pg.url)
	}
	form := shownForm(pg)
	form.Set("name", "kim LARSEN")
	form.Set("accept", "yes")
	if pg = b.post(pg.url.String(), form); pg.status != 200 && pg.status != 404 || !strings.HasSuffix(pg.url.String(), "/after") {
		t.Fatalf("after accepting: %d at %s", pg.status, pg.url)
	}
	checkAgreementEntries(t, p)
	checkStatement(t, p, b)
}

// checkAgreementEntries holds what the entries of requests name.
func checkAgreementEntries(t *testing.T, p *process) {
	t.Helper()
	seen := map[string]bool{}
	for _, e := range p.entries(t, "--account", "kim@northwind.example", "--cluster", "claims") {
		if e["type"] == "log" { // such as an alarm about the account
			continue
		}
		var names []string
		list, _ := e["agreements"].([]any) // absent: none
		for _, n := range list {
			names = append(names, n.(string))
		}
		if len(names) != 1 {
			t.Errorf("an entry of type %v names %v", e["type"], names)
			continue
		}
		seen[e["type"].(string)+" "+names[0]] = true
	}
	for _, want := range []string{"request confidentiality@1", "outcome confidentiality@1", "request confidentiality@2", "outcome confidentiality@2"} {
		if !seen[want] {
			t.Errorf("no entry is %q: %v", want, seen)
		}
	}
	csv := ringfence(t, "log", "export", "--account", "kim@northwind.example", "--format", "csv", "--data", p.ready.Data)
	if !strings.Contains(csv, ",agreements,") || !strings.Contains(csv, ",confidentiality@2,") {
		t.Error("the CSV does not name agreements")
	}
}

func checkStatement(t *testing.T, p *process, b *browser) {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(p.ready.Data, "log", "log.pub")
	file := filepath.Join(dir, "own.txt")
	var own page
	eventually(t, 10*time.Second, "a checkpoint over the acceptance", func() bool {
		own = b.get(p.ready.Gate + "/agreements/confidentiality/2/statement.txt")
		return strings.Contains(own.body, "proved below")
	})
	if err := os.WriteFile(file, []byte(own.body), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ringfence(t, "agreement", "verify", file, "--key", key)
	if !strings.Contains(out, "confidentiality@2") || !strings.Contains(out, "kim LARSEN") || !strings.Contains(out, "of the access log") {
		t.Errorf("verified: %s", out)
	}
	var stated struct {
		Acceptances []struct {
			Session, Factor, IP string
			UserAgent           string `json:"user_agent"`
		}
	}
	if err := json.Unmarshal([]byte(ringfence(t, "agreement", "verify", file, "--key", key, "--json")), &stated); err != nil {
		t.Fatal(err)
	}
	if len(stated.Acceptances) != 1 || stated.Acceptances[0].Session == "" || stated.Acceptances[0].Factor != "totp" || stated.Acceptances[0].UserAgent == "" {
		t.Errorf("stated %+v", stated)
	}

	changed := bytes.Replace([]byte(own.body), []byte("kim LARSEN"), []byte("kim LARSEM"), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	bad, err := program("agreement", "verify", file, "--key", key).CombinedOutput()
	if err == nil || !strings.Contains(string(bad), "LARSEM") || !strings.Contains(string(bad), "signature does not fit") {
		t.Errorf("changed: %v\n%s", err, bad)
	}

	all := filepath.Join(dir, "all.txt")
	ringfence(t, "agreement", "statement", "confidentiality", "-o", all, "--data", p.ready.Data)
	if out := ringfence(t, "agreement", "verify", all); strings.Count(out, "confidentiality@1") < 5 || !strings.Contains(out, "confidentiality@2") {
		t.Errorf("all of them: %s", out)
	}
	made := p.entries(t, "--action", "agreement.statement")
	if !slices.ContainsFunc(made, func(e map[string]any) bool { return e["actor"] == "operator" }) || len(made) < 2 {
		t.Errorf("statements leave the entries %v", made)
	}
	if out := ringfence(t, "agreement", "list", "--data", p.ready.Data); !regexp.MustCompile(`confidentiality +2 +1 +\d`).MatchString(out) {
		t.Errorf("listed:\n%s", out)
	}
	if out := ringfence(t, "agreement", "list", "confidentiality", "--json", "--data", p.ready.Data); !strings.Contains(out, `"typed_name":"kim LARSEN"`) {
		t.Errorf("listed:\n%s", out)
	}
}
