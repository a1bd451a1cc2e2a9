package console

import (
	"net/http"
	"strings"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// confirmPage is the data of the page "confirm".
type confirmPage struct {
	Base
	Action string
	Headed string
	Kept   bool // a form waits for the code
	Code   ui.Field
	Key    *keyForm // nil: the account has no key
	// KeyOnly takes no code: it would not do.
	KeyOnly bool
}

func (c *Console) confirmForm(v *visit, back returning) *confirmPage {
	p := &confirmPage{Base: v.Alone("Confirm that it is you"), Action: back.to("/confirm"), Headed: back.host(c), Kept: strings.HasPrefix(back.target.URI, stepUpPath), Code: codeField("Fresh code")}
	back.aim(c, &p.Base)
	return p
}

func (c *Console) showConfirm(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := c.confirmForm(v, c.returning(r))
	if err := c.offerKey(r, v, page); err != nil {
		return err
	}
	c.UI.Page(w, r, http.StatusOK, "confirm", page)
	return nil
}

func (c *Console) confirm(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	value, err := c.Auth.Confirm(r.Context(), v.Origin, v.Session, r.PostForm.Get("code"))
	if err != nil {
		t, ok := triedCode(err, "That code is not right. Read the newest one for this address in your app.")
		if !ok {
			return authError(err, "confirming a session")
		}
		page := c.confirmForm(v, back)
		if err := c.offerKey(r, v, page); err != nil {
			return err
		}
		page.Code.Error = t.text
		ui.SetRetryAfter(w.Header(), t.wait)
		c.UI.Page(w, r, t.status, "confirm", page)
		return nil
	}
	setCookie(w, auth.SessionCookie, value, 0)
	// The session has changed under this request: the next one, with the new
	// cookie, goes on to the target.
	http.Redirect(w, r, back.to("/login"), http.StatusSeeOther)
	return nil
}
