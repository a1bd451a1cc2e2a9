package console

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/accesslog/table"
	"github.com/ringfence/ringfence/internal/delivery"
)

// memoryDeliveries are deliveries that keep orders and carry out none.
type memoryDeliveries struct {
	states []delivery.State
	orders []delivery.Order
	busy   bool
	say    sampleText
}

func (m *memoryDeliveries) States() []delivery.State { return m.states }
func (m *memoryDeliveries) Ordered(string) bool      { return len(m.orders) > 0 }
func (m *memoryDeliveries) Refusals(string) ([]delivery.Refusal, error) {
	return []delivery.Refusal{{Index: 5, Time: sampleNow.Add(-time.Hour), Reason: m.say("mapping fault <b>")}, {Index: 9, Time: sampleNow, Reason: m.say("too long")}}, nil
}

func (m *memoryDeliveries) Give(_ string, o delivery.Order) error {
	if m.busy {
		return delivery.ErrOrdered
	}
	m.orders = append(m.orders, o)
	return nil
}

// memoryShared has one entry in two logs.
type memoryShared struct {
	query.Engine
	err            error
	asked, counted *query.Request
}

func (m memoryShared) Search(_ context.Context, r query.Request) ([]query.Row, error) {
	if m.asked != nil {
		*m.asked = r
	}
	values := make([]string, len(r.Fields))
	values[slices.Index(r.Fields, query.Cluster)], values[slices.Index(r.Fields, query.Type)] = "claims", "request"
	rows := []query.Row{{Origin: "gate.test/gw1", Index: 4, Time: sampleNow, Values: values}, {Origin: "gate.test/gw2", Index: 9, Time: sampleNow.Add(-time.Second), Values: values}}
	for len(rows) <= entriesAPage {
		rows = append(rows, query.Row{Origin: "gate.test/gw2", Index: uint64(1000 - len(rows)), Time: sampleNow.Add(-time.Minute), Values: values})
	}
	return rows[:min(r.Limit, len(rows))], m.err
}

func (m memoryShared) Entry(_ context.Context, origin string, index uint64) (*accesslog.Entry, error) {
	if origin != "gate.test/gw2" || index != 9 {
		return nil, table.ErrNoEntry
	}
	e := &accesslog.Entry{Index: 9, Payload: []byte(`{"index":9,"cluster":"maps"}`)}
	e.Cluster = "maps"
	return e, m.err
}

func (m memoryShared) Oldest(context.Context) (time.Time, error) {
	return sampleNow.Add(-30 * time.Hour), m.err
}

func (m memoryShared) Histogram(_ context.Context, r query.Request, by query.Field, step time.Duration) ([]query.Cell, error) {
	if m.counted != nil {
		*m.counted = r
	}
	var out []query.Cell
	for i := range 24 {
		at := sampleNow.Add(-time.Duration(i) * time.Hour).Truncate(step)
		out = append(out, query.Cell{Value: "allow", Start: at, N: 40 + i%5*10}, query.Cell{Value: "deny", Start: at, N: i % 7}, query.Cell{Start: at, N: 12})
	}
	return out, m.err
}

func (m memoryShared) Top(_ context.Context, _ query.Request, by query.Field, _ int) ([]query.Tally, error) {
	switch by {
	case query.NodeName:
		return []query.Tally{{Value: "gw-1", N: 812}, {Value: "gw-2", N: 401}}, m.err
	case query.Cluster:
		return []query.Tally{{Value: "claims", N: 700}, {Value: "maps", N: 300}, {Value: "", N: 213}}, m.err
	}
	return nil, m.err
}

func (m memoryShared) Holdings(context.Context) ([]table.Holding, error) {
	return []table.Holding{{Origin: "gate.test/gw1", Entries: 12, Last: 11, Newest: sampleNow.Add(-time.Minute)},
		{Origin: "gate.test/gw2", Entries: 9, Last: 11, Newest: sampleNow.Add(-3 * time.Hour)}}, m.err
}

// newMemoryDeliveries has one destination in each state; say words what destinations say.
func newMemoryDeliveries(say sampleText) *memoryDeliveries {
	return &memoryDeliveries{say: say, states: []delivery.State{
		{Name: "archive", Kind: "s3", Next: 12},
		{Name: "siem", Kind: "elastic", Next: 12, Refused: 2, FirstRefused: 5, Delivered: 10},
		{Name: "fleet", Kind: "clickhouse", Next: 3, Lag: 9, Fault: say("reaching the table: connection refused"), Since: sampleNow.Add(-2 * time.Hour), Failures: 40, Forgetting: 2,
			UpkeepFault: say("permission denied"), UpkeepSince: sampleNow.Add(-time.Hour)},
		{Name: "old", Kind: "syslog", Stopped: true, Fault: say("the cursor does not fit"), Since: sampleNow},
	}}
}

// deliveryWords are those that deliveries show as they are.
func deliveryWords(say sampleText) []string {
	return []string{"archive", "siem", "fleet", "old", "s3", "elastic", "clickhouse", "syslog", "gate.test/gw1", "gate.test/gw2", say("reaching the table: connection refused"), say("the cursor does not fit"), say("mapping fault <b>"), say("too long"), say("permission denied")}
}

func TestDelivery_Page(t *testing.T) {
	o := newOffice(t, plainText)
	o.Deliver, o.Shared = nil, nil
	shows(t, o.get("rae", deliveryPath), 200, "Entries go nowhere else")
	o.Deliver, o.Shared = newMemoryDeliveries(plainText), memoryShared{}
	shows(t, o.get("rae", deliveryPath), 200, "siem", "Up to entry 11", "mapping fault &lt;b&gt;", "/console/log/5", "Stopped, needs somebody", "connection refused", "gate.test/gw2", "3 entries are not there", "Without a gap")
	if body := o.get("rae", deliveryPath).Body.String(); strings.Contains(body, "Send again") || strings.Contains(body, "Begin there") {
		t.Error("a reviewer is offered what an administrator may do")
	}
	shows(t, o.get("ada", deliveryPath), 200, "Send again", "Leave all out", "Begin there")
	shows(t, o.get("kim", deliveryPath), 403)
	shows(t, o.get("abe", deliveryPath), 403)
	o.limit("claims") // a reason may repeat what an entry of another cluster says
	page := o.get("rae", deliveryPath)
	shows(t, page, 200, "Refused entries are listed for those who may read the whole log")
	if strings.Contains(page.Body.String(), "mapping fault") {
		t.Error("a reviewer of one cluster sees why entries were refused")
	}
	o.Shared = memoryShared{err: errors.New("the cursor does not fit")}
	shows(t, o.get("ada", deliveryPath), 200, "searches fail", "the cursor does not fit")
}

// Each order is in the log before it is given, and not given where that fails.
func TestDelivery_Orders(t *testing.T) {
	o := newOffice(t, plainText)
	m := newMemoryDeliveries(plainText)
	o.Deliver = m
	for _, tt := range []struct {
		path   string
		form   url.Values
		action string
		detail map[string]string
		want   delivery.Order
	}{
		{"/siem/retry", url.Values{"entry": {"5"}}, "delivery.retry", map[string]string{"entries": "5", "count": "1"}, delivery.Order{Act: delivery.Retry, Entries: []uint64{5}}},
		{"/siem/skip", url.Values{"entry": {"all"}}, "delivery.skip", map[string]string{"entries": "all"}, delivery.Order{Act: delivery.Skip}},
		{"/old/reset", url.Values{"to": {" 7 "}}, "delivery.reset", map[string]string{"to": "7"}, delivery.Order{Act: delivery.Reset, To: 7}},
	} {
		m.orders = nil
		leadsTo(t, o.post("ada", deliveryPath+tt.path, tt.form), deliveryPath)
		if len(m.orders) != 1 || m.orders[0].Act != tt.want.Act || m.orders[0].To != tt.want.To || !slices.Equal(m.orders[0].Entries, tt.want.Entries) {
			t.Errorf("%s: %+v", tt.path, m.orders)
		}
		e := o.entries.entries[len(o.entries.entries)-1]
		if e.Action != tt.action || e.Actor != "ada" || e.Object == "" || len(e.Detail) != len(tt.detail) || e.Detail["entries"] != tt.detail["entries"] || e.Detail["to"] != tt.detail["to"] {
			t.Errorf("%s is recorded as %+v", tt.path, e.Record)
		}
	}
	m.orders = nil
	shows(t, o.post("rae", deliveryPath+"/siem/retry", url.Values{"entry": {"5"}}), 403)
	shows(t, o.post("ada", deliveryPath+"/siem/retry", url.Values{"entry": {"five"}}), 422)
	shows(t, o.post("ada", deliveryPath+"/siem/reset", url.Values{"to": {"-1"}}), 422)
	shows(t, o.post("ada", deliveryPath+"/nobody/retry", url.Values{"entry": {"5"}}), 404)
	m.busy = true
	shows(t, o.post("ada", deliveryPath+"/siem/retry", url.Values{"entry": {"5"}}), 409)
	m.busy = false
	o.entries.fail = errors.New("the disk is full")
	shows(t, o.post("ada", deliveryPath+"/siem/retry", url.Values{"entry": {"5"}}), 503)
	if len(m.orders) != 0 {
		t.Errorf("given: %+v", m.orders)
	}
}

// Entries of several gateways keep apart: a line leads to the entry of its own
// log, and whoever reads of one cluster only sees no others here either.
func TestFleet(t *testing.T) {
	o := newOffice(t, plainText)
	var asked, counted query.Request
	o.Shared = memoryShared{asked: &asked, counted: &counted}
	shows(t, o.get("rae", fleetPath), 200, "/console/log/fleet?q=node:gw-2", "/console/log/fleet?q=not&#43;cluster:maps", "812", "allowed", `data-path="/console/log/fleet"`, "facets=more#facets")
	if query.Print(counted.Where) != "since:7d" || query.Print(asked.Where) != "" {
		t.Errorf("whoever just looks has %s counted and %s read", query.Print(counted.Where), query.Print(asked.Where))
	}
	shows(t, o.get("rae", fleetPath+"?q=cluster:claims+effect:deny&facets=more"), 200, "/console/log/fleet?q=cluster:claims&#43;effect:deny&#43;node:gw-1", "since:30d", "facets=more&amp;before=")
	if query.Print(counted.Where) != "cluster:claims effect:deny" {
		t.Errorf("counted are %s", query.Print(counted.Where))
	}
	shows(t, o.get("rae", fleetPath+"?q=cluster:claims"), 200, "gate.test/gw2", "/console/log/fleet/entry?index=9&amp;origin=gate.test%2Fgw2", "Older entries", "before=gate.test/gw2%23")
	if query.Print(asked.Where) != "cluster:claims" {
		t.Errorf("asked for %s", query.Print(asked.Where))
	}
	e := o.entries.entries[len(o.entries.entries)-1]
	if e.Action != "log.query" || e.Detail["query"] != "cluster:claims" || e.Actor != "rae" {
		t.Errorf("recorded as %+v", e.Record)
	}
	shows(t, o.get("rae", fleetPath+"?before=gate.test/gw2%2377"), 200)
	if asked.Before != 77 || asked.BeforeOrigin != "gate.test/gw2" {
		t.Errorf("asked for %+v", asked)
	}
	shows(t, o.get("rae", fleetPath+"?q=clustr:a"), 422, "cluster")
	shows(t, o.get("rae", fleetPath+"?before=gw2"), 422)
	shows(t, o.get("rae", fleetPath+"/entry?origin=gate.test/gw2&index=9"), 200, "maps")
	shows(t, o.get("rae", fleetPath+"/entry?origin=gate.test/gw1&index=9"), 404)
	shows(t, o.get("abe", fleetPath), 403)
	o.limit("claims")
	shows(t, o.get("rae", fleetPath+"?q=cluster:maps"), 200, "Your account reads the access log of")
	if got := query.Print(counted.Where); !strings.Contains(got, "cluster:claims") {
		t.Errorf("a reviewer of claims had %s counted", got)
	}
	if got := query.Print(asked.Where); !strings.Contains(got, "cluster:claims") {
		t.Errorf("a reviewer of claims asked for %s", got)
	}
	shows(t, o.get("rae", fleetPath+"/entry?origin=gate.test/gw2&index=9"), 404)
	o.Shared = memoryShared{err: errors.New("the cursor does not fit")}
	shows(t, o.get("rae", fleetPath), 503, "cannot be searched now")
	o.Shared = nil
	shows(t, o.get("rae", fleetPath), 200, "No table is shared")
	o.entries.fail, o.Shared = errors.New("the disk is full"), memoryShared{}
	shows(t, o.get("rae", fleetPath), 503)
	shows(t, o.get("rae", fleetPath+"/entry?origin=gate.test/gw2&index=9"), 503)
}
