package proxy

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a masker keeps.
const (
	maskBuffer = 16 << 10 // read at a time
	maxNesting = 1000
	maxName    = 512 // bytes of a field's name; a longer one is refused
	maxKnown   = 64  // names that are compared once
)

// A masker passes JSON on and writes null in the place of the value of every
// field with one of the names, at any depth. It takes one value or any number,
// one after the other, as JSON lines are. It is a strict reader of RFC 8259:
// what another reader could take otherwise is an error, and nothing of what
// follows is passed on. It holds a buffer of fixed size whatever it reads.
type masker struct {
	from  io.Reader
	names []string        // as by foldName
	known map[string]bool // names that were compared already
	in    []byte
	out   []byte // not yet taken
	err   error
	mark  int // bytes of the mark that some systems begin UTF-8 with; -1: something else has begun

	state   maskState
	nest    []byte // '{' or '[' for each level
	hidden  int    // level of the value that is being left out, 0: none
	literal string // what is left of true, false or null
	key     bool   // the string is a key
	match   bool   // the value that comes is to be left out
	name    []byte // of the key, unescaped
	escape  []byte // of the string: what was read of an escape
	high    rune   // a first half of a pair, waiting for the second
	rune    []byte // what was read of a character
	number  []byte
}

type maskState uint8

const (
	wantValue   maskState = iota // at the start, after a comma in an array, after a colon
	wantFirst                    // a value or ]
	wantKey                      // after a comma in an object
	wantFirstKy                  // a key or }
	wantColon
	afterValue
	inString
	inNumber
	inLiteral
)

func newMasker(from io.Reader, names []string) *masker {
	return &masker{from: from, names: names, known: map[string]bool{}, in: make([]byte, maskBuffer), out: make([]byte, 0, maskBuffer)}
}

// Read implements [io.Reader].
func (m *masker) Read(p []byte) (int, error) {
	for len(m.out) == 0 && m.err == nil {
		n, err := m.from.Read(m.in)
		b := m.in[:n]
		m.out = m.out[:0]
		if merr := m.feed(b); merr != nil {
			err = merr
			m.out = m.out[:0] // of this part nothing is known to be right
		} else if err == io.EOF {
			err = m.end()
		}
		m.err = err
	}
	n := copy(p, m.out)
	rest := copy(m.out, m.out[n:])
	m.out = m.out[:rest]
	if rest == 0 && m.err != nil {
		return n, m.err
	}
	return n, nil
}

// end checks that what was read ends where a value ends.
func (m *masker) end() error {
	if m.state == inNumber {
		if err := m.endNumber(); err != nil {
			return err
		}
	}
	if m.mark == 1 || m.mark == 2 || len(m.nest) > 0 || m.state != afterValue && m.state != wantValue {
		return errNotMaskable
	}
	return io.EOF
}

// put passes a byte on unless the value that it is of is left out.
func (m *masker) put(c byte) {
	if m.hidden == 0 {
		m.out = append(m.out, c)
	}
}

func (m *masker) feed(b []byte) error {
	for i := 0; i < len(b); i++ {
		c := b[i]
		if m.mark >= 0 {
			switch {
			case m.mark < len(bom) && c == bom[m.mark]:
				m.mark++
				continue
			case m.mark > 0 && m.mark < len(bom):
				return errNotMaskable
			}
			m.mark = -1
		}
		var err error
		switch m.state {
		case inString:
			if n := m.plain(b[i:]); n > 0 {
				i += n - 1
				continue
			}
			err = m.inString(c)
		case inLiteral:
			err = m.inLiteral(c)
		case inNumber:
			if strings.IndexByte("+-.0123456789eE", c) >= 0 {
				if m.number = append(m.number, c); len(m.number) > 4096 {
					return errNotMaskable
				}
				m.put(c)
				continue
			}
			if err = m.endNumber(); err == nil {
				i-- // c stands after the number
			}
		default:
			err = m.between(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// between takes a byte that stands outside of strings, numbers and words.
func (m *masker) between(c byte) error {
	switch c {
	case ' ', '\t', '\r', '\n':
		m.put(c)
		return nil
	case 0x1e: // the mark before each text of RFC 7464
		if len(m.nest) > 0 || m.state != wantValue && m.state != afterValue {
			return errNotMaskable
		}
		m.state = wantValue
		m.put(c)
		return nil
	}
	switch m.state {
	case afterValue:
		if len(m.nest) > 0 {
			return m.after(c)
		}
		return m.value(c) // the next of several texts
	case wantFirst:
		if c == ']' {
			return m.close(c)
		}
		return m.value(c)
	case wantFirstKy, wantKey:
		switch {
		case c == '"':
			m.put(c)
			m.beginString(true)
			return nil
		case c == '}' && m.state == wantFirstKy:
			return m.close(c)
		}
		return errNotMaskable
	case wantColon:
		if c != ':' {
			return errNotMaskable
		}
		m.put(c)
		m.state = wantValue
		return nil
	}
	return m.value(c)
}

// after takes what follows a value inside of an object or an array.
func (m *masker) after(c byte) error {
	in := m.nest[len(m.nest)-1]
	switch {
	case c == ',' && in == '{':
		m.state = wantKey
	case c == ',':
		m.state = wantValue
	case c == '}' && in == '{', c == ']' && in == '[':
		return m.close(c)
	default:
		return errNotMaskable
	}
	m.put(c)
	return nil
}

// value takes the first byte of a value. One that is to be left out is null
// from here on, and is read all the same, to know where it ends.
func (m *masker) value(c byte) error {
	if m.match {
		m.match = false
		if m.hidden == 0 {
			m.out = append(m.out, "null"...)
			m.hidden = len(m.nest) + 1
		}
	}
	switch {
	case c == '{', c == '[':
		if len(m.nest) >= maxNesting {
			return errNotMaskable
		}
		m.put(c)
		m.nest = append(m.nest, c)
		m.state = wantFirst
		if c == '{' {
			m.state = wantFirstKy
		}
	case c == '"':
		m.put(c)
		m.beginString(false)
	case c == '-' || c >= '0' && c <= '9':
		m.put(c)
		m.number, m.state = append(m.number[:0], c), inNumber
	case c == 't':
		m.put(c)
		m.literal, m.state = "rue", inLiteral
	case c == 'f':
		m.put(c)
		m.literal, m.state = "alse", inLiteral
	case c == 'n':
		m.put(c)
		m.literal, m.state = "ull", inLiteral
	default:
		return errNotMaskable
	}
	return nil
}

func (m *masker) close(c byte) error {
	m.put(c)
	m.nest = m.nest[:len(m.nest)-1]
	m.done()
	return nil
}

// done ends a value.
func (m *masker) done() {
	m.state = afterValue
	if m.hidden == len(m.nest)+1 {
		m.hidden = 0
	}
}

func (m *masker) inLiteral(c byte) error {
	if c != m.literal[0] {
		return errNotMaskable
	}
	m.put(c)
	if m.literal = m.literal[1:]; m.literal == "" {
		m.done()
	}
	return nil
}

func (m *masker) endNumber() error {
	if !json.Valid(m.number) {
		return errNotMaskable
	}
	m.done()
	return nil
}

func (m *masker) beginString(key bool) {
	m.state, m.key = inString, key
	m.name, m.escape, m.rune, m.high = m.name[:0], m.escape[:0], m.rune[:0], 0
}

// plain passes on what b begins with of a value's text that needs no second
// look, and returns how much that is.
func (m *masker) plain(b []byte) int {
	if m.key || len(m.escape) > 0 || len(m.rune) > 0 || m.high != 0 {
		return 0
	}
	n := 0
	for n < len(b) && b[n] >= 0x20 && b[n] < utf8.RuneSelf && b[n] != '"' && b[n] != '\\' {
		n++
	}
	if m.hidden == 0 {
		m.out = append(m.out, b[:n]...)
	}
	return n
}

// inString takes a byte of a string. Only of keys the characters are kept.
func (m *masker) inString(c byte) error {
	m.put(c)
	switch {
	case len(m.escape) > 0:
		return m.inEscape(c)
	case c == '\\' && len(m.rune) == 0:
		m.escape = append(m.escape, c)
		return nil
	case m.high != 0: // a half without the other: readers differ about it
		if m.key {
			return errNotMaskable
		}
		m.high = 0
	}
	switch {
	case c == '"' && len(m.rune) == 0:
		return m.endString()
	case c < 0x20:
		return errNotMaskable
	case c < utf8.RuneSelf && len(m.rune) == 0:
		return m.char(rune(c))
	}
	m.rune = append(m.rune, c)
	if !utf8.FullRune(m.rune) {
		return nil
	}
	r, n := utf8.DecodeRune(m.rune)
	if r == utf8.RuneError && n == 1 || n != len(m.rune) {
		return errNotMaskable
	}
	m.rune = m.rune[:0]
	return m.char(r)
}

// inEscape takes what follows a backslash.
func (m *masker) inEscape(c byte) error {
	m.escape = append(m.escape, c)
	if len(m.escape) == 2 && c != 'u' {
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 || m.high != 0 && m.key {
			return errNotMaskable
		}
		m.escape, m.high = m.escape[:0], 0
		return m.char(rune("\"\\/\b\f\n\r\t"[i]))
	}
	if len(m.escape) < 6 {
		return nil
	}
	u, err := strconv.ParseUint(string(m.escape[2:]), 16, 16)
	if err != nil {
		return errNotMaskable
	}
	m.escape = m.escape[:0]
	r := rune(u)
	second := r >= 0xdc00 && r < 0xe000
	if m.high != 0 && second {
		r = 0x10000 + (m.high-0xd800)<<10 + (r - 0xdc00)
		m.high = 0
		return m.char(r)
	}
	if m.high != 0 || second { // half a character hides nothing in a value
		if m.key {
			return errNotMaskable
		}
		m.high = 0
	}
	if r >= 0xd800 && r < 0xdc00 {
		m.high = r
		return nil
	}
	return m.char(r)
}

// char takes one character of a string.
func (m *masker) char(r rune) error {
	if !m.key {
		return nil
	}
	if r == 0 || len(m.name) > maxName { // some readers end a name at a zero
		return errNotMaskable
	}
	m.name = utf8.AppendRune(m.name, r)
	return nil
}

func (m *masker) endString() error {
	if !m.key {
		m.done()
		return nil
	}
	if m.high != 0 {
		return errNotMaskable
	}
	m.state = wantColon
	match, known := m.known[string(m.name)]
	if !known {
		match = slices.Contains(m.names, foldName(string(m.name)))
		if len(m.known) < maxKnown {
			m.known[string(m.name)] = match
		}
	}
	m.match = match
	return nil
}
