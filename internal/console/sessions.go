package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// sessionsPage is the data of the page "sessions".
type sessionsPage struct {
	Base
	Table     sessionTable
	Others    int  // sessions besides this one
	Strange   bool // another of them began somewhere new
	LastLogin time.Time
	LastIP    string
}

func (c *Console) showSessions(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.SessionsOf(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing sessions")
	}
	page := &sessionsPage{Base: v.Titled("My sessions"), Table: sessionTable{MayEnd: true}, Strange: strange(list, v.Session.ID),
		LastLogin: v.Session.LastLogin, LastIP: v.Session.LastIP}
	for i := range list {
		page.Table.Rows = append(page.Table.Rows, v.newSessionRow(&list[i], "/sessions/end"))
	}
	slices.SortFunc(page.Table.Rows, func(a, b sessionRow) int {
		if a.This != b.This {
			if a.This {
				return -1
			}
			return 1
		}
		return b.Seen.Compare(a.Seen)
	})
	page.Others = max(0, len(list)-1)
	if n := r.URL.Query().Get("note"); n == "ended" {
		page.Flash = &ui.Flash{Kind: ui.Good, Text: "Ended. Whoever used it is signed out, here and on every cluster."}
	}
	c.UI.Page(w, r, http.StatusOK, "sessions", page)
	return nil
}

// strange reports whether a session other than this one began on a device or
// network that its account had not used before.
func strange(list []auth.Session, this string) bool {
	return slices.ContainsFunc(list, func(s auth.Session) bool { return s.ID != this && (s.NewDevice || s.NewNetwork) })
}

// endSession ends one of the visitor's own sessions, or with id "others" every
// one but this.
func (c *Console) endSession(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.SessionsOf(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing sessions")
	}
	id := r.PostForm.Get("id")
	var end []string
	for _, s := range list {
		// Only what is in one's own list can be ended, whatever id is sent.
		if s.ID == id || id == "others" && s.ID != v.Session.ID {
			end = append(end, s.ID)
		}
	}
	if end == nil && id != "others" {
		return &ui.Error{Status: http.StatusNotFound, Title: "That session is gone", Detail: "It has ended already, or it is not yours."}
	}
	for _, id := range end {
		if err := c.Auth.EndSession(r.Context(), v.AuthActor(), id); err != nil {
			return authError(err, "ending a session")
		}
	}
	if slices.Contains(end, v.Session.ID) {
		c.kept.drop(v.Session.ID)
		dropCookie(w, auth.SessionCookie)
		http.Redirect(w, r, "/login?note=out", http.StatusSeeOther)
		return nil
	}
	http.Redirect(w, r, "/sessions?note=ended", http.StatusSeeOther)
	return nil
}
