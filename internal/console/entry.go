package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// entryPage shows one entry of the access log in full.
type entryPage struct {
	Base
	Index     uint64
	Sentence  ui.Text
	Kind      ui.Badge
	Groups    []entryGroup
	Reasons   []reasonLine
	Partner   *entryRow // the outcome of a request, or the request of an outcome
	PartnerIs ui.Text
	Facts     []knownFact // the facts document in words
	FactsJSON string
	FactsHash ui.Hash
	JSON      string
	Newer     string
	Older     string

	TryURL      string // the decision as a form; empty: it is none
	ExplainURL  string // this page with the explanation
	Revision    int64  // published, that decided; 0: none is known
	Explanation *explanationView

	Proof      *entryProof // nil: the log's folder is not to be had here
	SessionURL string      // the timeline of its session
	AccountURL string      // and of its account
}

// An entryGroup is some fields of an entry under a title.
type entryGroup struct {
	Title ui.Text
	Lines []entryLine
}

// An entryLine is one field of an entry in words.
type entryLine struct {
	Label ui.Text
	Value ui.Text
	Mono  bool
	URL   string // a search for the same value
	Hash  *ui.Hash
}

type reasonLine struct {
	Code string
	Text ui.Text
}

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
	if e == nil || !v.maySee(e) {
		return ui.NotFound()
	}
	if err := c.recordRead(r, v, "log.entry", "entry:"+strconv.FormatUint(index, 10), map[string]string{"index": strconv.FormatUint(index, 10)}); err != nil {
		return err
	}
	page := entryPage{Base: v.page(ui.Say("Entry {1}", index)), Index: index, Sentence: entrySentence(e), Kind: newEntryRow(pair{entry: e}).Kind,
		Groups: entryGroups(e), Reasons: reasonLines(e.Reasons), JSON: indented(e.Clear())}
	nameAccounts(page.Groups, v.Snapshot)
	page.Proof = c.proofOf(ctx, e)
	if e.Session != "" {
		page.SessionURL = timelineURL("session", e.Session)
	}
	if id := cmp.Or(e.Account, e.Actor); id != "" {
		page.AccountURL = timelineURL("account", id)
	}
	if err := c.addPartner(ctx, v, &page, e); err != nil {
		return err
	}
	if err := c.addFacts(ctx, &page, e); err != nil {
		return err
	}
	if e.Type == policy.RecordRequest && e.Revision != "" && c.Sets != nil && v.opens("/console/policies/revisions/{id}") {
		if page.Revision, err = c.Sets.Published(ctx, e.Revision, e.Time); err != nil {
			return err
		}
	}
	if err := c.addExplanation(r, &page, e); err != nil {
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
			kept := *found // it may be good only during the call
			kept.Payload = slices.Clone(found.Payload)
			e = &kept
		}
		return false
	})
	return e, err
}

// addPartner looks for the other entry of the same request: the outcome after
// it, or the decision before it.
func (c *Console) addPartner(ctx context.Context, v *visit, page *entryPage, e *accesslog.Entry) error {
	if e.RequestID == "" || e.Type != policy.RecordRequest && e.Type != policy.RecordOutcome {
		return nil
	}
	other := policy.RecordOutcome
	page.PartnerIs = "Outcome"
	if e.Type == policy.RecordOutcome {
		other, page.PartnerIs = policy.RecordRequest, "Request"
	}
	n := query.All(is(query.RequestID, e.RequestID), is(query.Type, string(other)))
	rows, err := c.search(ctx, query.Request{Where: v.readable(n), Now: v.Now, Limit: 1, Fields: lineFields})
	if err != nil {
		return overdueIsNothing(err)
	}
	for _, found := range rows {
		row := v.entryRow(pair{entry: entryOf(found)})
		page.Partner = &row
	}
	return nil
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
func entrySentence(e *accesslog.Entry) ui.Text {
	who := cmp.Or(ui.Verbatim(cmp.Or(e.Email, e.Account, e.Actor)), "Nobody that is signed in")
	if e.Type == policy.RecordLog && cmp.Or(e.Email, e.Account, e.Actor) == "" {
		who = "The gateway itself"
	}
	what := e.Method + " " + clip(e.Path, 200)
	switch e.Type {
	case policy.RecordRequest:
		if e.Cluster == "" {
			return cmp.Or(effectAlone(e.Effect, who, what), ui.Say("{1} asked for {2}.", who, what))
		}
		return cmp.Or(effectOn(e.Effect, who, what, e.Cluster), ui.Say("{1} asked for {2} on {3}.", who, what, e.Cluster))
	case policy.RecordOutcome:
		return outcomeSentence(e, who, what)
	}
	s := ui.Say("{1}: {2}", who, actionWords(e.Action))
	if e.Object != "" {
		s = ui.Say("{1}, {2}", s, e.Object)
	}
	if e.Result != "" && e.Result != "ok" {
		return ui.Say("{1} (not done: {2}).", s, resultWords(e.Result))
	}
	return ui.Say("{1}.", s)
}

// effectOn says what became of a request to a cluster, empty for an unknown effect.
func effectOn(effect string, who ui.Text, what, cluster string) ui.Text {
	switch effect {
	case policy.Allow.String():
		return ui.Say("{1} asked for {2} on {3} and was allowed.", who, what, cluster)
	case policy.Challenge.String():
		return ui.Say("{1} asked for {2} on {3} and was challenged.", who, what, cluster)
	case policy.Deny.String():
		return ui.Say("{1} asked for {2} on {3} and was denied.", who, what, cluster)
	}
	return ""
}

// effectAlone says what became of a request to no cluster.
func effectAlone(effect string, who ui.Text, what string) ui.Text {
	switch effect {
	case policy.Allow.String():
		return ui.Say("{1} asked for {2} and was allowed.", who, what)
	case policy.Challenge.String():
		return ui.Say("{1} asked for {2} and was challenged.", who, what)
	case policy.Deny.String():
		return ui.Say("{1} asked for {2} and was denied.", who, what)
	}
	return ""
}

// outcomeSentence says how a request was answered.
func outcomeSentence(e *accesslog.Entry, who ui.Text, what string) ui.Text {
	var s ui.Text
	switch {
	case e.Status != 0 && e.Duration != nil:
		s = ui.Say("The request {1} of {2} was answered with status {3} after {4}.", what, who, e.Status, millis(*e.Duration))
	case e.Status != 0:
		s = ui.Say("The request {1} of {2} was answered with status {3}.", what, who, e.Status)
	case e.Duration != nil:
		s = ui.Say("The request {1} of {2} was answered after {3}.", what, who, millis(*e.Duration))
	default:
		s = ui.Say("The request {1} of {2} was answered.", what, who)
	}
	if e.Ended != "" {
		return ui.Say("{1} It was cut short.", s)
	}
	return s
}

// actionWords makes words of an action such as account.end_sessions.
func actionWords(action string) ui.Text {
	return cmp.Or(actionNames[action], changeNames[action], ui.Verbatim(strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == '-' {
			return ' '
		}
		return r
	}, action)), "something")
}

// entryGroups puts every field of an entry in words. A field that the entry
// does not have is left out.
func entryGroups(e *accesslog.Entry) []entryGroup {
	text := func(label, value ui.Text) entryLine { return entryLine{Label: label, Value: value} }
	mono := func(label ui.Text, value string) entryLine {
		return entryLine{Label: label, Value: ui.Verbatim(value), Mono: true}
	}
	link := func(label ui.Text, value string, field query.Field) entryLine {
		return entryLine{Label: label, Value: ui.Verbatim(value), Mono: true, URL: logURL(is(field, value))}
	}
	hash := func(label ui.Text, value string) entryLine {
		return entryLine{Label: label, Value: ui.Verbatim(value), Hash: &ui.Hash{Value: value, Short: 24}}
	}
	number := func(label ui.Text, n *int64, words func(int64) ui.Text) entryLine {
		if n == nil {
			return entryLine{}
		}
		return text(label, words(*n))
	}
	var own, status ui.Text
	if e.Clock.Sub(e.Time).Abs() >= 100*time.Millisecond && !e.Clock.IsZero() { // closer ones overtook one another
		own = ui.Say("{1}, as the clock stood", ui.Instant(e.Clock))
	}
	if e.Status != 0 {
		status = ui.Verbatim(strings.TrimSpace(strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)))
	}
	groups := []entryGroup{
		{"When and what", []entryLine{
			text("Time", ui.Instant(e.Time)), text("Own time", own), text("Type", typeInWords(e.Type)),
			link("Action", e.Action, query.Action), text("Result", resultWords(e.Result)), link("Request id", e.RequestID, query.RequestID), mono("Node", e.Node),
			mono("Object", e.Object), link("Done by", e.Actor, query.Account),
		}},
		{"Who", []entryLine{
			link("E-mail", e.Email, query.Account), link("Account", e.Account, query.Account), link("Vendor", e.Vendor, query.Vendor), link("Engagement", e.Engagement, query.Engagement),
			link("Session", e.Session, query.Session), text("Credential", ui.Known(e.Credential)), text("Factors", factorsInWords(e.Factors)),
			number("Age of the code", e.CodeAge, seconds), link("Address", e.SourceIP, query.SourceIP), mono("User agent", e.UserAgent),
		}},
		{"Request", []entryLine{
			link("Cluster", e.Cluster, query.Cluster), text("Classification", classBadge(e.Classification).Text), mono("Route", e.Route), text("Waited for the log", waitedWords(e.Mode)), text("Protocol", ui.Verbatim(e.Protocol)), mono("Method", e.Method),
			mono("Host", e.Host), link("Path", e.Path, query.Path), mono("Query fields", strings.Join(e.QueryNames, ", ")),
		}},
		{"Decision", []entryLine{
			text("Effect", ui.Known(e.Effect)), text("Obligations", obligationsInWords(e.Obligations)), hash("Policy revision", e.Revision), hash("Facts", e.Facts), mono("Agreements accepted", strings.Join(e.Agreements, ", ")),
		}},
		{"Read by the policies besides", inputLines(e.Record.Input)},
		{"Outcome", []entryLine{
			text("Status", status), number("Received", e.BytesIn, size), number("Sent", e.BytesOut, size), number("First byte after", e.FirstByte, millis),
			number("Duration", e.Duration, millis), mono("Upstream", e.Upstream), text("Cut short because", ui.Known(e.Ended)),
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
		out = append(out, entryLine{Label: ui.Verbatim(k), Value: ui.Verbatim(detail[k]), Mono: true})
	}
	return out
}

// nameAccounts adds the names of the accounts whose ids details hold, such as
// those of who approved.
func nameAccounts(groups []entryGroup, s *directory.Snapshot) {
	i := slices.IndexFunc(groups, func(g entryGroup) bool { return g.Title == "Detail" })
	if i < 0 {
		return
	}
	apart := func(r rune) bool {
		return !(r == '-' || r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	for j := range groups[i].Lines {
		line := &groups[i].Lines[j]
		var names []ui.Text
		for _, word := range strings.FieldsFunc(line.Value.String(), apart) {
			if a, ok := s.Account(word); ok && len(names) < 10 {
				names = append(names, ui.Verbatim(nameOf(a)))
			}
		}
		if len(names) > 0 {
			line.Value = ui.Say("{1} ({2})", line.Value, ui.Join(names, ", "))
		}
	}
}

func typeInWords(t policy.RecordType) ui.Text {
	words := map[policy.RecordType]ui.Text{
		policy.RecordRequest: "A decision, recorded before the request was served",
		policy.RecordOutcome: "What became of an allowed request",
		policy.RecordLogin:   "Signing in and out, factors, sessions, tokens",
		policy.RecordAdmin:   "A change to people, vendors, clusters or assignments",
		policy.RecordPolicy:  "A change to policies",
		policy.RecordLog:     "The log about itself: starts, readings, facts",
	}
	return cmp.Or(words[t], ui.Verbatim(string(t)))
}

func seconds(n int64) ui.Text {
	return ui.Verbatim(span(time.Duration(n) * time.Second))
}

func factorsInWords(factors map[string]int64) ui.Text {
	var out []ui.Text
	for _, name := range slices.Sorted(maps.Keys(factors)) {
		factor := cmp.Or(factorNames[name], ui.Verbatim(name))
		if factors[name] == 0 {
			out = append(out, ui.Say("{1}, proved just before", factor))
			continue
		}
		out = append(out, ui.Say("{1}, proved {2} before", factor, seconds(factors[name])))
	}
	return ui.Join(out, "; ")
}

// obligationsInWords says what an allowed request was bound to.
func obligationsInWords(o *policy.Obligations) ui.Text {
	if o == nil || o.IsZero() {
		return ""
	}
	var out []ui.Text
	if o.MaxResponseBytes > 0 {
		out = append(out, ui.Say("at most {1} in the response", size(o.MaxResponseBytes)))
	}
	if o.EgressBudget > 0 {
		out = append(out, ui.Say("at most {1} a day", size(o.EgressBudget)))
	}
	if len(o.Mask) > 0 {
		out = append(out, ui.Say("these fields blanked: {1}", strings.Join(o.Mask, ", ")))
	}
	if len(o.StripHeaders) > 0 {
		out = append(out, ui.Say("these response headers taken off: {1}", strings.Join(o.StripHeaders, ", ")))
	}
	if o.MaxCodeAge > 0 {
		out = append(out, ui.Say("a code no older than {1}", span(o.MaxCodeAge.Duration())))
	}
	if len(o.Notify) > 0 {
		out = append(out, ui.Say("told to {1}", strings.Join(o.Notify, ", ")))
	}
	return ui.Join(out, "; ")
}
