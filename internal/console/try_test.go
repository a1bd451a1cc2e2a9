package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// officeSets has the stock policies in force, under the revision of the office's log.
type officeSets struct{}

func (officeSets) InForce() (map[string]string, string) { return nil, officeRevision{}.Revision() }

func (officeSets) Decided(_ context.Context, revision string) (map[string]string, string, bool, error) {
	return nil, "", revision == officeRevision{}.Revision(), nil
}

func tryValuesOf(changes ...string) string {
	v := tryDefaults(sampleNow)
	v.Set("account", "kim@example.com")
	v.Set("cluster", "claims")
	v.Set("path", "/reports/2025")
	for i := 0; i < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
	}
	return v.Encode()
}

// TestTry judges made-up requests and names the condition that failed.
func TestTry(t *testing.T) {
	for name, c := range map[string]struct {
		changes []string
		want    []string
	}{
		"allowed":      {nil, []string{"allow", "permitted holds."}},
		"path":         {[]string{"path", "/admin"}, []string{"path_out_of_scope", "array.slice(input.request.path, 0, count(prefix)) == prefix", "prefix is [&#34;reports&#34;]"}},
		"no code":      {[]string{"factor-totp", ""}, []string{"second_factor", "factor_proved failed because"}},
		"no access":    {[]string{"account", "lee@example.com"}, []string{"no_assignment", "assigned failed because input.facts.assignment is not known."}},
		"after it all": {[]string{"time", "2031-01-01T00:00:00"}, []string{"assignment_ended", "now is 1924992000000000000 (", "2031"}},
		"own people":   {[]string{"account", "ada@example.com"}, []string{"no_assignment"}},
		"token":        {[]string{"credential", "access_token"}, []string{"token_not_allowed", "input.facts.engagement.access_tokens is not known"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, plainText)
			w := o.do("abe", http.MethodPost, tryPath, tryValuesOf(c.changes...), "Sec-Fetch-Site", "same-origin")
			if w.Code != http.StatusOK {
				t.Fatalf("status %d:\n%s", w.Code, w.Body)
			}
			for _, want := range c.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%q is missing in\n%s", want, w.Body)
				}
			}
		})
	}
}

// TestTry_Faults: what cannot be read is said beside its field and nothing is tried.
func TestTry_Faults(t *testing.T) {
	o := newOffice(t, plainText)
	for _, change := range [][2]string{{"account", "nobody@example.com"}, {"cluster", "none"}, {"path", "reports"}, {"path", "/%zz"}, {"time", "noon"}, {"source", "home"},
		{"headers", "cookie: a=b"}, {"factor-totp", "-1"}, {"credential", "charm"}, {"protocol", "smtp"}, {"set", "draft:97"}, {"set", "x"}} {
		w := o.do("ada", http.MethodPost, tryPath, tryValuesOf(change[0], change[1]), "Sec-Fetch-Site", "same-origin")
		if w.Code != http.StatusUnprocessableEntity || strings.Contains(w.Body.String(), "How it is decided") {
			t.Errorf("%v: status %d", change, w.Code)
		}
	}
}

// TestTry_FromEntry: the form has what the entry says, and the same request is
// decided alike; whoever may not read the log gets nothing of it.
func TestTry_FromEntry(t *testing.T) {
	o := newOffice(t, plainText)
	before := o.entries.Size()
	w := o.get("rae", tryURL(5))
	for _, want := range []string{`value="/api/v2/claims/88213"`, `value="POST"`, `name="entry" value="5"`, `value="640"`} {
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is missing, status %d", want, w.Code)
		}
	}
	if r := o.entries.last("log.entry"); r == nil || r.Object != "entry:5" || o.entries.Size() != before+1 {
		t.Error("the reading was not recorded once")
	}
	w = o.do("rae", http.MethodPost, tryPath, tryValuesOf("entry", "5", "facts", "then", "method", "POST", "path", "/api/v2/claims/88213"), "Sec-Fetch-Site", "same-origin")
	if !strings.Contains(w.Body.String(), "method_out_of_scope") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
	if o.entries.Size() != before+2 || o.entries.last("log.entry").Object != "entry:5" {
		t.Error("an entry was read by a form alone, and the reading was not recorded")
	}
	if w := o.get("abe", tryURL(5)); w.Code != http.StatusNotFound {
		t.Errorf("an approver reads the log: status %d", w.Code)
	}
	if w := o.get("rae", tryURL(2)); w.Code != http.StatusBadRequest { // an outcome
		t.Errorf("an outcome as a request: status %d", w.Code)
	}
}

// TestEntry_Explained: an entry's page explains the decision under the revision
// that made it, and says why where it cannot.
func TestEntry_Explained(t *testing.T) {
	o := newOffice(t, plainText)
	plain := o.get("rae", "/console/log/5")
	if !strings.Contains(plain.Body.String(), "Explain this decision") || strings.Contains(plain.Body.String(), "How it is decided") {
		t.Errorf("status %d:\n%s", plain.Code, plain.Body)
	}
	w := o.get("rae", "/console/log/5?explain=yes")
	for _, want := range []string{"How it is decided", "method_of_access failed because input.request.method in {&#34;GET&#34;, &#34;HEAD&#34;, &#34;OPTIONS&#34;} does not hold", "input.request.method is &#34;POST&#34;", "Not kept in the log"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is missing in\n%s", want, w.Body)
		}
	}
	gone := o.entries.add(policy.Record{Type: policy.RecordRequest, Account: "kim", Cluster: "claims", Effect: "deny", Revision: "ffff"}, nil)
	if w := o.get("rae", entryURL(gone)+"?explain=yes"); !strings.Contains(w.Body.String(), "not kept here any more") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
	o.Console.Sets = earlierSets{}
	if w := o.get("rae", "/console/log/5?explain=yes"); !strings.Contains(w.Body.String(), "Version v0.9 of Ringfence decided this") || !strings.Contains(w.Body.String(), "method_of_access failed") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
}

// earlierSets are sets of which an earlier version decided everything.
type earlierSets struct{ officeSets }

func (earlierSets) Decided(context.Context, string) (map[string]string, string, bool, error) {
	return nil, "v0.9", true, nil
}

// TestTry_Links: a link may fill in the form and tries nothing.
func TestTry_Links(t *testing.T) {
	o := newOffice(t, plainText)
	w := o.get("ada", tryPath+"?"+url.Values{"account": {"lee@example.com"}, "cluster": {"maps"}, "path": {"/tiles"}}.Encode())
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `value="lee@example.com"`) || !strings.Contains(w.Body.String(), `value="/tiles"`) || strings.Contains(w.Body.String(), "How it is decided") {
		t.Errorf("status %d:\n%s", w.Code, w.Body)
	}
}
