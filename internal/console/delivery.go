package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// Deliveries are the other systems that get the log's entries: a
// [*delivery.Service].
type Deliveries interface {
	States() []delivery.State
	Refusals(name string) ([]delivery.Refusal, error)
	Ordered(name string) bool
	// Give must keep the order durably; it is carried out later.
	Give(name string, o delivery.Order) error
}

// deliveryPage is the data of the page "delivery".
type deliveryPage struct {
	Base
	Rows   []deliveryRow
	Empty  ui.Empty
	Shared *sharedView // nil: there is no shared table
}

type deliveryRow struct {
	Name, Kind   string
	State        ui.Badge
	Has          ui.Text // up to which entry
	Taken        uint64
	Lag          uint64
	Fault        string // in the words of the destination
	Since        time.Time
	Refused      uint64
	Refusals     []refusalRow
	MoreRefusals ui.Text
	Forgetting   ui.Text // erased accounts that it has yet to forget
	Upkeep       string  // why it does not let go of what was erased or removed, in its words
	Hidden       bool    // the visitor may read a part of the log only
	Waiting      bool    // an order has not been carried out yet
	MayChange    bool
	URL          string
	To           ui.Field
}

type refusalRow struct {
	Index  uint64
	URL    string
	Time   time.Time
	Reason string
}

type sharedView struct {
	Fault string
	Rows  []holdingRow
}

type holdingRow struct {
	Origin  string
	Entries uint64
	Newest  time.Time
	Age     ui.Text
	State   ui.Badge
}

// refusalsShown is how many refused entries of a destination the page lists.
const refusalsShown = 50

func (c *Console) showDeliveries(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := deliveryPage{Base: v.page("Delivery"), Empty: ui.Empty{Title: "Entries go nowhere else",
		Text: "The configuration names no other system that gets the access log’s entries. See access_log.deliver there."}}
	if c.Deliver != nil {
		for _, s := range c.Deliver.States() {
			row, err := c.deliveryRow(v, &s)
			if err != nil {
				return err
			}
			page.Rows = append(page.Rows, row)
		}
	}
	if c.Shared != nil {
		page.Shared = c.sharedView(r.Context(), v)
	}
	return c.show(w, r, http.StatusOK, "delivery", page)
}

func (c *Console) deliveryRow(v *visit, s *delivery.State) (deliveryRow, error) {
	row := deliveryRow{Name: s.Name, Kind: s.Kind, Taken: s.Delivered, Lag: s.Lag, Fault: s.Fault, Since: s.Since, Refused: s.Refused,
		Waiting: c.Deliver.Ordered(s.Name), MayChange: v.Has(policy.Administrator), URL: deliveryPath + "/" + url.PathEscape(s.Name), State: deliveryBadge(s)}
	row.Has = "Nothing yet"
	if s.Next > 0 {
		row.Has = ui.Say("Up to entry {1}", s.Next-1)
	}
	row.To = ui.Field{Name: "to", Label: "Entry", Type: "text", InputMode: "numeric", Required: true, MaxLength: 20,
		Hint: "0 is the log’s beginning. What lies before is left out; what lies after is sent, perhaps once more."}
	row.Upkeep = s.UpkeepFault
	if s.Forgetting > 0 {
		row.Forgetting = ui.Count(s.Forgetting, "{1} erased account is yet to be forgotten there.", "{1} erased accounts are yet to be forgotten there.")
	}
	if v.mayRead() != nil { // what a destination says may repeat what an entry says
		row.Hidden, row.Fault, row.Upkeep = s.Refused > 0, "", ""
		return row, nil
	}
	if s.Refused == 0 {
		return row, nil
	}
	list, err := c.Deliver.Refusals(s.Name)
	if err != nil {
		return row, err
	}
	if more := len(list) - refusalsShown; more > 0 {
		row.MoreRefusals = ui.Count(more, "{1} more is listed by ringfence delivery refused.", "{1} more are listed by ringfence delivery refused.")
		list = list[:refusalsShown]
	}
	for _, f := range list {
		row.Refusals = append(row.Refusals, refusalRow{f.Index, "/console/log/" + strconv.FormatUint(f.Index, 10), f.Time, f.Reason})
	}
	return row, nil
}

func deliveryBadge(s *delivery.State) ui.Badge {
	switch {
	case s.Stopped:
		return ui.Badge{Kind: ui.Bad, Text: "Stopped, needs somebody"}
	case s.Fault != "":
		return ui.Badge{Kind: ui.Warn, Text: "Failing, is tried again"}
	case s.Lag > 1000:
		return ui.Badge{Kind: ui.Warn, Text: "Behind"}
	case s.Refused > 0:
		return ui.Badge{Kind: ui.Warn, Text: "Up to date but for refused entries"}
	}
	return ui.Badge{Kind: ui.Good, Text: "Up to date"}
}

// holdingsPatience bounds how long the page waits for the shared table.
const holdingsPatience = 10 * time.Second

func (c *Console) sharedView(ctx context.Context, v *visit) *sharedView {
	ctx, cancel := context.WithTimeout(ctx, holdingsPatience)
	defer cancel()
	list, err := c.Shared.Holdings(ctx)
	if err != nil {
		return &sharedView{Fault: err.Error()}
	}
	out := &sharedView{}
	for _, h := range list {
		row := holdingRow{Origin: h.Origin, Entries: h.Entries, Newest: h.Newest, Age: ago(v.Now, h.Newest), State: ui.Badge{Kind: ui.Good, Text: "Without a gap"}}
		if n := h.Missing(); n > 0 {
			row.State = ui.Badge{Kind: ui.Warn, Text: ui.Count(int(n), "{1} entry is not there", "{1} entries are not there")}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

func (c *Console) retryDelivery(w http.ResponseWriter, r *http.Request, v *visit) error {
	entries, err := refusedOf(r)
	if err != nil {
		return err
	}
	return c.orderDelivery(w, r, v, delivery.Order{Act: delivery.Retry, Entries: entries}, "They are sent again within a few seconds.")
}

func (c *Console) skipDelivery(w http.ResponseWriter, r *http.Request, v *visit) error {
	entries, err := refusedOf(r)
	if err != nil {
		return err
	}
	return c.orderDelivery(w, r, v, delivery.Order{Act: delivery.Skip, Entries: entries}, "They are off the list within a few seconds. The log has them as ever.")
}

func (c *Console) resetDelivery(w http.ResponseWriter, r *http.Request, v *visit) error {
	to, err := strconv.ParseUint(strings.TrimSpace(r.PostForm.Get("to")), 10, 63)
	if err != nil {
		return badIndex()
	}
	return c.orderDelivery(w, r, v, delivery.Order{Act: delivery.Reset, To: to}, "It begins there within a few seconds.")
}

func badIndex() error {
	return &ui.Error{Status: http.StatusUnprocessableEntity, Title: "No such entry", Detail: "Write the number of an entry, such as 4711."}
}

// refusedOf reads which refused entries are meant; the word all means each of them.
func refusedOf(r *http.Request) ([]uint64, error) {
	if r.PostForm.Get("entry") == "all" {
		return nil, nil
	}
	n, err := strconv.ParseUint(r.PostForm.Get("entry"), 10, 63)
	if err != nil {
		return nil, badIndex()
	}
	return []uint64{n}, nil
}

// orderDelivery records what somebody wants of a delivery, and then has it done.
func (c *Console) orderDelivery(w http.ResponseWriter, r *http.Request, v *visit, o delivery.Order, done ui.Text) error {
	name := r.PathValue("name")
	if c.Deliver == nil || !c.delivers(name) {
		return ui.NotFound()
	}
	if v.mayRead() != nil {
		return &ui.Error{Status: http.StatusForbidden, Title: "Not for your role", Detail: "You may read a part of the access log only."}
	}
	if err := c.recordRead(r, v, "delivery."+string(o.Act), "delivery:"+name, delivery.Describe(o)); err != nil {
		return err
	}
	err := c.Deliver.Give(name, o)
	if errors.Is(err, delivery.ErrOrdered) {
		return &ui.Error{Status: http.StatusConflict, Title: "Something else is under way", Detail: "Another order for this delivery has not been carried out yet. Please try again in a few seconds.", Err: err}
	}
	if err != nil {
		return err
	}
	return c.seeOther(w, r, v, deliveryPath, done)
}

func (c *Console) delivers(name string) bool {
	for _, s := range c.Deliver.States() {
		if s.Name == name {
			return true
		}
	}
	return false
}
