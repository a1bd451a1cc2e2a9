package accesslog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// Erased stands in an entry in place of sealed fields: in payloads, where the
// account was erased before the entry was made; in what readers are shown, where
// its key is gone.
const Erased = "erased"

// ActorEmail and AboutAccount are keys of a record's detail: the address of
// whoever acted, and the id of the account that the object is.
const (
	ActorEmail   = "actor_email"
	AboutAccount = "account_id"
)

// A sealedPart is what one entry keeps under one account's key.
type sealedPart struct{ account, text string }

// sealedParts are sorted by account. Few entries have more than one.
type sealedParts struct {
	n      int
	parts  [3]sealedPart
	erased bool // for readers: it is said that there were some
}

func (s *sealedParts) add(account, text string) {
	i := 0
	for i < s.n && s.parts[i].account < account {
		i++
	}
	copy(s.parts[i+1:], s.parts[i:s.n])
	s.parts[i] = sealedPart{account, text}
	s.n++
}

func appendPersonal(b []byte, s *sealedParts) []byte {
	if s == nil || s.n == 0 && !s.erased {
		return b
	}
	b = append(b, `,"personal":`...)
	if s.erased {
		return append(b, `"`+Erased+`"`...)
	}
	for i := range s.n {
		b = append(b, "{,"[min(i, 1)])
		b = append(appendString(b, s.parts[i].account), ':')
		b = appendString(b, s.parts[i].text)
	}
	return append(b, '}')
}

// split takes the personal fields out of r, which is the caller's own copy, and
// returns whose they are: of the account that the record is about; of whoever
// acted, who is also where the request came from; of the account that was changed.
func split(r *policy.Record) (accounts [3]string, fields [3]private) {
	about, actor, object := r.Account, r.Actor, r.Detail[AboutAccount]
	if !sealable(actor) {
		actor = about
	}
	if !sealable(about) {
		about = actor
	}
	if !sealable(object) {
		object = about
	}
	if !sealable(about) && !sealable(actor) && !sealable(object) {
		return accounts, fields
	}
	of := func(account string) *private {
		for i := range accounts {
			if accounts[i] == account || accounts[i] == "" {
				accounts[i] = account
				return &fields[i]
			}
		}
		return &fields[len(fields)-1]
	}
	if sealable(about) {
		of(about).email, r.Email = r.Email, ""
	}
	if sealable(actor) {
		v := of(actor)
		v.sourceIP, r.SourceIP = r.SourceIP, ""
		v.userAgent, r.UserAgent = r.UserAgent, ""
	}
	if sealable(object) && strings.IndexByte(r.Object, '@') >= 0 && (strings.HasPrefix(r.Object, "account:") || strings.HasPrefix(r.Object, "assignment:")) {
		of(object).object, r.Object = r.Object, ""
	}
	splitDetail(r, actor, object, of)
	return accounts, fields
}

func splitDetail(r *policy.Record, actor, object string, of func(string) *private) {
	about, cloned := r.Account, false
	move := func(key, account string) {
		v, ok := r.Detail[key]
		if !ok || !sealable(account) {
			return
		}
		if !cloned {
			r.Detail, cloned = maps.Clone(r.Detail), true
		}
		delete(r.Detail, key)
		p := of(account)
		if p.detail == nil {
			p.detail = map[string]string{}
		}
		p.detail[key] = v
	}
	move(ActorEmail, actor)
	move("asked_from", about)
	if r.Type == policy.RecordLogin { // what people call their devices and tokens, and from where these are used
		for _, key := range []string{"name", "was", "networks"} {
			move(key, about)
		}
	}
	move("typed_name", object)
	if r.Detail[AboutAccount] != "" { // elsewhere they are those of something else
		move("email", object)
		move("name", object)
	}
}

// sealPersonal takes the personal fields out of r and returns them sealed. It writes
// to the disk once in the life of an account.
func (l *Log) sealPersonal(r *policy.Record) (parts sealedParts, err error) {
	accounts, fields := split(r)
	for i, account := range accounts {
		if account == "" || fields[i].none() {
			continue
		}
		text, err := l.sealFor(account, &fields[i])
		if err != nil {
			return parts, err
		}
		parts.add(account, text)
	}
	return parts, nil
}

func (l *Log) sealFor(account string, v *private) (string, error) {
	p, err := l.keys.writer(account, l.cfg.Origin)
	switch {
	case err != nil:
		return "", fmt.Errorf("recording: %w: %w", ErrUnavailable, err)
	case p.erased:
		return Erased, nil
	}
	return p.sealPrivate(v), nil
}

// sealedLen bounds how long a text of n bytes is once it is sealed for an account.
func sealedLen(n int) int { return (n+sealedHead+16+2)/3*4 + 160 }

// personal reads the sealed texts of a payload.
func (d *decoder) personal(e *Entry) {
	if !d.key(`,"personal":`) {
		return
	}
	d.lit(`{`)
	for d.err == nil {
		account := d.string()
		d.lit(`:`)
		text := d.string()
		if len(e.Personal) == 3 || !sealable(account) || len(e.Personal) > 0 && e.Personal[len(e.Personal)-1].Account >= account {
			d.fail("personal fields out of order")
		}
		e.Personal = append(e.Personal, Personal{Account: account, Text: text})
		if d.has(`}`) {
			break
		}
		d.lit(`,`)
	}
	d.lit(`}`)
}

// A Personal is the personal fields of an entry that stand under one account's key.
type Personal struct {
	Account string
	Text    string   // as in the payload: base64, or [Erased]
	Opening *Opening // what they say; nil where the key is gone
}

// An Opening is what was sealed in an entry, with the secret that proves it to
// those who have no key: the sealed text begins with a hash over both.
type Opening struct {
	Fields string `json:"fields"` // a JSON object, byte for byte
	Secret []byte `json:"secret"`
}

func (e *Entry) parts() (s sealedParts) {
	for _, p := range e.Personal {
		s.add(p.Account, p.Text)
	}
	return s
}

// checkSealed holds sealed texts to their one spelling.
func (e *Entry) checkSealed() error {
	for _, s := range e.Personal {
		if s.Text == Erased {
			continue
		}
		b, err := base64.StdEncoding.Strict().DecodeString(s.Text)
		if err != nil || len(b) < sealedHead+16 || b[0] != sealedVersion || base64.StdEncoding.EncodeToString(b) != s.Text {
			return errors.New("a sealed text is not one")
		}
	}
	return nil
}

// decode reads a payload and opens its personal fields where their keys are there.
func (k *personalKeys) decode(payload []byte) (*Entry, error) {
	e, err := decodeEntry(payload)
	if err != nil || len(e.Personal) == 0 {
		return e, err
	}
	for i := range e.Personal {
		s := &e.Personal[i]
		if s.Text == Erased {
			continue
		}
		o, err := k.reader(s.Account).open(s.Text)
		if err != nil {
			return nil, fmt.Errorf("reading entry %d: %w", e.Index, err)
		}
		if o != nil {
			s.Opening = &Opening{Fields: string(o.text), Secret: o.secret}
			e.take(&o.private)
		}
	}
	return e, nil
}

// take puts opened fields where they belong.
func (e *Entry) take(v *private) {
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&e.Email, v.email)
	set(&e.SourceIP, v.sourceIP)
	set(&e.UserAgent, v.userAgent)
	set(&e.Object, v.object)
	if v.detail != nil {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		maps.Copy(e.Detail, v.detail)
	}
	if v.document != nil {
		e.FactsJSON = v.document
	}
}

// Erased reports whether personal fields of the entry are gone for good.
func (e *Entry) Erased() bool {
	return slices.ContainsFunc(e.Personal, func(s Personal) bool { return s.Opening == nil })
}

// Clear returns the entry as readers are shown it: the payload, with each field
// that is sealed there in its own place. Where a key is gone, personal stands
// for the fields and says "erased". Without sealed fields it is the payload itself.
func (e *Entry) Clear() []byte {
	if len(e.Personal) == 0 {
		return e.Payload
	}
	b := appendHead(make([]byte, 0, len(e.Payload)+256), e.Index, e.Node, e.Time, e.Clock)
	b = appendRecord(b, &e.Record, &sealedParts{erased: e.Erased()}, e.UserAgent)
	if e.FactsJSON != nil {
		b = appendDocument(b, e.FactsJSON)
	}
	return b
}

// Open puts into the entry what openings from elsewhere say of its sealed
// fields, by account. It is an error if one of them is not what the entry
// seals; origin is the log's. It needs no key.
func (e *Entry) Open(origin string, openings map[string]*Opening) error {
	for i := range e.Personal {
		s := &e.Personal[i]
		o := openings[s.Account]
		if o == nil || s.Text == Erased {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(s.Text)
		want := commitment(origin, s.Account, o.Secret, []byte(o.Fields))
		if err != nil || len(b) < sealedHead || len(o.Secret) != 32 || !bytes.Equal(b[5:sealedHead], want[:]) {
			return fmt.Errorf("opening entry %d: the personal fields shown for %s are not those that it seals", e.Index, s.Account)
		}
		v, err := decodePrivate([]byte(o.Fields))
		if err != nil {
			return fmt.Errorf("opening entry %d: %w", e.Index, err)
		}
		s.Opening = o
		e.take(&v)
	}
	return nil
}

// Openings returns what others need for [Entry.Open], nil where nothing is open.
func (e *Entry) Openings() map[string]*Opening {
	var out map[string]*Opening
	for _, s := range e.Personal {
		if s.Opening != nil {
			if out == nil {
				out = map[string]*Opening{}
			}
			out[s.Account] = s.Opening
		}
	}
	return out
}

// sealDocument seals a facts document for the account that it is about. That
// of nobody is not sealed. A document that was sealed lately is taken from memory.
func (l *Log) sealDocument(doc *policy.Document) (parts sealedParts, err error) {
	if doc == nil {
		return parts, nil
	}
	f := doc.Facts()
	if f == nil || f.Account == nil || !sealable(f.Account.ID) {
		return parts, nil
	}
	p, err := l.keys.writer(f.Account.ID, l.cfg.Origin)
	switch {
	case err != nil:
		return parts, fmt.Errorf("recording: %w: %w", ErrUnavailable, err)
	case p.erased:
		parts.add(p.account, Erased)
	default:
		parts.add(p.account, p.sealDocument(doc))
	}
	return parts, nil
}
