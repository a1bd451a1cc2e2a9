// Package statement makes and checks signed statements of who accepted which
// agreement: a text that people read and print, with the same facts behind it
// for programs, under one signature of the gateway's log key.
//
// A statement is a signed note (as the access log's checkpoints are, see
// golang.org/x/mod/sumdb/note). Its text is, in this order: the words, made
// from the data by [Statement.Text]; the line that marks the data; the data as
// one line of JSON. Because the words follow from the data, a reader of either
// is told the same, and whoever changes one of them is found by the other.
// Where the access log could prove it, each acceptance carries its own entry
// with the proof that a signed checkpoint covers it.
//
// The package needs no store, no clock and no network: [Verify] works on the
// file alone. Start with [Sign] and [Verify].
package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// Format is what this package writes in [Statement.Format].
const Format = 1

// MaxAcceptances is how many acceptances one statement may hold.
const MaxAcceptances = 10_000

// A Statement is what is stated: some acceptances with the texts accepted.
type Statement struct {
	Format       int          `json:"ringfence_statement"` // [Format]
	Gate         string       `json:"gate"`                // URL of the gate where they were made
	Organisation string       `json:"organisation,omitempty"`
	Made         time.Time    `json:"made"`     // when the statement was
	MadeFor      string       `json:"made_for"` // who asked for it: an e-mail address, or "operator"
	Key          string       `json:"key"`      // the public key that checks it; compare it with one that you know
	Texts        []Text       `json:"texts"`
	Acceptances  []Acceptance `json:"acceptances"`
}

// A Text is one version of an agreement.
type Text struct {
	Agreement string    `json:"agreement"`
	Version   int       `json:"version"`
	Title     string    `json:"title"`
	Created   time.Time `json:"created"`
	Hash      string    `json:"hash"` // "sha256:" and the hexadecimal hash of Text
	Text      string    `json:"text"` // Markdown
}

// An Acceptance says who accepted a text, and how.
type Acceptance struct {
	Agreement string    `json:"agreement"`
	Version   int       `json:"version"`
	Hash      string    `json:"hash"` // of the text accepted
	Account   string    `json:"account"`
	Email     string    `json:"email,omitempty"`
	Name      string    `json:"name,omitempty"` // of the account, at that time
	Vendor    string    `json:"vendor,omitempty"`
	TypedName string    `json:"typed_name"`
	At        time.Time `json:"at"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Session   string    `json:"session,omitempty"`
	Factor    string    `json:"factor,omitempty"` // the second factor proved last
	CodeAt    time.Time `json:"code_at,omitzero"` // when that was
	// Entry is the access log's entry of the acceptance, with its proof; nil
	// when no checkpoint covered it yet, or the log no longer has it.
	Entry *accesslog.Proof `json:"entry,omitempty"`
}

const (
	headline = "Statement of accepted agreements, signed by Ringfence"
	dataLine = "--- The same for programs, as one line of JSON ---"
)

// Sign returns the statement as a file, signed under the log's key. It fills
// in Format and Key, and cuts times to whole seconds.
func Sign(s *Statement, skey string) ([]byte, error) {
	vkey, err := accesslog.PublicKey(skey)
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	if len(s.Acceptances) == 0 || len(s.Acceptances) > MaxAcceptances {
		return nil, fmt.Errorf("signing a statement: it has %d acceptances, and must have 1 to %d", len(s.Acceptances), MaxAcceptances)
	}
	s.Format, s.Key = Format, vkey
	s.wholeSeconds()
	data, err := encode(s)
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	if again, err := decode(data); err != nil || again.Text() != s.Text() {
		return nil, errors.Join(errors.New("signing a statement: it does not read back as it was written"), err)
	}
	msg, err := accesslog.SignText(skey, s.Text()+dataLine+"\n"+string(data)+"\n")
	if err != nil {
		return nil, fmt.Errorf("signing a statement: %w", err)
	}
	return msg, nil
}

// wholeSeconds cuts every time to what the words say, so that the data says no
// more than they do.
func (s *Statement) wholeSeconds() {
	whole := func(t *time.Time) { *t = t.UTC().Truncate(time.Second) }
	whole(&s.Made)
	for i := range s.Texts {
		whole(&s.Texts[i].Created)
	}
	for i := range s.Acceptances {
		whole(&s.Acceptances[i].At)
		whole(&s.Acceptances[i].CodeAt)
	}
}

// encode returns the data's one line. Signed notes allow no control
// characters, and JSON escapes them.
func encode(s *Statement) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads the data, which has one encoding only.
func decode(b []byte) (*Statement, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := new(Statement)
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	again, err := encode(s)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		at := 0
		for at < min(len(b), len(again)) && b[at] == again[at] {
			at++
		}
		return nil, fmt.Errorf("byte %d is not as it would be written: …%s…", at, clip(string(b[max(0, at-20):min(len(b), at+20)])))
	}
	return s, nil
}

// clip makes a part of a file fit for a message.
func clip(s string) string {
	s = visible(strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > 120 {
		s = string(r[:120]) + "…"
	}
	return s
}
