package console

import (
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// mostSuggested bounds how many names of one kind a page carries for suggestions.
const mostSuggested = 200

// suggestions are what may be typed into a query: the fields, and the values
// that are known without reading the log. They are in the page for its script.
func (v *visit) suggestions() []ui.Link {
	var out []ui.Link
	add := func(text string, label ui.Text) { out = append(out, ui.Link{URL: text, Label: label}) }
	for _, f := range query.Fields() {
		add(f.String()+":", "")
	}
	value := func(f query.Field, value string, label ui.Text) { add(query.Print(is(f, value)), label) }
	for _, e := range effects {
		value(query.Effect, e, "")
	}
	for _, t := range recordTypes {
		value(query.Type, string(t), typeWords[t])
	}
	for _, m := range []string{policy.ModeStrict, policy.ModeRelaxed} {
		value(query.Mode, m, "")
	}
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
		value(query.Method, m, "")
	}
	for _, s := range []string{"1h", "24h", "7d", "30d"} {
		add("since:"+s, "")
	}
	for _, s := range []string{"2xx", "4xx", "5xx", "403"} {
		add("status:"+s, "")
	}
	for _, code := range sortedKeys(reasonWords) {
		value(query.Reasons, code, "")
	}
	d := v.Snapshot.Directory()
	for i := range min(len(d.Clusters), mostSuggested) {
		value(query.Cluster, d.Clusters[i].Name, ui.Verbatim(d.Clusters[i].Title))
	}
	for i := range min(len(d.Vendors), mostSuggested) {
		value(query.Vendor, d.Vendors[i].Name, ui.Verbatim(d.Vendors[i].Title))
	}
	for i := range min(len(d.Accounts), mostSuggested) {
		value(query.Account, d.Accounts[i].Email, ui.Verbatim(d.Accounts[i].Name))
	}
	return out
}
