package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What was made from a file is made again when the file changes, and stays what
// it was where it cannot be.
func TestFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var ended atomic.Int64
	var said lockedBuffer
	begin := func() (*fresh[string], error) {
		return newFresh("the test", named(file, ""), func() (string, error) { return secretFile(file) }, func(string) error { ended.Add(1); return errors.New("no") }, slog.New(slog.NewTextHandler(&said, nil)))
	}
	if _, err := begin(); err == nil {
		t.Error("it was made from nothing")
	}
	write("first")
	f, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	look := func() string {
		f.mu.Lock()
		f.looked = time.Time{}
		f.mu.Unlock()
		return f.get()
	}
	write("second-one")
	if got := f.get(); got != "first" {
		t.Errorf("it looks at each call: %s", got)
	}
	if got := look(); got != "second-one" {
		t.Errorf("after a change: %s", got)
	}
	write("")
	if got := look(); got != "second-one" {
		t.Errorf("half written: %s", got)
	}
	write("third")
	if got := look(); got != "third" {
		t.Errorf("once it is whole: %s", got)
	}
	eventually(t, 5*time.Second, "those before were let go", func() bool { return ended.Load() == 2 })
	for _, s := range []string{"first", "second-one", "third"} {
		if strings.Contains(said.String(), s) {
			t.Errorf("the operational log holds the secret %s", s)
		}
	}
}
