package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/config"
)

// keyRows returns what 'keys list' says, by purpose.
func keyRows(t *testing.T, data string) map[string][]keyLine {
	t.Helper()
	rows := map[string][]keyLine{}
	for line := range strings.Lines(ringfence(t, "keys", "list", "--json", "--data", data)) {
		var k keyLine
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		rows[k.Purpose] = append(rows[k.Purpose], k)
	}
	return rows
}

// TestKeys_RotatedOnline rotates every key of a running gateway: nobody is
// signed out, people sign in before, during and after the change of the root key, and
// the old root key alone opens nothing afterwards.
func TestKeys_RotatedOnline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	p := startDemo(t, "--data", dir)
	kim := p.signIn(t, "kim@northwind.example", 0)
	target := p.cluster(t, "claims") + "/"
	works := func(when string) {
		t.Helper()
		if pg := kim.get(target); pg.status != 200 {
			t.Errorf("%s: %d", when, pg.status)
		}
	}
	works("before")
	for _, purpose := range []string{"session", "assertion", "device"} {
		ringfence(t, "keys", "rotate", purpose, "--data", dir)
		if k := keyRows(t, dir)[purpose]; len(k) != 2 || k[0].State != "honoured" || k[1].State != "signs" || !k[1].Until.After(time.Now()) {
			t.Errorf("%s keys are %+v", purpose, k)
		}
	}
	works("after new signing keys")
	newest := keyRows(t, dir)["assertion"][1].ID
	eventually(t, time.Second, "the new public key", func() bool {
		jwks := kim.get(p.ready.Gate + "/.well-known/jwks.json").body
		return strings.Contains(jwks, newest) && strings.Count(jwks, `"kid"`) == 2
	})

	before := keyRows(t, dir)["root"]
	if len(before) != 1 || before[0].State != "seals" || before[0].Secrets == nil || *before[0].Secrets < 10 {
		t.Fatalf("root keys are %+v", before)
	}
	next := filepath.Join(dir, "keys", "root-2.key")
	if err := os.WriteFile(next, []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 32)))), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, demoConfig)
	old, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	with := fmt.Sprintf("%s\nroot_key:\n  file: %s\n", old, next)
	if err := os.WriteFile(conf, []byte(with+"old_root_keys:\n  - file: "+filepath.Join(dir, "keys", "root.key")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ringfence(t, "keys", "rotate", "root", "--data", dir) // waits until the gateway has taken it over
	works("after the new root key")
	p.signIn(t, "lee@northwind.example", 0)
	rows := keyRows(t, dir)["root"]
	if len(rows) != 2 || rows[0].ID != before[0].ID || rows[0].State != "unused" || *rows[0].Secrets != 0 || rows[1].State != "seals" || *rows[1].Secrets < *before[0].Secrets {
		t.Errorf("root keys are %+v", rows)
	}
	if got := p.entries(t, "--action", "key.reseal"); len(got) != 2 || got[0]["actor"] != "operator" {
		t.Errorf("re-sealing left the entries %v", got)
	}
	if got := p.entries(t, "--action", "key.rotate"); len(got) != 3 {
		t.Errorf("rotations left the entries %v", got)
	}

	// The old key can go, and is worth nothing by itself.
	if err := os.WriteFile(conf, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signIn(t, "sam@meridian.example", 0)
	works("without the old root key")
	if err := os.WriteFile(conf, old, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := program("keys", "list", "--data", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "sealed under the root key") || !strings.Contains(string(out), "old_root_keys") {
		t.Errorf("the old key alone: %v\n%s", err, out)
	}
	works("while the gateway refuses the old configuration")
}

// TestKeys_RevokedOnline: a session key that is known to somebody else is taken
// away, and within a second every session has ended, open streams among them.
func TestKeys_RevokedOnline(t *testing.T) {
	slow(t)
	dir := filepath.Join(t.TempDir(), "demo")
	p := startDemo(t, "--data", dir)
	kim := p.signIn(t, "kim@northwind.example", 0)
	target := p.cluster(t, "claims") + "/"
	if pg := kim.get(target); pg.status != 200 {
		t.Fatalf("before: %d", pg.status)
	}
	kim.accept = "application/json"
	ringfence(t, "keys", "rotate", "--revoke", keyRows(t, dir)["session"][0].ID, "--data", dir)
	eventually(t, time.Second, "the end of the session", func() bool { return kim.get(target).status == 401 })
	if got := p.entries(t, "--action", "key.revoke"); len(got) != 1 {
		t.Errorf("it left the entries %v", got)
	}
	p.signIn(t, "lee@northwind.example", 0)
	out, err := program("keys", "rotate", "--revoke", "none", "--data", dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no signing key has the id none") {
		t.Errorf("an unknown id: %v\n%s", err, out)
	}
}

// TestKeys_GatewayWithoutTheRootKey: re-sealing is refused while the running
// gateway could not open what it makes.
func TestKeys_GatewayWithoutTheRootKey(t *testing.T) {
	slow(t)
	dir := filepath.Join(t.TempDir(), "demo")
	startDemo(t, "--data", dir)
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("e", 32)))
	b, err := os.ReadFile(filepath.Join(dir, demoConfig))
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.yaml") // which the gateway does not read
	if err := os.WriteFile(other, fmt.Appendf(b, "\nroot_key:\n  env: TEST_ROOT_KEY\nold_root_keys:\n  - file: %s\n", filepath.Join(dir, "keys", "root.key")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := program("keys", "rotate", "root", "--config", other)
	cmd.Env = append(cmd.Env, "TEST_ROOT_KEY="+key)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "still encrypts under the root key") || strings.Contains(string(out), key) {
		t.Errorf("%v\n%s", err, out)
	}
	if rows := keyRows(t, dir)["root"]; rows[0].State != "seals" || len(rows) > 1 && *rows[1].Secrets != 0 {
		t.Errorf("root keys are %+v", rows)
	}
}

// TestRootKey_Sources reads a key from each source, and tells every way in
// which a source can fail, without a word of what was read.
func TestRootKey_Sources(t *testing.T) {
	dir := t.TempDir()
	raw := strings.Repeat("k", 32)
	good := base64.StdEncoding.EncodeToString([]byte(raw))
	canary := "canary-" + good[:12]
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("TEST_GOOD", good)
	t.Setenv("TEST_LINES", "\n "+good+"\r\n")
	t.Setenv("TEST_SHORT", base64.StdEncoding.EncodeToString([]byte(raw[:31])))
	t.Setenv("TEST_EMPTY", "")
	shell := func(script string) config.RootKey { return config.RootKey{Command: []string{"/bin/sh", "-c", script}} }
	for name, c := range map[string]struct {
		source config.RootKey
		want   string // of the error; empty: it is read
	}{
		"a file":                     {config.RootKey{File: file("good", good, 0o600)}, ""},
		"a file with a line end":     {config.RootKey{File: file("line", good+"\n", 0o600)}, ""},
		"an environment variable":    {config.RootKey{Env: "TEST_GOOD"}, ""},
		"a variable with line ends":  {config.RootKey{Env: "TEST_LINES"}, ""},
		"a command":                  {shell("printf %s " + good), ""},
		"a command with a line end":  {shell("echo " + good), ""},
		"a file that is not there":   {config.RootKey{File: filepath.Join(dir, "none")}, "no such file"},
		"a folder":                   {config.RootKey{File: dir}, "no file with a key"},
		"a large file":               {config.RootKey{File: file("large", strings.Repeat(canary, 1000), 0o600)}, "no file with a key"},
		"a file of other things":     {config.RootKey{File: file("bad", canary, 0o600)}, "32 bytes in base64"},
		"a variable that is not set": {config.RootKey{Env: "TEST_NONE"}, "no TEST_NONE"},
		"an empty variable":          {config.RootKey{Env: "TEST_EMPTY"}, "32 bytes in base64"},
		"a key too short":            {config.RootKey{Env: "TEST_SHORT"}, "32 bytes in base64"},
		"a command that fails":       {shell("echo " + canary + "; exit 1"), "exit status 1"},
		"a command that is missing":  {config.RootKey{Command: []string{filepath.Join(dir, "none")}}, "no such file"},
		"a command with rubbish":     {shell("echo " + canary), "32 bytes in base64"},
		"a command without end":      {shell("while :; do echo " + canary + "; done"), "more than a key"},
		"a command without a word":   {shell("true"), "32 bytes in base64"},
	} {
		key, err := readRootKey(t.Context(), c.source)
		switch {
		case c.want == "" && (err != nil || string(key) != raw):
			t.Errorf("%s: read %q, %v", name, key, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary)):
			t.Errorf("%s: %v", name, err)
		}
	}

	// One that hangs, with a child that holds its output, is ended in time.
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := readRootKey(ctx, shell("sleep 60 & sleep 60")); err == nil || !strings.Contains(err.Error(), "did not print the key") {
		t.Errorf("a command that hangs: %v", err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("a command that hangs was waited for %v", d)
	}

	shared := file("shared", good, 0o640)
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o660: true, 0o644: true, 0o602: true} {
		if err := os.Chmod(shared, mode); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		warnOfKeys(&config.Config{RootKey: config.RootKey{File: shared}}, slog.New(slog.NewTextHandler(&said, nil)))
		if strings.Contains(said.String(), "others on this machine can use the root key") != warned || strings.Contains(said.String(), good) {
			t.Errorf("mode %o: %s", mode, said.String())
		}
	}
}
