// Command blocklist makes the list of passwords that package auth refuses,
// from three files beside it: head.txt, the words that people use most as or
// in a password; words.txt, more words, names, places, teams and keyboard
// patterns; phrases.txt, whole passwords of several words. The files were
// written by hand, from what published studies of leaked passwords report. With
// -leaked it makes the other list, from published lists of leaked passwords:
// SOURCES.md says which and under which licences.
//
// The list holds every word and phrase, and pairs of head words that are long
// enough to pass the length rule. What people put around a word (digits, signs,
// capitals, figures for letters, saying it twice) is undone by package auth
// before it looks a password up, so that the list need not hold it.
package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"flag"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
)

//go:embed head.txt
var head string

//go:embed words.txt
var words string

//go:embed phrases.txt
var phrases string

// minPair is the least length of a pair: shorter ones are too short anyway.
const minPair = 12

func main() {
	out := flag.String("o", "blocklist.gz", "file to write")
	sources := flag.String("leaked", "", "make the list of leaked passwords from the packages in this folder; see SOURCES.md")
	flag.Parse()
	list := entries()
	var err error
	if *sources != "" {
		list, err = leaked(*sources, list)
	}
	var b []byte
	if err == nil {
		b, err = compress(list)
	}
	if err == nil {
		err = os.WriteFile(*out, b, 0o644)
	}
	if err != nil {
		log.Fatalf("making blocklist: %v", err)
	}
}

// entries returns the list, sorted, in lower case, each entry once.
func entries() []string {
	set := make(map[string]bool)
	add := func(s string) {
		if s = strings.ToLower(strings.TrimSpace(s)); s != "" {
			set[s] = true
		}
	}
	heads := strings.Fields(head)
	for _, w := range append(heads, strings.Fields(words)...) {
		add(w)
	}
	for p := range strings.Lines(phrases) {
		add(p)
		add(strings.ReplaceAll(p, " ", ""))
	}
	for _, a := range heads {
		for _, b := range heads {
			if a != b && len(a)+len(b) >= minPair {
				add(a + b)
			}
		}
		for _, prefix := range []string{"my", "the", "our", "ilove", "ihate", "iam", "super", "mega", "new", "old", "big", "best"} {
			add(prefix + a)
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// compress returns the entries one a line, compressed, the same bytes each time.
func compress(entries []string) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := z.Write([]byte(e + "\n")); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
