package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// entryPage shows one entry of the access log in full.
type entryPage struct {
	Base
	Index     uint64
	Sentence  string
	Kind      ui.Badge
	Groups    []entryGroup
	Reasons   []reasonLine
	Partner   *entryRow // the outcome of a request, or the request of an outcome
	PartnerIs string
	Facts     []knownFact // the facts document in words
	FactsJSON string
	FactsHash ui.Hash
	JSON      string
	Newer     string
	Older     string
}

// An entryGroup is some fields of an entry under a title.
type entryGroup struct {
	Title string
	Lines []entryLine
}

// An entryLine is one field of an entry in words.
type entryLine struct {
	Label string
	Value string
	Mono  bool
	URL   string // a search for the same value
	Hash  *ui.Hash
}

type reasonLine struct{ Code, Text string }

// entry shows one entry with its other half and its facts.
func (c *Console) entry(w http.ResponseWriter, r *http.Request, v *visit) error {
	index, err := strconv.ParseUint(r.PathValue("index"), 10, 63)
	if err != nil || strconv.FormatUint(index, 10) != r.PathValue("index") {
		return ui.NotFound()
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	e, err := c.entryAt(ctx, index)
	if err != nil {
		return err
	}
	if e == nil {
		return ui.NotFound()
	}
	if err := c.recordRead(r, v, "log.entry", "entry:"+strconv.FormatUint(index, 10), map[string]string{"index": strconv.FormatUint(index, 10)}); err != nil {
		return err
	}
	page := entryPage{Base: v.page(fmt.Sprintf("Entry %d", index)), Index: index, Sentence: entrySentence(e), Kind: newEntryRow(pair{entry: e}).Kind,
		Groups: entryGroups(e), Reasons: reasonLines(e.Reasons), JSON: indented(e.Payload)}
	if err := c.addPartner(ctx, &page, e); err != nil {
		return err
	}
	if err := c.addFacts(ctx, &page, e); err != nil {
		return err
	}
	if index > 0 {
		page.Older = entryURL(index - 1)
	}
	if index+1 < c.Log.Size() {
		page.Newer = entryURL(index + 1)
	}
	return c.show(w, r, http.StatusOK, "entry", page)
}

// entryAt returns the entry with an index, nil when there is none.
func (c *Console) entryAt(ctx context.Context, index uint64) (*accesslog.Entry, error) {
	var e *accesslog.Entry
	f := accesslog.Filter{Before: index + 1, Limit: 1}
	err := c.Log.Query(ctx, f, func(found *accesslog.Entry) bool {
		if found.Index == index {
			e = keep(found)
		}
		return false
	})
	return e, err
}

// addPartner looks for the other entry of the same request: the outcome after
// it, or the decision before it.
func (c *Console) addPartner(ctx context.Context, page *entryPage, e *accesslog.Entry) error {
	if e.RequestID == "" || e.Type != policy.RecordRequest && e.Type != policy.RecordOutcome {
		return nil
	}
	f := accesslog.Filter{RequestID: e.RequestID, Limit: 1}
	if e.Type == policy.RecordRequest {
		f.Type, f.After, f.Ascending, page.PartnerIs = string(policy.RecordOutcome), e.Index, true, "Outcome"
	} else {
		f.Type, f.Before, page.PartnerIs = string(policy.RecordRequest), e.Index, "Request"
	}
	err := c.Log.Query(ctx, f, func(found *accesslog.Entry) bool {
		row := newEntryRow(pair{entry: keep(found)})
		page.Partner = &row
		return false
	})
	return overdueIsNothing(err)
}

// addFacts finds the facts document that the entry names. It is in the log
// once for all entries with the same facts, before the first of them.
func (c *Console) addFacts(ctx context.Context, page *entryPage, e *accesslog.Entry) error {
	if e.Facts == "" {
		return nil
	}
	page.FactsHash = ui.Hash{Value: e.Facts, Short: 24}
	var raw json.RawMessage
	f := accesslog.Filter{Type: string(policy.RecordLog), Action: accesslog.ActionFacts, Before: e.Index + 1}
	err := c.Log.Query(ctx, f, func(found *accesslog.Entry) bool {
		if found.Facts == e.Facts {
			raw = slices.Clone(found.FactsJSON)
		}
		return raw == nil
	})
	if raw != nil {
		page.FactsJSON = indented(raw)
		var doc policy.Document
		if json.Unmarshal(raw, &doc) == nil {
			page.Facts = factsInWords(doc.Facts(), e.Cluster, e.Time)
		}
	}
	return overdueIsNothing(err)
}

// overdueIsNothing lets a page show what was found in time.
func overdueIsNothing(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

func reasonLines(codes []string) []reasonLine {
	var out []reasonLine
	for _, code := range codes {
		out = append(out, reasonLine{code, cmp.Or(reasonWords[code], "A reason that one of your policies gives.")})
	}
	return out
}

// entrySentence says in one sentence what an entry records.
func entrySentence(e *accesslog.Entry) string {
	who := cmp.Or(e.Email, e.Account, e.Actor, "Nobody that is signed in")
	switch e.Type {
	case policy.RecordRequest:
		s := who + " asked for " + e.Method + " " + clip(e.Path, 200)
		if e.Cluster != "" {
			s += " on " + e.Cluster
		}
		if words := effectWords[e.Effect]; words != "" {
			s += " and was " + words
		}
		return s + "."
	case policy.RecordOutcome:
		s := "The request " + e.Method + " " + clip(e.Path, 200) + " of " + who + " was answered"
		if e.Status != 0 {
			s += " with status " + strconv.Itoa(e.Status)
		}
		if e.Duration != nil {
			s += " after " + millis(*e.Duration)
		}
		if e.Ended != "" {
			s += " and was cut short"
		}
		return s + "."
	}
	s := who + ": " + actionWords(e.Action)
	if e.Object != "" {
		s += ", " + e.Object
	}
	if e.Result != "" && e.Result != "ok" {
		s += " (not done: " + e.Result + ")"
	}
	return s + "."
}

// actionWords makes words of an action such as account.end_sessions.
func actionWords(action string) string {
	return cmp.Or(actionNames[action], strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' {
			return ' '
		}
		return r
	}, action), "something")
}

// entryGroups puts every field of an entry in words. A field that the entry
// does not have is left out.
func entryGroups(e *accesslog.Entry) []entryGroup {
	search := func(name, value string) string {
		return "/console/log?" + url.Values{name: {value}}.Encode()
	}
	text := func(label, value string) entryLine { return entryLine{Label: label, Value: value} }
	mono := func(label, value string) entryLine { return entryLine{Label: label, Value: value, Mono: true} }
	link := func(label, value, field string) entryLine {
		return entryLine{Label: label, Value: value, Mono: true, URL: search(field, value)}
	}
	hash := func(label, value string) entryLine {
		return entryLine{Label: label, Value: value, Hash: &ui.Hash{Value: value, Short: 24}}
	}
	number := func(label string, n *int64, words func(int64) string) entryLine {
		if n == nil {
			return entryLine{}
		}
		return text(label, words(*n))
	}
	own := ""
	if !e.Clock.IsZero() {
		own = e.Clock.UTC().Format("2 Jan 2006, 15:04:05.000 UTC") + ", as the clock stood"
	}
	status := ""
	if e.Status != 0 {
		status = strings.TrimSpace(strconv.Itoa(e.Status) + " " + http.StatusText(e.Status))
	}
	groups := []entryGroup{
		{"When and what", []entryLine{
			text("Time", e.Time.UTC().Format("2 Jan 2006, 15:04:05.000 UTC")), text("Own time", own), text("Type", typeInWords(e.Type)),
			link("Action", e.Action, searchAction), text("Result", e.Result), link("Request id", e.RequestID, searchRequestID), mono("Node", e.Node),
			mono("Object", e.Object), link("Done by", e.Actor, searchAccount),
		}},
		{"Who", []entryLine{
			link("E-mail", e.Email, searchAccount), link("Account", e.Account, searchAccount), link("Vendor", e.Vendor, searchVendor), mono("Engagement", e.Engagement),
			link("Session", e.Session, searchSession), text("Credential", e.Credential), text("Factors", factorsInWords(e.Factors)),
			number("Age of the code", e.CodeAge, seconds), mono("Address", e.SourceIP), mono("User agent", e.UserAgent),
		}},
		{"Request", []entryLine{
			link("Cluster", e.Cluster, searchCluster), text("Classification", e.Classification), mono("Route", e.Route), text("Protocol", e.Protocol), mono("Method", e.Method),
			mono("Host", e.Host), link("Path", e.Path, searchPath), mono("Query fields", strings.Join(e.QueryNames, ", ")),
		}},
		{"Decision", []entryLine{
			text("Effect", e.Effect), text("Obligations", obligationsInWords(e.Obligations)), hash("Policy revision", e.Revision), hash("Facts", e.Facts), mono("Agreements accepted", strings.Join(e.Agreements, ", ")),
		}},
		{"Outcome", []entryLine{
			text("Status", status), number("Received", e.BytesIn, size), number("Sent", e.BytesOut, size), number("First byte after", e.FirstByte, millis),
			number("Duration", e.Duration, millis), mono("Upstream", e.Upstream), text("Cut short because", e.Ended),
		}},
		{"Detail", detailLines(e.Detail)},
	}
	var out []entryGroup
	for _, g := range groups {
		g.Lines = slices.DeleteFunc(g.Lines, func(l entryLine) bool { return l.Value == "" })
		if len(g.Lines) > 0 {
			out = append(out, g)
		}
	}
	return out
}

func detailLines(detail map[string]string) []entryLine {
	var out []entryLine
	for _, k := range slices.Sorted(maps.Keys(detail)) {
		out = append(out, entryLine{Label: k, Value: detail[k], Mono: true})
	}
	return out
}

func typeInWords(t policy.RecordType) string {
	words := map[policy.RecordType]string{
		policy.RecordRequest: "A decision, recorded before the request was served",
		policy.RecordOutcome: "What became of an allowed request",
		policy.RecordLogin:   "Signing in and out, factors, sessions, tokens",
		policy.RecordAdmin:   "A change to people, vendors, clusters or assignments",
		policy.RecordPolicy:  "A change to policies",
		policy.RecordLog:     "The log about itself: starts, readings, facts",
	}
	return cmp.Or(words[t], string(t))
}

func seconds(n int64) string {
	return span(time.Duration(n) * time.Second)
}

func factorsInWords(factors map[string]int64) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(factors)) {
		when := "proved " + seconds(factors[name]) + " before"
		if factors[name] == 0 {
			when = "proved just before"
		}
		out = append(out, cmp.Or(factorNames[name], name)+", "+when)
	}
	return strings.Join(out, "; ")
}

// obligationsInWords says what an allowed request was bound to.
func obligationsInWords(o *policy.Obligations) string {
	if o == nil || o.IsZero() {
		return ""
	}
	var out []string
	if o.MaxResponseBytes > 0 {
		out = append(out, "at most "+size(o.MaxResponseBytes)+" in the response")
	}
	if o.EgressBudget > 0 {
		out = append(out, "at most "+size(o.EgressBudget)+" a day")
	}
	if len(o.Mask) > 0 {
		out = append(out, "these fields blanked: "+strings.Join(o.Mask, ", "))
	}
	if len(o.StripHeaders) > 0 {
		out = append(out, "these response headers taken off: "+strings.Join(o.StripHeaders, ", "))
	}
	if o.MaxCodeAge > 0 {
		out = append(out, "a code no older than "+span(o.MaxCodeAge.Duration()))
	}
	if len(o.Notify) > 0 {
		out = append(out, "told to "+strings.Join(o.Notify, ", "))
	}
	return strings.Join(out, "; ")
}
