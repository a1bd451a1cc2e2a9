package statement

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// maxFile bounds a file that is read as a statement, in bytes.
const maxFile = 256 << 20

// ErrNotStatement reports a file that is no statement at all.
var ErrNotStatement = errors.New("this is no statement of accepted agreements")

// A FaultError says everything that is wrong with a statement, in sentences.
type FaultError struct{ Faults []string }

// Error returns the faults, one a line.
func (e *FaultError) Error() string { return strings.Join(e.Faults, "\n") }

// Verify checks a statement with vkey, the gateway's public key; an empty vkey
// is the key that the statement itself names, which shows that nothing was
// changed and not who signed. It returns what is stated, with [ErrNotStatement] or a
// *[FaultError] when something is wrong; nothing in it is to be believed then.
func Verify(file []byte, vkey string) (*Statement, error) {
	if len(file) > maxFile || !bytes.HasPrefix(file, []byte(headline[:20])) {
		return nil, ErrNotStatement
	}
	words, data, ok := split(file)
	if !ok {
		return nil, &FaultError{[]string{"The part for programs is missing, or the line before it was changed."}}
	}
	s, err := decode(data)
	if err != nil {
		return nil, &FaultError{[]string{fmt.Sprintf("The part for programs was changed: %s.", clip(err.Error()))}}
	}
	v := &verifier{s: s}
	v.words(words)
	v.texts()
	for i := range s.Acceptances {
		v.acceptance(i)
	}
	signer := vkey
	if vkey == "" {
		vkey, signer = s.Key, s.Key
	} else if holdsKey(vkey, s.Key) {
		signer = s.Key
	} else {
		v.fault("It names the public key %s, which is not the one given.", clip(s.Key))
	}
	if _, err := accesslog.OpenText(signer, file); errors.Is(err, accesslog.ErrSignature) {
		v.fault("The signature does not fit: it is of another key, or something was changed after it was signed.")
	} else if err != nil {
		v.fault("The public key cannot be read.")
	}
	v.proofs(vkey)
	if v.faults != nil {
		return s, &FaultError{v.faults}
	}
	return s, nil
}

// holdsKey reports whether one of the public keys that were given, one a line, is key.
func holdsKey(given, key string) bool {
	for line := range strings.Lines(given) {
		if vkey, _, _ := strings.Cut(strings.TrimSpace(line), " "); vkey == key {
			return true
		}
	}
	return false
}

// split cuts a file into its words and its data.
func split(file []byte) (words string, data []byte, ok bool) {
	before, after, found := bytes.Cut(file, []byte("\n"+dataLine+"\n"))
	if !found {
		return "", nil, false
	}
	data, _, found = bytes.Cut(after, []byte("\n"))
	return string(before) + "\n", data, found
}

type verifier struct {
	s      *Statement
	faults []string
}

func (v *verifier) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Sprintf(format, args...))
}

// words holds what people read against what programs read.
func (v *verifier) words(have string) {
	want := v.s.Text()
	if have == want {
		return
	}
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range max(len(h), len(w)) {
		var a, b string
		if i < len(h) {
			a = h[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			v.fault("Line %d reads %q where the part for programs says %q: one of the two was changed.", i+1, clip(a), clip(b))
			return
		}
	}
}

func (v *verifier) texts() {
	if v.s.Format != Format {
		v.fault("It is of format %d, and this program knows %d.", v.s.Format, Format)
	}
	for i := range v.s.Texts {
		t := &v.s.Texts[i]
		sum := sha256.Sum256([]byte(t.Text))
		if have := "sha256:" + hex.EncodeToString(sum[:]); have != t.Hash {
			v.fault("The text of %s@%d has the hash %s and is stated to have %s: the text or its hash was changed.", clip(t.Agreement), t.Version, have, clip(t.Hash))
		}
	}
}

func (v *verifier) acceptance(i int) {
	a := &v.s.Acceptances[i]
	t := v.s.text(a.Agreement, a.Version)
	switch {
	case t == nil:
		v.fault("Acceptance %d is of %s@%d, whose text is missing.", i+1, clip(a.Agreement), a.Version)
	case t.Hash != a.Hash:
		v.fault("Acceptance %d is of a text with the hash %s, and the text of %s@%d has %s.", i+1, clip(a.Hash), clip(a.Agreement), a.Version, t.Hash)
	}
}

// proofs holds the acceptances against the access log's own entries.
func (v *verifier) proofs(vkey string) {
	for i := range v.s.Acceptances {
		a := &v.s.Acceptances[i]
		if a.Entry == nil {
			continue
		}
		if err := a.Entry.Check(vkey); err != nil {
			v.fault("The proof of the entry of acceptance %d does not hold: %s.", i+1, clip(err.Error()))
		}
		e, err := accesslog.ParseEntry([]byte(a.Entry.Payload))
		if err != nil {
			v.fault("The entry of acceptance %d cannot be read: %s.", i+1, clip(err.Error()))
			continue
		}
		origin, _, _ := strings.Cut(vkey, "+")
		if err := e.Open(origin, a.Entry.Opened); err != nil {
			v.fault("The entry of acceptance %d cannot be read: %s.", i+1, clip(err.Error()))
			continue
		}
		for _, c := range a.Differs(e) {
			v.fault("Acceptance %d says %s is %q, and the entry in the access log says %q.", i+1, c[0], clip(c[1]), clip(c[2]))
		}
	}
}

// Differs names what the acceptance and its entry in the access log say
// otherwise of one another: the field in words, then both values. What the entry
// keeps sealed and nobody can open any more cannot differ.
func (a *Acceptance) Differs(e *accesslog.Entry) [][3]string {
	at := e.Time
	if !e.Clock.IsZero() { // the log moved the time of the entry, and kept the record's own
		at = e.Clock
	}
	var out [][3]string
	for _, c := range [...][3]string{
		{"the agreement", "agreement:" + a.Agreement, e.Object}, {"the version", strconv.Itoa(a.Version), e.Detail["version"]},
		{"the hash", a.Hash, e.Detail["hash"]}, {"the typed name", a.TypedName, e.Detail["typed_name"]},
		{"the account", a.Account, e.Account}, {"the e-mail", a.Email, e.Email}, {"the vendor", a.Vendor, e.Vendor},
		{"the address", a.IP, e.SourceIP}, {"the session", a.Session, e.Session}, {"the browser", a.UserAgent, e.UserAgent},
	} {
		if c[1] != c[2] && (c[2] != "" || !e.Erased()) {
			out = append(out, c)
		}
	}
	// Statements have whole seconds, and the log moves times by less than a
	// tenth of one without saying so.
	if d := at.Sub(a.At); d < -2*time.Second || d > 2*time.Second {
		out = append(out, [3]string{"the time", stamp(a.At), stamp(at)})
	}
	return out
}
