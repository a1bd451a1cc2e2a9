package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// clustersPage lists clusters.
type clustersPage struct {
	Base
	Rows      []clusterRow
	Empty     ui.Empty
	MayChange bool
}

type clusterRow struct {
	URL, Name, Title string
	Hosts            []string
	Class            ui.Badge
	Owner            policy.Person
	Health           ui.Badge
	People           int
}

func clusterURL(name string) string { return "/console/clusters/" + url.PathEscape(name) }

func clusterLink(d *directory.Directory, name string) ui.Link {
	l := ui.Link{Label: ui.Verbatim(name), URL: clusterURL(name)}
	if cl := find(d.Clusters, clusterNamed(name)); cl != nil {
		l.Label = ui.Verbatim(cmp.Or(cl.Title, cl.Name))
	}
	return l
}

// upstreams returns the state of every upstream, by cluster.
func (c *Console) upstreams() map[string][]ClusterStatus {
	out := map[string][]ClusterStatus{}
	if c.Status != nil {
		for _, s := range c.Status.Clusters() {
			out[s.Name] = append(out[s.Name], s)
		}
	}
	return out
}

// health says in a word how a cluster's upstreams fare.
func health(list []ClusterStatus) ui.Badge {
	healthy := 0
	for _, s := range list {
		if s.Healthy {
			healthy++
		}
	}
	switch {
	case len(list) == 0:
		return ui.Badge{Kind: ui.Neutral, Text: "not checked"}
	case healthy == 0:
		return ui.Badge{Kind: ui.Bad, Text: "unreachable"}
	case healthy < len(list):
		return ui.Badge{Kind: ui.Warn, Text: ui.Count(len(list)-healthy, "{1} upstream down", "{1} upstreams down")}
	default:
		return ui.Badge{Kind: ui.Good, Text: "healthy"}
	}
}

func (c *Console) clusters(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	page := clustersPage{Base: v.page("Clusters"), MayChange: v.mayChange()}
	people, upstreams := map[string]int{}, c.upstreams()
	for _, a := range d.Assignments {
		if inForce(a.Starts, a.Ends, v.Now) {
			people[a.Cluster]++
		}
	}
	for _, cl := range d.Clusters {
		page.Rows = append(page.Rows, clusterRow{URL: clusterURL(cl.Name), Name: cl.Name, Title: cmp.Or(cl.Title, cl.Name), Hosts: cl.Hosts,
			Class: classBadge(cl.Classification), Owner: cl.Owner, Health: health(upstreams[cl.Name]), People: people[cl.Name]})
	}
	slices.SortFunc(page.Rows, byTitle(func(row *clusterRow) string { return row.Title }))
	if len(page.Rows) == 0 {
		page.Empty = v.nothingYet("No clusters yet", "A cluster is a set of upstream systems that hold one body of data. It has a host name of its own.",
			"Add the first cluster", "/console/clusters/new")
	}
	return c.show(w, r, http.StatusOK, "clusters", page)
}

// clusterPage shows one cluster: where it is, how its upstreams fare and who
// has access.
type clusterPage struct {
	Base
	Name, Label string
	Class       ui.Badge
	Owner       policy.Person
	Hosts       []ui.Link
	LogMode     ui.Text
	Health      ui.Badge
	Routes      []routeLine
	Engagements []engagementRow
	Assignments []assignmentRow
	Acts        []act
	GiveAccess  string
	LogURL      string
}

type routeLine struct {
	Name, Path string
	Upstreams  []upstreamLine
	Notes      []ui.Text
}

type upstreamLine struct {
	URL    string
	Health ui.Badge
	Since  ui.Text
	Error  string
}

func newUpstreamLine(target string, list []ClusterStatus) upstreamLine {
	line := upstreamLine{URL: target, Health: ui.Badge{Kind: ui.Neutral, Text: "not checked"}}
	for _, s := range list {
		if strings.TrimSuffix(s.Upstream, "/") != strings.TrimSuffix(target, "/") {
			continue
		}
		line.Health = ui.Badge{Kind: ui.Good, Text: "healthy"}
		if !s.Healthy {
			line.Health, line.Error = ui.Badge{Kind: ui.Bad, Text: "unreachable"}, clip(s.Error, 300)
		}
		if !s.Since.IsZero() {
			line.Since = ui.Say("since {1}", clock(s.Since))
		}
	}
	return line
}

func newRouteLine(rt *directory.Route, list []ClusterStatus) routeLine {
	line := routeLine{Name: rt.Name, Path: rt.Path}
	for _, u := range rt.Upstreams {
		line.Upstreams = append(line.Upstreams, newUpstreamLine(u, list))
	}
	if rt.HealthPath != "" {
		line.Notes = append(line.Notes, ui.Say("Health is checked at {1}.", rt.HealthPath))
	}
	if rt.Timeout > 0 {
		line.Notes = append(line.Notes, ui.Say("The first byte must come within {1}.", span(rt.Timeout)))
	}
	if rt.PreserveHost {
		line.Notes = append(line.Notes, "The upstream is given the cluster's own host name.")
	}
	if rt.EncodedSlashes {
		line.Notes = append(line.Notes, "Paths with encoded slashes (%2f) are let through.")
	}
	if rt.UpstreamCA != "" {
		line.Notes = append(line.Notes, "The upstream's certificate is checked against an authority of its own.")
	}
	return line
}

func (c *Console) cluster(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	cl := find(d.Clusters, clusterNamed(r.PathValue("name")))
	if cl == nil {
		return ui.NotFound()
	}
	list := c.upstreams()[cl.Name]
	page := clusterPage{Base: v.page(ui.Verbatim(cmp.Or(cl.Title, cl.Name))), Name: cl.Name, Label: cmp.Or(cl.Title, cl.Name), Class: classBadge(cl.Classification),
		Owner: cl.Owner, Health: health(list), LogMode: logModeWords(cl.LogMode)}
	for _, h := range cl.Hosts {
		page.Hosts = append(page.Hosts, ui.Link{Label: ui.Verbatim(h), URL: c.hostURL(h) + "/"})
	}
	for _, rt := range cl.Routes {
		page.Routes = append(page.Routes, newRouteLine(&rt, list))
	}
	for _, e := range d.Engagements {
		if slices.Contains(e.Clusters, cl.Name) {
			page.Engagements = append(page.Engagements, newEngagementRow(d, &e, v))
		}
	}
	sortEngagements(page.Engagements)
	for _, a := range d.Assignments {
		if a.Cluster == cl.Name {
			page.Assignments = append(page.Assignments, newAssignmentRow(d, &a, v))
		}
	}
	sortAssignments(page.Assignments)
	if v.mayChange() {
		page.Acts = []act{{Label: "Edit", URL: clusterURL(cl.Name) + "/edit"}}
		page.GiveAccess = "/console/assignments/new?cluster=" + url.QueryEscape(cl.Name)
	}
	if v.mayReview() {
		page.LogURL = logURL(is(query.Cluster, cl.Name))
	}
	return c.show(w, r, http.StatusOK, "cluster", page)
}
