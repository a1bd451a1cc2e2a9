// Package review has the words for how reviewers work through the access log:
// searches that are kept and shared, and sign-offs, by which somebody says that
// they have looked at what a search found. It holds plain types and the rules
// on their texts; it reads no log and evaluates no search. Queries are in the
// canonical spelling of package query, under internal/accesslog.
package review

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is kept.
const (
	MaxTitle    = 100  // characters
	MaxNote     = 2000 // characters
	MaxQuery    = 4096 // bytes
	MaxSearches = 200  // of one account
)

// What keeping or signing off can be refused for.
var (
	ErrNotFound = errors.New("there is no such search")
	ErrChanged  = errors.New("somebody else changed the search in the meantime")
	ErrNotYours = errors.New("the search is somebody else's: they, or an administrator, may change it")
	ErrTooMany  = errors.New("so many searches are kept for this account that no further one is")
	ErrInvalid  = errors.New("this cannot be kept")
)

// A Search is a query that somebody keeps under a title.
type Search struct {
	ID     int64
	Owner  string // account id
	Email  string // the owner's, when it was saved
	Title  string
	Query  string
	Shared bool // everybody who reads the log sees it
	// Daily puts it in the queue of what is to be reviewed each day. Its query
	// then has no bounds of time or index.
	Daily            bool
	Version          int // counts changes, from 1
	Created, Changed time.Time
}

// Check reports [ErrInvalid] unless the search's texts can be kept. What the
// query says is not looked at.
func (s *Search) Check() error {
	if !line(s.Title, MaxTitle) || s.Title == "" || len(s.Query) > MaxQuery || !utf8.ValidString(s.Query) {
		return ErrInvalid
	}
	return nil
}

// SeenBy reports whether an account sees the search in lists.
func (s *Search) SeenBy(account string) bool { return s.Shared || s.Owner == account }

// A SignOff is somebody's word that they reviewed the entries with an index
// from From up to but not including To that Query selects, within Scope, other
// than those about themselves. It never changes.
type SignOff struct {
	ID     int64
	Search int64  // the search that was asked for; 0: a query that was typed
	Title  string // of that search then
	Query  string // without bounds of time and index, which From and To stand for
	Scope  string // what of the log the reviewer may see, as a query; "": all
	From   uint64
	To     uint64
	// Matched is how many entries were selected, without the reviewer's own; Own
	// is how many were about the reviewer, and wait for somebody else.
	Matched, Own int
	Account      string
	Email        string
	Note         string
	At           time.Time
}

// Check reports [ErrInvalid] unless the sign-off can be kept.
func (s *SignOff) Check() error {
	if s.From >= s.To || s.Matched < 0 || s.Own < 0 || s.Account == "" || strings.TrimSpace(s.Note) == "" || !text(s.Note, MaxNote) || !line(s.Title, MaxTitle) || len(s.Query) > MaxQuery {
		return ErrInvalid
	}
	return nil
}

func line(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// text is a line or several.
func text(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' })
}
