package console

import (
	"errors"
	"net/http"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// passwordPage is the data of the page "password".
type passwordPage struct {
	Base
	Email                string
	Current, Next, Again ui.Field
	EndOthers            bool
	Fault                string // of the try as a whole
}

func (c *Console) passwordForm(v *visit) *passwordPage {
	return &passwordPage{Base: v.Alone("Change your password"), Email: v.Session.Email, EndOthers: true,
		Current: ui.Field{Name: "current", Label: "The password that you have", Type: "password", Autocomplete: "current-password", Required: true, Autofocus: true, MaxLength: 1024},
		Next: ui.Field{Name: "password", Label: "The new password", Type: "password", Autocomplete: "new-password", Required: true, MinLength: auth.PasswordMin, MaxLength: 1024,
			Hint: "At least 12 characters. Several words that do not belong together are easy to keep in mind. Capitals and digits are not needed; spaces are fine."},
		Again: ui.Field{Name: "again", Label: "The new password again", Type: "password", Autocomplete: "new-password", Required: true, MaxLength: 1024},
	}
}

// showPassword demands a fresh code before the form, so that nothing typed is lost.
func (c *Console) showPassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.fresh("/password"); err != nil {
		return err
	}
	has, err := c.Auth.HasPassword(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "looking up a password")
	}
	if !has {
		return noPasswordHere(auth.ErrPasswordClosed)
	}
	return c.show(w, r, http.StatusOK, "password", c.passwordForm(v))
}

// noPasswordHere says that the visitor's company keeps the password.
func noPasswordHere(err error) error {
	return &ui.Error{Status: http.StatusConflict, Title: "You have no password here",
		Detail: "You sign in through your company. Its sign-in is where the password is changed.", Err: err}
}

func (c *Console) changePassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := v.fresh("/password"); err != nil {
		return err
	}
	page := c.passwordForm(v)
	page.EndOthers = r.PostForm.Get("others") != ""
	next := r.PostForm.Get("password")
	if r.PostForm.Has("again") && r.PostForm.Get("again") != next {
		page.Again.Error = "The two passwords differ. Type the same one twice."
		return c.show(w, r, http.StatusUnprocessableEntity, "password", page)
	}
	cookie, others, err := c.Auth.ChangePassword(r.Context(), v.Origin, v.Session, r.PostForm.Get("current"), next, page.EndOthers)
	if errors.Is(err, auth.ErrPasswordClosed) {
		return noPasswordHere(err)
	}
	if bad, ok := errors.AsType[*auth.PasswordError](err); ok {
		page.Next.Error = passwordWords[bad.Reason]
		return c.show(w, r, http.StatusUnprocessableEntity, "password", page)
	}
	if t, ok := triedCode(err, "That is not the password that you have."); ok {
		page.Current.Error = t.text
		ui.SetRetryAfter(w.Header(), t.wait)
		return c.show(w, r, t.status, "password", page)
	}
	if err != nil {
		return authError(err, "changing a password")
	}
	setCookie(w, auth.SessionCookie, cookie, 0)
	said := ui.Text("Your password is changed.")
	switch {
	case others == 1:
		said = "Your password is changed, and your other session has ended."
	case others > 1:
		said = "Your password is changed, and your other sessions have ended."
	}
	return c.seeOther(w, r, v, "/notices", said)
}
