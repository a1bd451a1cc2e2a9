package accesslog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// A shim is a disk that can be told to be slow, full or broken. It syncs
// nothing unless strict, because no test can cut the power.
type shim struct {
	osDisk
	strict bool

	mu      sync.Mutex
	full    bool         // no file can be made and none can grow
	onSync  func() error // before each sync of a segment
	free    [2]uint64    // what the disk says of its space: free, total
	syncs   int
	creates int
}

func newShim(cfg *Config) *shim {
	s := &shim{osDisk: osDisk{cfg.Dir}}
	cfg.disk = s
	return s
}

func (s *shim) setFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func (s *shim) setSync(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onSync = f
}

func (s *shim) setSpace(free, total uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = [2]uint64{free, total}
}

func (s *shim) space() (free, total uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free[0], s.free[1], nil
}

func (s *shim) room() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return syscall.ENOSPC
	}
	return nil
}

type shimFile struct {
	osFile
	s *shim
}

func (f shimFile) sync() error {
	f.s.mu.Lock()
	hook := f.s.onSync
	f.s.syncs++
	f.s.mu.Unlock()
	if hook != nil {
		if err := hook(); err != nil {
			return err
		}
	}
	if f.s.strict {
		return f.osFile.sync()
	}
	return nil
}

func (s *shim) create(name string, size int64) error {
	if err := s.room(); err != nil {
		return err
	}
	s.mu.Lock()
	s.creates++
	s.mu.Unlock()
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("making %s: %w", name, os.ErrExist)
	}
	return os.WriteFile(name, make([]byte, size), 0o600)
}

func (s *shim) open(name string) (file, error) {
	f, err := s.osDisk.open(name)
	if err != nil {
		return nil, err
	}
	return shimFile{f.(osFile), s}, nil
}

func (s *shim) rename(from, to string) error { return os.Rename(from, to) }

func (s *shim) write(name string, data []byte) error {
	if err := s.room(); err != nil {
		return err
	}
	if err := os.WriteFile(name+tmpEnding, data, 0o644); err != nil {
		return err
	}
	return os.Rename(name+tmpEnding, name)
}

func (s *shim) append(name string, data []byte) error {
	if err := s.room(); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func (s *shim) flush(string) error { return nil }

func (s *shim) settle() error { return nil }

func (s *shim) zero(name string, size int64) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	if st.Size() != size {
		return errors.New("another size")
	}
	return os.WriteFile(name, make([]byte, size), 0o600)
}

// An image is a log's folder at one instant: file contents by name.
type image map[string][]byte

func takeImage(t testing.TB, dir string) image {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := image{}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(dir, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[n.Name()] = b
	}
	return out
}

// put makes dir hold the image and nothing else.
func (im image) put(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if _, ok := im[n.Name()]; !ok {
			os.Remove(filepath.Join(dir, n.Name()))
		}
	}
	for name, b := range im {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (im image) clone() image {
	out := image{}
	for name, b := range im {
		out[name] = append([]byte(nil), b...)
	}
	return out
}

// newest returns the name of the segment being written.
func (im image) newest() string {
	last := ""
	for name := range im {
		if filepath.Ext(name) == rawEnding && name > last {
			last = name
		}
	}
	return last
}
