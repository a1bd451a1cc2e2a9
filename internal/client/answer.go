package client

import (
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// What a gate answers goes into other programs' configuration, into headers and
// onto terminals. A gate may be dishonest, or taken over: nothing of its answers is
// used that does not look as it must.

// errSecret reports a token with characters that no token has.
var errSecret = errors.New("what it gave is no token")

const (
	maxSecret = 512
	// longestSignIn is more than any gate lets a sign-in last.
	longestSignIn = 30 * 24 * time.Hour
	maxClusters   = 1000
)

// validSecret reports whether s is a b64token (RFC 6750 section 2.1): a quote
// or a line end in it would be read as an option by curl, or as a line by git.
func validSecret(s string) bool {
	const others = "-._~+/="
	return s != "" && len(s) <= maxSecret && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(others, r)
	})
}

// seconds turns a gate's number into a duration between nothing and most.
func seconds(n int, most time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int(most/time.Second))) * time.Second
}

// ownClusters returns the clusters with what can be their addresses: https
// origins, in plain characters.
func ownClusters(all []Cluster) []Cluster {
	var kept []Cluster
	for _, k := range all[:min(len(all), maxClusters)] {
		var urls []string
		for _, address := range k.URLs {
			if u, err := url.Parse(address); err == nil && hostOf(address) != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "" &&
				!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`$;&|<>()", r) }) {
				urls = append(urls, address)
			}
		}
		k.URLs = urls
		kept = append(kept, k)
	}
	return kept
}

// oneLine makes a gate's words fit for a terminal.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
