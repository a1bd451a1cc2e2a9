package proxy

import (
	"bytes"
	"errors"
	"strings"
)

// A guard follows the bytes of an HTTP/1 connection and finds the first one by
// which two parsers could come to disagree about where a request ends or what
// its headers are. It knows no more of HTTP than that needs.
type guard struct {
	limit int // bytes of a head

	heads   int // whole ones so far
	state   guardState
	line    []byte // of a head, as far as it has come without its line feed
	size    int    // of the head so far
	first   bool   // the request line is still to come
	old     bool   // HTTP/1.0
	length  int64  // Content-Length, -1: none
	chunked bool
	host    string // of the Host header
	target  string // of an absolute-form target: its authority
	hosts   int
	left    int64 // bytes of the body or chunk still to come
	digits  int   // of the chunk's size so far
}

type guardState uint8

const (
	inHead guardState = iota
	inBody
	inChunkSize
	inChunkData
	inChunkEnd // the CRLF behind a chunk's data
	inTrailer
)

func newGuard(limit int) guard {
	if limit <= 0 {
		limit = 1 << 20
	}
	// The server answers 431 at its own limit; this one is for what gets past it.
	return guard{limit: limit + 16<<10, first: true, length: -1}
}

// scan follows b. It returns how many bytes are fine, and false when the next
// one is not.
func (g *guard) scan(b []byte) (n int, ok bool) {
	for n < len(b) {
		rest := b[n:]
		switch g.state {
		case inHead, inTrailer:
			used, fine := g.scanLine(rest)
			if n += used; !fine {
				return n, false
			}
		case inBody, inChunkData:
			used := int(min(int64(len(rest)), g.left))
			n += used
			if g.left -= int64(used); g.left == 0 {
				if g.state == inBody {
					g.nextHead()
				} else {
					g.state = inChunkEnd
				}
			}
		case inChunkSize, inChunkEnd:
			used, fine := g.scanChunkLine(rest)
			if n += used; !fine {
				return n, false
			}
		}
	}
	return n, true
}

// scanLine follows one line of a head or trailer, or what has come of it. All
// but the line feed of a bad line is fine: without it the head never ends.
func (g *guard) scanLine(b []byte) (n int, fine bool) {
	i := bytes.IndexByte(b, '\n')
	part := b
	if i >= 0 {
		part = b[:i]
	}
	if g.size += len(part) + 1; g.size > g.limit {
		return 0, false
	}
	if i < 0 {
		g.line = append(g.line, part...)
		return len(b), true
	}
	if len(g.line) > 0 {
		g.line = append(g.line, part...)
		part = g.line
	}
	g.line = g.line[:0]
	if !g.endLine(part) {
		return i, false
	}
	return i + 1, true
}

// endLine judges a whole line, given without its line feed.
func (g *guard) endLine(line []byte) bool {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return false // bare line feed
	}
	line = line[:len(line)-1]
	for _, c := range line {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return false // bare carriage return, NUL, controls
		}
	}
	switch {
	case g.state == inTrailer:
		if len(line) == 0 {
			g.nextHead()
			return true
		}
		name, _, ok := fieldOf(line)
		return ok && framingField(name) == ""
	case g.first:
		g.first = false
		return g.requestLine(line)
	case len(line) == 0:
		return g.endHead()
	default:
		return g.field(line)
	}
}

func (g *guard) requestLine(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(method) == 0 || len(target) == 0 || bytes.IndexByte(line, '\t') >= 0 {
		return false
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		g.old = true
	default:
		return false
	}
	if _, rest, ok := bytes.Cut(target, []byte("://")); ok && target[0] != '/' {
		if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
			rest = rest[:i]
		}
		g.target = string(rest)
	}
	return true
}

// field judges one header line and keeps what frames the message.
func (g *guard) field(line []byte) bool {
	name, value, ok := fieldOf(line)
	if !ok {
		return false
	}
	switch framingField(name) {
	case "content-length":
		n, ok := decimal(value)
		if !ok || g.length >= 0 {
			return false
		}
		g.length = n
		return bytes.EqualFold(name, []byte("content-length"))
	case "transfer-encoding":
		if g.chunked || !strings.EqualFold(string(value), "chunked") {
			return false
		}
		g.chunked = true
		return bytes.EqualFold(name, []byte("transfer-encoding"))
	case "host":
		if g.hosts++; g.target != "" {
			g.host = string(value)
		}
		return g.hosts == 1
	}
	return true
}

// endHead judges the head as a whole and settles where the next one starts.
func (g *guard) endHead() bool {
	if g.chunked && (g.length >= 0 || g.old) || g.target != "" && !sameAuthority(g.target, g.host) {
		return false
	}
	g.heads++
	switch {
	case g.chunked:
		g.state, g.digits, g.left = inChunkSize, 0, 0
	case g.length > 0:
		g.state, g.left = inBody, g.length
	default:
		g.nextHead()
	}
	return true
}

func (g *guard) nextHead() {
	line := g.line[:0]
	if cap(line) > 4<<10 {
		line = nil // a long line once must not cost memory for ever
	}
	*g = guard{limit: g.limit, heads: g.heads, line: line, first: true, length: -1}
}

// scanChunkLine follows a chunk's size, or the end of its data. Extensions,
// which nobody uses but to hide something, are not fine.
func (g *guard) scanChunkLine(b []byte) (n int, ok bool) {
	for n < len(b) {
		c := b[n]
		switch {
		case len(g.line) == 1: // a carriage return was last
			if c != '\n' {
				return n, false
			}
			g.line = g.line[:0]
			g.endChunkLine()
			return n + 1, true
		case c == '\r' && (g.state == inChunkEnd || g.digits > 0):
			g.line = append(g.line, c)
		case g.state == inChunkSize && isHex(c) && g.digits < 15:
			g.left = g.left<<4 | int64(unhex(c))
			g.digits++
		default:
			return n, false
		}
		n++
	}
	return n, true
}

func (g *guard) endChunkLine() {
	switch {
	case g.state == inChunkEnd:
		g.state, g.digits, g.left = inChunkSize, 0, 0
	case g.left == 0:
		g.state, g.size = inTrailer, 0
	default:
		g.state = inChunkData
	}
}

// fieldOf cuts a header line. The name must be a token directly followed by
// the colon, which also refuses folded lines.
func fieldOf(line []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil, false
	}
	for _, c := range line[:i] {
		if !tokenByte(c) {
			return nil, nil, false
		}
	}
	return line[:i], bytes.Trim(line[i+1:], " \t"), true
}

// framingField returns which framing header an upstream could read name as.
func framingField(name []byte) string {
	switch len(name) {
	case len("host"), len("content-length"), len("transfer-encoding"):
	default:
		return ""
	}
	var buf [64]byte
	norm, _ := normalName(&buf, string(name))
	switch string(norm) {
	case "host":
		return "host"
	case "content-length":
		return "content-length"
	case "transfer-encoding":
		return "transfer-encoding"
	}
	return ""
}

// decimal reads digits and nothing else: no sign, no list.
func decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func sameAuthority(a, b string) bool {
	ah, ap, err := canonicalHost(a)
	if err != nil {
		return false
	}
	bh, bp, err := canonicalHost(b)
	return err == nil && ah == bh && ap == bp
}

func tokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

var errFraming = errors.New("reading request: its framing is ambiguous")
