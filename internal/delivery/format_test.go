package delivery

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are entries of every type, as a log would give them.
func samples(t *testing.T) map[string]*accesslog.Entry {
	t.Helper()
	at := time.Date(2026, 11, 22, 9, 30, 0, 123456789, time.UTC)
	who := policy.Record{Account: "kim", Email: "kim@northwind.example", Vendor: "northwind", Engagement: "claims-2026", Session: "s-1",
		Credential: "session", SourceIP: "203.0.113.9", UserAgent: "curl/8.11.1"}
	asked := func(r policy.Record) policy.Record {
		r.RequestID, r.Cluster, r.Classification, r.Route, r.Protocol = "r-1", "claims", "personal", "api", "HTTP/2.0"
		r.Mode = policy.ModeStrict
		r.Method, r.Host, r.Path, r.Revision = "POST", "claims.example.com", "/api/export|a=b", "sha256:0a1b"
		return r
	}
	records := map[string]policy.Record{}
	r := asked(who)
	r.Type, r.Effect, r.Reasons, r.Factors = policy.RecordRequest, "allow", []string{"assigned"}, map[string]int64{"password": 40, "totp": 30}
	records["allow"] = r
	r = asked(who)
	r.Type, r.Effect, r.Reasons, r.QueryNames = policy.RecordRequest, "deny", []string{"no_assignment", "outside_hours"}, []string{"page"}
	records["deny"] = r
	r = asked(who)
	r.Type, r.Effect, r.Reasons = policy.RecordRequest, "challenge", []string{"code_stale"}
	records["challenge"] = r
	r = asked(who)
	r.Type, r.Status, r.BytesIn, r.BytesOut, r.FirstByte, r.Duration, r.Upstream = policy.RecordOutcome, 200, policy.Int64(0), policy.Int64(512), policy.Int64(8), policy.Int64(12), "http://10.0.0.5:8080"
	records["outcome"] = r
	r = who
	r.Type, r.Action, r.Result, r.Factors = policy.RecordLogin, "session.start", "ok", map[string]int64{"password": 0, "totp": 0}
	records["login"] = r
	records["login_failed"] = policy.Record{Type: policy.RecordLogin, Action: "password.failed", Result: "bad_credentials", SourceIP: "203.0.113.9"}
	records["admin"] = policy.Record{Type: policy.RecordAdmin, Action: "account.create", Result: "ok", Actor: "admin", SourceIP: "198.51.100.7", Object: "account:kim", Detail: map[string]string{"vendor": "northwind"}}
	records["policy"] = policy.Record{Type: policy.RecordPolicy, Action: "policy.loaded", Result: "ok", Revision: "sha256:0a1b"}
	records["log"] = policy.Record{Type: policy.RecordLog, Action: "log.query", Result: "ok", Actor: "operator", Detail: map[string]string{"filter": "effect=deny"}}
	l := newLog(t, t.TempDir())
	out := map[string]*accesslog.Entry{}
	for name, r := range records {
		r.Time = at
		index, err := l.Record(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		if out[name], err = l.Get(t.Context(), index); err != nil {
			t.Fatal(err)
		}
		out[name].Index, out[name].Time = 4711, at // the same in every run; the payload has its own
	}
	return out
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n%v", name, got, want, err)
	}
}

func pretty(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ocsfTable is what the published schema says of the classes and objects that are used.
type ocsfTable struct {
	Version string
	Classes map[string]ocsfType
	Objects map[string]ocsfType
}

type ocsfType struct {
	Any        []string `json:"at_least_one"`
	Attributes map[string]struct {
		Type                    string
		Array, Required, Object bool
		Enum                    []int
	}
}

// check names everything in v that the schema does not allow.
func (o *ocsfTable) check(path string, typ ocsfType, v map[string]any) (faults []string) {
	for key, value := range v {
		a, ok := typ.Attributes[key]
		if !ok {
			faults = append(faults, path+key+" is not an attribute")
			continue
		}
		list := []any{value}
		if l, ok := value.([]any); ok != a.Array {
			faults = append(faults, path+key+" is a list where none is meant, or the other way round")
			continue
		} else if ok {
			list = l
		}
		for _, x := range list {
			faults = append(faults, o.value(path+key, a.Type, a.Object, a.Enum, x)...)
		}
	}
	for key, a := range typ.Attributes {
		if _, ok := v[key]; a.Required && !ok {
			faults = append(faults, path+key+" is required")
		}
	}
	if len(typ.Any) > 0 && !slices.ContainsFunc(typ.Any, func(k string) bool { _, ok := v[k]; return ok }) {
		faults = append(faults, fmt.Sprintf("%s needs one of %v", path, typ.Any))
	}
	return faults
}

func (o *ocsfTable) value(path, typ string, isObject bool, enum []int, x any) []string {
	m, isMap := x.(map[string]any)
	n, isNumber := x.(float64)
	switch {
	case isObject != isMap && typ != "object" && typ != "json_t":
		return []string{path + " is not of type " + typ}
	case isMap:
		if t, ok := o.Objects[typ]; ok && typ != "object" {
			return o.check(path+".", t, m)
		}
		if typ != "object" {
			return []string{path + ": no table of " + typ}
		}
	case typ == "boolean_t":
		if _, ok := x.(bool); !ok {
			return []string{path + " is no boolean"}
		}
	case typ == "integer_t" || typ == "long_t" || typ == "timestamp_t":
		if !isNumber || n != math.Trunc(n) {
			return []string{path + " is no whole number"}
		}
		if enum != nil && !slices.Contains(enum, int(n)) {
			return []string{fmt.Sprintf("%s: %v is not in %v", path, n, enum)}
		}
	default:
		if _, ok := x.(string); !ok {
			return []string{path + " is no text"}
		}
	}
	return nil
}

func TestOCSF(t *testing.T) {
	var table ocsfTable
	readJSON(t, "ocsf-"+ocsfVersion+".json", &table)
	if table.Version != ocsfVersion {
		t.Fatalf("the table is of %s", table.Version)
	}
	for name, e := range samples(t) {
		b, err := AppendOCSF(nil, e, testOrigin, "1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".ocsf.json", pretty(t, b))
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		class := fmt.Sprint(v["class_uid"])
		for _, fault := range table.check("", table.Classes[class], v) {
			t.Errorf("%s: %s", name, fault)
		}
		if v["type_uid"] != v["class_uid"].(float64)*100+v["activity_id"].(float64) {
			t.Errorf("%s: type_uid %v", name, v["type_uid"])
		}
	}
	// The check can fail.
	bad := map[string]any{"class_uid": 4002.0, "activity_id": 77.0, "http_request": map[string]any{"verb": "GET"}}
	if f := table.check("", table.Classes["4002"], bad); len(f) < 5 {
		t.Errorf("the check found only %v", f)
	}
}

func TestECS(t *testing.T) {
	var table struct {
		Version         string
		Fields          map[string]string
		Categories      map[string][]string
		Kinds, Outcomes []string
	}
	readJSON(t, "ecs-"+ecsVersion+".json", &table)
	for name, e := range samples(t) {
		b, err := AppendECS(nil, e, testOrigin, "1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".ecs.json", pretty(t, b))
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		event := v["event"].(map[string]any)
		category := event["category"].([]any)[0].(string)
		for _, typ := range event["type"].([]any) {
			if !slices.Contains(table.Categories[category], typ.(string)) {
				t.Errorf("%s: type %v is not one of category %s", name, typ, category)
			}
		}
		if !slices.Contains(table.Kinds, event["kind"].(string)) || !slices.Contains(table.Outcomes, event["outcome"].(string)) {
			t.Errorf("%s: %v", name, event)
		}
		delete(v, "ringfence") // our own
		var walk func(path string, v any)
		walk = func(path string, v any) {
			if m, ok := v.(map[string]any); ok {
				for k, x := range m {
					walk(strings.TrimPrefix(path+"."+k, "."), x)
				}
				return
			}
			typ, ok := table.Fields[path]
			_, isList := v.([]any)
			_, isNumber := v.(float64)
			if !ok || isList != strings.HasSuffix(typ, "[]") || isNumber != strings.HasPrefix(typ, "long") {
				t.Errorf("%s: %s is %v, in the schema %q", name, path, v, typ)
			}
		}
		walk("", v)
	}
}

// parseCEF reads a line as a receiver does: 7 header fields, then keys whose
// values run to the next key.
func parseCEF(t *testing.T, line string) (header []string, ext map[string]string) {
	t.Helper()
	var field strings.Builder
	i := 0
	for ; i < len(line) && len(header) < 7; i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && (line[i+1] == '|' || line[i+1] == '\\'):
			i++
			field.WriteByte(line[i])
		case line[i] == '|':
			header = append(header, field.String())
			field.Reset()
		default:
			field.WriteByte(line[i])
		}
	}
	ext = map[string]string{}
	rest := line[i:]
	for rest != "" {
		key, after, ok := strings.Cut(rest, "=")
		if !ok || key == "" || strings.ContainsAny(key, ` \`) {
			t.Fatalf("no key at %q", rest)
		}
		end := len(after)
		for j := 0; j < len(after); j++ { // the next unescaped = ends the value before its key
			if after[j] == '\\' {
				j++
			} else if after[j] == '=' {
				end = strings.LastIndexByte(after[:j], ' ')
				break
			}
		}
		ext[key] = strings.NewReplacer(`\\`, `\`, `\=`, `=`, `\n`, "\n", `\r`, "\r").Replace(after[:end])
		rest = strings.TrimPrefix(after[end:], " ")
	}
	return header, ext
}

func TestCEF(t *testing.T) {
	list := samples(t)
	hostile := *list["deny"]
	hostile.UserAgent = "a=b|c\\ src=10.0.0.1\nact=allow \u202e\x00"
	hostile.Path = `/x act\=allow`
	list["hostile"] = &hostile
	for name, e := range list {
		b := AppendCEF(nil, e, testOrigin, `1|0\`)
		golden(t, name+".cef", append(bytes.Clone(b), '\n'))
		header, ext := parseCEF(t, string(b))
		if len(header) != 7 || header[0] != "CEF:0" || header[1] != "Ringfence" || header[3] != `1|0\` {
			t.Errorf("%s: header %q", name, header)
		}
		if ext["act"] != e.Effect || ext["src"] != e.SourceIP || ext["externalId"] != "4711" || ext["cs6"] != testOrigin || bytes.ContainsAny(b, "\n\r\x00") {
			t.Errorf("%s: %q", name, ext)
		}
	}
	_, ext := parseCEF(t, string(AppendCEF(nil, &hostile, testOrigin, "1")))
	if want := "a=b|c\\ src=10.0.0.1\nact=allow   "; ext["requestClientApplication"] != want {
		t.Errorf("user agent %q, want %q", ext["requestClientApplication"], want)
	}
}

// Without the key that was put before it, the payload is what the tree is over.
func TestRingfence_PayloadComesBack(t *testing.T) {
	s := &Shape{Format: Ringfence, Origin: testOrigin}
	for name, e := range samples(t) {
		b, err := s.line(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := append([]byte("{"), bytes.TrimPrefix(b, []byte(`{"origin":"`+testOrigin+`",`))...); !bytes.Equal(got, e.Payload) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
