package console

import (
	"sync"
	"time"

	"github.com/ringfence/ringfence/auth"
)

const (
	pathLife = 15 * time.Minute
	maxPaths = 4096
)

// paths remembers where people were headed on the gate itself, under random
// ids, as package auth does for the hosts of clusters. It is bounded: strangers
// can fill it, and then the oldest are forgotten and lead to the start page.
type paths struct {
	mu    sync.Mutex
	saved map[string]savedPath
	order []string // ids, oldest first
}

type savedPath struct {
	uri     string
	expires time.Time
}

func (p *paths) save(uri string, now time.Time) (id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saved == nil {
		p.saved = map[string]savedPath{}
	}
	for len(p.order) > 0 && (len(p.order) >= maxPaths || now.After(p.saved[p.order[0]].expires)) {
		delete(p.saved, p.order[0])
		p.order = p.order[1:]
	}
	id = gateTarget + auth.NewSecret()
	p.saved[id] = savedPath{uri, now.Add(pathLife)}
	p.order = append(p.order, id)
	return id
}

func (p *paths) get(id string, now time.Time) (uri string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.saved[id]
	return s.uri, ok && now.Before(s.expires)
}
