package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// The environment that makes the test binary a builder to be killed.
const (
	killLog = "INDEX_KILL_LOG"
	killDir = "INDEX_KILL_DIR"
)

// rebuildUntilKilled makes the index again and again.
func rebuildUntilKilled(log, dir string) error {
	for {
		if err := Rebuild(context.Background(), log, dir, func(done, of uint64) {
			if done == of {
				fmt.Println("built")
			}
		}); err != nil {
			return err
		}
	}
}

// whole checks that every file that is there is a whole one, and that searches
// find each entry once.
func whole(t *testing.T, log, dir string, want int) {
	t.Helper()
	base, err := accesslog.FirstHeld(log)
	if err != nil {
		t.Fatal(err)
	}
	parts, _, err := list(dir, base)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		f, err := openFile(t.Context(), log, dir, p)
		if err != nil {
			t.Errorf("a file that is not whole has its name: %v", err)
			continue
		}
		f.release()
	}
	if n := count(t, openIndex(t, log, dir), nil); n != want {
		t.Errorf("%d entries, want %d", n, want)
	}
}

// smallLog is the end of the test log, and how many entries it has.
func smallLog(t *testing.T) (log string, entries int) {
	t.Helper()
	all, err := testLog()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := accesslog.Sealed(all, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, first := prunedLog(t, len(sealed)-3)
	if err := accesslog.Scan(t.Context(), log, first, ^uint64(0), func(*accesslog.Entry) error { entries++; return nil }); err != nil {
		t.Fatal(err)
	}
	return log, entries
}

// TestUpdate_Killed kills a builder in the middle of its work: what is left
// answers as before, and the next builder is not held up by it.
func TestUpdate_Killed(t *testing.T) {
	if testing.Short() {
		t.Skip("kills one process after the other")
	}
	log, want := smallLog(t)
	dir := filepath.Join(t.TempDir(), "index")
	if err := Update(t.Context(), log, dir, nil); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), killLog+"="+log, killDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it builds
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(round*13)*time.Millisecond, func() { cmd.Process.Kill() })
		if cmd.Wait() == nil {
			t.Fatal("the builder ended by itself")
		}
		kill.Stop()
		whole(t, log, dir, want)
	}
	if err := Update(t.Context(), log, dir, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("%v were left, %v", left, err)
	}
}

// brokenDisk fails at one step and at all after it, as if the machine ended
// there. What was written and not synced is then lost, and what was removed is back.
type brokenDisk struct {
	t       *testing.T
	at, n   int
	after   bool // the step is done and its answer lost
	dead    bool
	removed map[string][]byte
}

var errBroken = errors.New("the disk is broken")

func (d *brokenDisk) step(do func() error) error {
	if d.dead {
		return errBroken
	}
	if d.n++; d.n != d.at {
		return do()
	}
	d.dead = true
	if d.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errBroken
}

type brokenFile struct {
	diskFile
	d      *brokenDisk
	synced *bool
}

func (d *brokenDisk) create(dir, prefix string) (f diskFile, err error) {
	err = d.step(func() error { f, err = osDisk{}.create(dir, prefix); return err })
	if err != nil {
		return nil, err
	}
	synced := new(bool)
	d.t.Cleanup(func() { f.Close() })
	return brokenFile{f, d, synced}, nil
}

func (f brokenFile) Write(b []byte) (n int, err error) {
	*f.synced = false
	err = f.d.step(func() error { n, err = f.diskFile.Write(b); return err })
	return n, err
}

func (f brokenFile) Sync() error {
	return f.d.step(func() error { *f.synced = true; return f.diskFile.Sync() })
}

func (f brokenFile) Close() error {
	err := f.d.step(f.diskFile.Close)
	if !*f.synced { // a cut of the power takes what was not synced
		os.Truncate(f.Name(), 0)
	}
	return err
}

func (d *brokenDisk) rename(dir, from, to string) error {
	return d.step(func() error { return osDisk{}.rename(dir, from, to) })
}

func (d *brokenDisk) remove(dir, name string) error {
	return d.step(func() error {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			d.removed[filepath.Join(dir, name)] = b
		}
		return osDisk{}.remove(dir, name)
	})
}

// TestUpdate_Faults ends a build at each of its steps. Whatever is left then
// answers right, and is tidied up by the next build.
func TestUpdate_Faults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds for each step that can fail")
	}
	log, want := smallLog(t)
	begin := filepath.Join(t.TempDir(), "index")
	if err := Update(t.Context(), log, begin, nil); err != nil {
		t.Fatal(err)
	}
	done := filesIn(t, begin)
	base, err := accesslog.FirstHeld(log)
	if err != nil {
		t.Fatal(err)
	}
	parts, _, err := list(begin, base)
	if err != nil || len(parts) < 6 {
		t.Fatalf("%d files, %v", len(parts), err)
	}
	// A day in two files is to become one, and a file is missing.
	p := parts[1]
	middle := (p.first + p.next) / 2
	if err := errors.Join(os.Remove(filepath.Join(begin, p.name())), os.Remove(filepath.Join(begin, parts[3].name()))); err != nil {
		t.Fatal(err)
	}
	if err := newBuilder(log, begin, nil).run(t.Context(), []part{{p.day, p.first, middle}, {p.day, middle, p.next}}); err != nil {
		t.Fatal(err)
	}
	for at := 1; ; at++ {
		steps := 0
		for _, after := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "index")
			if err := os.CopyFS(dir, os.DirFS(begin)); err != nil {
				t.Fatal(err)
			}
			d := &brokenDisk{t: t, at: at, after: after, removed: map[string][]byte{}}
			b := newBuilder(log, dir, nil)
			b.disk, b.workers, b.trusted = d, 1, func(part) bool { return true }
			err := b.update(t.Context(), true)
			steps = d.n
			if d.dead && !errors.Is(err, errBroken) {
				t.Fatalf("step %d: %v", at, err)
			}
			for name, was := range d.removed {
				if err := os.WriteFile(name, was, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if after {
				whole(t, log, dir, want)
			} else if n := count(t, openIndex(t, log, dir), nil); n != want {
				t.Errorf("step %d: %d entries, want %d", at, n, want)
			}
			b = newBuilder(log, dir, nil)
			b.trusted = func(part) bool { return true }
			if err := b.update(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if got := filesIn(t, dir); fmt.Sprint(got) != fmt.Sprint(done) {
				t.Errorf("step %d: %v, want %v", at, got, done)
			}
		}
		if steps < at {
			if at < 10 {
				t.Errorf("only %d steps were tried", at)
			}
			return
		}
	}
}

// TestUpdate_Locked: whoever comes second waits, or says so without waiting.
func TestUpdate_Locked(t *testing.T) {
	log, _ := smallLog(t)
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := newBuilder(log, dir, nil).update(t.Context(), false); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, stop)
	if err := Update(ctx, log, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	unlock()
	if err := Update(t.Context(), log, dir, nil); err != nil {
		t.Error(err)
	}
}
