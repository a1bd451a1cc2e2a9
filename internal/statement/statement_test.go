package statement

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

var day = time.Date(2026, 3, 12, 9, 30, 0, 123, time.UTC)

const text = "# Non-disclosure agreement\n\n- Keep what you see to yourself.\n\tAnd what you hear.\n\n— gate.example.com/node-1 AAAA\n"

// made returns a signed statement of one acceptance, proved by a real log, and both keys.
func made(t *testing.T) (s *Statement, file []byte, skey, vkey string) {
	t.Helper()
	skey, vkey, err := accesslog.GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	a := Acceptance{Agreement: "nda", Version: 2, Hash: directory.TextHash(text), Account: "acc_1", Email: "kim@example.com", Name: "Kim Sørensen", Vendor: "acme",
		TypedName: "kim sørensen", At: day, IP: "198.51.100.24", UserAgent: "Firefox/141 \x1b[2J\u202e", Session: "ses_1", Factor: policy.FactorTOTP, CodeAt: day.Add(-time.Minute)}
	a.Entry = proved(t, skey, &a)
	s = &Statement{Gate: "https://gate.example.com", Organisation: "Northwind Mutual", Made: day.Add(time.Hour), MadeFor: "ada@example.com",
		Texts:       []Text{{Agreement: "nda", Version: 2, Title: "Non-disclosure agreement", Created: day.Add(-time.Hour), Hash: directory.TextHash(text), Text: text}},
		Acceptances: []Acceptance{a}}
	if file, err = Sign(s, skey); err != nil {
		t.Fatal(err)
	}
	return s, file, skey, vkey
}

// proved records the acceptance in a log of its own and returns the entry's proof.
func proved(t *testing.T, skey string, a *Acceptance) *accesslog.Proof {
	t.Helper()
	dir := t.TempDir()
	l, err := accesslog.Open(t.Context(), accesslog.Config{Dir: dir, Node: "node-1", Origin: "gate.example.com/node-1", Key: skey, SegmentSize: 1 << 20,
		Now: func() time.Time { return day.Add(time.Second) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	index, err := l.Record(t.Context(), &policy.Record{Type: policy.RecordAdmin, Action: "agreement.accept", Result: "ok", Time: a.At, Account: a.Account, Email: a.Email, Vendor: a.Vendor,
		Session: a.Session, SourceIP: a.IP, UserAgent: a.UserAgent, Actor: a.Account, Object: "agreement:" + a.Agreement,
		Detail: map[string]string{"version": "2", "hash": a.Hash, "typed_name": a.TypedName}})
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	stop()
	<-done
	p, err := accesslog.Prove(t.Context(), dir, index)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStatement_Holds(t *testing.T) {
	_, file, _, vkey := made(t)
	for _, key := range []string{vkey, vkey + "\n", ""} {
		s, err := Verify(file, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Acceptances) != 1 || s.Acceptances[0].TypedName != "kim sørensen" || !s.Acceptances[0].At.Equal(day.Truncate(time.Second)) || s.Texts[0].Text != text || s.Key != vkey {
			t.Errorf("read %+v", s)
		}
	}
	for _, want := range []string{"Kim Sørensen", "12 March 2026, 09:30:00 UTC", "198.51.100.24", "nda@2", "| - Keep what you see to yourself.", "ringfence agreement verify FILE --key",
		"code of an authenticator app", "proved below under a signed checkpoint", "| — gate.example.com/node-1 AAAA"} {
		if !strings.Contains(string(file), want) {
			t.Errorf("the words lack %q:\n%s", want, file)
		}
	}
	words, _, _ := bytes.Cut(file, []byte(dataLine))
	if bytes.ContainsAny(words, "\x1b\t\u202e") {
		t.Error("the words hold characters that fool a terminal")
	}
}

// TestStatement_OneByte changes every byte of a statement in turn: each is
// found, and what was said of it is named wherever more than the signature tells.
func TestStatement_OneByte(t *testing.T) {
	_, file, _, vkey := made(t)
	sig := bytes.LastIndex(file, []byte("\n\n"))
	for i := range file {
		changed := slices.Clone(file)
		changed[i] ^= 1
		_, err := Verify(changed, vkey)
		if err == nil {
			t.Fatalf("byte %d, %q, was changed unnoticed", i, file[max(0, i-10):min(len(file), i+10)])
		}
		var f *FaultError
		if !errors.As(err, &f) {
			if i >= 20 {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		named := len(f.Faults) > 1 || !strings.HasPrefix(f.Faults[0], "The signature")
		if i < sig && !named {
			t.Fatalf("byte %d, %q: only %q", i, file[max(0, i-10):min(len(file), i+10)], f.Faults)
		}
	}
	for i := range file {
		if _, err := Verify(slices.Delete(slices.Clone(file), i, i+1), vkey); err == nil {
			t.Fatalf("byte %d was removed unnoticed", i)
		}
	}
	if _, err := Verify(append(slices.Clone(file), '\n'), vkey); err == nil {
		t.Error("a line was added unnoticed")
	}
}

// TestStatement_Forged re-signs a changed statement: with another key it is of
// another gateway, and with the right one the entry in the log still says otherwise.
func TestStatement_Forged(t *testing.T) {
	s, _, skey, vkey := made(t)
	other, otherKey, err := accesslog.GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	file, err := Sign(s, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(file, vkey); err == nil || !strings.Contains(err.Error(), "not the one given") || !strings.Contains(err.Error(), "signature does not fit") {
		t.Errorf("another key: %v", err)
	}
	if _, err := Verify(file, ""); err == nil || !strings.Contains(err.Error(), "proof of the entry") {
		t.Errorf("another key that names itself, %s: %v", otherKey, err)
	}
	for want, change := range map[string]func(*Acceptance){
		"the typed name": func(a *Acceptance) { a.TypedName = "Mallory" },
		"the time":       func(a *Acceptance) { a.At = a.At.Add(time.Hour) },
		"the address":    func(a *Acceptance) { a.IP = "203.0.113.1" },
		"the account":    func(a *Acceptance) { a.Account = "acc_2" },
		"the version":    func(a *Acceptance) { a.Version = 1 },
		"the hash":       func(a *Acceptance) { a.Hash = directory.TextHash("x") },
	} {
		forged := *s
		forged.Acceptances = slices.Clone(s.Acceptances)
		change(&forged.Acceptances[0])
		file, err := Sign(&forged, skey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(file, vkey); err == nil || !strings.Contains(err.Error(), "says "+want+" is") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestVerify_NoStatement(t *testing.T) {
	for _, file := range []string{"", "x", strings.Repeat("Statement", 3), headline[:19]} {
		if _, err := Verify([]byte(file), ""); !errors.Is(err, ErrNotStatement) {
			t.Errorf("%q: %v", file, err)
		}
	}
	if _, err := Sign(&Statement{}, "x"); err == nil {
		t.Error("signed with nothing")
	}
}

func FuzzVerify(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "statement.golden.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Verify(b, "")
		if err != nil {
			return
		}
		// What holds has one form.
		data, err := encode(s)
		if err != nil || !strings.HasPrefix(string(b), s.Text()+dataLine+"\n"+string(data)+"\n\n") {
			t.Errorf("it holds and reads otherwise: %v", err)
		}
	})
}

var update = flag.Bool("update", false, "write the golden file anew")

// TestVerify_Golden reads a statement of an earlier program: whoever kept one
// can check it for ever.
func TestVerify_Golden(t *testing.T) {
	name := filepath.Join("testdata", "statement.golden.txt")
	if *update {
		_, file, _, _ := made(t)
		if err := os.WriteFile(name, file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(b, ""); err != nil {
		t.Error(err)
	}
}
