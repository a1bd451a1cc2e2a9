package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A target is the canonical path and query of a request: what policy judges
// and what the upstream gets.
type target struct {
	Path     string     // decoded
	Raw      string     // escaped, in its one spelling
	Segments []string   // decoded, as in [policy.Request.Path]
	Slashes  bool       // a segment holds an encoded slash
	Query    url.Values // nil without a query
	RawQuery string     // as received
}

// An ambiguousError says why a request could be read in two ways.
type ambiguousError string

func (e ambiguousError) Error() string { return string(e) }

var errTooManyFields = errors.New("reading query: it has too many fields")

// canonicalTarget reads path and query from the request's target as it was
// received, not from what net/url made of it.
func canonicalTarget(r *http.Request) (target, error) {
	raw, err := rawTarget(r)
	if err != nil {
		return target{}, err
	}
	path, query, _ := strings.Cut(raw, "?")
	t, err := canonicalPath(path)
	if err != nil {
		return target{}, err
	}
	if query != "" {
		if t.Query, err = canonicalQuery(query); err != nil {
			return target{}, err
		}
		t.RawQuery = query
	}
	return t, nil
}

// rawTarget returns path and query as received: of the origin form, or of the
// absolute form, whose authority is the request's host.
func rawTarget(r *http.Request) (string, error) {
	uri := r.RequestURI
	switch {
	case uri == "":
		uri = r.URL.EscapedPath()
		if r.URL.RawQuery != "" {
			uri += "?" + r.URL.RawQuery
		}
		return uri, nil
	case uri[0] == '/':
		return uri, nil
	case r.ProtoMajor > 1: // its :path has no absolute form, and nothing compared this one's host
		return "", ambiguousError("the path does not begin with a slash")
	}
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", ambiguousError("the request's target is neither a path nor an http URL")
	}
	i := strings.IndexAny(rest, "/?#")
	if i == 0 || rest == "" { // RFC 9110 section 4.2.1 has it refused
		return "", ambiguousError("the request's target is an http URL without a host")
	}
	if i < 0 {
		return "/", nil
	}
	if strings.IndexByte(rest[:i], '@') >= 0 {
		return "", ambiguousError("the request's target holds credentials")
	}
	if rest[i] != '/' {
		return "/" + rest[i:], nil
	}
	return rest[i:], nil
}

// canonicalPath brings an escaped path to its one spelling, and refuses those
// that servers read differently: encoded or doubled slashes, backslashes, dot
// segments, path parameters, double encoding, control characters, text that is
// not UTF-8. Encoded slashes are reported, since a route can admit them.
func canonicalPath(raw string) (target, error) {
	if raw == "" || raw[0] != '/' {
		return target{}, ambiguousError("the path does not begin with a slash")
	}
	if simplePath(raw) {
		return simpleTarget(raw)
	}
	t := target{Segments: make([]string, 0, strings.Count(raw, "/"))}
	var path, escaped strings.Builder
	path.Grow(len(raw))
	escaped.Grow(len(raw) + 8)
	rest := raw[1:]
	for more := true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if part == "" && more {
			return target{}, ambiguousError("the path has an empty segment")
		}
		seg, err := decodeSegment(part)
		if err != nil {
			return target{}, err
		}
		if err := checkSegment(seg); err != nil {
			return target{}, err
		}
		if strings.IndexByte(seg, '/') >= 0 {
			t.Slashes = true
		}
		t.Segments = append(t.Segments, seg)
		path.WriteByte('/')
		path.WriteString(seg)
		escaped.WriteByte('/')
		escapeSegment(&escaped, seg)
	}
	t.Path, t.Raw = path.String(), escaped.String()
	return t, nil
}

// simplePath reports whether no byte of raw needs decoding, encoding or refusing by itself.
func simplePath(raw string) bool {
	for i := 0; i < len(raw); i++ {
		if !plainByte(raw[i]) && raw[i] != '/' {
			return false
		}
	}
	return true
}

func simpleTarget(raw string) (target, error) {
	t := target{Path: raw, Raw: raw, Segments: make([]string, 0, strings.Count(raw, "/"))}
	rest := raw[1:]
	for more := true; more; {
		var seg string
		seg, rest, more = strings.Cut(rest, "/")
		switch {
		case seg == "" && more:
			return target{}, ambiguousError("the path has an empty segment")
		case seg == "." || seg == "..":
			return target{}, ambiguousError("the path has a dot segment")
		}
		t.Segments = append(t.Segments, seg)
	}
	return t, nil
}

func decodeSegment(s string) (string, error) {
	if strings.IndexByte(s, '#') >= 0 {
		return "", ambiguousError("the path has a fragment")
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return "", ambiguousError("the path has a broken escape")
		}
		c := unhex(s[i+1])<<4 | unhex(s[i+2])
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

// checkSegment refuses decoded text that servers do not agree on.
func checkSegment(s string) error {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f:
			return ambiguousError("the path has a control character")
		case c == '\\':
			return ambiguousError("the path has a backslash")
		case c == ';':
			return ambiguousError("the path has parameters")
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			return ambiguousError("the path is encoded twice")
		}
	}
	if !utf8.ValidString(s) {
		return ambiguousError("the path is not UTF-8")
	}
	for _, r := range s {
		if 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ambiguousError("the path has a control character")
		}
	}
	if strings.IndexByte(s, '/') < 0 {
		return checkDots(s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" {
			return ambiguousError("the path has an empty segment")
		}
		if err := checkDots(part); err != nil {
			return err
		}
	}
	return nil
}

func checkDots(s string) error {
	if s == "." || s == ".." {
		return ambiguousError("the path has a dot segment")
	}
	return nil
}

const upperHex = "0123456789ABCDEF"

func escapeSegment(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; plainByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
}

// plainByte reports whether c stands for itself in a path segment (RFC 3986
// pchar, without the semicolon).
func plainByte(c byte) bool { return plain[c] }

var plain = func() (t [256]bool) {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,=:@"
	for i := 0; i < len(chars); i++ {
		t[chars[i]] = true
	}
	return t
}()

// maxQueryFields bounds what a policy has to read; net/url draws its own line far above.
const maxQueryFields = 1000

// canonicalQuery refuses queries that servers cut differently.
func canonicalQuery(raw string) (url.Values, error) {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c <= 0x20 || c == 0x7f:
			return nil, ambiguousError("the query has a control character")
		case c == '#':
			return nil, ambiguousError("the query has a fragment")
		case c == ';':
			return nil, ambiguousError("the query has a semicolon")
		}
	}
	if strings.Count(raw, "&") >= maxQueryFields {
		return nil, errTooManyFields
	}
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, ambiguousError("the query has a broken escape")
	}
	for name := range q {
		if !utf8.ValidString(name) {
			return nil, ambiguousError("the query is not UTF-8")
		}
	}
	return q, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
