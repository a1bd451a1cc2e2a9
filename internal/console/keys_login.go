package console

import (
	"errors"
	"net/http"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// A keyForm asks a passkey or security key, with the help of a script. Its
// template is "key-ask".
type keyForm struct {
	Action   string
	Question string  // names the question
	Options  string  // the question, as JSON
	Fault    ui.Text // what was wrong with the last answer
}

// keyQuestion makes the form of a question; nil where the account has no key
// or has been asked too often: the code's form is there all the same.
func keyQuestion(q auth.KeyQuestion, err error, action string) (*keyForm, error) {
	if _, often := errors.AsType[*auth.ThrottledError](err); often || errors.Is(err, auth.ErrNoKeys) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &keyForm{Action: action, Question: q.ID, Options: string(q.Options)}, nil
}

// keyFault words what was wrong with a key's answer; empty for other errors.
func keyFault(err error) (text ui.Text, status int) {
	switch {
	case errors.Is(err, auth.ErrKeyRefused):
		return "That key was not accepted. Use one that is in your list, at this very address.", http.StatusUnauthorized
	case errors.Is(err, auth.ErrKeyCloned):
		return "That key answered as a copy of it would, so it was refused. Use another factor, remove the key from your list, and tell your administrator.", http.StatusUnauthorized
	case errors.Is(err, auth.ErrCeremonyEnded):
		return "That took too long, or was sent twice. Please try again.", http.StatusConflict
	}
	return "", 0
}

// loginKey finishes a sign-in with a key's answer.
func (c *Console) loginKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	value, session, err := c.Auth.FinishKeyLogin(r.Context(), v.Origin, cookie(r, auth.LoginCookie), r.PostForm.Get("question"), []byte(r.PostForm.Get("answer")))
	if err == nil {
		dropCookie(w, auth.LoginCookie)
		c.signIn(w, r, value, session)
		return c.proceed(w, r, v, session, back)
	}
	text, status := keyFault(err)
	if text == "" {
		return c.restartLogin(w, r, back, err)
	}
	page, err := c.codeForm(r, v, back)
	if err != nil {
		return c.restartLogin(w, r, back, err)
	}
	page.spoil(text)
	c.UI.Page(w, r, status, "code", page)
	return nil
}

// spoil says what was wrong with the last key's answer.
func (p *codePage) spoil(text ui.Text) {
	if p.Key == nil {
		p.Flash = &ui.Flash{Kind: ui.Bad, Text: text}
		return
	}
	p.Key.Fault = text
}

// offerKey lets a key stand in for the code where the account has one.
func (c *Console) offerKey(r *http.Request, v *visit, p *confirmPage) error {
	q, err := c.Auth.BeginKeyConfirm(r.Context(), v.Origin, v.Session)
	if p.Key, err = keyQuestion(q, err, c.returning(r).to("/confirm/key")); err != nil {
		return authError(err, "asking a key")
	}
	p.Code.Autofocus = p.Key == nil
	return nil
}

// showConfirmKey asks a session for a key and takes no code. Whoever has no
// key is led to where one is added.
func (c *Console) showConfirmKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.confirmKeyForm(w, r, v, http.StatusOK, "")
}

func (c *Console) confirmKeyForm(w http.ResponseWriter, r *http.Request, v *visit, status int, fault ui.Text) error {
	back := c.returning(r)
	q, err := c.Auth.BeginKeyConfirm(r.Context(), v.Origin, v.Session)
	if errors.Is(err, auth.ErrNoKeys) {
		http.Redirect(w, r, back.to("/factors/keys/new"), http.StatusSeeOther)
		return nil
	}
	if t, ok := errors.AsType[*auth.ThrottledError](err); ok {
		return &ui.Error{Status: http.StatusTooManyRequests, RetryAfter: t.RetryAfter, Err: err}
	}
	if err != nil {
		return authError(err, "asking a key")
	}
	page := c.confirmForm(v, back)
	page.KeyOnly = true
	page.Key = &keyForm{Action: back.to("/confirm/key"), Question: q.ID, Options: string(q.Options), Fault: fault}
	if text := c.desk.flashes.take(v.Session.ID, v.Now); text != "" {
		page.Flash = &ui.Flash{Kind: ui.Good, Text: text}
	}
	c.UI.Page(w, r, status, "confirm", page)
	return nil
}

func (c *Console) confirmKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	value, err := c.Auth.FinishKeyConfirm(r.Context(), v.Origin, v.Session, r.PostForm.Get("question"), []byte(r.PostForm.Get("answer")))
	if err != nil {
		text, status := keyFault(err)
		if text == "" {
			return authError(err, "confirming a session")
		}
		return c.confirmKeyForm(w, r, v, status, text)
	}
	setCookie(w, auth.SessionCookie, value, 0)
	http.Redirect(w, r, back.to("/login"), http.StatusSeeOther)
	return nil
}
