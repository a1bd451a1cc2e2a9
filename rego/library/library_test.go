package library

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// TestModules: every module's samples and words are what is demanded of them.
func TestModules(t *testing.T) {
	if len(All()) != len(order) || Named("nothing") != nil {
		t.Fatal("the library is not whole")
	}
	for _, m := range All() {
		if faults := m.Check(m.Sample()); len(faults) > 0 {
			t.Errorf("%s: sample: %v", m.Name, faults)
		}
		for _, f := range m.Check(m.Defaults()) {
			if f.Text != errEmpty.Error() {
				t.Errorf("%s: defaults: %v", m.Name, f)
			}
		}
		if m.Title == "" || !strings.HasSuffix(m.Summary, ".") || len(m.Page) < 2 || m.Version != 1 || Of(m.rego) != m || Of(m.test) != nil {
			t.Errorf("%s: title, summary, page or mark", m.Name)
		}
		for _, f := range m.Fields {
			raw, err := f.Parse(f.Lines(f.Sample))
			var have, want any
			_, _ = json.Unmarshal(raw, &have), json.Unmarshal(f.Sample, &want)
			if a, b := compact(have), compact(want); err != nil || a != b {
				t.Errorf("%s.%s: %s becomes %s, %v", m.Name, f.Name, b, a, err)
			}
		}
	}
}

func compact(v any) string { b, _ := json.Marshal(v); return string(b) }

// TestCheck_Faults: what is wrong with parameters is said with its place.
func TestCheck_Faults(t *testing.T) {
	for name, c := range map[string]struct{ module, old, new, want string }{
		"missing":         {"working_hours", `"from": "08:00",`, ``, `from: it is missing`},
		"unknown":         {"working_hours", `"from"`, `"form": 1, "from"`, `form: module working_hours has no such parameter`},
		"time":            {"working_hours", `"08:00"`, `"8:00"`, `from: "8:00" is no time of day such as 08:00`},
		"minute":          {"working_hours", `"18:00"`, `"24:01"`, `until: "24:01" is no time of day such as 08:00`},
		"null":            {"working_hours", `"08:00"`, `null`, `from: it is not a text`},
		"other type":      {"working_hours", `"08:00"`, `8`, `from: it is not a text`},
		"day":             {"working_hours", `"fri"`, `"friday"`, `days: "friday" is none of mon, tue, wed, thu, fri, sat, sun`},
		"twice":           {"working_hours", `"fri"`, `"mon"`, `days: "mon" is there twice`},
		"zone":            {"read_only_hours", `"UTC"`, `"Mars/Olympus"`, `time_zone: "Mars/Olympus" is no time zone such as Europe/Berlin`},
		"machine's zone":  {"read_only_hours", `"UTC"`, `"Local"`, `time_zone: "Local" is no time zone such as Europe/Berlin`},
		"zone demanded":   {"read_only_hours", `"UTC"`, `""`, `time_zone: it may not be empty`},
		"date":            {"working_hours", `"2026-01-06"`, `"6.1.2026"`, `closed: "6.1.2026" is no date such as 2026-12-25`},
		"vendor":          {"working_hours", `"northwind"`, `"North Wind"`, `vendors: "North Wind" is no name: small letters, digits and hyphens`},
		"period":          {"change_freeze", `"2026-01-05T08:00:00Z"`, `"5 January"`, `periods: "5 January" to "2026-01-05T18:00:00Z" is no period: give both as 2026-12-19T18:00:00Z`},
		"another case":    {"change_freeze", `"from"`, `"From"`, `periods: a period has from and until, and nothing else`},
		"turned around":   {"change_freeze", `"2026-01-05T08:00:00Z"`, `"2026-01-06T08:00:00Z"`, `periods: the period that begins at 2026-01-06T08:00:00Z ends before it begins`},
		"more in it":      {"change_freeze", `"from"`, `"why": "x", "from"`, `periods: a period has from and until, and nothing else`},
		"path":            {"step_up", `"/export"`, `"export"`, `paths: "export" is no plain path such as /api: it begins with a slash and has no escapes, dots or stars`},
		"path with stars": {"step_up", `"/export"`, `"/ex*"`, `paths: "/ex*" is no plain path such as /api: it begins with a slash and has no escapes, dots or stars`},
		"path with dots":  {"step_up", `"/export"`, `"/a/.."`, `paths: "/a/.." is no plain path such as /api: it begins with a slash and has no escapes, dots or stars`},
		"method":          {"step_up", `"POST"`, `"post"`, `methods: "post" is none of ` + strings.Join(HTTPMethods, ", ")},
		"too small":       {"step_up", `300`, `0`, `max_age: it must be between 30 and 86400`},
		"no whole number": {"step_up", `300`, `300.5`, `max_age: it is not a whole number`},
		"pattern":         {"stated_purpose", `"OPS-[0-9]+"`, `"OPS-["`, `ticket: "OPS-[" is no regular expression`},
		"open pattern":    {"stated_purpose", `"OPS-[0-9]+"`, `"a)|(?:b"`, `ticket: "a)|(?:b" is no regular expression`},
		"quoting pattern": {"stated_purpose", `"OPS-[0-9]+"`, `"\\Qabc"`, `ticket: "\\Qabc" is no regular expression`},
		"empty pattern":   {"stated_purpose", `"OPS-[0-9]+"`, `".*"`, `ticket: ".*" matches an empty text, so it demands nothing`},
		"choice":          {"stated_purpose", `"demand": "ticket"`, `"demand": "none"`, `demand: "none" is none of ticket, purpose, either`},
		"small group":     {"separation_of_duties", `"payroll"`, `"claims"`, `groups: "claims" is there twice`},
		"empty class":     {"response_mask", `["iban"]`, `[]`, `classes: payment has nothing`},
		"odd word":        {"response_mask", `"iban"`, `"iban "`, `classes: "iban " is no plain word`},
	} {
		m := Named(c.module)
		text := compactSample(m)
		if !strings.Contains(text, c.old) {
			t.Fatalf("%s: %s holds no %s", name, text, c.old)
		}
		faults := m.Check([]byte(strings.Replace(text, c.old, c.new, 1)))
		if len(faults) != 1 || faults[0].String() != c.want || faults[0].Line < 1 {
			t.Errorf("%s: got %v, want %s", name, faults, c.want)
		}
	}
	if faults := Named("step_up").Check([]byte(`[]`)); len(faults) != 1 || faults[0].Field != "" {
		t.Errorf("a list: %v", faults)
	}
}

func compactSample(m *Module) string {
	var b bytes.Buffer
	if err := json.Compact(&b, m.Sample()); err != nil {
		panic(err)
	}
	return strings.ReplaceAll(b.String(), `":`, `": `)
}

// TestFiles: a module moves to a cluster and takes another name as a whole.
func TestFiles(t *testing.T) {
	m := Named("working_hours")
	files, err := m.Files(Place{Cluster: "claims", Name: "night_shift"}, m.Sample())
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, name := range []string{"clusters/claims/night_shift.rego", "clusters/claims/night_shift_test.rego"} {
		text := files[name]
		if strings.Contains(strings.Replace(text, "# Library module working_hours, version 1.", "", 1), "working_hours") || strings.Contains(text, "ringfence.all") || !strings.Contains(text, "night_shift_") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	if Of(files["clusters/claims/night_shift.rego"]) != m {
		t.Error("the mark is lost")
	}
	for _, p := range []Place{{Name: "Night"}, {Name: "a b"}, {Name: "x-y"}, {Name: "../x"}, {Name: "_x"}} {
		if _, err := m.Files(p, m.Sample()); err == nil {
			t.Errorf("name %q is taken", p.Name)
		}
	}
	if _, err := m.Files(Place{}, []byte(`{}`)); err == nil {
		t.Error("parameters that are missing are taken")
	}
}

// TestParse_Periods: dates and times as people write them.
func TestParse_Periods(t *testing.T) {
	f := Named("change_freeze").Fields[0]
	raw, err := f.Parse([]string{"2026-12-19 2027-01-03", " ", "2026-12-19T18:00+01:00 2027-01-04T06:00:30+01:00"})
	want := `[{"from":"2026-12-19T00:00:00Z","until":"2027-01-04T00:00:00Z"},{"from":"2026-12-19T18:00:00+01:00","until":"2027-01-04T06:00:30+01:00"}]`
	if err != nil || string(raw) != want {
		t.Errorf("%s %v", raw, err)
	}
	for _, bad := range []string{"2026-12-19", "2026-12-19 18:00 2026-12-20 18:00", "tomorrow monday", "2026-12-20 2026-12-01"} {
		if _, err := f.Parse([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := f.Parse(nil); err != ErrEmpty {
		t.Errorf("nothing: %v", err)
	}
}
