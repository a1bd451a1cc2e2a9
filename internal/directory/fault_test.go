package directory

import (
	"strings"
	"testing"
)

// A wrong file must not flood the terminal of the person who gave it.
func TestFault_LongNamesAreCut(t *testing.T) {
	long := strings.Repeat("ä", 100_000)
	_, err := ParseYAML("wrong.yaml", []byte("version: 1\nvendors:\n  - name: "+long+"\n    "+long+": 1\n"))
	if err == nil {
		t.Fatal("a name of 100,000 letters is taken")
	}
	if got := err.Error(); len(got) > 10_000 || !strings.Contains(got, "wrong.yaml:3: vendor ää") {
		t.Errorf("%d bytes: %.300s", len(got), got)
	}
}
