package people

import (
	"maps"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// find knows Kim and the operations' shared account.
func find(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "kim.larsen@acme.example", "kim.larsen":
		return "acc1", true
	case "ops+night@acme.example":
		return "acc2", true
	}
	if name == "o'brien@acme.example" {
		return "acc3", true
	}
	return "", false
}

func TestConceal(t *testing.T) {
	for _, c := range []struct {
		t         policy.RecordType
		key, text string
		want      string
	}{
		{policy.RecordLog, "query", "account:kim.larsen@acme.example effect:deny", "account:acc1 effect:deny"},
		{policy.RecordLog, "query", `email:"Kim.Larsen@ACME.example" or source_ip:192.0.2.1`, "account:acc1 or source_ip:192.0.2.1"},
		{policy.RecordLog, "query", "account:kim.larsen -cluster:claims", "account:acc1 not cluster:claims"},
		{policy.RecordLog, "query", "not (email:kim.larsen@acme.example or status:403)", "not (account:acc1 or status:403)"},
		{policy.RecordLog, "query", "kim.larsen@acme.example", "account:acc1"},
		{policy.RecordLog, "query", "email:*kim.larsen@acme.example*", "account:acc1"},
		{policy.RecordLog, "query", `object:"account:kim.larsen@acme.example"`, "account:acc1"},
		{policy.RecordLog, "query", `object:"assignment:kim.larsen@acme.example/claims"`, "account:acc1 cluster:claims"},
		{policy.RecordLog, "query", `detail:"name=kim.larsen@acme.example"`, `detail:"name=acc1"`},
		{policy.RecordLog, "query", "path:/reports/kim.larsen@acme.example", "path:/reports/acc1"},
		{policy.RecordLog, "query", "account:stranger@acme.example", "account:stranger@acme.example"},
		{policy.RecordLog, "query", "kim.larsen", "kim.larsen"}, // a word, which may be a path's
		{policy.RecordLog, "query", "account:(kim.larsen@acme.example", "account:(acc1"},
		{policy.RecordLog, "scope", "account:ops+night@acme.example", "account:acc2"},
		{policy.RecordLog, "account", "kim.larsen", "acc1"},
		{policy.RecordLog, "filter", "account=kim.larsen@acme.example json=true query=email:kim.larsen@acme.example vendor:acme", "account=acc1 json=true query=account:acc1 vendor:acme"},
		{policy.RecordLog, "note", "Asked Kim.Larsen@acme.example. Fine, says <ops+night@acme.example>.", "Asked acc1. Fine, says <acc2>."},
		{policy.RecordLog, "note", "'o'brien@acme.example' it was, not 'kim.larsen@acme.example'.", "'acc3' it was, not 'acc1'."},
		{policy.RecordLog, "query", `email:"o'brien@acme.example"`, "account:acc3"},
		{policy.RecordPolicy, "authors", "kim.larsen@acme.example, ops+night@acme.example, else@acme.example", "acc1, acc2, else@acme.example"},
		{policy.RecordPolicy, "approver", "kim.larsen@acme.example", "acc1"},
		{policy.RecordAdmin, "given_by", "ops+night@acme.example -> kim.larsen@acme.example", "acc2 -> acc1"},
		{policy.RecordAdmin, "account", "kim.larsen", "kim.larsen"},
		{policy.RecordAdmin, "owner", "Kim <kim.larsen@acme.example>", "Kim <acc1>"},
		{policy.RecordRequest, "query", "account:kim.larsen@acme.example", "account:kim.larsen@acme.example"},
	} {
		detail := map[string]string{c.key: c.text, "other": "1"}
		was := maps.Clone(detail)
		r := &policy.Record{Type: c.t, Detail: detail}
		Conceal(r, find)
		if got := r.Detail[c.key]; got != c.want || r.Detail["other"] != "1" {
			t.Errorf("%s %s %q: %q, want %q", c.t, c.key, c.text, got, c.want)
		}
		if !maps.Equal(detail, was) {
			t.Errorf("%q: the caller's map was changed", c.text)
		}
	}
	r := &policy.Record{Type: policy.RecordLog, Object: "account:kim.larsen@acme.example"}
	if Conceal(r, find); r.Object != "account:acc1" {
		t.Errorf("object %q", r.Object)
	}
}
