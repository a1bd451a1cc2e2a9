package accesslog

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/policy"
)

var testTime = time.Date(2026, 3, 1, 9, 30, 0, 120_000_000, time.UTC)

func payloadOf(r *policy.Record) []byte {
	return appendBody(appendHead(nil, 7, "node-1", testTime, time.Time{}), r)
}

// TestEntry_Golden pins the encoding: it is a contract with every verifier.
func TestEntry_Golden(t *testing.T) {
	r := &policy.Record{
		Type: policy.RecordRequest, RequestID: "r1", Account: "a1", Email: "kim@vendor.example", Factors: map[string]int64{"totp": 3, "password": 9},
		CodeAge: policy.Int64(0), Method: "GET", Path: "/a\"b\\\u2028", QueryNames: []string{"q", "z"}, UserAgent: "x\x1b[31m\u009b\xff\n",
		Effect: "allow", Reasons: []string{"scope"}, Obligations: &policy.Obligations{MaxCodeAge: 600, StripHeaders: []string{"server"}},
		Detail: map[string]string{"b": "2", "a": "1"},
		Input: &policy.RecordedInput{Version: 1, TokenScope: &policy.TokenScope{Access: "read", Paths: [][]string{{"a", "b"}, {}}},
			Query: map[string][]string{"q": {"1", ""}}, Headers: map[string]string{"user-agent": "x\x1b[31m\u009b\xff\n", "accept": "*/*"},
			TLS: &policy.TLS{Version: "1.3", Cipher: "C"}, Allowed: true, Withheld: []string{"request.query.z"}},
	}
	want := `{"index":7,"node":"node-1","time":"2026-03-01T09:30:00.12Z","type":"request","request_id":"r1","account":"a1",` +
		`"email":"kim@vendor.example","factors":{"password":9,"totp":3},"code_age_s":0,"method":"GET","path":"/a\"b\\\u2028",` +
		`"query_names":["q","z"],"user_agent":"x\u001b[31m\u009b` + "\ufffd" + `\n","effect":"allow","reasons":["scope"],` +
		`"obligations":{"strip_headers":["server"],"max_code_age":600},` +
		`"input":{"version":1,"token_scope":{"access":"read","methods":[],"paths":[["a","b"],[]]},"query":{"q":["1",""]},"headers":{"accept":"*/*"},` +
		`"tls":{"version":"1.3","cipher":"C"},"allowed":true,"withheld":["request.query.z"]},"detail":{"a":"1","b":"2"}}`
	if got := string(payloadOf(r)); got != want {
		t.Errorf("encoding is\n%s\nwant\n%s", got, want)
	}
}

// fillRecord puts something into every field, so that a field that is added to
// the record and forgotten here fails the tests below.
func fillRecord(r *rand.Rand, sparse bool) *policy.Record {
	texts := []string{"a", "x y", "\"\\", "\x00\x1f\x7f", "\u00e9\u202e\u2066", "\U0001f600", "=1+1", "<b>&", strings.Repeat("long", 50)}
	text := func() string { return texts[r.IntN(len(texts))] }
	out := &policy.Record{}
	v := reflect.ValueOf(out).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if sparse && r.IntN(2) == 0 {
			continue
		}
		switch p := f.Addr().Interface().(type) {
		case *string:
			*p = text()
		case *int:
			*p = r.IntN(600)
		case **int64:
			*p = policy.Int64(r.Int64() >> r.IntN(64))
		case *[]string:
			*p = []string{text(), text()}
		case *map[string]int64:
			*p = map[string]int64{text(): 1, text(): -2, "k": 3}
		case *map[string]string:
			*p = map[string]string{text(): text(), text(): text(), "k": ""}
		case **policy.Obligations:
			*p = &policy.Obligations{MaxResponseBytes: r.Int64N(3), EgressBudget: 5, Mask: []string{text()}, StripHeaders: []string{text()}, MaxCodeAge: 7, Notify: []string{text()}}
		case **policy.RecordedInput:
			*p = &policy.RecordedInput{Version: 1, Roles: []policy.Role{policy.Role(text())}, TokenCluster: text(), TokenBinding: text(),
				TokenScope: &policy.TokenScope{Access: text(), Methods: []string{text()}, Paths: [][]string{{text(), text()}, {}}},
				Query:      map[string][]string{text(): {text(), text()}, "k": {}}, Headers: map[string]string{"accept": text(), "user-agent": "other"},
				TLS: &policy.TLS{Version: text(), Cipher: text()}, Allowed: r.IntN(2) == 0, Withheld: []string{text()}}
		case *policy.RecordType, *time.Time, **policy.Document:
		default:
			panic("no value for a field of type " + f.Type().String())
		}
	}
	out.Type, out.Time = policy.RecordOutcome, testTime
	return out
}

func TestEntry_RoundTripKeepsEveryField(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		r := fillRecord(rng, i > 0)
		p := payloadOf(r)
		e, err := ParseEntry(p)
		if err != nil {
			t.Fatalf("%v\n%s", err, p)
		}
		if e.Index != 7 || e.Node != "node-1" || !bytes.Equal(e.Payload, p) {
			t.Fatalf("index %d, node %q", e.Index, e.Node)
		}
		if !reflect.DeepEqual(e.Record, *r) {
			t.Fatalf("read back\n%#v\nwant\n%#v", e.Record, *r)
		}
	}
}

// TestEntry_KeysAreTheRecords: an exported entry has the JSON keys of
// policy.Record, in its order, behind index and node.
func TestEntry_KeysAreTheRecords(t *testing.T) {
	r := fillRecord(rand.New(rand.NewPCG(3, 4)), false)
	r.Obligations.MaxResponseBytes = 1
	std, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := json.Unmarshal(std, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payloadOf(r), &got); err != nil {
		t.Fatal(err)
	}
	want["index"], want["node"] = 7.0, "node-1"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("entry reads as\n%v\nwant\n%v", got, want)
	}
}

func TestParseEntry_OneEncoding(t *testing.T) {
	good := string(payloadOf(&policy.Record{Type: policy.RecordLogin, Action: "login", Result: "ok", Factors: map[string]int64{"a": 1, "b": 2}, Obligations: &policy.Obligations{}, Status: 5}))
	if _, err := ParseEntry([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`"index":7`, `"index":07`}, {`"index":7`, `"index":-7`}, {`"index":7`, `"index":7.0`}, {`:7,`, `: 7,`},
		{`.12Z`, `.120Z`}, {`.12Z`, `.12+00:00`}, {`"action":"login"`, `"action":"lo\u0067in"`}, {`"action":"login"`, `"action":""`},
		{`"result":"ok"`, `"action":"ok"`}, {`"a":1,"b":2`, `"b":2,"a":1`}, {`"a":1,"b":2`, `"a":1,"a":1,"b":2`}, {`"a":1`, `"a":01`},
		{`"obligations":{}`, `"obligations":{"mask":[]}`}, {`"status":5`, `"status":0`}, {`"status":5`, `"status":5,"extra":1`},
		{`"type":"login"`, `"type":"other"`}, {`"login"}`, `"login"} `}, {`"node":"node-1",`, `"node":"",`},
		{`,"type"`, `,"clock":"2026-03-01T09:30:00.12Z","type"`}, {`}`, ``},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		if bad == good && c[0] != `"login"}` {
			t.Fatalf("%q is not in %s", c[0], good)
		}
		if c[0] == `"login"}` {
			bad = good + " "
		}
		if e, err := ParseEntry([]byte(bad)); err == nil || e != nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestParseEntry_DocumentIsTheOneNamed(t *testing.T) {
	d := document(t, "office")
	body := appendBody(appendHead(nil, 7, "n", testTime, time.Time{}), &policy.Record{Type: policy.RecordLog, Action: ActionFacts, Facts: d.Hash()})
	p := appendDocument(body, d.JSON())
	e, err := ParseEntry(p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(e.FactsJSON, d.JSON()) {
		t.Errorf("document is %s", e.FactsJSON)
	}
	other := bytes.Replace(p, []byte("office"), []byte("0ffice"), 1)
	if _, err := ParseEntry(other); err == nil {
		t.Error("accepted a document that its hash does not name")
	}
}

func FuzzEntry(f *testing.F) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		f.Add(payloadOf(fillRecord(rng, true)))
	}
	d := document(f, "office")
	f.Add(appendDocument(payloadOf(&policy.Record{Type: policy.RecordLog, Action: ActionFacts, Facts: d.Hash()}), d.JSON()))
	f.Add([]byte(`{"index":0,"node":"n","time":"2026-03-01T09:30:00Z","clock":"2026-03-01T09:29:00Z","type":"log"}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := ParseEntry(p)
		if err != nil {
			if e != nil {
				t.Fatal("an entry beside an error")
			}
			return
		}
		again := appendBody(appendHead(nil, e.Index, e.Node, e.Time, e.Clock), &e.Record)
		if e.FactsJSON != nil {
			again = appendDocument(again, e.FactsJSON)
		}
		if !bytes.Equal(again, p) {
			t.Fatalf("read\n%s\nand wrote\n%s", p, again)
		}
		if !json.Valid(p) {
			t.Fatalf("accepted what is not JSON: %q", p)
		}
		for _, r := range string(p) {
			if hidden(r) {
				t.Fatalf("a control character came through: %q", p)
			}
		}
	})
}
