package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"
)

const example = "../../deploy/config.example.yaml"

func readExample(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The example promises that what it writes out is the default.
func TestExample_IsGoodAndShowsTheDefaults(t *testing.T) {
	c, err := Parse("/etc/ringfence/config.yaml", []byte(readExample(t)))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Parse("/etc/ringfence/config.yaml", []byte("gate: https://gate.example.com\n"))
	if err != nil {
		t.Fatal(err)
	}
	want.Organisation = c.Organisation
	if !reflect.DeepEqual(c, want) {
		t.Errorf("example %+v\ndefaults %+v", c, want)
	}
}

func TestExample_NamesEverySetting(t *testing.T) {
	text := readExample(t)
	names := settings("", reflect.TypeFor[Config]())
	if len(names) < 50 {
		t.Fatalf("found %d settings", len(names))
	}
	for _, path := range names {
		key := regexp.MustCompile(`(?m)^ *#? *(- )?` + regexp.QuoteMeta(path[strings.LastIndexByte(path, '.')+1:]) + `:`)
		if !key.MatchString(text) {
			t.Errorf("%s is not in the example", path)
		}
	}
}

// An operator takes the # away from a block and finds it good. The settings of
// another mode are told of, as they should be, and so is a setting that the
// block replaces.
func TestExample_EveryBlockThatIsOffIsGoodWhenItIsOn(t *testing.T) {
	lines := strings.Split(readExample(t), "\n")
	off := regexp.MustCompile(`^ *#([a-z_]+:|  )`)
	blocks := 0
	for i := 0; i < len(lines); {
		if !regexp.MustCompile(`^ *#[a-z_]+:`).MatchString(lines[i]) {
			i++
			continue
		}
		j := i + 1
		for j < len(lines) && off.MatchString(lines[j]) && regexp.MustCompile(`^ *#  `).MatchString(lines[j]) {
			j++
		}
		on := append([]string{}, lines...)
		for k := i; k < j; k++ {
			on[k] = strings.Replace(on[k], "#", "", 1)
		}
		blocks++
		_, err := Parse("f", []byte(strings.Join(on, "\n")))
		if err != nil {
			for _, f := range mustFaults(t, err) {
				told := strings.Contains(f.Message, "but tls.mode is") || strings.Contains(f.Message, "is given twice") || strings.Contains(f.Message, "keep one of file, env and command")
				if !told {
					t.Errorf("with line %d on: %s", i+1, f)
				}
			}
		}
		i = j
	}
	if blocks < 9 {
		t.Errorf("found %d blocks", blocks)
	}
}

// The other files that operators copy are at least what they say they are.
func TestDeploy_YAMLFilesAreYAML(t *testing.T) {
	files, err := filepath.Glob("../../deploy/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d files, error %v", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseBytes(b, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, doc := range f.Docs {
			var v map[string]any
			if err := yaml.NodeToValue(doc.Body, &v); err != nil || len(v) == 0 {
				t.Errorf("%s: a document holds nothing: %v", name, err)
			}
		}
	}
}

// A configuration inside a container file must be as good as one on disk.
func TestDeploy_KubernetesConfigurationIsGood(t *testing.T) {
	b, err := os.ReadFile("../../deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, doc := range f.Docs {
		var object struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		}
		if err := yaml.NodeToValue(doc.Body, &object); err != nil || object.Kind != "ConfigMap" {
			continue
		}
		found++
		if _, err := Parse("/etc/ringfence/config.yaml", []byte(object.Data["config.yaml"])); err != nil {
			t.Error(err)
		}
	}
	if found != 1 {
		t.Errorf("found %d configurations", found)
	}
}

func TestDeploy_SystemdUnitIsSound(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	b, err := os.ReadFile("../../deploy/ringfence.service")
	if err != nil {
		t.Fatal(err)
	}
	// The verifier wants the program to exist; any other program will do.
	program := filepath.Join(t.TempDir(), "ringfence")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "ringfence.service")
	text := strings.ReplaceAll(string(b), "/usr/local/bin/ringfence", program)
	if text == string(b) {
		t.Fatal("the unit starts no /usr/local/bin/ringfence")
	}
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	// Below 2.0 is what systemd itself calls OK; see systemd-analyze security.
	if out, err := exec.Command(analyze, "security", "--offline=yes", "--threshold=20", unit).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
