package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// Sets are the policy sets that decide or have decided.
type Sets interface {
	// InForce must return the modules of the set in force and what the engine calls it.
	InForce() (modules map[string]string, revision string)
	// Decided must return the modules that an engine's revision was made of, and
	// false where they are not to be had any more. Other names the version of
	// Ringfence whose guardrails decided with them where those are not this one's.
	Decided(ctx context.Context, revision string) (modules map[string]string, other string, ok bool, err error)
	// Published must return the id of the published revision that the engine called
	// so at a time; 0 where nobody knows, or the policies came from elsewhere.
	Published(ctx context.Context, revision string, at time.Time) (int64, error)
}

// explanationView is an explanation in words. Its template is "explanation".
type explanationView struct {
	effect      string
	Effect      ui.Badge
	Reasons     []reasonLine
	Obligations ui.Text
	Fault       string
	Revision    ui.Hash
	Decided     []explainedRule
	Others      []explainedRule
	More        int       // how many others
	Notes       []ui.Text // what the explanation does not know
	Differs     ui.Text   // from what was recorded; empty: it does not
	None        ui.Text   // why there is no explanation; empty: there is one
}

// explainedRule is one rule with what it found.
type explainedRule struct {
	Sentence   ui.Text
	Place      string
	Stock      bool
	Held       bool
	Conditions []explainedCondition
}

type explainedCondition struct {
	Text   string
	Line   int
	Held   bool
	Values []ui.Text
}

// newExplanation puts an explanation in words.
func newExplanation(x *policy.Explanation) *explanationView {
	v := &explanationView{effect: x.Decision.Effect.String(), Effect: effectBadge(x.Decision.Effect.String()), Obligations: obligationsInWords(&x.Decision.Obligations),
		Fault: x.Fault, Revision: ui.Hash{Value: x.Decision.Revision, Short: 16}}
	for _, r := range x.Decision.Reasons {
		said := ui.Verbatim(strings.TrimSpace(r.Message + " " + r.Help)) // as its author wrote it
		v.Reasons = append(v.Reasons, reasonLine{r.Code, cmp.Or(reasonWords[r.Code], said)})
	}
	for i := range x.Rules {
		r := &x.Rules[i]
		told := explainedRule{Sentence: ruleSentence(r), Stock: r.Stock, Held: r.Held}
		if r.File != "" {
			told.Place = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		for _, c := range r.Conditions {
			line := explainedCondition{Text: c.Text, Line: c.Line, Held: c.Held}
			for _, value := range c.Values {
				line.Values = append(line.Values, valueSentence(value))
			}
			told.Conditions = append(told.Conditions, line)
		}
		if r.Decided {
			v.Decided = append(v.Decided, told)
		} else {
			v.Others = append(v.Others, told)
		}
	}
	v.More = len(v.Others)
	return v
}

// ruleSentence says how a rule went, and why it failed.
func ruleSentence(r *policy.ExplainedRule) ui.Text {
	name := r.Name
	if r.Code != "" {
		name += " " + r.Code
	}
	c := r.Failed()
	switch {
	case r.Held:
		return ui.Say("{1} holds.", name)
	case c == nil:
		return ui.Say("{1} does not hold.", name)
	}
	unknown := c.Unknown()
	switch {
	case len(unknown) > 0 && unknown[0].Name == c.Text:
		return ui.Say("{1} failed because {2} is not known.", name, c.Text)
	case len(c.Values) == 0:
		return ui.Say("{1} failed because {2} does not hold.", name, c.Text)
	}
	said := make([]ui.Text, len(c.Values))
	for i, v := range c.Values {
		said[i] = valueSentence(v)
	}
	return ui.Say("{1} failed because {2} does not hold: {3}.", name, c.Text, ui.Join(said, ", "))
}

// valueSentence says what a name stood for, instants as people read them.
func valueSentence(v policy.ExplainedValue) ui.Text {
	if !v.Known {
		return ui.Say("{1} is not known", v.Name)
	}
	if at, ok := v.Instant(); ok {
		return ui.Say("{1} is {2} ({3})", v.Name, v.Value, ui.Instant(at))
	}
	return ui.Say("{1} is {2}", v.Name, v.Value)
}

// explain tries an input under a set and puts the outcome in words; what went
// wrong with the set is in words too.
func (c *Console) explain(ctx context.Context, modules map[string]string, in *policy.Input) (*explanationView, error) {
	x, err := c.Studio.Try(ctx, studio.TryRequest{Modules: modules, Input: in})
	if l, ok := errors.AsType[*studio.LimitError](err); ok {
		return &explanationView{None: limitWords(l)}, nil
	}
	if f, ok := errors.AsType[*studio.FailedError](err); ok {
		return &explanationView{None: "These policies cannot be tried.", Fault: f.Message}, nil
	}
	if errors.Is(err, studio.ErrBusy) {
		return nil, tooManyTrials(err)
	}
	if err != nil {
		return nil, err
	}
	return newExplanation(&x), nil
}

// limitWords says which limit a trial was stopped at.
func limitWords(l *studio.LimitError) ui.Text {
	switch l.What {
	case "time":
		return "The trial was stopped: these policies need more time than a trial may take."
	case "memory":
		return "The trial was stopped: these policies need more memory than a trial may have."
	case "depth":
		return "The trial was stopped: these policies nest too deeply."
	}
	return "The trial was stopped: these policies answer with more than can be shown."
}

// explainEntry explains the decision that an entry records, under the revision
// that made it.
func (c *Console) explainEntry(ctx context.Context, e *accesslog.Entry) (*explanationView, error) {
	in, withheld, err := c.inputOf(ctx, e)
	switch {
	case errors.Is(err, accesslog.ErrNotDecided):
		return &explanationView{None: "This was refused before the policies were asked, or is no decision."}, nil
	case errors.Is(err, accesslog.ErrNoFacts):
		return &explanationView{None: "What was known about the account then is not in the log any more, so the decision cannot be explained."}, nil
	case err != nil:
		return nil, err
	}
	modules, other, ok, err := c.Sets.Decided(ctx, e.Revision)
	if err != nil {
		return nil, err
	}
	if !ok {
		return &explanationView{None: "The policies that decided this are not kept here any more. Under those in force now it can be tried."}, nil
	}
	v, err := c.explain(ctx, modules, in)
	if err != nil || v.None != "" {
		return v, err
	}
	if other != "" {
		v.Notes = append(v.Notes, ui.Say("Version {1} of Ringfence decided this. The explanation is made with these policies and the guardrails of the version that runs now.", other))
	}
	if len(withheld) > 0 {
		v.Notes = append(v.Notes, ui.Say("Not kept in the log, and so not seen by this explanation: {1}.", strings.Join(withheld, ", ")))
	}
	if v.effect != e.Effect {
		v.Differs = ui.Say("The log says {1}: what decided then is not wholly known here.", ui.Known(e.Effect))
	}
	return v, nil
}

// addExplanation offers the explanation of a decision, or makes it where it is
// asked for: it takes a process of its own.
func (c *Console) addExplanation(r *http.Request, page *entryPage, e *accesslog.Entry) error {
	if e.Type != policy.RecordRequest || e.Revision == "" {
		return nil
	}
	page.TryURL, page.ExplainURL = tryURL(e.Index), entryURL(e.Index)+"?explain=yes#explanation"
	if r.URL.Query().Get("explain") != "yes" {
		return nil
	}
	x, err := c.explainEntry(r.Context(), e)
	page.ExplainURL, page.Explanation = "", x
	return err
}

// inputOf rebuilds what the policies decided from.
func (c *Console) inputOf(ctx context.Context, e *accesslog.Entry) (*policy.Input, []string, error) {
	if e.Type != policy.RecordRequest {
		return nil, nil, accesslog.ErrNotDecided
	}
	doc, err := accesslog.FactsOf(ctx, c.Log, e)
	if err != nil {
		return nil, nil, err
	}
	return e.Input(doc)
}
