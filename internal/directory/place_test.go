package directory

import (
	"errors"
	"testing"
)

// TestLocate_NamesTheLine: a fault that only shows beside what is known
// already is still told with the line of the file that brought it.
func TestLocate_NamesTheLine(t *testing.T) {
	text := []byte("version: 1\naccounts:\n  - email: lee@second.example\n    name: Lee\n    vendor: unknown\n    roles: [contractor]\n    ends: 2030-01-31\n")
	d, err := ParseYAML("people.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	faults, ok := errors.AsType[Faults](Locate("people.yaml", text, d.Validate()))
	if !ok || len(faults) == 0 {
		t.Fatalf("an unknown vendor was accepted: %v", err)
	}
	if f := faults[0]; f.File != "people.yaml" || f.Line != 5 {
		t.Errorf("fault at %s:%d, want people.yaml:5", f.File, f.Line)
	}
	if other := errors.New("other"); Locate("people.yaml", text, other) != other {
		t.Error("another error was changed")
	}
}
