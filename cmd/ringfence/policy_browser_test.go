package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exportsClosed is a policy with its test: nobody reads the claims' list.
const exportsClosed = `package ringfence.clusters.claims

import rego.v2

deny contains {"code": "closed_today", "message": "The list of claims is closed today.", "help": "Ask the owner of the cluster."} if {
	input.request.path[0] == "claims"
}
`

const exportsClosedTest = `package ringfence.clusters.claims_test

import data.ringfence.clusters.claims
import rego.v2

test_closed if count(claims.deny) == 1 with input as {"request": {"path": ["claims"]}}

test_open if count(claims.deny) == 0 with input as {"request": {"path": ["reports"]}}
`

// TestBrowser_PolicyReview is a change of policies on the built program: a draft
// from a folder, read and approved by a second person in a browser, in force at
// once, and rolled back alone in an emergency.
func TestBrowser_PolicyReview(t *testing.T) {
	w := chromium(t)
	p := startDemo(t)
	write := func(files ...string) string {
		folder := t.TempDir()
		for i := 0; i < len(files); i += 2 {
			file := filepath.Join(folder, filepath.FromSlash(files[i]))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(files[i+1]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	folder := write("clusters/claims/closed.rego", exportsClosed, "clusters/claims/closed_test.rego", exportsClosedTest)
	kim := p.signIn(t, "kim@northwind.example", 0)
	claims := p.cluster(t, "claims") + "/claims/CL-20418"
	if got := kim.get(claims).status; got != 200 {
		t.Fatalf("before the change the claims answer %d", got)
	}
	kim.accept = "application/json"
	ringfence(t, "policy", "publish", write("all/first.rego", "package ringfence.all\n\nimport rego.v2\n"), "--title", "First", "--reason", "to begin", "--data", p.ready.Data)
	ringfence(t, "policy", "publish", folder, "--draft", "--title", "Close the claims", "--reason", "Asked for by their owner", "--data", p.ready.Data)

	w.signIn(p, "ben@harbour.example")
	w.open(p.ready.Gate + "/console/")
	w.press(`[...document.querySelectorAll('.attention a')].find(a => a.textContent.includes('Close the claims'))`)
	for _, words := range []string{"It waits for you", "Asked for by their owner", "closed_today", "The knock-out test found no hole"} {
		if !strings.Contains(w.text(), words) {
			t.Errorf("the review lacks %q:\n%s", words, w.text())
		}
	}
	w.shoot("policy-review")
	w.fitsPhone("the review")
	w.press(`document.querySelector('form[action$="/approve"] button')`)
	if text := w.text(); !strings.Contains(text, "is published and in force") || !strings.Contains(text, "everything on this page is as it was signed") {
		t.Fatalf("after the approval at %s:\n%s", w.at(), text)
	}
	eventually(t, time.Second, "the policy holds", func() bool { return kim.get(claims).status == 403 })
	w.shoot("policy-revision")
	w.fitsPhone("the revision")

	w.open(p.ready.Gate + "/console/policies")
	w.shoot("policies")
	w.fitsPhone("the policies")
	w.open(p.ready.Gate + "/console/policies/revisions")
	w.press(`[...document.querySelectorAll('tbody th a')][1]`)
	w.press(`document.querySelector('main a[href$="/rollback-alone"]')`)
	w.submit("reason", "Nobody can work on the claims")
	eventually(t, time.Second, "the earlier revision is in force", func() bool { return kim.get(claims).status == 200 })
	w.open(p.ready.Gate + "/console/policies")
	if !strings.Contains(w.text(), "Published by one person alone") {
		t.Errorf("the overview does not say that one person did it:\n%s", w.text())
	}
}
