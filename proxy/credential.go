package proxy

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// stripCredentials takes our cookies and tokens off h, so that no upstream can
// act with them. Other cookies and credentials are the upstream's own and stay.
func stripCredentials(h http.Header) {
	if lines, ok := h["Cookie"]; ok {
		h["Cookie"] = stripCookies(lines)
		if len(h["Cookie"]) == 0 {
			delete(h, "Cookie")
		}
	}
	if lines, ok := h["Authorization"]; ok {
		kept := lines[:0:0]
		for _, v := range lines {
			if !isOurCredential(v) {
				kept = append(kept, v)
			}
		}
		if len(kept) < len(lines) {
			delete(h, proofHeader) // of a key that is ours to check, and of nobody's further on
		}
		if len(kept) == 0 {
			delete(h, "Authorization")
		} else {
			h["Authorization"] = kept
		}
	}
}

// stripCookies returns the Cookie lines without ours. Lines without one are
// returned as they are.
func stripCookies(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !containsFold(line, cookiePrefix) {
			kept = append(kept, line)
			continue
		}
		var b strings.Builder
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.Trim(pair, " \t"); pair == "" || isOurCookie(pair) {
				continue
			}
			if b.Len() > 0 {
				b.WriteString("; ")
			}
			b.WriteString(pair)
		}
		if b.Len() > 0 {
			kept = append(kept, b.String())
		}
	}
	return kept
}

// isOurCookie reports whether pair, the "name=value" of a cookie, carries one
// of our names, also where the name is written as the value of a nameless cookie.
func isOurCookie(pair string) bool {
	name, value, ok := strings.Cut(pair, "=")
	if name = strings.Trim(name, " \t\""); name == "" && ok {
		name = strings.TrimLeft(value, " \t\"=")
	}
	return len(name) >= len(cookiePrefix) && strings.EqualFold(name[:len(cookiePrefix)], cookiePrefix)
}

// isOurCredential reports whether an Authorization value carries one of our
// tokens: as a bearer token, or as user name or password.
func isOurCredential(v string) bool {
	// Some upstreams take a tab for the space.
	scheme, rest, _ := strings.Cut(strings.TrimLeft(strings.ReplaceAll(v, "\t", " "), " "), " ")
	rest = strings.Trim(rest, " \t")
	if isOurToken(rest) || isOurToken(scheme) {
		return true
	}
	if !strings.EqualFold(scheme, "basic") {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "="))
	}
	if err != nil {
		return false
	}
	user, password, _ := strings.Cut(string(b), ":")
	return isOurToken(user) || isOurToken(password)
}

func isOurToken(s string) bool {
	for _, p := range tokenPrefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// containsFold reports whether s contains lower, which is in lower case, in any case.
func containsFold(s, lower string) bool {
	for i := 0; i+len(lower) <= len(s); i++ {
		if c := s[i]; (c == lower[0] || c|0x20 == lower[0]) && strings.EqualFold(s[i:i+len(lower)], lower) {
			return true
		}
	}
	return false
}

// keepSetCookie reports whether an upstream's Set-Cookie line may pass on
// host: not with one of our names, not for a parent domain, where it would
// reach other clusters and the gate.
func keepSetCookie(line, host string) bool {
	if strings.ContainsFunc(line, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
		return false // browsers cut there, and read another cookie than we do
	}
	pair, attributes, _ := strings.Cut(line, ";")
	if isOurCookie(strings.Trim(pair, " \t")) {
		return false
	}
	for a := range strings.SplitSeq(attributes, ";") {
		name, value, _ := strings.Cut(a, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "domain") {
			continue
		}
		d := strings.ToLower(strings.TrimPrefix(strings.Trim(value, " \t\""), "."))
		if d != "" && d != host {
			return false
		}
	}
	return true
}
