package rego

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReadFolder_Links reads what mounted volumes and releases put behind
// links: a policy that is left out in silence would deny nothing.
func TestReadFolder_Links(t *testing.T) {
	dir := t.TempDir()
	release := filepath.Join(dir, "release")
	write := func(name string) {
		t.Helper()
		full := filepath.Join(release, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte("package x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) string {
		t.Helper()
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, full); err != nil {
			t.Fatal(err)
		}
		return full
	}
	write("all/a.rego")
	write("clusters/claims/b.rego")
	write(".git/c.rego")
	mounted := filepath.Dir(link(filepath.Join(release, "all"), "mounted/all"))
	link(filepath.Join(release, "clusters"), "mounted/clusters")
	link(filepath.Join(release, "all"), "mounted/.hidden")
	for _, folder := range []string{release, link(release, "current"), mounted} {
		s, err := ReadFolder(folder)
		if err != nil || len(s) != 2 || s["all/a.rego"] == "" || s["clusters/claims/b.rego"] == "" {
			t.Errorf("ReadFolder(%s) = %v, %v; want both policies", folder, s, err)
		}
	}

	circle := filepath.Dir(link(filepath.Join(dir, "circle"), "circle/all"))
	dangling := filepath.Dir(link(filepath.Join(dir, "nowhere"), "dangling/all"))
	for _, bad := range []string{circle, dangling, filepath.Join(release, "all", "a.rego"), filepath.Join(dir, "nowhere")} {
		if s, err := ReadFolder(bad); err == nil {
			t.Errorf("ReadFolder(%s) = %v; want an error", bad, s)
		}
	}
}
