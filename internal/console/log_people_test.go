package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// Details name accounts by id; the page says who they are, while they are.
func TestEntry_NamesAccounts(t *testing.T) {
	o := newOffice(t, plainText)
	index := o.entries.add(policy.Record{Type: policy.RecordPolicy, Action: "policy.publish", Result: "ok", Actor: "ada", Time: o.now,
		Detail: map[string]string{"approver": "rae", "authors": "ada, operator", "title": "kims"}}, nil)
	w := o.get("rae", entryURL(index))
	shows(t, w, http.StatusOK, "rae (Rae Castillo)", "ada, operator (Ada ")
	if strings.Contains(w.Body.String(), "kims (") {
		t.Error("a part of a word is taken for an account")
	}
}
