package console

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

const (
	// entriesAPage is how many lines a page of the log shows.
	entriesAPage = 50
	// searchTime is how long a search may take.
	searchTime = 10 * time.Second
)

// entryRow is one line of the log. A request and its outcome are one line.
type entryRow struct {
	Index     uint64
	URL       string
	Time      time.Time
	Day       string
	Clock     string
	Who       string
	WhoURL    string
	ask       string // what a search for who did it asks for
	Cluster   string
	InURL     string // the search narrowed to the cluster; empty: it is no link
	KindURL   string // the search narrowed to the effect; empty: it is no link
	Effect    string
	What      ui.Text // method and path, or what was done
	Mono      bool
	Kind      ui.Badge
	Status    string
	StatusBad bool
	Note      ui.Text // the first reason, or how it ended
	Codes     string  // of all reasons
}

// recordRead records that somebody reads the log before they see anything of it.
func (c *Console) recordRead(r *http.Request, v *visit, action, object string, detail map[string]string) error {
	return c.recordEnd(r, v, action, object, "ok", detail)
}

// recordEnd records a reading with how it ended.
func (c *Console) recordEnd(r *http.Request, v *visit, action, object, result string, detail map[string]string) error {
	detail = v.withScope(action, detail)
	_, err := c.Log.Record(r.Context(), &policy.Record{
		Type: policy.RecordLog, Time: c.Now().UTC(), Action: action, Result: result, RequestID: v.RequestID,
		Account: v.Session.Account, Email: v.Session.Email, Vendor: v.Session.Vendor, Session: v.Session.ID,
		SourceIP: v.Origin.IP.String(), UserAgent: v.Origin.UserAgent,
		Actor: v.Session.Account, Object: object, Detail: detail,
	})
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// effectBadge shows an effect as a word with its colour.
func effectBadge(effect string) ui.Badge {
	kind := map[string]string{policy.Allow.String(): ui.Good, policy.Challenge.String(): ui.Warn, policy.Deny.String(): ui.Bad}[effect]
	return ui.Badge{Kind: cmp.Or(kind, ui.Neutral), Text: ui.Known(effect)}
}

// newEntryRow makes one line of an entry.
func newEntryRow(p pair) entryRow {
	e := p.entry
	row := entryRow{Index: e.Index, URL: entryURL(e.Index), Time: e.Time, Day: e.Time.UTC().Format(time.DateOnly), Clock: e.Time.UTC().Format("15:04:05"), Who: cmp.Or(e.Email, e.Actor, e.Account), ask: cmp.Or(e.Email, e.Actor, e.Account), Cluster: e.Cluster, Mono: true}
	id := cmp.Or(e.Actor, e.Account)
	if e.Email != "" {
		id = cmp.Or(e.Account, e.Actor) // whose address it is
	}
	if id != "" {
		row.WhoURL = logURL(query.Match{Field: query.Account, Pattern: query.Exact(id)})
	}
	switch e.Type {
	case policy.RecordRequest, policy.RecordOutcome:
		row.What, row.Kind = ui.Verbatim(e.Method+" "+e.Path), effectBadge(cmp.Or(e.Effect, "outcome"))
		row.Note, row.Codes = joinReasons(e.Reasons), strings.Join(e.Reasons, ", ")
		row.Effect = e.Effect
	default:
		row.Mono = false
		row.What = actionWords(e.Action)
		if name := objectName(e.Object); name != "" && name != "log" && name != row.Who {
			row.What = ui.Say("{1}: {2}", row.What, name)
		}
		row.Kind = ui.Badge{Kind: ui.Neutral, Text: cmp.Or(typeWords[e.Type], ui.Verbatim(string(e.Type)))}
		if e.Result != "" && e.Result != "ok" {
			row.Kind, row.Note = ui.Badge{Kind: ui.Warn, Text: "not done"}, resultWords(e.Result)
		}
	}
	last := e
	if p.outcome != nil {
		last = p.outcome
	}
	if last.Status != 0 {
		row.Status, row.StatusBad = strconv.Itoa(last.Status), last.Status >= 500
	}
	if last.Ended != "" {
		row.Note = ui.Say("cut short: {1}", ui.Known(last.Ended))
	}
	return row
}

// entryRow is newEntryRow with the address of whoever did what is not about
// themselves, such as an erasure: its entry holds their id alone.
func (v *visit) entryRow(p pair) entryRow {
	row := newEntryRow(p)
	if a, ok := v.Snapshot.Account(row.Who); ok && p.entry.Email == "" && a.Email != directory.ErasedEmail(a.ID) {
		row.Who = a.Email
	}
	return row
}

// objectName is what an entry names without its kind, which its action says.
func objectName(object string) string {
	if _, name, ok := strings.Cut(object, ":"); ok {
		return name
	}
	return object
}

func entryURL(index uint64) string { return "/console/log/" + strconv.FormatUint(index, 10) }

// joinReasons says the first reason in words; the page of the entry has all of
// them with their codes.
func joinReasons(codes []string) ui.Text {
	if len(codes) == 0 {
		return ""
	}
	s := cmp.Or(reasonWords[codes[0]], ui.Verbatim(codes[0]))
	if more := len(codes) - 1; more > 0 {
		return ui.Say("{1} {2}", s, ui.Count(more, "And {1} further reason.", "And {1} further reasons."))
	}
	return s
}
