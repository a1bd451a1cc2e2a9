package accesslog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names of the secret files of a rotation, which stand here in the log's own
// folder so that one disk knows of them all: the keys that sign, the next one,
// and the wish to end the older one's signing.
const (
	secretFile = "log.key"
	nextFile   = "log.next.key"
	retireFile = "log.retire"
)

// committing commits what is recorded while do runs. One of the two goroutines
// waits for the other at any time.
func (y *life) committing(do func() error) error {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case it := <-y.queue:
				if y.commit([]*item{it}) != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	err := do()
	close(stop)
	<-ended
	return err
}

// staged does what is asked for by files, each step so that a stop begins it again.
func (y *life) staged(d disk) error {
	keep := func(change func([]string) []string) error {
		b, err := os.ReadFile(y.file(secretFile))
		if err != nil {
			return err
		}
		return d.write(y.file(secretFile), []byte(strings.Join(change(strings.Fields(string(b))), "\n")+"\n"))
	}
	if b, err := os.ReadFile(y.file(nextFile)); err == nil {
		next := strings.TrimSpace(string(b))
		if err := y.committing(func() error { return y.Rotate(y.t.Context(), next, "operator") }); err != nil {
			return err
		}
		if err := keep(func(kept []string) []string {
			if kept[0] == next {
				return kept
			}
			return append([]string{next}, kept...)
		}); err != nil {
			return err
		}
		if err := d.remove(y.file(nextFile)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(y.file(retireFile)); err != nil {
		return nil
	}
	if err := y.committing(func() error { return y.Retire(y.t.Context(), "operator") }); err != nil {
		return err
	}
	if err := keep(func(kept []string) []string {
		for i := 1; i < len(kept); i++ {
			if vkey, err := verifierKey(kept[i]); err == nil {
				kept[i] = vkey
			}
		}
		return kept
	}); err != nil {
		return err
	}
	return d.remove(y.file(retireFile))
}

// newRotation is a life whose secret is in a file.
func newRotation(t *testing.T, key, dir string) *life {
	y := newLife(t, key, dir)
	if err := os.WriteFile(y.file(secretFile), []byte(y.cfg.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	y.disk = newPowerDisk(t, dir)
	y.cfg.disk = y.disk
	return y
}

// rotate works through a whole rotation until something goes wrong.
func (y *life) rotate(next string) {
	l, err := Open(y.t.Context(), y.cfg)
	if err != nil {
		return
	}
	y.Log = l
	for _, step := range []func() error{
		func() error { return y.batch(3) },
		func() error { return y.sign(true) },
		func() error { return y.disk.write(y.file(nextFile), []byte(next+"\n")) },
		func() error { return y.staged(y.disk) },
		func() error { return y.batch(3) },
		func() error { return y.sign(true) },
		func() error { return y.disk.write(y.file(retireFile), nil) },
		func() error { return y.staged(y.disk) },
		func() error { return y.batch(3) },
		func() error {
			err := y.Close()
			y.Log = nil
			return err
		},
	} {
		if step() != nil || y.disk.dead {
			return
		}
		if y.Log != nil {
			y.vouched, _ = CheckpointSize(y.Checkpoint())
		}
	}
}

// resume starts on what is left as im says, with the keys that it has, goes on
// with the rotation, and checks everything under the list of keys.
func (y *life) resume(im image) error {
	im.put(y.t, y.cfg.Dir)
	key, err := os.ReadFile(y.file(secretFile))
	if err != nil {
		return fmt.Errorf("the keys that sign are gone: %w", err)
	}
	z := *y
	test := *y.testLog
	z.testLog, z.acked = &test, maps.Clone(y.acked)
	z.cfg.Key, z.cfg.Vouched = strings.TrimSpace(string(key)), y.vouched
	z.cfg.disk = osDisk{z.cfg.Dir}
	if z.Log, err = Open(z.t.Context(), z.cfg); err != nil {
		return fmt.Errorf("the next start: %w", err)
	}
	err = z.staged(z.cfg.disk)
	if err == nil {
		err = z.batch(2)
	}
	if cerr := z.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("going on with the rotation: %w", err)
	}
	public := z.keys()
	rep, err := Verify(z.t.Context(), z.cfg.Dir, public, nil)
	if err != nil {
		return err
	}
	if n, err := SecondVerify(z.cfg.Dir, y.vkey); err != nil || uint64(n) != rep.Entries {
		return fmt.Errorf("the second verifier finds %d of %d entries: %w", n, rep.Entries, err)
	}
	if rep.Entries < y.vouched {
		return fmt.Errorf("%d entries, and a checkpoint was told of %d", rep.Entries, y.vouched)
	}
	for _, e := range entriesOf(z.t, z.cfg.Dir) {
		if z.acked[e.Index] == e.RequestID {
			delete(z.acked, e.Index)
		}
	}
	if len(z.acked) > 0 {
		return fmt.Errorf("acknowledged entries are gone: %v", z.acked)
	}
	secret, err := os.ReadFile(z.file(secretFile))
	if err != nil {
		return err
	}
	return CheckKeys(strings.TrimSpace(string(secret)), public)
}

// TestFaultTable_Rotation makes every write of a rotation of the log's key go
// wrong in every way. The next start must go on with it by itself, under the
// keys that are kept, and everything must verify under the list of keys.
func TestFaultTable_Rotation(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine does all of it at a time")
	}
	base := memoryDir(t)
	next, _, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	y := newRotation(t, "", filepath.Join(base, "rows"))
	y.rotate(next)
	if y.Log != nil {
		t.Fatal("the undisturbed rotation went wrong")
	}
	if err := y.resume(takeImage(t, y.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	rows := maps.Clone(y.disk.calls)
	for _, want := range []string{"replace log.pub", "replace log.key", "replace log.next.key", "remove log.next.key", "replace log.retire", "remove log.retire", "replace checkpoint"} {
		if rows[want] == 0 {
			t.Errorf("no row for: %s", want)
		}
	}
	rng := rand.New(rand.NewPCG(13, 17))
	for _, label := range slices.Sorted(maps.Keys(rows)) {
		times := []int{0, rows[label] / 2, rows[label] - 1}
		if testing.Short() {
			times = times[1:2]
		}
		for _, nth := range slices.Compact(times) {
			for _, kind := range faultKinds {
				name := fmt.Sprintf("%s %d %s", label, nth, kind)
				y := newRotation(t, y.cfg.Key, filepath.Join(base, strings.ReplaceAll(name, " ", "_")))
				y.disk.label, y.disk.nth, y.disk.kind = label, nth, kind
				y.rotate(next)
				if !y.disk.hit {
					t.Errorf("%s: never came", name)
				}
				power, killed := y.disk.cut(t, rng), takeImage(t, y.cfg.Dir)
				y.abandon()
				for what, im := range map[string]image{"power": power, "process": killed} {
					if err := y.resume(im); err != nil {
						t.Errorf("%s, %s gone: %v", name, what, err)
					}
				}
				os.RemoveAll(y.cfg.Dir)
			}
		}
	}
}
