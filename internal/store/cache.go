package store

import "sync"

// cache will keep what was last read of the directory.
type cache struct{ mu sync.Mutex }
