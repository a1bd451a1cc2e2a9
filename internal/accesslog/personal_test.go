package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// secrets are what must not stand in a sealed log's files.
var personalTexts = []string{"kim@northwind.example", "ada@example.com", "203.0.113.9", "198.51.100.7", "Mozilla/5.0", "Kim Example", "203.0.113.44", "laptop-of-kim", "203.0.113.64/26"}

func personalRecords(t *testing.T) []*policy.Record {
	f := document(t, "office").Facts()
	facts := *f
	facts.Account = &policy.AccountFacts{ID: "kim-1", Email: "kim@northwind.example", Status: policy.StatusActive, Roles: []policy.Role{}}
	doc, err := policy.NewDocument(facts)
	if err != nil {
		t.Fatal(err)
	}
	return []*policy.Record{
		{Type: policy.RecordRequest, RequestID: "r1", Account: "kim-1", Email: "kim@northwind.example", Vendor: "northwind", Cluster: "claims", Path: "/a",
			SourceIP: "203.0.113.9", UserAgent: "Mozilla/5.0", Effect: "allow", Document: doc, Facts: doc.Hash(), Revision: "r",
			Input: &policy.RecordedInput{Version: 1, Headers: map[string]string{"user-agent": "Mozilla/5.0", "accept": "x"}}},
		{Type: policy.RecordOutcome, RequestID: "r1", Account: "kim-1", Email: "kim@northwind.example", SourceIP: "203.0.113.9", Status: 200},
		{Type: policy.RecordLogin, Action: "factor.reset", Account: "kim-1", Email: "kim@northwind.example", Actor: "ada-1", SourceIP: "198.51.100.7",
			Object: "account:kim@northwind.example", Detail: map[string]string{ActorEmail: "ada@example.com", "why": "lost"}},
		{Type: policy.RecordAdmin, Action: "account.update", Actor: "ada-1", Email: "ada@example.com", SourceIP: "198.51.100.7",
			Object: "account:kim@northwind.example", Detail: map[string]string{AboutAccount: "kim-1", "name": "Kim -> Kim Example"}},
		{Type: policy.RecordAdmin, Action: "agreement.accept", Account: "kim-1", Actor: "kim-1", Email: "kim@northwind.example",
			Object: "agreement:nda", Detail: map[string]string{"typed_name": "Kim Example", "version": "3"}},
		{Type: policy.RecordLogin, Action: "machine.grant", Account: "kim-1", Actor: "kim-1", Email: "kim@northwind.example",
			Detail: map[string]string{"name": "laptop-of-kim", "asked_from": "203.0.113.44", "machine": "mach_1"}},
		{Type: policy.RecordLogin, Action: "token.create", Account: "kim-1", Actor: "kim-1", Detail: map[string]string{"name": "laptop-of-kim", "networks": "203.0.113.64/26"}},
		{Type: policy.RecordLogin, Action: "password.failed", SourceIP: "192.0.2.66", UserAgent: "curl", Detail: map[string]string{"who": "nobody"}},
	}
}

func sealedLog(t *testing.T) (*testLog, []*policy.Record) {
	x := newTestLog(t, func(c *Config) { c.SealPersonal = true }).run()
	records := personalRecords(t)
	for _, r := range records {
		before := *r
		before.Detail = maps.Clone(r.Detail)
		x.record(r)
		if r.Email != before.Email || !maps.Equal(r.Detail, before.Detail) {
			t.Error("Record changed the caller's record")
		}
	}
	x.close()
	return x, records
}

func entriesOf(t testing.TB, dir string) (all []*Entry) {
	t.Helper()
	if err := Scan(t.Context(), dir, 0, ^uint64(0), func(e *Entry) error {
		all = append(all, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPersonal_SealedAndRead(t *testing.T) {
	x, records := sealedLog(t)
	files, err := filepath.Glob(filepath.Join(x.cfg.Dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range personalTexts {
			if bytes.Contains(b, []byte(text)) {
				t.Errorf("%s holds %s", filepath.Base(f), text)
			}
		}
	}
	var got []*Entry
	for _, e := range entriesOf(t, x.cfg.Dir) {
		if _, err := ParseEntry(e.Payload); err != nil {
			t.Errorf("entry %d: %v", e.Index, err)
		}
		if !json.Valid(e.Clear()) {
			t.Errorf("entry %d is not JSON when clear: %s", e.Index, e.Clear())
		}
		if e.Action != ActionStart && e.Action != ActionFacts {
			got = append(got, e)
		}
	}
	for i, r := range records {
		e := got[i]
		if e.Email != r.Email || e.SourceIP != r.SourceIP || e.UserAgent != r.UserAgent || e.Object != r.Object || !maps.Equal(e.Detail, r.Detail) || e.Erased() {
			t.Errorf("record %d reads back as %+v", i, e.Record)
		}
		// What readers are shown is what an entry without seals would say.
		plain := appendBody(appendHead(nil, e.Index, e.Node, e.Time, e.Clock), r)
		if !bytes.Equal(e.Clear(), plain) {
			t.Errorf("record %d is shown as\n%s, not\n%s", i, e.Clear(), plain)
		}
	}
	doc, err := FactsOf(t.Context(), Folder(x.cfg.Dir), got[0])
	if err != nil || doc.Facts().Account.Email != "kim@northwind.example" {
		t.Errorf("facts: %v, %v", doc, err)
	}
	in, withheld, err := got[0].Input(doc)
	if err != nil || len(withheld) > 0 || in.Request.Headers["user-agent"] != "Mozilla/5.0" {
		t.Errorf("input: %v, %v, %v", in, withheld, err)
	}
	n := 0
	if err := Query(t.Context(), x.cfg.Dir, Filter{Text: "MOZILLA", Account: "Kim@northwind.example"}, func(*Entry) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("search by sealed text: %d, %v", n, err)
	}
	x.verify()
	if n, err := SecondVerify(x.cfg.Dir, x.vkey); err != nil || n < len(records) {
		t.Errorf("the second verifier: %d, %v", n, err)
	}
}

func TestPersonal_Erased(t *testing.T) {
	x, _ := sealedLog(t)
	proof, err := Prove(t.Context(), x.cfg.Dir, indexOf(t, x.cfg.Dir, "agreement.accept"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ErasePersonal(x.cfg.Dir, "kim-1"); err != nil {
		t.Fatal(err)
	}
	if err := ErasePersonal(x.cfg.Dir, "kim-1"); err != nil || !PersonalErased(x.cfg.Dir, "kim-1") {
		t.Fatalf("again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(PersonalFolder(x.cfg.Dir), "kim-1.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key is still there: %v", err)
	}
	x.verify()
	if _, err := SecondVerify(x.cfg.Dir, x.vkey); err != nil {
		t.Error(err)
	}
	for _, e := range entriesOf(t, x.cfg.Dir) {
		for _, text := range []string{"kim@", "Kim Example", "203.0.113.", "Mozilla", "laptop"} {
			if bytes.Contains(e.Clear(), []byte(text)) {
				t.Errorf("entry %d still says %s: %s", e.Index, text, e.Clear())
			}
		}
		if e.Account == "kim-1" && (!e.Erased() || !bytes.Contains(e.Clear(), []byte(`"personal":"erased"`))) {
			t.Errorf("entry %d does not say that fields were erased: %s", e.Index, e.Clear())
		}
		if e.Action == "factor.reset" && (e.SourceIP != "198.51.100.7" || e.Detail[ActorEmail] != "ada@example.com") {
			t.Errorf("what belongs to another account went as well: %+v", e.Record)
		}
	}
	// Whoever was shown the fields before can still prove them.
	e, err := ParseEntry([]byte(proof.Payload))
	if err == nil {
		err = e.Open(testOrigin, proof.Opened)
	}
	if err != nil || e.Email != "kim@northwind.example" || e.Detail["typed_name"] != "Kim Example" || proof.Check(x.vkey) != nil {
		t.Errorf("the proof from before: %v", err)
	}
	// The gateway goes on, and writes nothing personal of that account.
	x.run()
	x.record(personalRecords(t)[0])
	x.close()
	for _, e := range entriesOf(t, x.cfg.Dir)[e.Index+1:] {
		if e.RequestID == "r1" && (len(e.Personal) != 1 || e.Personal[0].Text != Erased || strings.Contains(string(e.Payload), "kim@")) {
			t.Errorf("an entry after the erasure: %s", e.Payload)
		}
	}
	if _, err := os.Stat(filepath.Join(PersonalFolder(x.cfg.Dir), "kim-1.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a new key was made: %v", err)
	}
}

// A key that another process destroys is noticed, although it was in memory.
func TestPersonal_ErasedElsewhere(t *testing.T) {
	x, _ := sealedLog(t)
	index := indexOf(t, x.cfg.Dir, "agreement.accept")
	if e, err := Get(t.Context(), x.cfg.Dir, index); err != nil || e.Email == "" {
		t.Fatal(e, err)
	}
	if err := os.Remove(filepath.Join(PersonalFolder(x.cfg.Dir), "kim-1.key")); err != nil {
		t.Fatal(err)
	}
	personalKeysOf(x.cfg.Dir).person("kim-1").looked.Add(-int64(time.Minute))
	if e, err := Get(t.Context(), x.cfg.Dir, index); err != nil || e.Email != "" || !e.Erased() {
		t.Errorf("still read: %+v, %v", e, err)
	}
}

// What is sealed for one account, log or entry opens for no other.
func TestPersonal_Bound(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	make := func(account, origin string, key []byte) *person {
		p := &person{account: account}
		if err := p.derive(origin, key); err != nil {
			t.Fatal(err)
		}
		return p
	}
	kim := make("kim-1", "gate", key)
	v := private{usual: usual{email: "kim@x.example"}}
	sealed := kim.sealPrivate(&v)
	if again := make("kim-1", "gate", key).sealPrivate(&v); again != sealed {
		t.Error("the same is sealed otherwise")
	}
	if o, err := kim.open(sealed); err != nil || o.email != "kim@x.example" {
		t.Fatalf("open: %v, %v", o, err)
	}
	for name, p := range map[string]*person{"account": make("lee-1", "gate", key), "log": make("kim-1", "other", key)} {
		if o, err := p.open(sealed); err == nil {
			t.Errorf("it opens for another %s: %+v", name, o)
		}
	}
	if o, err := make("kim-1", "gate", bytes.Repeat([]byte{8}, 32)).open(sealed); o != nil || err != nil {
		t.Errorf("under a newer key: %v, %v", o, err)
	}
	for i := range sealed[:len(sealed)-2] {
		b := []byte(sealed)
		b[i] = "AB"[b2i(b[i] == 'A')]
		if o, err := kim.open(string(b)); o != nil {
			t.Fatalf("changed at %d it opens: %v, %v", i, o, err)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestPersonal_OpeningsAreHeldToTheEntry(t *testing.T) {
	x, _ := sealedLog(t)
	at := indexOf(t, x.cfg.Dir, "agreement.accept")
	e, err := Get(t.Context(), x.cfg.Dir, at)
	if err != nil {
		t.Fatal(err)
	}
	good := e.Openings()
	b, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]*Opening
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Opening){
		"nothing": func(*Opening) {},
		"fields":  func(o *Opening) { o.Fields = strings.Replace(o.Fields, "Kim", "Lee", 1) },
		"secret":  func(o *Opening) { o.Secret = slices.Clone(o.Secret); o.Secret[3] ^= 1 },
		"moved":   func(o *Opening) { o.Secret = append(slices.Clone(o.Secret), o.Fields[0]); o.Fields = o.Fields[1:] },
	} {
		o := *read["kim-1"]
		change(&o)
		fresh, err := ParseEntry(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		err = fresh.Open(testOrigin, map[string]*Opening{"kim-1": &o})
		if (err == nil) != (name == "nothing") {
			t.Errorf("%s changed: %v", name, err)
		}
		if name == "nothing" && (fresh.Open("other", read) == nil || fresh.Detail["typed_name"] != "Kim Example") {
			t.Error("it opens for another log, or says less than it should")
		}
	}
}

// Without its key no account's request may go on unrecorded or in plain text.
func TestPersonal_KeyCannotBeMade(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.SealPersonal = true }).run()
	if err := os.WriteFile(PersonalFolder(x.cfg.Dir), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := personalRecords(t)[1]
	if _, err := x.Record(context.Background(), r); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Record: %v", err)
	}
	if err := os.Remove(PersonalFolder(x.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	x.record(r)
	x.close()
}

func indexOf(t *testing.T, dir, action string) uint64 {
	t.Helper()
	for _, e := range entriesOf(t, dir) {
		if e.Action == action {
			return e.Index
		}
	}
	t.Fatalf("no entry of action %s", action)
	return 0
}

func BenchmarkSealPersonal(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "log")
	l := &Log{cfg: Config{Origin: testOrigin, SealPersonal: true}, keys: personalKeysOf(dir)}
	r := policy.Record{Type: policy.RecordRequest, Account: "kim-1", Email: "kim@northwind.example", SourceIP: "203.0.113.9", UserAgent: "Mozilla/5.0"}
	b.ReportAllocs()
	for b.Loop() {
		c := r
		if _, err := l.sealPersonal(&c); err != nil {
			b.Fatal(err)
		}
	}
}
