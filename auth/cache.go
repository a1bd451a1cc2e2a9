package auth

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// A recent is a bounded cache that is read without a lock. It keeps two
// generations: when the young one is full it becomes the old one, and what the
// old one held is forgotten unless it was asked for since.
type recent[K comparable, V any] struct {
	limit int
	young atomic.Pointer[generation]
	old   atomic.Pointer[generation]
	mu    sync.Mutex // turns the generations
}

type generation struct {
	m sync.Map
	n atomic.Int64
}

func (c *recent[K, V]) get(key K) (V, bool) {
	if g := c.young.Load(); g != nil {
		if v, ok := g.m.Load(key); ok {
			return v.(V), true
		}
	}
	if g := c.old.Load(); g != nil {
		if v, ok := g.m.Load(key); ok {
			c.put(key, v.(V))
			return v.(V), true
		}
	}
	var none V
	return none, false
}

func (c *recent[K, V]) put(key K, v V) {
	g := c.young.Load()
	if g == nil || g.n.Load() >= int64(c.limit) {
		g = c.turn()
	}
	if _, was := g.m.Swap(key, v); !was {
		g.n.Add(1)
	}
}

func (c *recent[K, V]) turn() *generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.young.Load()
	if g != nil && g.n.Load() < int64(c.limit) {
		return g // somebody else turned
	}
	fresh := new(generation)
	c.old.Store(g)
	c.young.Store(fresh)
	return fresh
}

// clear forgets everything.
func (c *recent[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.old.Store(nil)
	c.young.Store(nil)
}

// An expiring holds values under random ids for a while. When it is full the
// oldest goes: strangers can fill it, and must not be able to grow it.
type expiring[V any] struct {
	limit int
	mu    sync.Mutex
	m     map[string]expiringItem[V]
	order []string // by age; ids that were taken may still be in it
}

type expiringItem[V any] struct {
	v    V
	ends time.Time
}

func (e *expiring[V]) put(id string, v V, now time.Time, life time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.m == nil {
		e.m = make(map[string]expiringItem[V])
	}
	for len(e.order) > 0 {
		oldest, ok := e.m[e.order[0]]
		if ok && now.Before(oldest.ends) && len(e.order) < e.limit {
			break
		}
		delete(e.m, e.order[0])
		e.order = e.order[1:]
	}
	e.m[id] = expiringItem[V]{v, now.Add(life)}
	e.order = append(e.order, id)
}

func (e *expiring[V]) get(id string, now time.Time) (V, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lookup(id, now)
}

// take returns the value and removes it: of several callers one gets it.
func (e *expiring[V]) take(id string, now time.Time) (V, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v, ok := e.lookup(id, now)
	delete(e.m, id)
	return v, ok
}

func (e *expiring[V]) lookup(id string, now time.Time) (V, bool) {
	i, ok := e.m[id]
	if !ok || !now.Before(i.ends) {
		var none V
		return none, false
	}
	return i.v, true
}
