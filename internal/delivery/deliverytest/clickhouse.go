package deliverytest

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed engine
var engine embed.FS

// lacking skips the test, or fails it where everything must be there.
func lacking(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// installed returns a folder with ClickHouse's engine. It is large, so it is
// installed once for all runs.
func installed(t testing.TB) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		lacking(t, "npm is not installed: apt-get install npm")
	}
	lock, err := engine.ReadFile("engine/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(lock)
	final := filepath.Join(cache, "ringfence-test", "clickhouse-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(filepath.Join(final, "node_modules")); err == nil {
		return final
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(final), "new-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := engine.ReadFile("engine/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command(npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		lacking(t, "ClickHouse's engine cannot be installed (npm install in engine): %v\n%s", err, out)
	}
	if err := os.Rename(dir, final); err != nil {
		t.Fatal(err)
	}
	return final
}

// ClickHouse starts ClickHouse's engine behind its HTTP interface, which ends with
// the test, and returns its URL. It has the databases default and logs.
func ClickHouse(t testing.TB) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		lacking(t, "node is not installed: apt-get install nodejs")
	}
	dir := installed(t)
	script, err := engine.ReadFile("engine/server.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "server.mjs"), script, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join(dir, "server.mjs"), t.TempDir(), User, Password)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}
