package console

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// maxRoutes is how many routes the form of a cluster takes.
const maxRoutes = 32

// clusterValues returns the fields of a cluster's form. A route's fields end
// in its number.
func clusterValues(cl *directory.Cluster) url.Values {
	v := url.Values{
		"title": {cl.Title}, "classification": {cl.Classification}, "hosts": {strings.Join(cl.Hosts, "\n")},
		"owner_name": {cl.Owner.Name}, "owner_email": {cl.Owner.Email}, "log_mode": {cmp.Or(cl.LogMode, policy.ModeStrict)}, "routes": {strconv.Itoa(max(len(cl.Routes), 1))}, "seen": {fingerprint(cl)},
	}
	for i, rt := range cl.Routes {
		set := func(name, value string) { v.Set(routeField(name, i), value) }
		set("route_name", rt.Name)
		set("path", rt.Path)
		set("upstreams", strings.Join(rt.Upstreams, "\n"))
		set("health", rt.HealthPath)
		set("upstream_ca", rt.UpstreamCA)
		if rt.Timeout > 0 {
			set("timeout", span(rt.Timeout))
		}
		if rt.EncodedSlashes {
			v.Add(routeField("options", i), "encoded_slashes")
		}
		if rt.PreserveHost {
			v.Add(routeField("options", i), "preserve_host")
		}
	}
	return v
}

func routeField(name string, i int) string { return name + "_" + strconv.Itoa(i) }

// routeCount returns how many routes the form has fields for.
func routeCount(f *form) int {
	n, err := strconv.Atoi(f.Value("routes"))
	if err != nil || n < 1 || n > maxRoutes {
		return 1
	}
	return n
}

func clusterGroups(f *form, isNew bool) []group {
	what := controls(with(f.text("title", "Title"), func(u *ui.Field) { u.Required, u.MaxLength, u.Hint = true, 120, "What people call it." }))
	if isNew {
		what = append(what, controls(nameField(f, "claims"))...)
	}
	what = append(what, controls(
		with(f.choice("classification", "Classification", "Choose how sensitive the data is", options(directory.Classifications)), func(u *ui.Field) { u.Required = true }),
		with(f.area("hosts", "Host names", 2), func(u *ui.Field) {
			u.Required, u.Mono, u.Hint, u.Placeholder = true, true, "One a line, of this cluster alone.", "claims.example.com"
		}),
	)...)
	what = append(what, controls(logModes(f))...)
	groups := []group{{Title: "The cluster", Controls: what}, ownerGroup(f, "Who is accountable for the cluster inside your organisation. Contractors are told whom to ask.")}
	for i := range routeCount(f) {
		groups = append(groups, routeGroup(f, i))
	}
	return groups
}

// logModes asks how long a cluster's requests wait for their entry; strict
// where nothing was said.
func logModes(f *form) choices {
	c := f.boxes("log_mode", "Waiting for the access log", []choice{
		{Value: policy.ModeStrict, Label: "Strict: a request is forwarded once its entry is on disk", Hint: "Nothing reaches the cluster without an entry, whatever happens."},
		{Value: policy.ModeRelaxed, Label: "Relaxed: a request is forwarded while its entry is being written",
			Hint: "Faster where the disk is slow. If the power or the gateway fails, the entries of the last moment can be missing although their requests were forwarded."},
	})
	c.One = true
	if f.Value("log_mode") == "" {
		c.Items[0].Checked = true
	}
	return c
}

func routeGroup(f *form, i int) group {
	field := func(name string) string { return routeField(name, i) }
	g := group{Title: ui.Say("Route {1}", i+1), Controls: controls(
		with(f.text(field("route_name"), "Route name"), func(u *ui.Field) { u.Mono, u.MaxLength, u.Placeholder = true, 63, "web" }),
		with(f.text(field("path"), "Path prefix"), func(u *ui.Field) {
			u.Mono, u.MaxLength, u.Placeholder, u.Hint = true, 1024, "/", "The longest prefix that fits a request wins."
		}),
		with(f.area(field("upstreams"), "Upstreams", 2), func(u *ui.Field) {
			u.Mono, u.Placeholder, u.Hint = true, "http://10.0.0.5:8080", "One URL a line: http, https or h2c, with host and port and nothing more."
		}),
		with(f.text(field("health"), "Health path"), func(u *ui.Field) {
			u.Mono, u.MaxLength, u.Placeholder, u.Hint = true, 1024, "/healthz", "Asked of each upstream. Empty: health is not checked."
		}),
		with(f.text(field("timeout"), "Time to the first byte"), func(u *ui.Field) {
			u.MaxLength, u.Placeholder, u.Hint = 16, "30s", "Such as 30s or 2m. Empty: 30 seconds."
		}),
		with(f.area(field("upstream_ca"), "Authority of the upstream's certificate", 3), func(u *ui.Field) {
			u.Mono, u.Hint = true, "A certificate in PEM form. Empty: the system's authorities."
		}),
		f.boxes(field("options"), "Exceptions", []choice{
			{Value: "encoded_slashes", Label: "Let paths with encoded slashes through", Hint: "Only where the upstream needs them; policies see the raw path too."},
			{Value: "preserve_host", Label: "Hand the cluster's own host name to the upstream"},
		}),
	)}
	if i > 0 {
		g.Hint = "Empty the name, the prefix and the upstreams to take this route away."
	}
	return g
}

// clusterFrom reads what can be edited of a cluster.
func clusterFrom(f *form, want *directory.Cluster) {
	want.Title = f.line("title", "a title", 120, true)
	want.Classification = f.oneOf("classification", "a classification", directory.Classifications)
	if want.LogMode = ""; f.oneOf("log_mode", "how long requests wait", []string{"", policy.ModeStrict, policy.ModeRelaxed}) == policy.ModeRelaxed {
		want.LogMode = policy.ModeRelaxed
	}
	want.Owner = ownerFrom(f)
	if want.Hosts = f.lines("hosts"); len(want.Hosts) == 0 {
		f.fault("hosts", "Give at least one host name.")
	}
	if _, err := strconv.Atoi(f.Value("routes")); err != nil {
		f.note("The form does not say how many routes it has.")
	}
	want.Routes = nil
	for i := range routeCount(f) {
		field := func(name string) string { return routeField(name, i) }
		if f.Value(field("route_name")) == "" && f.Value(field("path")) == "" && strings.TrimSpace(f.Value(field("upstreams"))) == "" {
			continue
		}
		rt := directory.Route{Name: f.slug(field("route_name")), Path: f.line(field("path"), "a path prefix, such as /", 1024, true),
			Upstreams: f.lines(field("upstreams")), HealthPath: f.line(field("health"), "a path", 1024, false), UpstreamCA: strings.TrimSpace(strings.ReplaceAll(f.Value(field("upstream_ca")), "\r\n", "\n"))}
		if rt.UpstreamCA != "" {
			rt.UpstreamCA += "\n"
		}
		if len(rt.Upstreams) == 0 {
			f.fault(field("upstreams"), "Give at least one upstream.")
		}
		if s := strings.TrimSpace(f.Value(field("timeout"))); s != "" {
			d, err := time.ParseDuration(s)
			if err != nil || d <= 0 {
				f.fault(field("timeout"), "Give a time such as 30s or 2m.")
			}
			rt.Timeout = d
		}
		f.someOf(field("options"), []string{"encoded_slashes", "preserve_host"})
		rt.EncodedSlashes, rt.PreserveHost = f.Checked(field("options"), "encoded_slashes"), f.Checked(field("options"), "preserve_host")
		want.Routes = append(want.Routes, rt)
	}
	if len(want.Routes) == 0 {
		f.fault(routeField("path", 0), "A cluster needs at least one route.")
	}
}

// oneMore adds empty fields for a route when that button was pressed.
func oneMore(f *form) bool {
	if f.Value("more") == "" {
		return false
	}
	if n := routeCount(f); n < maxRoutes {
		f.values.Set("routes", strconv.Itoa(n+1))
	}
	return true
}

var clusterField = regexp.MustCompile(`^routes\[(\d+)\]\.?(.*)$`)

// clusterFields names the form's field for a field of a cluster. Routes whose
// fields were left empty are skipped, so numbers count the others.
func clusterFields(f *form) func(string) string {
	var numbers []int // of the form's routes that have contents
	for i := range routeCount(f) {
		if f.Value(routeField("route_name", i))+f.Value(routeField("path", i))+strings.TrimSpace(f.Value(routeField("upstreams", i))) != "" {
			numbers = append(numbers, i)
		}
	}
	plain := map[string]string{"name": "name", "title": "title", "classification": "classification", "owner": "owner_email", "owner.name": "owner_name", "owner.email": "owner_email", "hosts": "hosts", "log_mode": "log_mode"}
	routes := map[string]string{"name": "route_name", "path": "path", "upstreams": "upstreams", "health_path": "health", "timeout": "timeout", "upstream_ca": "upstream_ca", "": "path"}
	return func(field string) string {
		m := clusterField.FindStringSubmatch(field)
		if m == nil {
			base, _, _ := strings.Cut(field, "[")
			return plain[base]
		}
		base, _, _ := strings.Cut(m[2], "[")
		n, err := strconv.Atoi(m[1])
		if name := routes[base]; err == nil && n < len(numbers) && name != "" {
			return routeField(name, numbers[n])
		}
		return ""
	}
}

func (c *Console) newClusterForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(url.Values{"routes": {"1"}, "route_name_0": {"web"}, "path_0": {"/"}})
	return c.showNewCluster(w, r, v, f)
}

func (c *Console) showNewCluster(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	return c.showEdit(w, r, f, editPage{Base: v.page("Add a cluster"), Lede: "Nobody can reach it until an engagement covers it and somebody is assigned to it.",
		Groups: clusterGroups(f, true), Routes: routeCount(f), Submit: "Add cluster", More: "Add another route", URL: "/console/clusters/new", Back: "/console/clusters"})
}

func (c *Console) newCluster(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	if oneMore(f) {
		return c.showNewCluster(w, r, v, f)
	}
	want := directory.Cluster{Name: f.slug("name")}
	clusterFrom(f, &want)
	return c.save(w, r, v, f, saving{
		object: "cluster " + want.Name, field: clusterFields(f),
		change: func(d *directory.Directory) error { return add(&d.Clusters, clusterNamed(want.Name), want) },
		again:  func() error { return c.showNewCluster(w, r, v, f) },
		to:     clusterURL(want.Name), said: ui.Say("{1} is added.", want.Title),
	})
}

func (c *Console) editClusterForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	cl := find(v.Snapshot.Directory().Clusters, clusterNamed(r.PathValue("name")))
	if cl == nil {
		return ui.NotFound()
	}
	return c.showEditCluster(w, r, v, cl, newForm(clusterValues(cl)))
}

func (c *Console) showEditCluster(w http.ResponseWriter, r *http.Request, v *visit, cl *directory.Cluster, f *form) error {
	return c.showEdit(w, r, f, editPage{Base: v.page(ui.Say("Edit {1}", cmp.Or(cl.Title, cl.Name))), About: ui.Link{Label: ui.Verbatim(cl.Name), URL: clusterURL(cl.Name)},
		Lede: "A change is in force at once. Open connections go on where their upstream stays.", Groups: clusterGroups(f, false), Routes: routeCount(f),
		Seen: f.Value("seen"), Submit: "Save", More: "Add another route", URL: clusterURL(cl.Name) + "/edit", Back: clusterURL(cl.Name)})
}

func (c *Console) editCluster(w http.ResponseWriter, r *http.Request, v *visit) error {
	cl := find(v.Snapshot.Directory().Clusters, clusterNamed(r.PathValue("name")))
	if cl == nil {
		return ui.NotFound()
	}
	f := posted(r)
	if oneMore(f) {
		return c.showEditCluster(w, r, v, cl, f)
	}
	want := *cl
	clusterFrom(f, &want)
	return c.save(w, r, v, f, saving{
		object: "cluster " + cl.Name, field: clusterFields(f),
		change: func(d *directory.Directory) error {
			return replace(find(d.Clusters, clusterNamed(cl.Name)), f.Value("seen"), want)
		},
		again: func() error { return c.showEditCluster(w, r, v, cl, f) },
		to:    clusterURL(cl.Name), said: ui.Say("{1} is saved.", want.Title),
	})
}
