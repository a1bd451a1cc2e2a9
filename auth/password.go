package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// PasswordMin and PasswordMax bound a password's length in code points, after NFKC.
	PasswordMin = 12
	PasswordMax = 256
	// maxPasswordBytes is what is looked at at all: 256 code points take no more.
	maxPasswordBytes = 4 * PasswordMax
)

// CheckPassword reports with a [PasswordError] whether password is fit for
// somebody whose name, address and company are made of words. There are no
// rules of composition and none about age (NIST SP 800-63B-4): a password is
// refused for being short, among the ones tried first, a run or a repetition,
// or made of the person's own words.
func CheckPassword(password string, words []string) error {
	if len(password) > maxPasswordBytes {
		return &PasswordError{Reason: PasswordTooLong}
	}
	if !utf8.ValidString(password) {
		return &PasswordError{Reason: PasswordNotText}
	}
	p := norm.NFKC.String(password)
	n := 0
	for _, r := range p {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return &PasswordError{Reason: PasswordNotText}
		}
		n++
	}
	switch {
	case n < PasswordMin:
		return &PasswordError{Reason: PasswordTooShort}
	case n > PasswordMax:
		return &PasswordError{Reason: PasswordTooLong}
	case isCommon(p):
		return &PasswordError{Reason: PasswordCommon}
	case isRun(p):
		return &PasswordError{Reason: PasswordPattern}
	case isOwn(p, words):
		return &PasswordError{Reason: PasswordOwnWords}
	}
	return nil
}

// isCommon reports whether p is on the list as it is or is what people make
// of one listed word: a capital, figures for letters, digits and signs around
// it, the word said twice.
func isCommon(p string) bool {
	lower := strings.ToLower(p)
	if listed(lower) {
		return true
	}
	for _, form := range []string{lower, plainLetters.Replace(lower)} {
		packed := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || strings.ContainsRune("-_.", r) {
				return -1
			}
			return r
		}, form)
		core := strings.TrimFunc(packed, func(r rune) bool { return !unicode.IsLetter(r) })
		for _, c := range []string{packed, core, repeated(core)} {
			if len(c) >= 3 && listed(c) {
				return true
			}
		}
		// The core may hold figures that stand for nothing: pass1234word.
		if letters := onlyLetters(form); len(letters) >= 4 && (listed(letters) || listed(repeated(letters))) {
			return true
		}
	}
	return false
}

// plainLetters undoes the usual figures for letters.
var plainLetters = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

func onlyLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return r
		}
		return -1
	}, s)
}

// repeated returns the unit of which s is a repetition, or s.
func repeated(s string) string {
	if len(s) < 2 {
		return s
	}
	// s is unit·k exactly when it occurs in itself·2 before its own length.
	if i := strings.Index((s + s)[1:], s) + 1; i < len(s) {
		return s[:i]
	}
	return s
}

// minTokens is how many independent pieces a password must be made of.
const minTokens = 6

// keyRows are the runs that fingers make.
var keyRows = []string{
	"`1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiopü", "azertyuiop", "qsdfghjklm", "wxcvbn",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю",
}

// isRun reports whether p is made of too few independent pieces: runs of the
// alphabet, of digits or of keys count as one, and so does a repeated piece.
func isRun(p string) bool {
	s := []rune(strings.ToLower(p))
	distinct := make(map[rune]bool)
	for _, r := range s {
		distinct[r] = true
	}
	if len(distinct) < 5 || len([]rune(repeated(string(s)))) < minTokens {
		return true
	}
	tokens := 0
	for i := 0; i < len(s); tokens++ {
		i += runLength(s[i:])
	}
	return tokens < minTokens
}

// runLength returns how many runes at the start of s form one run: at least 1;
// fewer than three neighbours are chance.
func runLength(s []rune) int {
	best := 1
	for _, next := range []func(a, b rune) bool{
		func(a, b rune) bool { return a == b },
		func(a, b rune) bool { return b == a+1 && alphanumeric(a) && alphanumeric(b) },
		func(a, b rune) bool { return b == a-1 && alphanumeric(a) && alphanumeric(b) },
		func(a, b rune) bool { return neighbours(a, b) },
		func(a, b rune) bool { return neighbours(b, a) },
	} {
		n := 1
		for n < len(s) && next(s[n-1], s[n]) {
			n++
		}
		if n >= 3 {
			best = max(best, n)
		}
	}
	return best
}

func alphanumeric(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// neighbours reports whether b follows a on some row of keys.
func neighbours(a, b rune) bool {
	for _, row := range keyRows {
		if strings.Contains(row, string([]rune{a, b})) {
			return true
		}
	}
	return false
}

// minOther is how many letters a password must have beside the person's own words.
const minOther = 6

// isOwn reports whether little is left of p without the person's own words.
func isOwn(p string, words []string) bool {
	rest := strings.ToLower(p)
	found := false
	for _, w := range append(words, "ringfence") {
		w = strings.ToLower(norm.NFKC.String(w))
		if len([]rune(w)) < 4 || !strings.Contains(rest, w) {
			continue
		}
		found = true
		rest = strings.ReplaceAll(rest, w, " ")
	}
	return found && len([]rune(onlyLetters(rest))) < minOther
}
