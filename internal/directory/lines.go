package directory

import "strings"

// lines remembers where the objects of a file and their fields stand.
type lines struct{ objects map[string][]objectLines }

type objectLines struct {
	line   int
	fields []fieldLine
}

type fieldLine struct {
	name string
	line int
	bad  bool // its value could not be read, which is told already
}

// of returns the line of a field, or of the nearest thing around it that has
// one, and whether a fault of that is told already.
func (l *lines) of(kind string, index int, field string) (line int, told bool) {
	all := l.objects[kind]
	if index >= len(all) {
		return 0, false
	}
	o := all[index]
	for field != "" {
		for _, f := range o.fields {
			if f.name == field {
				return f.line, f.bad
			}
		}
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return o.line, false
}
