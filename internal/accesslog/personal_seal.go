package accesslog

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ringfence/ringfence/policy"
)

// A person is an account's key, ready for use, with what was sealed and opened
// under it of late: a person's entries say the same over and over.
type person struct {
	account, origin string
	erased          bool  // on purpose, for good
	fault           error // the key is there and cannot be used
	looked          atomic.Int64
	durable         atomic.Bool // the file stays when the power is cut

	aead   cipher.AEAD // nil: there is no key
	reveal []byte      // derives the secret that goes with each sealed text
	id     [4]byte     // of the key

	mu     sync.RWMutex
	sealed map[usual]string
	opened map[string]*opened

	documents map[string]string // sealed facts documents by hash
}

// usual are the fields that most entries have, and no others.
type usual struct{ email, sourceIP, userAgent string }

// An opened text is what was sealed, and the secret that proves it to others.
type opened struct {
	private
	text   []byte
	secret []byte
}

// mostTexts bounds each of an account's two memories.
const mostTexts = 24

const (
	sealedVersion = 1
	sealedHead    = 1 + 4 + sha256.Size
)

func (p *person) known() bool { return p.aead != nil }

// derive makes a key ready.
func (p *person) derive(origin string, key []byte) error {
	sub := func(use string, n int) []byte {
		b, err := hkdf.Key(sha256.New, key, nil, "ringfence personal "+use, n)
		if err != nil {
			panic(err) // only for lengths beyond what SHA-256 gives
		}
		return b
	}
	block, err := aes.NewCipher(sub("seal", 32))
	if err != nil {
		return err
	}
	if p.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	p.origin, p.reveal = origin, sub("reveal", 32)
	copy(p.id[:], sub("id", 4))
	return nil
}

// bound is what a sealed text is tied to beside its key.
func bound(origin, account string) []byte { return []byte(origin + "\x00" + account) }

// commitment is what an entry says of a text that it seals: whoever is shown
// the text and the secret can check that the entry meant this one.
func commitment(origin, account string, secret, text []byte) [sha256.Size]byte {
	b := append(bound(origin, account), 0)
	b = append(append(b, secret...), text...)
	return sha256.Sum256(b)
}

// seal returns text sealed: the same for the same text, so that repetitions
// compress. The nonce follows from a keyed hash of the text, so that no nonce
// serves two texts.
func (p *person) seal(text []byte) string {
	mac := hmac.New(sha256.New, p.reveal)
	mac.Write(text)
	c := commitment(p.origin, p.account, mac.Sum(nil), text)
	b := make([]byte, 0, sealedHead+len(text)+16)
	b = append(append(append(b, sealedVersion), p.id[:]...), c[:]...)
	b = p.aead.Seal(b, c[:p.aead.NonceSize()], text, bound(p.origin, p.account))
	return base64.StdEncoding.EncodeToString(b)
}

var errSealed = errors.New("a sealed text does not open under the account's key")

// open returns what was sealed, nil where there is no key for it.
func (p *person) open(sealed string) (*opened, error) {
	if !p.known() {
		return nil, p.fault
	}
	p.mu.RLock()
	o := p.opened[sealed]
	p.mu.RUnlock()
	if o != nil {
		return o, nil
	}
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(b) < sealedHead || b[0] != sealedVersion {
		return nil, errSealed
	}
	if !bytes.Equal(b[1:5], p.id[:]) {
		return nil, nil // of a key that is no more
	}
	c := b[5:sealedHead]
	text, err := p.aead.Open(nil, c[:p.aead.NonceSize()], b[sealedHead:], bound(p.origin, p.account))
	if err != nil {
		return nil, errSealed
	}
	mac := hmac.New(sha256.New, p.reveal)
	mac.Write(text)
	o = &opened{text: text, secret: mac.Sum(nil)}
	if want := commitment(p.origin, p.account, o.secret, text); !bytes.Equal(want[:], c) {
		return nil, errSealed
	}
	if o.private, err = decodePrivate(text); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.opened == nil || len(p.opened) >= mostTexts {
		p.opened = map[string]*opened{}
	}
	if len(text) < 2048 { // not facts documents, of which readers keep their own
		p.opened[sealed] = o
	}
	return o, nil
}

// sealPrivate seals fields, from memory where it has done so before.
func (p *person) sealPrivate(v *private) string {
	if v.object != "" || v.detail != nil || v.document != nil {
		return p.seal(v.append(nil))
	}
	p.mu.RLock()
	s, ok := p.sealed[v.usual]
	p.mu.RUnlock()
	if ok {
		return s
	}
	s = p.seal(v.append(nil))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sealed == nil || len(p.sealed) >= mostTexts {
		p.sealed = map[usual]string{}
	}
	p.sealed[v.usual] = s
	return s
}

// sealDocument seals a facts document. Each request of an account names one,
// of which there is one for each of its clusters.
func (p *person) sealDocument(doc *policy.Document) string {
	p.mu.RLock()
	s, ok := p.documents[doc.Hash()]
	p.mu.RUnlock()
	if ok {
		return s
	}
	v := private{document: doc.JSON()}
	s = p.seal(v.append(nil))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.documents == nil || len(p.documents) >= mostTexts {
		p.documents = map[string]string{}
	}
	p.documents[doc.Hash()] = s
	return s
}

// private are the fields that an entry keeps under one account's key.
type private struct {
	usual
	object   string
	detail   map[string]string
	document []byte // of facts
}

func (v *private) none() bool {
	return v.usual == usual{} && v.object == "" && len(v.detail) == 0 && v.document == nil
}

// append writes the fields as one JSON object, in this order and with the
// spelling of payloads.
func (v *private) append(b []byte) []byte {
	at := len(b)
	b = append(b, '{')
	b = appendField(b, `,"email":`, v.email)
	b = appendField(b, `,"source_ip":`, v.sourceIP)
	b = appendField(b, `,"user_agent":`, v.userAgent)
	b = appendField(b, `,"object":`, v.object)
	b = appendMap(b, `,"detail":`, v.detail, appendString)
	if v.document != nil {
		b = append(append(b, `,"document":`...), v.document...)
	}
	if len(b) > at+1 {
		b = append(b[:at+1], b[at+2:]...) // the first key's comma
	}
	return append(b, '}')
}

func decodePrivate(text []byte) (v private, err error) {
	d := decoder{b: text}
	d.lit(`{`)
	d.open = true
	d.str(`,"email":`, &v.email)
	d.str(`,"source_ip":`, &v.sourceIP)
	d.str(`,"user_agent":`, &v.userAgent)
	d.str(`,"object":`, &v.object)
	decodeMap(&d, `,"detail":`, &v.detail, (*decoder).string)
	if d.key(`,"document":`) && len(text) > d.i {
		v.document = text[d.i : len(text)-1]
		d.i = len(text) - 1
	}
	d.open = false
	d.lit(`}`)
	if d.err == nil && d.i != len(text) {
		d.fail("bytes after the end")
	}
	return v, d.err
}
