package directory

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// badRune names the first character that a text must not hold. Control and
// formatting characters could make a page or a terminal show what is not there.
func badRune(s, allowed string) string {
	if !utf8.ValidString(s) {
		return "bytes that are not UTF-8"
	}
	for _, r := range s {
		if strings.ContainsRune(allowed, r) {
			continue
		}
		// U+200C and U+200D join letters in several scripts.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d' ||
			r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar {
			return fmt.Sprintf("the character %U", r)
		}
	}
	return ""
}

// badPrefix says what is wrong with a path prefix. It must have one reading
// only, as the paths it is held against: decoded, canonical, whole segments.
func badPrefix(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "must begin with /"
	case p == "/":
		return ""
	case strings.HasSuffix(p, "/"):
		return "must not end with /: it covers whatever is below it"
	case strings.ContainsAny(p, `%?#;\*`):
		return `must be plain: without % ? # ; \ and *`
	case badRune(p, "") != "":
		return "contains " + badRune(p, "")
	case len(p) > 2048:
		return "is longer than 2048 bytes"
	}
	for s := range strings.SplitSeq(p[1:], "/") {
		if s == "" || s == "." || s == ".." {
			return "must not hold empty, . or .. segments"
		}
	}
	return ""
}

// badUpstream says what is wrong with an upstream's URL. The path that policy
// judged is the path that is forwarded, so an upstream has none of its own.
func badUpstream(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || badRune(s, "") != "":
		return fmt.Sprintf("%q is no URL", s)
	case u.User != nil:
		return "an upstream's URL holds no name or password" // not repeated here: it is a secret
	case !slices.Contains([]string{"http", "https", "h2c"}, u.Scheme):
		return fmt.Sprintf("%q must begin with http://, https:// or h2c://", s)
	case u.Hostname() == "" || u.Opaque != "":
		return fmt.Sprintf("%q names no host", s)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return fmt.Sprintf("%q must be scheme, host and port alone", s)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Sprintf("%q has no valid port", s)
		}
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	if h, err := upstreamHost(u.Hostname()); err != nil || h != u.Hostname() {
		return fmt.Sprintf("%q has no valid host name", s)
	}
	return ""
}

// upstreamHost is wider than [CanonicalHost]: service names inside container
// networks may hold an underscore.
func upstreamHost(h string) (string, error) {
	c, err := CanonicalHost(strings.ReplaceAll(h, "_", "x"))
	if err != nil || len(c) != len(h) {
		return "", fmt.Errorf("%q is no host name", h)
	}
	return strings.ToLower(h), nil
}

func badCertificates(s string) string {
	if len(s) > maxText {
		return fmt.Sprintf("is longer than %d bytes", maxText)
	}
	if bad := badRune(s, "\n\t"); bad != "" {
		return "contains " + bad
	}
	rest, n := []byte(s), 0
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return fmt.Sprintf("holds a %s: only certificates belong here", b.Type)
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return fmt.Sprintf("certificate %d cannot be read: %v", n+1, err)
		}
		n++
	}
	if n == 0 {
		return "holds no certificate in PEM form"
	}
	return ""
}
