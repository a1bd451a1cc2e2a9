package console

import (
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/review"
	"github.com/ringfence/ringfence/policy"
)

// memoryReviews keeps searches and sign-offs as a store does, and records them.
type memoryReviews struct {
	mu       sync.Mutex
	log      Log
	now      func() time.Time
	searches []review.Search
	offs     []review.SignOff
	fail     error
}

func (m *memoryReviews) Searches(_ context.Context, account string) (out []review.Search, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.searches {
		if s.SeenBy(account) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b review.Search) int { return cmp.Or(cmp.Compare(a.Title, b.Title), cmp.Compare(a.ID, b.ID)) })
	return out, m.fail
}

func (m *memoryReviews) SaveSearch(_ context.Context, actor directory.Actor, s review.Search) (review.Search, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := cmp.Or(m.fail, s.Check()); err != nil {
		return s, err
	}
	s.Changed = m.now()
	if s.ID == 0 {
		s.ID, s.Owner, s.Email, s.Version, s.Created = int64(len(m.searches)+1), actor.Account, actor.Email, 1, s.Changed
		m.searches = append(m.searches, s)
		return s, nil
	}
	i := slices.IndexFunc(m.searches, func(o review.Search) bool { return o.ID == s.ID })
	switch {
	case i < 0:
		return s, review.ErrNotFound
	case m.searches[i].Version != s.Version:
		return s, review.ErrChanged
	}
	s.Version++
	m.searches[i] = s
	return s, nil
}

func (m *memoryReviews) RemoveSearch(_ context.Context, _ directory.Actor, id int64, version int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.searches, func(o review.Search) bool { return o.ID == id && o.Version == version })
	if i < 0 {
		return review.ErrChanged
	}
	m.searches = slices.Delete(m.searches, i, i+1)
	return m.fail
}

func (m *memoryReviews) SignOff(ctx context.Context, actor directory.Actor, s review.SignOff) (review.SignOff, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.ID, s.Account, s.Email, s.At = int64(len(m.offs)+1), actor.Account, actor.Email, m.now()
	if err := cmp.Or(m.fail, s.Check()); err != nil {
		return s, err
	}
	if _, err := m.log.Record(ctx, &policy.Record{Type: policy.RecordLog, Time: s.At, Action: "log.review", Result: "ok", Account: s.Account, Actor: s.Account}); err != nil {
		return s, err
	}
	m.offs = append(m.offs, s)
	return s, nil
}

func (m *memoryReviews) SignOffsOf(_ context.Context, query string, past uint64) (out []review.SignOff, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.offs {
		if s.Query == query && s.To > past {
			out = append(out, s)
		}
	}
	return out, m.fail
}

func (m *memoryReviews) SignOffs(_ context.Context, before int64, limit int) (out []review.SignOff, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range slices.Backward(m.offs) {
		if (before == 0 || s.ID < before) && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, m.fail
}

// hiddenFields returns the hidden fields of the page's form that has the most.
func hiddenFields(t *testing.T, body string) url.Values {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	best := url.Values{}
	for form := range elements(doc, "form") {
		fields := url.Values{}
		for in := range elements(form, "input") {
			if attr(in, "type") == "hidden" {
				fields.Set(attr(in, "name"), attr(in, "value"))
			}
		}
		if len(fields) > len(best) {
			best = fields
		}
	}
	return best
}
