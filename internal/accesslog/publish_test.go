package accesslog

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fsck builds the checker of another project, which shares no code with ours.
var fsck = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fsck")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "fsck")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Dir = filepath.Join("testdata", "fsck")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return bin, nil
})

// runFsck has the published log at a URL checked and returns what was said.
func runFsck(t *testing.T, url, vkey string) (string, error) {
	t.Helper()
	bin, err := fsck()
	if err != nil {
		if os.Getenv("RINGFENCE_TEST_REQUIRE") == "all" {
			t.Fatal(err)
		}
		t.Skipf("building the checker in testdata/fsck, which needs its modules: %v", err)
	}
	key := filepath.Join(t.TempDir(), "log.pub")
	if err := os.WriteFile(key, []byte(vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), bin, url, key).CombinedOutput()
	return string(out), err
}

// TestPublication_Fsck: Tessera's checker accepts the log, over HTTP and as a
// folder, with raw and sealed segments and with more than one level of tiles;
// and it does not accept one that was altered.
func TestPublication_Fsck(t *testing.T) {
	x, _ := logOf(t, 700)
	p, err := Publish(x.cfg.Dir, x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	defer server.Close()
	whole := func(url string) {
		t.Helper()
		if out, err := runFsck(t, url, x.vkey); err != nil || !strings.Contains(out, "the log is whole") {
			t.Errorf("%v\n%s", err, out)
		}
	}
	whole(server.URL + "/")
	folder := filepath.Join(t.TempDir(), "published")
	if err := p.WriteTo(t.Context(), folder, nil); err != nil {
		t.Fatal(err)
	}
	whole("file://" + folder)
	x.run()
	for i := range 300 {
		x.record(denied(i))
	}
	x.close()
	if err := p.WriteTo(t.Context(), folder, nil); err != nil {
		t.Fatal(err)
	}
	whole("file://" + folder)
	whole(server.URL + "/")

	for _, name := range []string{"tile/entries/001", "tile/0/002", "tile/1/000.p/*", "checkpoint"} {
		found, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s is not published: %v", name, err)
		}
		file := found[len(found)-1]
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(b)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		// The newest partial tile is the one that is asked for.
		if out, err := runFsck(t, "file://"+folder, x.vkey); err == nil {
			t.Errorf("%s altered, and accepted: %s", name, out)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPublication_WriteTo refuses a folder that holds what this log does not continue.
func TestPublication_WriteTo(t *testing.T) {
	x, im := smallLog(t)
	p, err := Publish(x.cfg.Dir, x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	x.run()
	x.record(denied(1))
	x.close()
	folder := t.TempDir()
	if err := p.WriteTo(t.Context(), folder, nil); err != nil {
		t.Fatal(err)
	}
	im.put(t, x.cfg.Dir) // rolled back
	if err := p.WriteTo(t.Context(), folder, nil); !isTampered(err) {
		t.Errorf("a log rolled back: %v", err)
	}
	x.run()
	x.record(denied(2))
	x.record(denied(3))
	x.close()
	if err := p.WriteTo(t.Context(), folder, nil); !isTampered(err) {
		t.Errorf("a log forked: %v", err)
	}
}

// TestPublication_Paths: one spelling for each tile, nothing that the
// checkpoint does not cover, nothing outside the log.
func TestPublication_Paths(t *testing.T) {
	x, _ := smallLog(t)
	p, err := Publish(x.cfg.Dir, x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	msg, _ := p.Checkpoint()
	v := testVerifier(t, x.vkey)
	at, err := parseCheckpoint(msg, v)
	if err != nil {
		t.Fatal(err)
	}
	if at.size < 512 || at.size > 1<<16 {
		t.Fatalf("the log has %d entries", at.size)
	}
	for path, want := range map[string]int{
		"/checkpoint": 200, "/tile/0/000": 200, "/tile/0/001": 200, "/tile/0/001.p/7": 200, "/tile/1/000.p/2": 200, "/tile/entries/000": 200, "/tile/entries/001.p/1": 200,
		"/": 404, "/tile/0/255": 404, "/tile/0/0": 404, "/tile/0/x000/000": 404, "/tile/00/000": 404, "/tile/8/000.p/1": 404, "/tile/64/000": 404, "/tile/-1/000": 404,
		"/tile/1/000": 404, "/tile/1/000.p/0": 404, "/tile/0/000.p/256": 404, "/tile/0/000.p/07": 404, "/tile/data/000": 404, "/tile/entries/999": 404,
		"/tile/0/x999/x999/x999/x999/x999/999": 404, "/tile/0/x072/x057/x594/x037/x927/936": 404, "/tile/entries/../../log.pub": 404, "/log.pub": 404, "/hashes-0": 404,
	} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, &http.Request{Method: "GET", URL: &url.URL{Path: path}})
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, &http.Request{Method: "POST", URL: &url.URL{Path: "/checkpoint"}})
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	if _, err := p.Read(t.Context(), "tile/0/255"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	gone, err := Publish(t.TempDir(), x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Read(context.Background(), "tile/0/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
}

// TestPublication_Rotated: what is shown goes on when another key takes over,
// where the keys are those beside the log, and a checkpoint of none is not shown.
func TestPublication_Rotated(t *testing.T) {
	x := newTestLog(t, nil).run()
	x.record(denied(0))
	p, err := Publish(x.cfg.Dir, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := Publish(x.cfg.Dir, x.vkey, nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := func(p *Publication) error {
		_, err := p.Checkpoint()
		if err == nil {
			_, err = p.Read(t.Context(), "tile/0/000.p/1")
		}
		return err
	}
	x.close()
	if err := errors.Join(shown(p), shown(fixed)); err != nil {
		t.Errorf("under the first key: %v", err)
	}
	skey, _, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	x.run()
	if err := x.Rotate(t.Context(), skey, "operator"); err != nil {
		t.Fatal(err)
	}
	if err := x.Retire(t.Context(), "operator"); err != nil {
		t.Fatal(err)
	}
	x.record(denied(1))
	x.close()
	if err := shown(p); err != nil {
		t.Errorf("under the second: %v", err)
	}
	if shown(fixed) == nil {
		t.Error("the first key alone vouches for what the second signed")
	}
	if err := os.WriteFile(filepath.Join(x.cfg.Dir, keyName), []byte(x.vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	if shown(p) == nil {
		t.Error("shown under a key that does not lie there")
	}
}
