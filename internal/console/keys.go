package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// keyRoutes is the table of passkeys and security keys, of one's own.
func (c *Console) keyRoutes() []route {
	return []route{
		{pattern: "POST /login/key", need: anyone, handle: c.loginKey},
		{pattern: "GET /confirm/key", need: signedIn, handle: c.showConfirmKey},
		{pattern: "POST /confirm/key", need: signedIn, handle: c.confirmKey},
		{pattern: "GET /factors/keys", need: signedIn, handle: c.showKeys},
		{pattern: "GET /factors/keys/new", need: signedIn, handle: c.showNewKey},
		{pattern: "POST /factors/keys/new", need: signedIn, handle: c.addKey},
		{pattern: "POST /factors/keys/rename", need: signedIn, handle: c.renameKey},
		{pattern: "GET /factors/keys/{key}/remove", need: signedIn, handle: c.askRemoveKey, fresh: true},
		{pattern: "POST /factors/keys/{key}/remove", need: signedIn, handle: c.removeKey, fresh: true, act: "Remove the key"},
	}
}

// keysBlock is the part of the page "factors" about passkeys and security keys.
type keysBlock struct {
	Keys     []keyRow
	Demanded bool   // by an engagement of the visitor
	Why      string // why none can be added: full, host or ask; empty: one can
}

type keyRow struct {
	ID, Name, LastIP  string
	Created, LastUsed time.Time
	Synced, Cloned    bool
	ClonedAt          time.Time
	RemoveURL         string
}

func keyNameField(value string) ui.Field {
	return ui.Field{Name: "name", Label: "Name", Value: value, Required: true, MaxLength: auth.MaxKeyName, Autocomplete: "off"}
}

// showKeys leads to the list of keys among the other factors.
func (c *Console) showKeys(w http.ResponseWriter, r *http.Request, v *visit) error {
	http.Redirect(w, r, "/factors#keys", http.StatusSeeOther)
	return nil
}

func (c *Console) fillKeys(ctx context.Context, v *visit, page *factorsPage) error {
	list, err := c.Auth.SecurityKeys(ctx, v.Session.Account)
	if err != nil {
		return authError(err, "listing keys")
	}
	b := &page.Keys
	b.Demanded = v.Snapshot.PhishingResistant(v.Session.Account, v.Now)
	for _, k := range list {
		b.Keys = append(b.Keys, keyRow{ID: k.ID, Name: k.Name, LastIP: k.LastIP, Created: k.Created, LastUsed: k.LastUsed, Synced: k.BackedUp,
			Cloned: !k.Cloned.IsZero(), ClonedAt: k.Cloned, RemoveURL: "/factors/keys/" + url.PathEscape(k.ID) + "/remove"})
	}
	if _, err := c.Auth.MayAddKey(ctx, v.Session); err != nil {
		b.Why, err = whyNoKey(err)
		return err
	}
	return nil
}

// whyNoKey says in a word why no key can be added; empty where a fresh factor
// is all that is missing. An err that is none of that comes back.
func whyNoKey(err error) (why string, _ error) {
	switch {
	case errors.Is(err, auth.ErrTooMany):
		return "full", nil
	case errors.Is(err, auth.ErrNoKeys):
		return "host", nil
	case errors.Is(err, auth.ErrKeyNotAllowed):
		return "ask", nil
	case errors.Is(err, auth.ErrCodeStale), errors.Is(err, auth.ErrKeyStale):
		return "", nil
	}
	if _, ok := errors.AsType[*auth.ThrottledError](err); ok {
		return "wait", nil
	}
	return "", authError(err, "adding a key")
}

// newKeyPage is the data of the page "newkey".
type newKeyPage struct {
	Base
	keyForm
	Name ui.Field
	Why  string // why there is no form: ask, full, wait or host
	Ask  *policy.Person
	Back string
}

func (c *Console) showNewKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.newKeyForm(w, r, v, http.StatusOK, ui.Field{}, "")
}

// newKeyForm shows the page that asks for a new key. Without a factor that is
// fresh enough the visitor gives one first and comes back.
func (c *Console) newKeyForm(w http.ResponseWriter, r *http.Request, v *visit, status int, name ui.Field, fault ui.Text) error {
	back := c.returning(r)
	page := &newKeyPage{Base: v.Alone("Add a passkey or security key"), Name: name, Back: "/factors"}
	if page.Name.Name == "" {
		page.Name = keyNameField("")
		page.Name.Hint = "So that you know it again: where it is, or what it looks like."
		page.Name.Value = c.UI.Say(r, clientWords(r.UserAgent()))
	}
	q, err := c.Auth.BeginKeyRegistration(r.Context(), v.Origin, v.Session)
	switch {
	case err == nil:
		page.keyForm = keyForm{Action: back.to("/factors/keys/new"), Question: q.ID, Options: string(q.Options), Fault: fault}
	case errors.Is(err, auth.ErrCodeStale), errors.Is(err, auth.ErrKeyStale):
		return &needsCode{back: back.to("/factors/keys/new"), key: errors.Is(err, auth.ErrKeyStale)}
	default:
		if page.Why, err = whyNoKey(err); err != nil {
			return err
		}
		if owner, title := vendorOf(v.Snapshot, v.Session.Vendor); title != "" {
			page.Ask = &owner
		}
	}
	return c.show(w, r, status, "newkey", page)
}

func (c *Console) addKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	back := c.returning(r)
	name := keyNameField(r.PostForm.Get("name"))
	cookie, key, err := c.Auth.FinishKeyRegistration(r.Context(), v.Origin, v.Session, r.PostForm.Get("question"), name.Value, []byte(r.PostForm.Get("answer")))
	switch {
	case err == nil:
	case errors.Is(err, auth.ErrInvalid):
		name.Error = "Give a name of at most 64 plain characters."
		return c.newKeyForm(w, r, v, http.StatusUnprocessableEntity, name, "")
	case errors.Is(err, auth.ErrKeyTaken):
		return c.newKeyForm(w, r, v, http.StatusConflict, name, "This key is in use already. Use another one.")
	case errors.Is(err, auth.ErrSessionEnded):
		return errSignIn
	default:
		if text, status := keyFault(err); text != "" {
			return c.newKeyForm(w, r, v, status, name, text)
		}
		return c.newKeyForm(w, r, v, http.StatusForbidden, name, "")
	}
	setCookie(w, auth.SessionCookie, cookie, 0)
	c.desk.flashes.put(v.Session.ID, ui.Say("“{1}” is added.", key.Name), v.Now)
	if back.id == "" {
		back = c.remember("/factors")
	}
	http.Redirect(w, r, back.to("/confirm/key"), http.StatusSeeOther)
	return nil
}

func (c *Console) renameKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	err := c.Auth.RenameKey(r.Context(), v.Origin, v.Session, r.PostForm.Get("id"), r.PostForm.Get("name"))
	if errors.Is(err, auth.ErrInvalid) {
		return &ui.Error{Status: http.StatusUnprocessableEntity, Title: "That is no name for a key", Detail: "Give a name of at most 64 plain characters.", Err: err}
	}
	if err != nil {
		return authError(err, "renaming a key")
	}
	return c.seeOther(w, r, v, "/factors", "The new name is saved.")
}

// ownKey returns the visitor's key that the address names.
func (c *Console) ownKey(r *http.Request, account string) (auth.SecurityKey, error) {
	list, err := c.Auth.SecurityKeys(r.Context(), account)
	if err != nil {
		return auth.SecurityKey{}, authError(err, "listing keys")
	}
	k := find(list, func(k *auth.SecurityKey) bool { return k.ID == r.PathValue("key") })
	if k == nil {
		return auth.SecurityKey{}, ui.NotFound()
	}
	return *k, nil
}

func (c *Console) askRemoveKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	k, err := c.ownKey(r, v.Session.Account)
	if err != nil {
		return err
	}
	page := askPage{Base: v.page("Remove a key"), Question: ui.Say("Remove “{1}”?", k.Name), About: ui.Link{Label: "My factors", URL: "/factors"},
		Effects: []ui.Text{
			"Nobody can sign in with this key any more.",
			"Your other sessions and your tokens that were opened with a key end at once.",
		},
		Action: "Remove", URL: "/factors/keys/" + url.PathEscape(k.ID) + "/remove", Back: "/factors", Danger: true}
	if v.Snapshot.PhishingResistant(v.Session.Account, v.Now) {
		page.Effects = append(page.Effects, "Your work demands a key. If this is your only one, only an administrator can let you add another.")
	}
	return c.show(w, r, http.StatusOK, "ask", page)
}

func (c *Console) removeKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	k, err := c.ownKey(r, v.Session.Account)
	if err != nil {
		return err
	}
	cookie, err := c.Auth.RemoveKey(r.Context(), v.Origin, v.Session, k.ID)
	if err != nil {
		return keyRemovalError(err)
	}
	setCookie(w, auth.SessionCookie, cookie, 0)
	return c.seeOther(w, r, v, "/factors", ui.Say("“{1}” is removed.", k.Name))
}

func keyRemovalError(err error) error {
	if errors.Is(err, auth.ErrLastFactor) {
		return &ui.Error{Status: http.StatusConflict, Title: "This is the last factor", Err: err,
			Detail: "Without it nobody could sign in with a second factor. Add another one first."}
	}
	return authError(err, "removing a key")
}
