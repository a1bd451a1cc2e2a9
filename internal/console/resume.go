package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// resumePage is the data of the page "resume": a session that went idle asks
// for the password.
type resumePage struct {
	Base
	Action   string
	Email    string // of the browser's own session
	Headed   string
	Anew     string // where to sign in from the start
	LastSeen time.Time
	Ends     time.Time
	Password ui.Field
}

// resumable returns the visitor's idle session if the password alone resumes it here.
func (c *Console) resumable(r *http.Request, v *visit) *auth.Session {
	if s := c.Auth.IdleSession(r, c.gateHost); c.Auth.CanResume(s, v.Origin) {
		return s
	}
	return nil
}

// anew marks the sign-in page for somebody who does not want to resume.
const anew = "anew"

func (c *Console) resumeForm(v *visit, s *auth.Session, back returning) *resumePage {
	p := &resumePage{Base: v.Alone("Welcome back"), Action: back.to("/resume"), Email: s.Email, Headed: back.host(c), LastSeen: s.LastSeen, Ends: s.AbsoluteEnds,
		Anew: "/login?" + anew + "=1",
		Password: ui.Field{Name: "password", Label: "Password", Type: "password", Autocomplete: "current-password",
			Required: true, Autofocus: true, MaxLength: 1024}}
	if back.id != "" {
		p.Anew = back.to("/login") + "&" + anew + "=1"
	}
	back.aim(c, &p.Base)
	return p
}

func (c *Console) showResume(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	s := c.resumable(r, v)
	if s == nil {
		http.Redirect(w, r, back.to("/login"), http.StatusSeeOther)
		return nil
	}
	c.UI.Page(w, r, http.StatusOK, "resume", c.resumeForm(v, s, back))
	return nil
}

func (c *Console) resumeSession(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	if v.Session != nil {
		return c.proceed(w, r, v, v.Session, back)
	}
	s := c.resumable(r, v)
	if s == nil {
		http.Redirect(w, r, back.to("/login"), http.StatusSeeOther)
		return nil
	}
	value, session, err := c.Auth.Resume(r.Context(), v.Origin, s, r.PostForm.Get("password"))
	if err == nil {
		c.signIn(w, r, value, session)
		return c.proceed(w, r, v, session, back)
	}
	if errors.Is(err, auth.ErrSessionEnded) || errors.Is(err, auth.ErrFlowEnded) {
		http.Redirect(w, r, back.to("/login"), http.StatusSeeOther)
		return nil
	}
	t, ok := triedCode(err, "The password is not right, or the account is not active.")
	if !ok {
		return authError(err, "resuming a session")
	}
	page := c.resumeForm(v, s, back)
	page.Password.Error = t.text
	ui.SetRetryAfter(w.Header(), t.wait)
	c.UI.Page(w, r, t.status, "resume", page)
	return nil
}
