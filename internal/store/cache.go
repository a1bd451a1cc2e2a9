package store

import (
	"slices"
	"sync"

	"github.com/ringfence/ringfence/internal/directory"
)

// A loaded directory is what the database said at a version of its directory
// state. It is shared and never changed.
type loaded struct {
	version     int64
	directory   *directory.Directory
	acceptances []directory.Acceptance
}

// cache keeps the directory as last read or written, so that a process reads
// the tables only after another one has written them.
type cache struct {
	mu   sync.Mutex
	last *loaded
}

// get returns what is kept of a version, nil when it is another.
func (c *cache) get(version int64) *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.last.version != version {
		return nil
	}
	return c.last
}

// set keeps l unless something newer is kept.
func (c *cache) set(l *loaded) {
	l.acceptances = slices.Clip(l.acceptances) // a later append must copy
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.last.version <= l.version {
		c.last = l
	}
}
