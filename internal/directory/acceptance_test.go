package directory

import "testing"

func TestSameName(t *testing.T) {
	for _, c := range []struct {
		typed, name string
		same        bool
	}{
		{"Kim Larsen", "Kim Larsen", true}, {"kim larsen", "Kim  Larsen", true}, {"Renée", "Rene\u0301e", true}, {"anything", "", true}, {" ", "", false}, {"", "Kim", false}, {"ＫＩＭ", "Kim", true}, {"İnes", "i̇nes", true}, {"STRASSER", "Straßer", true},
		{"Kim", "Kim Larsen", false}, {"Kim Larsen Jr", "Kim Larsen", false}, {"Кim Larsen", "Kim Larsen", false},
	} {
		if got := SameName(c.typed, c.name); got != c.same {
			t.Errorf("SameName(%q, %q) = %v", c.typed, c.name, got)
		}
	}
}
