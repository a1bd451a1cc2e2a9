package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"github.com/ringfence/ringfence/internal/directory"
)

// A loaded directory is what the database said at a version of its directory
// state. It is shared and never changed.
type loaded struct {
	version     int64
	note        int64 // the newest row of the change table then
	directory   *directory.Directory
	acceptances []directory.Acceptance
}

// seen notes at which version and note l is what tx sees.
func (l *loaded) seen(ctx context.Context, tx *sql.Tx) error {
	return tx.QueryRowContext(ctx, `SELECT (SELECT version FROM directory_state), (SELECT max(id) FROM change)`).Scan(&l.version, &l.note)
}

// cache keeps the directory as last read or written, so that a process reads
// the tables only after another one has written them.
type cache struct {
	mu   sync.Mutex
	last *loaded
}

// get returns what is kept, nil for nothing.
func (c *cache) get() *loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
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
