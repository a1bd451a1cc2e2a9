package console

import (
	"net/http"
	"sync"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

// offered is made once: it is the same for as long as the process lives.
var offered = sync.OnceValue(studio.Offered)

// contractPage says what policies can read, call and say. The editor reads
// completions and explanations out of it, so that both are in one language.
type contractPage struct {
	Base
	Groups []contractGroup
}

// A contractGroup is the words of one kind.
type contractGroup struct {
	ID, Kind   string
	Title, Say ui.Text
	Words      []contractWord
}

func (c *Console) showContract(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := contractPage{Base: v.page("What policies can read, call and say")}
	var fields, calls, withheld []contractWord
	for _, f := range offered().Fields {
		w := contractWord{Name: f.Path, Type: f.Type, Values: contractValues[f.Path], Text: contractFields[f.Path]}
		if f.Maybe {
			w.Type += "?"
		}
		fields = append(fields, w)
	}
	for _, b := range offered().Builtins {
		calls = append(calls, contractWord{Name: b.Name, Type: b.Signature, Text: ui.Verbatim(b.Text), English: true})
	}
	for _, f := range offered().Forbidden {
		withheld = append(withheld, contractWord{Name: f.Name, Text: forbiddenWhy[string(f.Why)]})
	}
	page.Groups = []contractGroup{
		{"rules", "rule", "What a policy contributes", "A file that gives nothing under one of these names changes no decision.", contractRules},
		{"fields", "field", "What a policy can read", "A question mark stands where something can be missing. Under rego.v2 a negated condition holds when it is, so that what is missing denies.", fields},
		{"obligations", "obligation", "What a policy can oblige to", "Each is a name in the object that obligations contain.", contractObligations},
		{"reasons", "reason", "Reasons that Ringfence itself gives", "A policy has codes of its own beside these.", contractReasons},
		{"functions", "builtin", "What a policy can call", "These come with the language and are described in its own words, in English.", calls},
		{"withheld", "forbidden", "What is withheld", "", withheld},
	}
	return c.show(w, r, http.StatusOK, "console-policy-contract", page)
}

// forbiddenPage says what policies may not do, and why.
type forbiddenPage struct {
	Base
	Rules  []forbiddenRule
	Groups []forbiddenGroup
}

type forbiddenRule struct{ What, Why ui.Text }

type forbiddenGroup struct {
	Why   ui.Text
	Names []string
}

// forbiddenWhy words why functions are withheld, by the engine's word for it.
var forbiddenWhy = map[string]ui.Text{
	"network":    "It would reach other machines. A decision is made from its input alone, so that it can be repeated and nothing of it leaves the gateway.",
	"clock":      "It reads the clock. The time of the request is in the input, so that a recorded request can be decided again as it was.",
	"chance":     "Its answer differs from call to call, so that a decision could not be repeated.",
	"survey":     "It reads the gateway's own environment, which holds what no policy is to know.",
	"unbounded":  "It can run without end or fill the memory, and nothing can stop it halfway.",
	"secrets":    "It works with private keys or signs. No policy holds a key.",
	"deprecated": "The language has done away with it and has a better one.",
	"needless":   "No decision about access needs it, and what is not there cannot be misused.",
}

// forbiddenRules are what is refused beside functions.
var forbiddenRules = []forbiddenRule{
	{"A file without import rego.v2.", "Without it, a negated condition about something that is missing is silent, and a denial with it."},
	{"A name under input that the contract does not have.", "It would never be there, and a condition about it would be silent. The compiler refuses it and names the right ones."},
	{"A comparison of two kinds of values, such as a number with a text.", "It could never hold."},
	{"A package other than the one of the file's place.", "A file under all speaks for every cluster, a file under a cluster for that one, and none for another."},
	{"A reference to data outside the file's own packages.", "There is no other data: what a decision needs is in its input."},
	{"deny, challenge or obligations that are no sets, and allow with several values.", "They would not be read as they are meant."},
	{"Names that are assigned and never used, imports that are never used, and arguments that hide input or data.", "They are slips of the pen more often than not."},
	{"Output with print.", "Nobody would see it. An explanation shows each value that a condition looked at."},
	{"Values that nest themselves by name until they fill the memory, patterns of more than 1 KiB, and numbers of more than 1000 digits.", "The engine could not stop in the middle of such a step."},
	{"A decision that takes too long.", "It denies, with a reason of its own. A set that cannot decide in time is refused before it is published."},
	{"Files of more than 1 MiB.", "Nobody could review them."},
}

func (c *Console) showForbidden(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := forbiddenPage{Base: v.page("What is forbidden, and why"), Rules: forbiddenRules}
	at := map[ui.Text]int{}
	for _, f := range offered().Forbidden {
		why := forbiddenWhy[string(f.Why)]
		i, ok := at[why]
		if !ok {
			i = len(page.Groups)
			at[why] = i
			page.Groups = append(page.Groups, forbiddenGroup{Why: why})
		}
		page.Groups[i].Names = append(page.Groups[i].Names, f.Name)
	}
	return c.show(w, r, http.StatusOK, "console-policy-forbidden", page)
}
