package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// inputLines puts in words what the policies read besides the entry's other fields.
func inputLines(in *policy.RecordedInput) []entryLine {
	if in == nil {
		return nil
	}
	mono := func(label ui.Text, value string) entryLine {
		return entryLine{Label: label, Value: ui.Verbatim(value), Mono: true}
	}
	var roles []string
	for _, r := range in.Roles {
		roles = append(roles, string(r))
	}
	lines := []entryLine{
		mono("Roles", strings.Join(roles, ", ")), mono("Token for", in.TokenCluster), mono("Token bound to", in.TokenBinding),
	}
	if in.TokenScope != nil {
		b, _ := json.Marshal(in.TokenScope) // plain strings cannot fail
		lines = append(lines, mono("Token narrowed to", string(b)))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Query)) {
		lines = append(lines, mono(ui.Say("Query field {1}", name), strings.Join(in.Query[name], ", ")))
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		lines = append(lines, mono(ui.Say("Header {1}", name), in.Headers[name]))
	}
	if in.TLS != nil {
		lines = append(lines, mono("TLS", in.TLS.Version+" "+in.TLS.Cipher))
	}
	if in.Allowed {
		lines = append(lines, entryLine{Label: "Policies", Value: "The policies allowed it; the gateway itself refused."})
	}
	return append(lines, mono("Not kept", strings.Join(in.Withheld, ", ")))
}
