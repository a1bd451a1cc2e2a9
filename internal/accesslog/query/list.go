package query

import "strings"

var listEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// JoinList writes the values of a list as one text, as a [Row] has it: an
// element a line. Different lists are different texts; the empty list is "".
func JoinList(list []string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		if s == "" {
			b.WriteString(`\e`) // so that a list of one empty text is not an empty list
		}
		listEscapes.WriteString(&b, s)
	}
	return b.String()
}
