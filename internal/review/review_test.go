package review

import (
	"strings"
	"testing"
)

func TestSearch_Check(t *testing.T) {
	for title, want := range map[string]bool{"Refused": true, "": false, "a\nb": false, strings.Repeat("ü", MaxTitle): true, strings.Repeat("ü", MaxTitle+1): false, "\xff": false} {
		if err := (&Search{Title: title}).Check(); (err == nil) != want {
			t.Errorf("%q: %v", title, err)
		}
	}
	if err := (&Search{Title: "x", Query: strings.Repeat("x", MaxQuery+1)}).Check(); err == nil {
		t.Error("a query that is too long")
	}
}

func TestSignOff_Check(t *testing.T) {
	good := SignOff{From: 1, To: 2, Account: "rae", Note: "Seen.\nAll of it."}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*SignOff){
		"nobody": func(s *SignOff) { s.Account = "" }, "no entry": func(s *SignOff) { s.To = 1 }, "no note": func(s *SignOff) { s.Note = " \n" },
		"a long note": func(s *SignOff) { s.Note = strings.Repeat("x", MaxNote+1) }, "a terminal's": func(s *SignOff) { s.Note = "\x1b[2J" },
		"fewer than none": func(s *SignOff) { s.Matched = -1 }, "a title of two lines": func(s *SignOff) { s.Title = "a\nb" },
	} {
		s := good
		if spoil(&s); s.Check() == nil {
			t.Errorf("%s can be signed", what)
		}
	}
}
