package accesslog

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/durable"
)

// PersonalFolder returns the folder with the accounts' keys for the log in dir:
// the one called personal beside it.
func PersonalFolder(dir string) string {
	return filepath.Join(filepath.Dir(filepath.Clean(dir)), "personal")
}

// Erasure of an account's key is told by a file of its own, so that no later
// entry makes another.
const (
	personalTitle  = "ringfence personal key v1"
	personalEnding = ".key"
	erasedEnding   = ".erased"
)

// keyLook is how long a reader goes by a key before it looks whether that has
// been destroyed meanwhile, by another process.
const keyLook = time.Second

// mostPeople bounds how many accounts' keys are kept in memory.
const mostPeople = 8192

// personalKeys holds the accounts' keys of one log. Looking a key up takes no
// lock and allocates nothing.
type personalKeys struct {
	dir    string
	disk   disk
	people atomic.Pointer[map[string]*person]
	making sync.Mutex
	// settled: the names that the folder has are durable. They need not be after
	// a start, since the process before may have ended in the middle of making a
	// key, nor after an error. Guarded by making.
	settled bool
}

var personalKeysByFolder sync.Map // of folder to *personalKeys, so that all readers of a log share what they opened

// personalKeysOf returns the keys for the log in dir.
func personalKeysOf(dir string) *personalKeys {
	folder := PersonalFolder(dir)
	if k, ok := personalKeysByFolder.Load(folder); ok {
		return k.(*personalKeys)
	}
	k, _ := personalKeysByFolder.LoadOrStore(folder, &personalKeys{dir: folder, disk: osDisk{folder}})
	return k.(*personalKeys)
}

// person returns what is known of an account, reading its key at first.
func (k *personalKeys) person(account string) *person {
	if all := k.people.Load(); all != nil {
		if p := (*all)[account]; p != nil {
			return p
		}
	}
	k.making.Lock()
	defer k.making.Unlock()
	return k.load(account)
}

// load reads an account's key. The caller holds making.
func (k *personalKeys) load(account string) *person {
	if all := k.people.Load(); all != nil {
		if p := (*all)[account]; p != nil {
			return p
		}
	}
	p := &person{account: account}
	p.looked.Store(time.Now().UnixNano())
	switch _, err := os.Stat(k.file(account, erasedEnding)); {
	case err == nil:
		p.erased = true
	case errors.Is(err, fs.ErrNotExist):
		if b, err := os.ReadFile(k.file(account, personalEnding)); err == nil {
			p.fault = p.use(b)
		} else if !errors.Is(err, fs.ErrNotExist) {
			p.fault = fmt.Errorf("reading the personal key of %s: %w", account, err)
		}
	default:
		p.fault = fmt.Errorf("reading the personal key of %s: %w", account, err)
	}
	k.keep(account, p)
	return p
}

func (k *personalKeys) keep(account string, p *person) {
	next := map[string]*person{}
	if all := k.people.Load(); all != nil && len(*all) < mostPeople {
		next = maps.Clone(*all)
	}
	if next[account] = p; p == nil {
		delete(next, account)
	}
	k.people.Store(&next)
}

func (k *personalKeys) file(account, ending string) string {
	return filepath.Join(k.dir, account+ending)
}

// reader returns what is known of an account, having looked within the last
// second whether its key is still there.
func (k *personalKeys) reader(account string) *person {
	p := k.person(account)
	now, at := time.Now().UnixNano(), p.looked.Load()
	if now-at < int64(keyLook) && now >= at || !p.looked.CompareAndSwap(at, now) {
		return p
	}
	_, err := os.Stat(k.file(account, personalEnding))
	if (err == nil) == p.known() && !p.erased {
		return p
	}
	k.making.Lock()
	defer k.making.Unlock()
	k.keep(account, nil)
	return k.load(account)
}

// writer returns an account's key to seal with, made if there is none. A key
// is durable before it is used. Of an account that was erased it is none.
func (k *personalKeys) writer(account, origin string) (*person, error) {
	p := k.person(account)
	switch {
	case p.fault != nil:
		k.forget(account) // read again next time: the disk may be better by then
		return nil, p.fault
	case p.erased:
		return p, nil
	case p.known() && p.origin == origin:
		if !p.durable.Load() {
			return p, k.settle(p)
		}
		return p, nil
	case p.known():
		return nil, fmt.Errorf("the personal key of %s belongs to the log %s", account, p.origin)
	}
	return k.make(account, origin)
}

// settle makes sure that a key which was read from its file stays: an entry
// that is sealed under one that a power cut takes can never be read.
func (k *personalKeys) settle(p *person) error {
	k.making.Lock()
	defer k.making.Unlock()
	return k.settleLocked(p)
}

func (k *personalKeys) settleLocked(p *person) error {
	if !k.settled {
		if err := k.disk.settle(); err != nil {
			return fmt.Errorf("keeping the personal key of %s: %w", p.account, err)
		}
		k.settled = true
	}
	p.durable.Store(true)
	return nil
}

func (k *personalKeys) make(account, origin string) (*person, error) {
	k.making.Lock()
	defer k.making.Unlock()
	k.keep(account, nil)
	if p := k.load(account); p.known() {
		return p, k.settleLocked(p)
	} else if p.erased || p.fault != nil {
		return p, p.fault
	}
	var key [32]byte
	rand.Read(key[:]) // never fails
	b := fmt.Appendf(nil, "%s\norigin %s\naccount %s\nkey %s\n", personalTitle, origin, account, base64.StdEncoding.EncodeToString(key[:]))
	err := durable.Mkdir(k.dir, 0o700)
	if err == nil {
		err = k.disk.write(k.file(account, personalEnding), b)
	}
	if err != nil {
		k.settled = false // it may have its name all the same
		return nil, fmt.Errorf("making the personal key of %s: %w", account, err)
	}
	if _, err := os.Stat(k.file(account, erasedEnding)); err == nil { // erased between the look and the write
		if err := k.destroy(account); err != nil {
			return nil, err
		}
	}
	k.settled = true
	k.keep(account, nil)
	p := k.load(account)
	p.durable.Store(true)
	return p, p.fault
}

func (k *personalKeys) forget(account string) {
	k.making.Lock()
	defer k.making.Unlock()
	k.keep(account, nil)
}

// use takes over a key from its file.
func (p *person) use(b []byte) error {
	lines := strings.Split(string(b), "\n")
	if len(lines) == 5 && lines[0] == personalTitle && lines[2] == "account "+p.account && lines[4] == "" {
		origin, ok := strings.CutPrefix(lines[1], "origin ")
		text, is := strings.CutPrefix(lines[3], "key ")
		if key, err := base64.StdEncoding.DecodeString(text); ok && is && err == nil && len(key) == 32 {
			return p.derive(origin, key)
		}
	}
	return fmt.Errorf("reading the personal key of %s: the file is not one, or is another account's", p.account)
}

// ErasePersonal destroys the key of an account's personal fields in the log in
// dir: those fields of its entries can never be read again, by anybody, and no
// further entry holds any. Nothing of the log changes, so every proof holds.
// Copies of the key, such as in backups, are not reached. A gateway that runs
// takes notice within a second. It is done once it returns nil, and may be
// repeated.
func ErasePersonal(dir, account string) error {
	k := personalKeysOf(dir)
	if !sealable(account) {
		return fmt.Errorf("erasing personal fields: %q is no account's id", account)
	}
	err := durable.Mkdir(k.dir, 0o700)
	if err == nil {
		err = k.disk.write(k.file(account, erasedEnding), []byte(time.Now().UTC().Format(time.RFC3339)+"\n"))
	}
	if err == nil {
		err = k.destroy(account)
	}
	k.forget(account)
	if err != nil {
		return fmt.Errorf("erasing personal fields: %w", err)
	}
	return nil
}

// PersonalErased reports whether an account's key was destroyed.
func PersonalErased(dir, account string) bool {
	_, err := os.Stat(personalKeysOf(dir).file(account, erasedEnding))
	return sealable(account) && err == nil
}

// destroy overwrites a key before its file goes, for disks that write in place.
func (k *personalKeys) destroy(account string) error {
	path := k.file(account, personalEnding)
	f, err := k.disk.open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil // but perhaps it is not known yet on the disk
	case err == nil:
		var size int64
		if size, err = f.size(); err == nil {
			_, err = f.WriteAt(make([]byte, size), 0)
		}
		if err == nil {
			err = f.sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = k.disk.remove(path)
		}
	}
	if err == nil {
		err = k.disk.settle()
	}
	if err != nil {
		return fmt.Errorf("destroying a key: %w", err)
	}
	return nil
}

// sealable reports whether an account's id can have a key: it becomes the name
// of a file. The operator on the machine is no account.
func sealable(account string) bool {
	if account == "" || len(account) > 128 || account == "operator" || account[0] == '.' {
		return false
	}
	for i := range len(account) {
		c := account[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}
