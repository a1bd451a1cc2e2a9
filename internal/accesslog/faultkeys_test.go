package accesslog

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// A keyLife is what becomes of accounts' keys, and what was promised.
type keyLife struct {
	*testLog
	disk    *powerDisk        // of the keys' folder
	acked   map[uint64]string // accounts of entries that are durable
	used    []byte            // the key of account a, as its file has it
	begun   bool              // a's erasure
	done    bool
	trouble int // calls that failed
}

func newKeyLife(t *testing.T, base string) *keyLife {
	y := &keyLife{testLog: newTestLog(t, func(c *Config) { c.Dir, c.SealPersonal = filepath.Join(base, "log"), true }), acked: map[uint64]string{}}
	if err := os.MkdirAll(PersonalFolder(y.cfg.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	newShim(&y.cfg)
	y.disk = newPowerDisk(t, PersonalFolder(y.cfg.Dir))
	y.disk.folders = true
	return y
}

// start is what a process that knows nothing yet does.
func (y *keyLife) start(d disk) error {
	personalKeysByFolder.Delete(PersonalFolder(y.cfg.Dir))
	personalKeysOf(y.cfg.Dir).disk = d
	l, err := Open(y.t.Context(), y.cfg)
	y.Log = l
	return err
}

func mailOf(account string) string { return account + "@example.com" }

// record does it again where it fails: the same process goes on.
func (y *keyLife) record(account string) error {
	var err error
	for range 2 {
		var it *item
		if it, err = y.newItem(&policy.Record{Type: policy.RecordAdmin, Action: "account.update", Account: account, Email: mailOf(account)}, true); err != nil {
			y.trouble++
			continue
		}
		if err = y.commit([]*item{it}); err != nil {
			return err
		}
		res := <-it.result
		if res.err == nil {
			y.acked[res.index] = account
		}
		return res.err
	}
	return err
}

func (y *keyLife) live() {
	if err := y.start(y.disk); err != nil {
		y.t.Fatal(err)
	}
	keyFile := filepath.Join(y.disk.dir, "a"+personalEnding)
	steps := []func() error{
		func() error { return y.record("a") },
		func() error {
			b, err := os.ReadFile(keyFile)
			_, y.used, _ = bytes.Cut(bytes.TrimSpace(b), []byte("\nkey "))
			return err
		},
		func() error { return y.record("b") },
		func() error { // another process
			if err := y.Close(); err != nil {
				return err
			}
			return y.start(y.disk)
		},
		func() error { return y.record("a") },
		func() error {
			y.begun = true
			err := ErasePersonal(y.cfg.Dir, "a")
			if err != nil {
				y.trouble++
				err = ErasePersonal(y.cfg.Dir, "a")
			}
			y.done = err == nil
			return err
		},
		func() error { return y.record("a") },
		func() error { return y.record("c") },
	}
	for _, step := range steps {
		if err := step(); err != nil || y.disk.dead {
			if !y.disk.dead {
				y.t.Errorf("a second attempt fails too: %v", err)
			}
			return
		}
	}
}

// holds reports which files of an image hold the key.
func (y *keyLife) holds(im image) (names []string) {
	for name, b := range im {
		if len(y.used) > 0 && bytes.Contains(b, y.used) {
			names = append(names, name)
		}
	}
	return names
}

// check starts on what is left as im says and looks for what was promised.
func (y *keyLife) check(im image) error {
	if names := y.holds(im); y.done && len(names) > 0 {
		return fmt.Errorf("the key that was destroyed is in %v", names)
	}
	im.put(y.t, y.disk.dir)
	if err := y.start(osDisk{y.disk.dir}); err != nil {
		return err
	}
	defer func() {
		y.Close()
		y.Log = nil
	}()
	for index, account := range y.acked {
		e, err := y.Get(y.t.Context(), index)
		if err != nil {
			return err
		}
		if e.Email != mailOf(account) && !(account == "a" && y.begun && e.Email == "") {
			return fmt.Errorf("entry %d of %s reads %q", index, account, e.Email)
		}
	}
	if y.begun { // as the store's list of erasures has it done again
		if err := ErasePersonal(y.cfg.Dir, "a"); err != nil {
			return fmt.Errorf("erasing again: %w", err)
		}
		if names := y.holds(takeImage(y.t, y.disk.dir)); len(names) > 0 {
			return fmt.Errorf("erased again, and the key is in %v", names)
		}
	}
	for _, account := range []string{"a", "b", "c"} {
		if err := y.record(account); err != nil {
			return fmt.Errorf("recording afterwards: %w", err)
		}
	}
	return nil
}

// TestFaultTable_PersonalKeys makes every step of making and destroying an
// account's key go wrong in every way. No entry may be sealed under a key that
// a power cut takes, and no key that was destroyed may come back.
func TestFaultTable_PersonalKeys(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine does all of it")
	}
	base := memoryDir(t)
	y := newKeyLife(t, filepath.Join(base, "rows"))
	y.live()
	rows := y.disk.calls
	y.Close()
	y.Log = nil
	for _, want := range []string{"replace a.key", "sync folder", "replace a.erased", "write a.key", "sync a.key", "remove a.key", "replace c.key"} {
		if rows[want] == 0 {
			t.Errorf("no row for: %s", want)
		}
	}
	rng := rand.New(rand.NewPCG(3, 5))
	for _, label := range slices.Sorted(maps.Keys(rows)) {
		for nth := range rows[label] {
			for _, kind := range faultKinds {
				name := fmt.Sprintf("%s %d %s", label, nth, kind)
				y := newKeyLife(t, filepath.Join(base, strings.ReplaceAll(name, " ", "_")))
				y.disk.label, y.disk.nth, y.disk.kind = label, nth, kind
				y.live()
				if !y.disk.hit {
					t.Errorf("%s: never came", name)
				}
				power, killed := y.disk.cut(t, rng), takeImage(t, y.disk.dir)
				if y.Log != nil {
					y.Close()
					y.Log = nil
				}
				for what, im := range map[string]image{"power": power, "process": killed} {
					// Each begins with what was promised before, not with what the other check added.
					z := *y
					z.acked = maps.Clone(y.acked)
					if err := z.check(im); err != nil {
						t.Errorf("%s, %s gone: %v", name, what, err)
					}
				}
				os.RemoveAll(filepath.Dir(y.cfg.Dir))
			}
		}
	}
}

// TestFaultTable_PersonalKeysCanFail: on a disk whose syncs of folders do
// nothing the table finds entries that nobody can read any more.
func TestFaultTable_PersonalKeysCanFail(t *testing.T) {
	lost := 0
	for i := range 20 {
		y := newKeyLife(t, t.TempDir())
		if err := y.start(lyingFolders{y.disk}); err != nil {
			t.Fatal(err)
		}
		y.disk.label, y.disk.kind = "sync folder", failBefore
		if err := y.record("a"); err != nil {
			t.Fatal(err)
		}
		power := y.disk.cut(t, rand.New(rand.NewPCG(1, uint64(i))))
		y.Close()
		y.Log = nil
		if y.check(power) != nil {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no loss was found in 20 power cuts")
	}
}

type lyingFolders struct{ *powerDisk }

func (d lyingFolders) settle() error { return nil }
