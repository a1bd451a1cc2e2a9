package console

import (
	"net/http"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/ui"
)

// desk is what the administrators' pages keep in memory between requests.
type desk struct {
	flashes waiting[ui.Text]  // what the last act says, by session
	reveals waiting[revealed] // invitation links, by session and account
	tallies tallies
	trials  trials  // long jobs on policies
	checked checked // what checks said about policies
}

// mayChange reports whether the visitor may change people, vendors,
// engagements, clusters and assignments.
func (v *visit) mayChange() bool { return mayManage.met(v.Session) }

// mayReview reports whether the visitor may read everything: the access log,
// engagements and assignments too.
func (v *visit) mayReview() bool { return mayReview.met(v.Session) }

// page returns the frame for a page of the console, with the message that the
// last act left for it.
func (v *visit) page(title ui.Text) Base {
	b := v.Titled(title)
	if v.r.Method == http.MethodGet && v.Session != nil {
		if text := v.c.desk.flashes.take(v.Session.ID, v.Now); text != "" {
			b.Flash = &ui.Flash{Kind: ui.Good, Text: text}
		}
	}
	return b
}

// seeOther sends the visitor to a page after an act, which shows text.
func (c *Console) seeOther(w http.ResponseWriter, r *http.Request, v *visit, to string, text ui.Text) error {
	if text != "" {
		c.desk.flashes.put(v.Session.ID, text, v.Now)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// show writes a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, page string, data any) error {
	c.UI.Page(w, r, status, page, data)
	return nil
}

// unavailable is the answer when a read of the log cannot be recorded:
// nothing that is not recorded is shown.
func unavailable(err error) error {
	return &ui.Error{Status: http.StatusServiceUnavailable, Err: err,
		Detail: "Reading the access log is itself recorded, and the record cannot be written now. Please try again in a moment."}
}

// waiting holds what one request leaves for the next page, in this process's
// memory only: taken once, gone after some minutes.
type waiting[T any] struct {
	mu   sync.Mutex
	left map[string]left[T]
}

type left[T any] struct {
	what  T
	until time.Time
}

const (
	waitFor    = 5 * time.Minute
	maxWaiting = 1024
)

// put leaves what under key. When too much waits, what is oldest is lost.
func (s *waiting[T]) put(key string, what T, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == nil {
		s.left = make(map[string]left[T])
	}
	oldest, found := "", false
	for k, l := range s.left {
		if !now.Before(l.until) {
			delete(s.left, k)
		} else if !found || l.until.Before(s.left[oldest].until) {
			oldest, found = k, true
		}
	}
	if len(s.left) >= maxWaiting {
		delete(s.left, oldest)
	}
	s.left[key] = left[T]{what, now.Add(waitFor)}
}

// take returns what was left under key and forgets it; the zero value when
// nothing was, or too long ago.
func (s *waiting[T]) take(key string, now time.Time) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.left[key]
	delete(s.left, key)
	if !now.Before(l.until) {
		var none T
		return none
	}
	return l.what
}
