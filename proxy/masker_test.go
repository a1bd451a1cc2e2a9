package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var maskNames = maskFor([]string{"iban", "birth_date", "Straße"})

// masked returns what comes through a masker, read in parts of every size.
func masked(t *testing.T, text string) (string, error) {
	t.Helper()
	whole, err := io.ReadAll(newMasker(strings.NewReader(text), maskNames))
	for _, r := range []io.Reader{iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		got, err2 := io.ReadAll(iotest.OneByteReader(newMasker(r, maskNames)))
		if (err == nil) != (err2 == nil) || err == nil && !bytes.Equal(got, whole) {
			t.Errorf("%q: read in parts: %q %v, whole: %q %v", text, got, err2, whole, err)
		}
	}
	return string(whole), err
}

func TestMasker(t *testing.T) {
	for in, want := range map[string]string{
		`{"iban":"DE02","name":"Kim"}`:                              `{"iban":null,"name":"Kim"}`,
		`{"iban" : {"a":[1,{"x":"}"}]} , "b":1}`:                    `{"iban" : null , "b":1}`,
		`{"IBAN":1,"Iban":true,"iBaN":[ ],"x":null}`:                `{"IBAN":null,"Iban":null,"iBaN":null,"x":null}`,
		`{"\u0069ban":"x","ib\u0061n":-1.5e3}`:                      `{"\u0069ban":null,"ib\u0061n":null}`,
		`{"iban":"a","iban":"b"}`:                                   `{"iban":null,"iban":null}`,
		`[{"a":{"birth_date":"2000-01-01"}},{"b":["x\"iban\":1"]}]`: `[{"a":{"birth_date":null}},{"b":["x\"iban\":1"]}]`,
		"{\"iban\":1}\n{\"iban\":2}\n":                              "{\"iban\":null}\n{\"iban\":null}\n",
		"\x1e{\"iban\":1}\n\x1e{\"iban\":2}\n":                      "\x1e{\"iban\":null}\n\x1e{\"iban\":null}\n",
		`{"iban":1}{"iban":2}`:                                      `{"iban":null}{"iban":null}`,
		"\ufeff{\"iban\":1}":                                        `{"iban":null}`,
		`{"STRASSE":1,"straße":2,"x":"ü\ud83d\ude00"}`:              `{"STRASSE":1,"straße":null,"x":"ü\ud83d\ude00"}`,
		`{"birth_date":{"iban":{"iban":1}},"x":{}}`:                 `{"birth_date":null,"x":{}}`,
		`12`: `12`, ` "iban" `: ` "iban" `, `[]`: `[]`, `{}`: `{}`, ``: ``, " \n": " \n",
		`{"iban":0}`: `{"iban":null}`, `[0,-0,1.5,1e9,1E-2,0.1]`: `[0,-0,1.5,1e9,1E-2,0.1]`,
		`{"x":"\ud83d","y":"\udc00z"}`: `{"x":"\ud83d","y":"\udc00z"}`,
		`{"\u212aey":1,"ıban":2}`:      `{"\u212aey":1,"ıban":null}`,
	} {
		got, err := masked(t, in)
		if err != nil || got != want {
			t.Errorf("%q: got %q %v, want %q", in, got, err, want)
		}
	}
}

// TestMasker_Refused: what another reader could read otherwise never passes.
func TestMasker_Refused(t *testing.T) {
	for _, in := range []string{
		`{'iban':1}`, `{iban:1}`, `{"a":1,}`, `[1,]`, `{"a" 1}`, `{"a":}`, `{,}`, `[,1]`, `{"a":1`, `[1`, `"a`, `{"a":"b}`, `}`, `]`, `{]`, `[}`,
		`{"a":1}]`, `/* */ {"iban":1}`, `{"a":/**/1}`, `// x` + "\n{}", `NaN`, `{"a":Infinity}`, `{"a":01}`, `{"a":.5}`, `{"a":5.}`, `{"a":1.e1}`, `{"a":+1}`, `{"a":--1}`, `{"a":0x10}`, `{"a":1e}`,
		`{"a":"` + "\n" + `"}`, `{"a":"\x41"}`, `{"a":"\u00g0"}`, `{"a":tru}`, `{"a":nulL}`, `callback({"iban":1})`, `)]}',` + "\n{}", `{"a":1}; x`,
		"{\"ib\x00an\":1}", `{"iban\u0000":1}`, `{"ib\ud800an":1}`, `{"ib\udc00an":1}`, `{"iban\ud800":1}`, `{"\ud800\u0069ban":1}`, `{"\ud800\"":1}`,
		"{\"ib\xffan\":1}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"\xff\xfe{\x00", "\xfe\xff\x00{", "\x00{\x00\"\x00i", "{\x00\"\x00i\x00b", "+AHsAIg-iban",
		`{"` + strings.Repeat("a", maxName+2) + `":1}`, strings.Repeat("[", maxNesting+1), `{"a":` + strings.Repeat("1", 5000) + `}`,
		"\x1f\x8b\x08\x00", "<html>", "data: {\"iban\":1}\n\n", "[\x1e1]", `{"a":1}:2`, `{"a":"b":1}`, `["a":1]`, `{"a":1 "iban":2}`, `{"a":1}{`,
	} {
		got, err := masked(t, in)
		if !errors.Is(err, errNotMaskable) {
			t.Errorf("%q: passes as %q %v", in, got, err)
		}
	}
}

// TestMasker_BoundedBuffer: it keeps as little of a gigabyte as of a line.
func TestMasker_BoundedBuffer(t *testing.T) {
	line := `{"iban":"` + strings.Repeat("x", 200<<10) + `","deep":[` + strings.Repeat(`{"iban":1},`, 20_000) + `0]}` + "\n"
	m := newMasker(io.LimitReader(&repeated{text: line}, 64*int64(len(line))), maskNames)
	n, err := io.Copy(io.Discard, m)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	if cap(m.out)+cap(m.in)+cap(m.nest)+cap(m.name)+cap(m.number)+cap(m.rune)+cap(m.escape) > 8*maskBuffer {
		t.Errorf("it holds out %d, in %d, nest %d, name %d", cap(m.out), cap(m.in), cap(m.nest), cap(m.name))
	}
}

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// FuzzMasker: whatever comes through is JSON in which no marked field has a
// value, and the same as the original otherwise.
func FuzzMasker(f *testing.F) {
	for _, s := range []string{`{"iban":"DE02","a":[1,{"IBAN":{"x":1}}]}`, `{"\u0069ban":1}`, "{\"iban\":1}\n[2]", `{"a":"\ud83d\ude00"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := io.ReadAll(newMasker(bytes.NewReader(in), maskNames))
		if err != nil {
			return
		}
		if !compare(json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(bytes.TrimPrefix(in, []byte(bom)), []byte("\x1e"), nil))), json.NewDecoder(bytes.NewReader(bytes.ReplaceAll(out, []byte("\x1e"), nil)))) {
			t.Errorf("%q came through as %q", in, out)
		}
	})
}

func compare(in, out *json.Decoder) bool {
	in.UseNumber() // 1E700 is a number, and no float64
	out.UseNumber()
	for {
		var a, b any
		err, err2 := in.Decode(&a), out.Decode(&b)
		if err != nil || err2 != nil {
			return errors.Is(err, io.EOF) && errors.Is(err2, io.EOF) || err != nil && strings.Contains(err.Error(), "exceeded max depth")
		}
		x, _ := json.Marshal(blank(a))
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			return false
		}
	}
}

func blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = blank(e)
			for _, n := range maskNames {
				if foldName(k) == n {
					v[k] = nil
				}
			}
		}
	case []any:
		for i, e := range v {
			v[i] = blank(e)
		}
	}
	return v
}

// BenchmarkMasker says what a megabyte costs.
func BenchmarkMasker(b *testing.B) {
	text := strings.Repeat(`{"id":1234,"name":"Kim Example","iban":"DE02120300000000202051","tags":["a","b"],"note":"some words about it"}`+"\n", 9000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, newMasker(strings.NewReader(text), maskNames)); err != nil {
			b.Fatal(err)
		}
	}
}
