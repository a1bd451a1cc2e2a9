package console

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// logClusters returns the clusters that the visitor is limited to in the access
// log, and whether that is so. Whoever is not in the directory reads of none.
func (v *visit) logClusters() (clusters []string, limited bool) {
	if v.Session == nil {
		return nil, true
	}
	a, ok := v.Snapshot.Account(v.Session.Account)
	if !ok {
		return nil, true
	}
	return a.LogClusters, len(a.LogClusters) > 0
}

// mayRead returns what the visitor may see of the access log; nil: all of it.
// Every search is joined with it. Whoever is limited to clusters sees the
// entries that are about one of them, and neither sign-ins nor changes.
func (v *visit) mayRead() query.Node {
	clusters, limited := v.logClusters()
	if !limited {
		return nil
	}
	if len(clusters) == 0 {
		clusters = []string{"."} // no cluster's name: nothing is selected
	}
	var any []query.Node
	for _, name := range clusters {
		any = append(any, query.Match{Field: query.Cluster, Pattern: query.Exact(name)})
	}
	return query.Any(any...)
}

// maySee reports whether the visitor may see the entry.
func (v *visit) maySee(e *accesslog.Entry) bool {
	clusters, limited := v.logClusters()
	return !limited || e.Cluster != "" && slices.Contains(clusters, e.Cluster)
}

// filterScope is mayRead for a filter of the log itself.
func (v *visit) filterScope() []string {
	clusters, limited := v.logClusters()
	if limited && clusters == nil {
		return []string{}
	}
	if !limited {
		return nil
	}
	return clusters
}

// scopeKey is the detail of an entry about a reading that says what whoever
// read is limited to, as a query.
const scopeKey = "scope"

// withScope adds to what is recorded of a reading that the visitor reads of
// some clusters only.
func (v *visit) withScope(action string, detail map[string]string) map[string]string {
	scope := v.mayRead()
	if scope == nil || detail[scopeKey] != "" || action == "log.own" || !strings.HasPrefix(action, "log.") {
		return detail
	}
	with := map[string]string{scopeKey: query.Print(scope)}
	maps.Copy(with, detail)
	return with
}

// mayReadAll refuses visitors who are limited to clusters, for what shows or
// counts entries of all of them.
func (v *visit) mayReadAll() error {
	if _, limited := v.logClusters(); !limited {
		return nil
	}
	return &ui.Error{Status: http.StatusForbidden, Code: "log_limited",
		Detail: "Your account reads the access log of some clusters only, and this uses all of it. Ask a reviewer who reads all of it."}
}

// logScopeWords tells the visitor what the log's pages leave out; empty: nothing.
func (v *visit) logScopeWords() ui.Text {
	clusters, limited := v.logClusters()
	if !limited {
		return ""
	}
	return ui.Say("Your account reads the access log of {1} only. Sign-ins, changes and other clusters are not shown.", andWords(clusters))
}

// logClustersField is the control for the clusters that a reviewer reads of.
func logClustersField(f *form, d *directory.Directory) choices {
	items := make([]choice, 0, len(d.Clusters))
	for i := range d.Clusters {
		items = append(items, choice{Value: d.Clusters[i].Name, Label: ui.Verbatim(d.Clusters[i].Title)})
	}
	return f.boxes("log_clusters", "A reviewer reads the access log of these clusters only (none chosen: of everything)", items)
}

func logClustersFrom(f *form, d *directory.Directory, roles []policy.Role) []string {
	var all []string
	for i := range d.Clusters {
		all = append(all, d.Clusters[i].Name)
	}
	chosen := f.someOf("log_clusters", all)
	if len(chosen) > 0 && !slices.Equal(roles, []policy.Role{policy.Reviewer}) {
		f.fault("log_clusters", "Only an account whose one role is reviewer can be limited to clusters.")
	}
	return chosen
}
