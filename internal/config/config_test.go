package config

import (
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what was found into the golden files")

// Each file in testdata is one story: a comment, the operator's file, and
// every fault that must be told, in order. No faults means that it is good.
func TestParse_Golden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d cases, error %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Files) != 2 || a.Files[0].Name != "ringfence.yaml" || a.Files[1].Name != "faults" || len(a.Comment) == 0 {
				t.Fatal("a case is a comment, ringfence.yaml and faults")
			}
			c, err := Parse("ringfence.yaml", a.Files[0].Data)
			if (c == nil) != (err != nil) {
				t.Errorf("configuration %v with error %v", c, err)
			}
			got := ""
			if err != nil {
				got = err.Error() + "\n"
			}
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := string(a.Files[1].Data); got != want {
				t.Errorf("faults:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestParse_AlmostEmptyFileHasSafeDefaults(t *testing.T) {
	c, err := Parse("/etc/ringfence/ringfence.yaml", []byte("gate: https://Gate.Example.com:443/\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Gate = "https://gate.example.com"
	want.Organisation.Name = "gate.example.com"
	want.TLS.ACME.HTTPPort, want.TLS.ACME.TLSPort = 80, 443
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c.Operations != "127.0.0.1:9443" || len(c.TrustedProxies) != 0 || len(c.Upstreams.AllowNetworks) != 0 {
		t.Error("a default opens something")
	}
}

func TestParse_ReadsEveryKindOfValue(t *testing.T) {
	c, err := Parse("/etc/ringfence/ringfence.yaml", []byte(`
gate: https://gate.example.com:8443
organisation: {name: Example Insurance, help: {name: Data desk, email: desk@example.com}}
listen: "10.0.0.5:8443"
http_listen: ""
data: data
policies: policy
tls:
  mode: files
  files:
    - {certificate: a.pem, key: /k/a.key}
trusted_proxies: [10.0.0.7, 2001:db8::/32]
zones:
  - {name: office, networks: [192.0.2.0/24]}
sessions: {idle: 15m, absolute: 8h}
codes: {skew: 0}
limits: {connections: 100, header_bytes: 16 KiB}
access_log: {node: gw-2, segment_size: 1GiB, commit_deadline: 500ms, query_values: [page], max_gap: 1h, witnesses: [{name: audit, url: "https://w.example.org", key: w.example.org+1a2b3c4d+AAAA, ca_file: w.pem}]}
log: {format: json, level: debug}
root_key: {command: [/usr/bin/vault-get, ringfence]}
old_root_keys: [{file: old.key}, {env: OLD_KEY}]
keys: {max_age: 720h}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		name      string
		got, want any
	}{
		{"gate", c.Gate, "https://gate.example.com:8443"},
		{"gate host", c.GateHost(), "gate.example.com"},
		{"help", c.Organisation.Help, Help{"Data desk", "desk@example.com"}},
		{"http_listen", c.HTTPListen, ""},
		{"data", c.Data, "/etc/ringfence/data"},
		{"database", c.Database(), "/etc/ringfence/data/ringfence.db"},
		{"policies", c.Policies, "/etc/ringfence/policy"},
		{"files", c.TLS.Files, []KeyPair{{"/etc/ringfence/a.pem", "/k/a.key"}}},
		{"trusted_proxies", c.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("2001:db8::/32")}},
		{"zones", c.Zones, []Zone{{"office", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}},
		{"sessions", c.Sessions, Sessions{15 * time.Minute, 8 * time.Hour}},
		{"skew", c.Codes.Skew, 0},
		{"header_bytes", c.Limits.HeaderBytes, 16 * KiB},
		{"connections_per_address", c.Limits.ConnectionsPerAddress, 100},
		{"access_log", c.AccessLog, AccessLog{Node: "gw-2", SegmentSize: GiB, CommitDeadline: 500 * time.Millisecond, QueryValues: []string{"page"},
			Witnesses: []Witness{{"audit", "https://w.example.org", "w.example.org+1a2b3c4d+AAAA", "/etc/ringfence/w.pem"}}, Require: 1, MaxGap: time.Hour, Deliver: []Delivery{}, Retention: Retention{Days: 396, Rules: []RetentionRule{}}}},
		{"log", c.Log, Log{"json", "debug"}},
		{"root_key", c.RootKey, RootKey{Command: []string{"/usr/bin/vault-get", "ringfence"}}},
		{"old_root_keys", c.OldRootKeys, []RootKey{{File: "/etc/ringfence/old.key"}, {Env: "OLD_KEY"}}},
		{"keys", c.Keys, Keys{720 * time.Hour}},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s is %v, want %v", check.name, check.got, check.want)
		}
	}
}

func TestParse_LocalAuthorityIsLimitedToTheGatesDomain(t *testing.T) {
	for gate, want := range map[string]string{
		"gate.example.com": "example.com", "gate.localhost": "localhost", "gateway": "gateway",
	} {
		c, err := Parse("f", []byte("gate: https://"+gate+"\ntls: {mode: local}\n"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.TLS.Local.Domains, []string{want}) {
			t.Errorf("gate %s: domains %v, want %s", gate, c.TLS.Local.Domains, want)
		}
	}
}

func TestLoad_MissingFileSaysWhich(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("error %v", err)
	}
}

func TestLoad_FaultsAreErrorsWithFileAndLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.yaml")
	if err := os.WriteFile(path, []byte("gate: https://g.example.com\n\nlog: {level: loud}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	faults, ok := errors.AsType[Errors](err)
	if !ok || len(faults) != 1 {
		t.Fatalf("error %v", err)
	}
	if f := faults[0]; f.File != path || f.Line != 3 || f.Field != "log.level" || f.Message == "" {
		t.Errorf("fault %+v", f)
	}
}

// Somebody pastes the key itself where the name of its variable belongs: it
// must not travel on into a terminal or a log.
func TestSecretsInLogs_PastedRootKeyIsNotRepeated(t *testing.T) {
	const canary = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="
	_, err := Parse("f", []byte("gate: https://g.example.com\nroot_key: {env: "+canary+"}\n"))
	if err == nil || strings.Contains(err.Error(), canary[:8]) {
		t.Errorf("error %v", err)
	}
}

func TestTerminalInjection_FaultsArePrintable(t *testing.T) {
	for _, file := range []string{
		"gate: \"https://g.example.com\\e[2J\"\n",
		"gate: https://g.example.com\n\"\\e[31mx\": 1\n",
		"gate: https://g.example.com\nlog: {level: \"\\a\\u202e\"}\n",
		"gate: https://g.example.com\ntls: {acme: {directory: \"\\e]0;x\\a\"}}\n",
		"\x1b[2J: [\n",
		"gate: \"\x1b[2J\n",
	} {
		_, err := Parse("f", []byte(file))
		if err == nil {
			t.Errorf("%q was accepted", file)
			continue
		}
		printableOnly(t, err)
	}
}

func printableOnly(t *testing.T, err error) {
	t.Helper()
	for _, f := range mustFaults(t, err) {
		for _, r := range f.String() {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' {
				t.Errorf("fault %q holds %U", f.String(), r)
			}
		}
	}
}

func mustFaults(t *testing.T, err error) Errors {
	t.Helper()
	faults, ok := errors.AsType[Errors](err)
	if !ok || len(faults) == 0 {
		t.Fatalf("error %v is not Errors", err)
	}
	return faults
}

func TestBombs_HostileYAMLEndsSoon(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("gate: https://g.example.com\na: &a [x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		laughs.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 9) + "]\n")
	}
	for name, file := range map[string]string{
		"brackets":      strings.Repeat("[", 1<<19),
		"braces":        strings.Repeat("{", 1<<19),
		"lines":         strings.Repeat("[\n", 1<<18),
		"dashes":        strings.Repeat("- ", 1<<18),
		"questions":     strings.Repeat("? ", 1<<18),
		"colons":        strings.Repeat("a: ", 1<<18),
		"laughs":        laughs.String(),
		"larger":        strings.Repeat("#", 1<<20+1),
		"not UTF-8":     "gate: \xff\xfe\n",
		"nul":           "gate: https://g\x00.example.com\n",
		"second":        "gate: https://g.example.com\n---\ngate: https://h.example.com\n",
		"only comments": "# nothing\n",
		"empty":         "",
		"scalar":        "hello",
		"list":          "- gate\n",
		"merge":         "gate: https://g.example.com\n<<: {listen: ':1'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("f", []byte(file))
			if c != nil || err == nil {
				t.Fatalf("configuration %v", c)
			}
			mustFaults(t, err)
		})
	}
}

// The structs are the reference: every setting has a comment, and it says what
// holds when the setting is left out.
func TestConfig_EverySettingIsDocumented(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		s, ok := node.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range s.Fields.List {
			n++
			if field.Tag == nil || !strings.HasPrefix(field.Tag.Value, "`yaml:") {
				t.Errorf("%s has no key", field.Names[0])
			}
			if field.Doc == nil || !strings.HasPrefix(field.Doc.Text(), field.Names[0].Name+" ") {
				t.Errorf("%s has no comment that begins with its name", field.Names[0])
			}
		}
		return true
	})
	if n < 40 {
		t.Errorf("found %d settings", n)
	}
}

func TestSize_WritesWhatItReads(t *testing.T) {
	for text, want := range map[string]Size{"0B": 0, "1B": 1, "1KiB": KiB, "1536B": 1536, "64MiB": 64 * MiB, "3GiB": 3 * GiB} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	if s := Size(1536).String(); s != "1536B" {
		t.Error(s)
	}
	if s := (64 * MiB).String(); s != "64MiB" {
		t.Error(s)
	}
	for _, text := range []string{"", "64", "64MB", "64mb", "-1B", "1.5MiB", "9999999999GiB", "MiB", "0x10B", "+1B"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

// settings returns the keys of every setting by their paths.
func settings(prefix string, t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		path := join(prefix, f.Tag.Get("yaml"))
		out = append(out, path)
		switch ft := f.Type; {
		case ft.Kind() == reflect.Struct:
			out = append(out, settings(path, ft)...)
		case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct && ft.Elem() != reflect.TypeFor[netip.Prefix]():
			out = append(out, settings(path+"[0]", ft.Elem())...)
		}
	}
	return out
}
