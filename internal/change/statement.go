package change

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// ErrTampered reports a revision that is not what was signed. Nothing is built
// upon it and it is not put in force.
var ErrTampered = errors.New("what is kept of this revision is not what was signed when it was published")

const (
	statementLine   = "Policy revision, signed by Ringfence"
	statementFormat = 1
)

// stated is what a statement says, in the order in which it says it.
type stated struct {
	Format    int     `json:"ringfence_policy_revision"`
	ID        int64   `json:"id"`
	Hash      string  `json:"hash"`
	Published Instant `json:"published"`
	Title     string  `json:"title"`
	Reason    string  `json:"reason"`
	Authors   []who   `json:"authors"`
	Approver  *who    `json:"approver,omitempty"`
	Alone     bool    `json:"alone,omitempty"`
	Draft     int64   `json:"draft,omitempty"`
	Base      int64   `json:"base,omitempty"`
	BackTo    int64   `json:"back_to,omitempty"`
	Figures   Figures `json:"figures"`
	// Modules holds the SHA-256 of each file.
	Modules map[string]string `json:"modules"`
}

type who struct {
	Account string  `json:"account"`
	Email   string  `json:"email,omitempty"`
	At      Instant `json:"at,omitzero"`
}

// State returns the canonical text of a revision, which has its id: a line of
// words and a line of JSON. What signs it makes the statement of it.
func (r *Revision) State() (string, error) {
	s := stated{Format: statementFormat, ID: r.ID, Hash: r.Hash, Published: Instant(r.Published), Title: r.Title, Reason: r.Reason, Authors: []who{},
		Alone: r.Alone, Draft: r.Draft, Base: r.Base, BackTo: r.BackTo, Figures: r.Figures, Modules: map[string]string{}}
	for _, a := range r.Authors {
		s.Authors = append(s.Authors, who{a.Account, a.Email, Instant(a.At)})
	}
	if a := r.Approver; a.Account != "" {
		s.Approver = &who{a.Account, a.Email, Instant(a.At)}
	}
	for name, text := range r.Modules {
		s.Modules[name] = fileHash(text)
	}
	b, err := encode(&s)
	if err != nil {
		return "", fmt.Errorf("stating a revision: %w", err)
	}
	return statementLine + "\n" + string(b) + "\n", nil
}

func fileHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func encode(s *stated) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Stated reads a revision back from the text of a statement, without its
// modules and its effect. Text that is not exactly what [Revision.State] makes
// is refused.
func Stated(text string) (Revision, error) {
	line, data, ok := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	var s stated
	d := json.NewDecoder(strings.NewReader(data))
	d.DisallowUnknownFields()
	if !ok || line != statementLine || d.Decode(&s) != nil || s.Format != statementFormat {
		return Revision{}, ErrTampered
	}
	if again, err := encode(&s); err != nil || string(again) != data {
		return Revision{}, ErrTampered
	}
	r := Revision{ID: s.ID, Hash: s.Hash, Published: s.Published.Time(), Title: s.Title, Reason: s.Reason, Alone: s.Alone,
		Draft: s.Draft, Base: s.Base, BackTo: s.BackTo, Figures: s.Figures}
	for _, a := range s.Authors {
		r.Authors = append(r.Authors, Person{a.Account, a.Email, a.At.Time()})
	}
	if a := s.Approver; a != nil {
		r.Approver = Person{a.Account, a.Email, a.At.Time()}
	}
	return r, nil
}

// Holds returns [ErrTampered] unless modules are those that the text of a
// statement names, byte for byte.
func Holds(text string, modules map[string]string) error {
	_, data, _ := strings.Cut(text, "\n")
	var s stated
	if err := json.Unmarshal([]byte(data), &s); err != nil {
		return ErrTampered
	}
	have := make(map[string]string, len(modules))
	for name, text := range modules {
		have[name] = fileHash(text)
	}
	if !maps.Equal(have, s.Modules) || s.Hash != policy.Revision(modules) {
		return ErrTampered
	}
	return nil
}
