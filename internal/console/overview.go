package console

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// overviewPage shows what needs attention and how the gateway fares.
type overviewPage struct {
	Base
	Attention []attention
	Warnings  []openWarning
	Figures   []figure
	Log       logHealth
	Revision  ui.Hash
	Streams   int
	Hour, Day traffic
	TrafficAt ui.Text
	LogURL    string   // empty when the log may not be read
	PolicyURL string   // empty where nothing keeps drafts and revisions
	Keys      []keyAge // for administrators
}

// An attention is one thing that somebody should look at.
type attention struct {
	Kind  ui.Badge
	About ui.Link
	Text  ui.Text
}

type figure struct {
	Value ui.Text
	Label ui.Text
	URL   string
}

type logHealth struct {
	State     ui.Badge
	Error     ui.Text
	Size      uint64
	Origin    string
	TreeSize  string
	Root      ui.Hash
	Signature bool
	Disk      *diskLine // nil where nobody knows
	Commits   ui.Text
	Missed    ui.Text // of the deadline; empty for none
}

// traffic is how many requests were decided, and how, by cluster.
type traffic struct {
	Title   ui.Text
	Rows    []trafficRow
	Total   tally
	Partial ui.Text
}

type trafficRow struct {
	Cluster ui.Link
	tally
	Width   int    // of its bar, in twentieths of the widest
	Parts   []part // of its bar
	DenyURL string // a search for what was denied; empty when the log may not be read
}

// A part of a bar grows in proportion to Grow, which is from 1 to 20.
type part struct {
	Kind string
	Grow int
}

// twentieths returns n of total in twentieths, at least one.
func twentieths(n, total int) int {
	if total <= 0 {
		return 1
	}
	return min(max((n*20+total/2)/total, 1), 20)
}

// bar returns the parts of a bar: what is not there has none.
func (t tally) bar() []part {
	var parts []part
	for _, p := range []struct {
		kind string
		n    int
	}{{ui.Good, t.Allow}, {ui.Warn, t.Challenge}, {ui.Bad, t.Deny}} {
		if p.n > 0 {
			parts = append(parts, part{p.kind, twentieths(p.n, t.Sum())})
		}
	}
	return parts
}

// A tally counts decisions by effect.
type tally struct{ Allow, Challenge, Deny int }

// Sum returns how many decisions were counted.
func (t tally) Sum() int { return t.Allow + t.Challenge + t.Deny }

func (t *tally) add(effect string) {
	switch effect {
	case policy.Allow.String():
		t.Allow++
	case policy.Challenge.String():
		t.Challenge++
	case policy.Deny.String():
		t.Deny++
	}
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request, v *visit) error {
	d := v.Snapshot.Directory()
	page := overviewPage{Base: v.page("Overview"), Attention: append(c.clockAttentions(r.Context(), v), c.attentions(d, v)...), Log: c.logHealth()}
	page.Attention = append(c.alarmAttentions(r.Context(), v), append(c.retentionAttentions(v), page.Attention...)...)
	if m, ok := c.Log.(logMeter); ok {
		if a := diskAttention(m.Space()); a != nil {
			page.Attention = append([]attention{*a}, page.Attention...)
		}
	}
	var err error
	if page.Warnings, err = c.openWarnings(r, d, v); err != nil {
		return err
	}
	active := 0
	for _, a := range d.Accounts {
		if standing(d, &a, v.Now).Kind == ui.Good {
			active++
		}
	}
	current := 0
	for _, e := range d.Engagements {
		if !e.Closed && inForce(e.Starts, e.Ends, v.Now) {
			current++
		}
	}
	page.Figures = []figure{
		{count(active, "person"), "can sign in", "/console/people?status=active"},
		{count(len(d.Vendors), "vendor"), ui.Count(current, "{1} engagement in force", "{1} engagements in force"), "/console/vendors"},
		{count(len(d.Clusters), "cluster"), ui.Count(len(c.upstreams()), "{1} cluster with health checks", "{1} clusters with health checks"), "/console/clusters"},
	}
	if c.Status != nil {
		page.Streams = c.Status.OpenStreams()
	}
	if c.Policies != nil {
		page.Revision = ui.Hash{Value: c.Policies.Revision(), Short: 16}
	}
	counted := c.desk.tallies.get(r.Context(), v.Now, c.countDecisions)
	page.Hour, page.Day = newTraffic("Last hour", time.Hour, d, v, counted.hour, counted.partial), newTraffic("Last 24 hours", 24*time.Hour, d, v, counted.day, counted.partial)
	page.TrafficAt = clock(counted.at)
	if v.mayReview() {
		page.LogURL = "/console/log"
	}
	if v.opens("/console/policies") {
		page.PolicyURL = "/console/policies"
	}
	if v.mayChange() {
		var err error
		if page.Keys, err = c.keyAges(r.Context(), v.Now); err != nil {
			return authError(err, "reading signing keys")
		}
	}
	return c.show(w, r, http.StatusOK, "overview", page)
}

// attentions lists what needs somebody, the gravest first.
func (c *Console) attentions(d *directory.Directory, v *visit) []attention {
	var out []attention
	if err := c.Log.Healthy(); err != nil {
		out = append(out, attention{ui.Badge{Kind: ui.Bad, Text: "access log"}, ui.Link{}, "The access log cannot be written. Nothing is served until it can."})
	}
	if c.Status != nil {
		for _, s := range c.Status.Clusters() {
			if !s.Healthy {
				out = append(out, attention{ui.Badge{Kind: ui.Bad, Text: "unreachable"}, clusterLink(d, s.Name), silentWords(s)})
			}
		}
	}
	for _, have := range d.Vendors {
		if have.Suspended {
			out = append(out, attention{ui.Badge{Kind: ui.Bad, Text: "suspended"}, vendorLink(d, have.Name), cmp.Or(ui.Verbatim(have.SuspendedReason), "No reason was given.")})
		}
	}
	for _, row := range endingEngagements(d, v) {
		out = append(out, attention{ui.Badge{Kind: ui.Warn, Text: row.Left}, ui.Link{Label: ui.Verbatim(row.Title), URL: row.URL},
			ui.Count(row.People, "{2}, last day {3}, {1} person at work under it.", "{2}, last day {3}, {1} people at work under it.", row.Vendor.Label, row.Ends)})
	}
	out = append(out, c.mailFaults(v)...)
	out = append(out, c.waitingDrafts(v)...)
	return append(out, c.invited(d, v)...)
}

func silentWords(s ClusterStatus) ui.Text {
	if s.Since.IsZero() {
		return ui.Say("The upstream {1} does not answer.", s.Upstream)
	}
	return ui.Say("The upstream {1} does not answer since {2}.", s.Upstream, clock(s.Since))
}

// endingEngagements returns those that end soon.
func endingEngagements(d *directory.Directory, v *visit) []engagementRow {
	var rows []engagementRow
	for _, e := range d.Engagements {
		if !e.Closed && inForce(e.Starts, e.Ends, v.Now) && e.Ends.Sub(v.Now) <= endingSoon {
			rows = append(rows, newEngagementRow(d, &e, v))
		}
	}
	return sortEngagements(rows)
}

// invited says who has not finished enrolment: each while they are few.
func (c *Console) invited(d *directory.Directory, v *visit) []attention {
	const few = 5
	badge := ui.Badge{Kind: ui.Neutral, Text: "invited"}
	var waiting []directory.Account
	for _, a := range d.Accounts {
		if standing(d, &a, v.Now).Text == policy.StatusInvited {
			waiting = append(waiting, a)
		}
	}
	if len(waiting) > few {
		return []attention{{badge, ui.Link{Label: count(len(waiting), "person"), URL: "/console/people?status=invited"}, "Invited, but not enrolled yet."}}
	}
	slices.SortFunc(waiting, byName)
	var out []attention
	for _, a := range waiting {
		out = append(out, attention{badge, ui.Link{Label: ui.Verbatim(nameOf(&a)), URL: personURL(a.ID)}, ui.Say("Invited {1}, but not enrolled yet.", ago(v.Now, a.Created))})
	}
	return out
}

// logHealth tells how the access log fares, with its last checkpoint.
func (c *Console) logHealth() logHealth {
	h := logHealth{State: ui.Badge{Kind: ui.Good, Text: "healthy"}, Size: c.Log.Size()}
	if err := c.Log.Healthy(); err != nil {
		h.State, h.Error = ui.Badge{Kind: ui.Bad, Text: "not writable"}, "New entries cannot be kept. The operational log says why."
	}
	if m, ok := c.Log.(logMeter); ok {
		s := m.Stats()
		h.Disk, h.Commits, h.Missed = newDiskLine(m.Space()), commitWords(s), missedWords(s.Missed)
	}
	// A signed note: origin, size and root a line each, then signatures
	// after an empty line.
	text, signatures, _ := strings.Cut(string(c.Log.Checkpoint()), "\n\n")
	if lines := strings.Split(text, "\n"); len(lines) >= 3 {
		h.Origin, h.TreeSize, h.Root = lines[0], lines[1], ui.Hash{Value: lines[2], Short: 24}
		h.Signature = strings.HasPrefix(signatures, "— ")
	}
	return h
}

func newTraffic(title ui.Text, since time.Duration, d *directory.Directory, v *visit, counts map[string]tally, partial bool) traffic {
	t := traffic{Title: title}
	if clusters, limited := v.logClusters(); limited {
		counts = maps.Clone(counts) // shared
		maps.DeleteFunc(counts, func(name string, _ tally) bool { return !slices.Contains(clusters, name) })
	}
	widest := 0
	for _, n := range counts {
		widest = max(widest, n.Sum())
	}
	for name, n := range counts {
		row := trafficRow{Cluster: clusterLink(d, name), tally: n, Width: twentieths(n.Sum(), widest), Parts: n.bar()}
		if v.mayReview() && n.Deny > 0 {
			row.DenyURL = logURL(query.All(is(query.Effect, policy.Deny.String()), is(query.Cluster, name), query.Bound{Field: query.Since, Ago: since}))
		}
		if name == "" {
			row.Cluster = ui.Link{Label: "no cluster"}
		}
		t.Rows = append(t.Rows, row)
		t.Total.Allow, t.Total.Challenge, t.Total.Deny = t.Total.Allow+n.Allow, t.Total.Challenge+n.Challenge, t.Total.Deny+n.Deny
	}
	slices.SortFunc(t.Rows, func(a, b trafficRow) int {
		return cmp.Or(b.Sum()-a.Sum(), strings.Compare(a.Cluster.Label.String(), b.Cluster.Label.String()))
	})
	if partial {
		t.Partial = "There are more decisions than are counted here: the newest were."
	}
	return t
}

// tallied is what was counted of the log at one moment.
type tallied struct {
	at        time.Time
	hour, day map[string]tally // by cluster
	partial   bool
}

// tallies keeps what was counted for some seconds, so that a page that
// everybody opens does not read a day of the log each time. It names nobody,
// so that it is no reading of the log in the sense of what is recorded.
type tallies struct {
	mu   sync.Mutex
	last tallied
}

const (
	talliesFor = 15 * time.Second
	tallyTime  = 2 * time.Second
	tallyMost  = 250_000
)

// get returns counts that are at most some seconds old. Callers that come
// while it counts wait for the same result.
func (t *tallies) get(ctx context.Context, now time.Time, counts func(context.Context, time.Time) tallied) tallied {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.at.IsZero() || now.Sub(t.last.at) >= talliesFor || now.Before(t.last.at) {
		t.last = counts(ctx, now)
	}
	return t.last
}

// countDecisions counts the decisions of the last hour and day by cluster, as
// far as time and number allow.
func (c *Console) countDecisions(ctx context.Context, now time.Time) tallied {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tallyTime)
	defer cancel()
	t := tallied{at: now, hour: map[string]tally{}, day: map[string]tally{}}
	n := 0
	hour := now.Add(-time.Hour)
	add := func(to map[string]tally, cluster, effect string) {
		have := to[cluster]
		have.add(effect)
		to[cluster] = have
	}
	err := c.Log.Query(ctx, accesslog.Filter{Type: string(policy.RecordRequest), Since: now.Add(-24 * time.Hour)}, func(e *accesslog.Entry) bool {
		add(t.day, e.Cluster, e.Effect)
		if e.Time.After(hour) {
			add(t.hour, e.Cluster, e.Effect)
		}
		n++
		t.partial = n >= tallyMost
		return !t.partial
	})
	if err != nil {
		t.partial = true
		if !errors.Is(err, context.DeadlineExceeded) {
			c.Logger.WarnContext(ctx, "counting decisions", "err", err)
		}
	}
	return t
}
