package auth

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// At least 100,000 common passwords ship with the program.
func TestBlocklist_Size(t *testing.T) {
	n := 0
	for _, l := range blocklists() {
		lines := strings.Split(strings.TrimSuffix(string(l), "\n"), "\n")
		if !slices.IsSorted(lines) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
			t.Error("a list is not sorted or has lines twice")
		}
		n += len(lines)
		if size := cap(l) - len(l); size > len(l)/4 {
			t.Errorf("%d bytes are kept for nothing", size)
		}
	}
	if n < 400_000 {
		t.Errorf("%d entries", n)
	}
	for _, word := range []string{"123456", "password", "qwerty", "dragon", "trustno1", "letmein", "iloveyou", "1q2w3e4r5t", "passw0rd", "zaq12wsx",
		"butterfly", "correct horse battery staple", "123456789123456789", "qwertyuiopasdfgh", "liverpool", "mustang", "nintendo"} {
		if !listed(word) {
			t.Errorf("%q is not on the lists", word)
		}
	}
	for _, word := range []string{"", "\n", "plum anvil quiet harbour", "Password", "copper lantern drifts homeward", "\xff", "~~~~~~~~~~~~~~~~~~"} {
		if listed(word) {
			t.Errorf("%q is on the lists", word)
		}
	}
}

// The search finds each line and nothing between lines.
func TestWordList(t *testing.T) {
	lines := []string{"a", "aa", "ab", "b", "ba", "longer than the others", "z"}
	l := wordList(strings.Join(lines, "\n") + "\n")
	for _, s := range lines {
		if !l.has(s) {
			t.Errorf("%q is not found", s)
		}
		for _, other := range []string{s + "a", s + "\n", "\n" + s, s[:len(s)-1] + "\x00", ""} {
			if l.has(other) != slices.Contains(lines, other) {
				t.Errorf("%q: %v", other, l.has(other))
			}
		}
	}
	if wordList(nil).has("a") || wordList(nil).has("") {
		t.Error("an empty list has something")
	}
	for _, l := range blocklists() {
		lines := bytes.Split(bytes.TrimSuffix(l, []byte("\n")), []byte("\n"))
		for range 10_000 {
			if s := string(lines[rand.IntN(len(lines))]); !l.has(s) {
				t.Fatalf("%q is not found", s)
			}
		}
	}
}

// Unpacking is paid once, by whoever chooses the first password.
func BenchmarkBlocklist_Unpack(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		unpack(leakedGzip)
	}
}

func BenchmarkCheckPassword(b *testing.B) {
	for b.Loop() {
		if err := CheckPassword("plum anvil quiet harbour", []string{"kim", "larsen"}); err != nil {
			b.Fatal(err)
		}
	}
}
