package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// CanonicalEmail returns the one spelling under which an address is kept,
// compared and counted: NFKC, without surrounding space, lower case. It refuses
// what is no plain address of one local part and one domain. Applied to its own
// result it changes nothing.
func CanonicalEmail(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("the address is not valid UTF-8")
	}
	// Lower case may undo normal form and the reverse, so both are applied
	// until nothing changes.
	c := s
	for range 3 {
		c = lower(norm.NFKC.String(strings.TrimSpace(c)))
	}
	local, domain, ok := strings.Cut(c, "@")
	switch {
	case c == "":
		return "", errors.New("the address is empty")
	case len(c) > 254 || len(local) > 64:
		return "", errors.New("the address is too long")
	case !ok || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", fmt.Errorf("%q is no e-mail address: write it as name@example.com", c)
	}
	for _, r := range c {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`"(),:;<>[\]/`, r) {
			return "", fmt.Errorf("%q is no plain e-mail address: %q is not allowed", c, r)
		}
	}
	if a, err := mail.ParseAddress(c); err != nil || a.Address != c {
		return "", fmt.Errorf("%q is no e-mail address: write it as name@example.com", c)
	}
	if lower(norm.NFKC.String(c)) != c {
		return "", fmt.Errorf("%q has no single spelling", c)
	}
	return c, nil
}

// lower returns s in lower case, by way of upper case: letters with two lower
// forms, such as the Greek final sigma, would otherwise make two addresses of one.
func lower(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

// CanonicalHost returns the one spelling of a host name: lower case, in ASCII
// (IDNA), without a trailing dot. It refuses ports, wildcards and IP addresses.
func CanonicalHost(s string) (string, error) {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return "", fmt.Errorf("%q is an IP address: give a host name", s)
	}
	if strings.ContainsAny(s, ":/@ ") {
		return "", fmt.Errorf("%q is no host name: leave out scheme, port and path", s)
	}
	h := strings.ToLower(strings.TrimSuffix(s, "."))
	if strings.HasPrefix(h, "*") {
		return "", fmt.Errorf("%q has a wildcard: name each host", s)
	}
	h, err := idna.Lookup.ToASCII(h)
	if err != nil {
		return "", fmt.Errorf("%q is no host name: %v", s, err)
	}
	labels := strings.Split(h, ".")
	for _, l := range labels {
		if !label(l) {
			return "", fmt.Errorf("%q is no host name", s)
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", fmt.Errorf("%q reads like an IP address", s)
	}
	if len(h) > 253 {
		return "", fmt.Errorf("%q is longer than a host name may be", s)
	}
	return h, nil
}

// label reports whether l is a label of a host name in canonical form.
func label(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	return strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// ValidName reports whether s can name a vendor, cluster, engagement,
// agreement or route: one to 63 of a to z, 0 to 9 and -, not beginning with -.
func ValidName(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// TextHash returns "sha256:" and the hexadecimal hash of an agreement's text,
// as acceptances keep it.
func TextHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
