package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What a fault does to the one call that it is for.
const (
	failBefore  = "fails before"  // nothing was done, and the call says so
	failAfter   = "fails after"   // all of it was done, and the call says that it was not
	failTorn    = "fails torn"    // a part of it was done
	crashBefore = "crash before"  // the process is gone
	crashTorn   = "crash in it"   // likewise, in the middle
	crashAfter  = "crash between" // likewise, when it had been done and before the next
)

var faultKinds = []string{failBefore, failAfter, failTorn, crashBefore, crashTorn, crashAfter}

var errCrashed = errors.New("the process is gone")

// A powerDisk is a disk whose power can be cut: it knows what was synced, and
// what was not may then be there, not there, or half there, sector by sector.
// The folder holds what the process sees. One of its calls can go wrong.
type powerDisk struct {
	osDisk
	folders bool // the last step of replacing a file, syncing its folder, is a call of its own
	lies    bool // a sync says that it was done and does nothing

	seen    map[string]*inode // names as the process sees them
	kept    map[string]*inode // names as they are on the disk
	pending []func(map[string]*inode)

	label string // of the call that goes wrong,
	nth   int    // which of its kind, from 0,
	kind  string // and how
	calls map[string]int
	hit   bool
	dead  bool
}

// An inode is a file whatever its name.
type inode struct {
	synced []byte
	gone   []byte // what the process saw in it when its last name went
}

func newPowerDisk(t testing.TB, dir string) *powerDisk {
	d := &powerDisk{osDisk: osDisk{dir}, seen: map[string]*inode{}, kept: map[string]*inode{}, calls: map[string]int{}}
	if _, err := os.Stat(dir); err == nil {
		for name, b := range takeImage(t, dir) {
			d.seen[name] = &inode{synced: b}
		}
	}
	d.kept = maps.Clone(d.seen)
	return d
}

// class names what a file is for.
func class(name string) string {
	name = filepath.Base(name)
	switch {
	case strings.HasPrefix(name, sparePrefix):
		return "spare"
	case strings.HasPrefix(name, "hashes-"):
		return "hashes"
	case filepath.Ext(name) == rawEnding:
		return "segment"
	case filepath.Ext(name) == sealedEnding:
		return "sealed segment"
	}
	return name
}

// do makes one call, unless it is the one that goes wrong. part does a part of it.
func (d *powerDisk) do(op, name string, whole, part func() error) error {
	if d.dead {
		return errCrashed
	}
	label := op + " " + class(name)
	n := d.calls[label]
	d.calls[label]++
	if label != d.label || n != d.nth || d.hit {
		return whole()
	}
	d.hit = true
	fault := fmt.Errorf("%s: %w", label, syscall.EIO)
	switch d.kind {
	case failBefore:
	case failAfter:
		if err := whole(); err != nil {
			return err
		}
	case failTorn:
		if err := part(); err != nil {
			return err
		}
	case crashBefore:
		d.dead = true
	case crashTorn:
		if err := part(); err != nil {
			return err
		}
		d.dead = true
	case crashAfter:
		if err := whole(); err != nil {
			return err
		}
		d.dead = true
	}
	if d.dead {
		return errCrashed
	}
	return fault
}

func nothing() error { return nil }

// bound makes name, as the process sees it, that of a new file.
func (d *powerDisk) bound(name string) {
	if d.seen[name] == nil {
		n := &inode{}
		d.seen[name] = n
		d.pending = append(d.pending, func(names map[string]*inode) { names[name] = n })
	}
}

// synced notes that a file's contents are on the disk.
func (d *powerDisk) synced(path string) error {
	if d.lies {
		return nil
	}
	b, err := os.ReadFile(path)
	if err == nil {
		d.bound(filepath.Base(path))
		d.seen[filepath.Base(path)].synced = b
	}
	return err
}

func (d *powerDisk) syncNames() {
	for _, op := range d.pending {
		op(d.kept)
	}
	d.pending = nil
}

func (d *powerDisk) moved(from, to string) {
	f, t := filepath.Base(from), filepath.Base(to)
	n := d.seen[f]
	d.seen[t] = n
	delete(d.seen, f)
	d.pending = append(d.pending, func(names map[string]*inode) { names[t] = n; delete(names, f) })
}

func (d *powerDisk) create(name string, size int64) error {
	return d.do("create", name, func() error {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			return err
		}
		return d.synced(name)
	}, nothing)
}

type powerFile struct {
	osFile
	d *powerDisk
	n *inode
}

// name finds the file's present name, which changes while it is open.
func (f powerFile) name() string {
	for name, n := range f.d.seen {
		if n == f.n {
			return filepath.Join(f.d.dir, name)
		}
	}
	return f.osFile.Name()
}

func (f powerFile) WriteAt(b []byte, off int64) (int, error) {
	write := func(b []byte) func() error {
		return func() error { _, err := f.osFile.WriteAt(b, off); return err }
	}
	if err := f.d.do("write", f.name(), write(b), write(b[:len(b)/2])); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f powerFile) sync() error {
	name := f.name()
	return f.d.do("sync", name, func() error { return f.d.synced(name) }, nothing)
}

func (d *powerDisk) open(name string) (file, error) {
	if d.dead {
		return nil, errCrashed
	}
	f, err := d.osDisk.open(name)
	if err != nil {
		return nil, err
	}
	d.bound(filepath.Base(name))
	return powerFile{f.(osFile), d, d.seen[filepath.Base(name)]}, nil
}

func (d *powerDisk) rename(from, to string) error {
	move := func() error {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		d.moved(from, to)
		return nil
	}
	return d.do("rename to", to, func() error {
		err := move()
		d.syncNames()
		return err
	}, move) // the folder was not synced
}

func (d *powerDisk) remove(name string) error {
	return d.do("remove", name, func() error {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		base := filepath.Base(name)
		if n := d.seen[base]; n != nil {
			n.gone = b
		}
		delete(d.seen, base)
		d.pending = append(d.pending, func(names map[string]*inode) { delete(names, base) })
		return os.Remove(name)
	}, nothing)
}

func (d *powerDisk) write(name string, data []byte) error {
	tmp := name + "-1" + tmpEnding
	begin := func(data []byte) error {
		if err := os.WriteFile(tmp, data, 0o600); err != nil {
			return err
		}
		d.bound(filepath.Base(tmp))
		return nil
	}
	return d.do("replace", name, func() error {
		if err := begin(data); err != nil {
			return err
		}
		if err := d.synced(tmp); err != nil {
			return err
		}
		old, err := os.ReadFile(name)
		if n := d.seen[filepath.Base(name)]; n != nil && err == nil {
			n.gone = old
		}
		if err := os.Rename(tmp, name); err != nil {
			return err
		}
		d.moved(tmp, name)
		if d.folders {
			return d.settle()
		}
		d.syncNames()
		return nil
	}, func() error { return begin(data[:len(data)/2]) })
}

func (d *powerDisk) settle() error {
	return d.do("sync", "folder", func() error { d.syncNames(); return nil }, nothing)
}

func (d *powerDisk) append(name string, data []byte) error {
	add := func(data []byte) error {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		d.bound(filepath.Base(name))
		return errors.Join(err, f.Close())
	}
	return d.do("append to", name, func() error {
		if err := add(data); err != nil {
			return err
		}
		return d.synced(name)
	}, func() error {
		if d.kind == failTorn {
			return nil // a call that fails leaves the file as it was
		}
		return add(data[:len(data)/2])
	})
}

func (d *powerDisk) flush(name string) error {
	return d.do("sync", name, func() error {
		err := d.synced(name)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}, nothing)
}

func (d *powerDisk) zero(name string, size int64) error {
	return d.do("zero", name, func() error {
		st, err := os.Stat(name)
		if err != nil {
			return err
		}
		if st.Size() != size {
			return errors.New("another size")
		}
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			return err
		}
		return d.synced(name)
	}, func() error {
		b, err := os.ReadFile(name)
		if err == nil {
			clear(b[:len(b)/2])
			err = os.WriteFile(name, b, 0o600)
		}
		return err
	})
}

func (d *powerDisk) space() (free, total uint64, err error) { return 0, 0, nil }

// cut returns what a disk may hold after its power was cut: of the changes to
// names that no sync vouches for the first few, and of each file what was
// synced, with sectors beyond that new, old or spoilt by chance.
func (d *powerDisk) cut(t testing.TB, rng *rand.Rand) image {
	now := takeImage(t, d.dir)
	for name := range now { // files that are written past the disk, as the tree's hashes are
		if class(name) == "hashes" || name == lockName {
			d.bound(name)
		}
	}
	names := maps.Clone(d.kept)
	for _, op := range d.pending[:rng.IntN(len(d.pending)+1)] {
		op(names)
	}
	seenAs := map[*inode]string{}
	for name, n := range d.seen {
		seenAs[n] = name
	}
	out := image{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		cur, ok := now[seenAs[n]]
		if !ok {
			cur = n.gone
		}
		out[name] = mixSectors(rng, n.synced, cur)
	}
	return out
}

// mixSectors returns a file of which the sectors that differ are old, new or
// spoilt. What a sector has in both is never lost: a disk writes it whole.
func mixSectors(rng *rand.Rand, synced, now []byte) []byte {
	const sector = 512
	if bytes.Equal(synced, now) {
		return bytes.Clone(synced)
	}
	size := len(synced)
	if rng.IntN(2) == 0 {
		size = len(now)
	}
	out := make([]byte, size)
	copy(out, synced)
	at := func(b []byte, i int) byte {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	for from := 0; from < size; from += sector {
		end := min(from+sector, size)
		switch rng.IntN(3) {
		case 0: // old
		case 1:
			for i := from; i < end; i++ {
				out[i] = at(now, i)
			}
		default:
			for i := from; i < end; i++ {
				if at(synced, i) != at(now, i) {
					out[i] = byte(rng.Uint32())
				}
			}
		}
	}
	return out
}
