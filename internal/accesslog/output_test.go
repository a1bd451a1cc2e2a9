package accesslog

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ringfence/ringfence/policy"
)

// hostile is what attackers put into paths, names and user agents.
var hostile = []string{
	"=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "%0A", "\uff1d1", "\u200b=1",
	"\x1b]0;owned\x07", "\x1b[2J", "\u009b31m", "a\rb", "a\nb", "\x00", "\u202egnp.exe", "\u2028", "\xff\xfe", "\"quoted\",", "\u2066x\u2069", "\ufeff=1",
}

func entryWith(t *testing.T, s string) *Entry {
	t.Helper()
	r := request(1)
	r.Path, r.UserAgent, r.Email, r.Object, r.Action, r.Host = s, s, s, s, s, s
	r.Reasons, r.QueryNames = []string{s, s}, []string{s}
	r.Detail = map[string]string{s: s}
	e, err := ParseEntry(payloadOf(r))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTerminalInjection_Output(t *testing.T) {
	for _, s := range hostile {
		e := entryWith(t, s)
		var buf bytes.Buffer
		if err := WriteJSON(&buf, e); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(buf.Bytes()) || strings.Count(buf.String(), "\n") != 1 {
			t.Errorf("%q: %s", s, buf.String())
		}
		for what, out := range map[string]string{"JSON": strings.TrimSuffix(buf.String(), "\n"), "line": Line(e)} {
			for _, r := range out {
				if !unicode.IsPrint(r) || hidden(r) {
					t.Errorf("%q: the %s holds %U", s, what, r)
				}
			}
		}
	}
}

// TestWriteJSON_Document: the bytes of a facts document are not the log's own.
func TestWriteJSON_Document(t *testing.T) {
	d, err := policy.NewDocument(policy.Facts{Zone: "a\u202eb\u009bc"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEntry(appendDocument(payloadOf(&policy.Record{Type: policy.RecordLog, Action: ActionFacts, Facts: d.Hash()}), d.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := WriteJSON(&buf, e); err != nil {
		t.Fatal(err)
	}
	var got struct{ Document policy.Facts }
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil || got.Document.Zone != "a\u202eb\u009bc" || strings.ContainsAny(buf.String(), "\u202e\u009b") {
		t.Errorf("%q: %v", buf.String(), err)
	}
}

func TestTerminalInjection_CSVIsNoFormula(t *testing.T) {
	var buf bytes.Buffer
	w := NewCSVWriter(&buf)
	for _, s := range hostile {
		if err := w.Write(entryWith(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&buf).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(hostile) || rows[0][0] != "index" || rows[1][0] != "7" {
		t.Fatalf("%d rows, the first %v", len(rows), rows[0])
	}
	for i, row := range rows[1:] {
		for j, c := range row {
			if t2 := strings.TrimLeft(c, " "); t2 != "" && strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20", []rune(t2)[0]) {
				t.Errorf("%q: cell %s is %q", hostile[i], rows[0][j], c)
			}
			for _, r := range c {
				if !unicode.IsPrint(r) {
					t.Errorf("%q: cell %s holds %U", hostile[i], rows[0][j], r)
				}
			}
		}
	}
}

// Spreadsheets of countries with a decimal comma cut lines at semicolons and
// take no notice of quotes in the middle of a cell.
func TestTerminalInjection_CSVIsNoFormulaBehindSemicolons(t *testing.T) {
	for _, s := range []string{"Mozilla/5.0 (X11;=1+1", "a; =1", "a;;@SUM(1)", `a;"=1+1"`, `;" -1`, "a;b;\uff1d1", "+1;+1"} {
		var buf bytes.Buffer
		w := NewCSVWriter(&buf)
		if err := w.Write(entryWith(t, s)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		for c := range strings.FieldsFuncSeq(buf.String(), func(r rune) bool { return r == ';' || r == '\n' }) {
			if c = strings.TrimLeft(c, ` "`); c != "" && strings.ContainsRune(formulas, []rune(c)[0]) {
				t.Errorf("%q: a cell is %q", s, c)
			}
		}
	}
	for _, s := range []string{"Mozilla/5.0 (X11; Linux x86_64; rv:128.0)", "a;b", ";"} {
		if got := cell(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

// TestCSV_HasEveryField: a field that is added to the record and forgotten
// here would be missing from exports.
func TestCSV_HasEveryField(t *testing.T) {
	var buf bytes.Buffer
	w := NewCSVWriter(&buf)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(strings.TrimSpace(buf.String()), ",")
	typ := reflect.TypeFor[policy.Record]()
	for i := range typ.NumField() {
		key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if key != "-" && !slices.Contains(names, key) {
			t.Errorf("no column for %s", key)
		}
	}
}
