package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// Bounds on forms that wait for a fresh code. They are kept in memory only: a
// restart loses them, and their page says to fill in again.
const (
	keptLife       = 10 * time.Minute
	maxKept        = 256      // forms of all sessions
	maxKeptSession = 4        // of one session
	maxKeptForm    = 64 << 10 // bytes of one form
)

// A keptForm is a form that was posted with a code too old for it.
type keptForm struct {
	session string  // the only one that may send it
	pattern string  // of the route it was meant for
	act     ui.Text // what it does, in words
	uri     string
	form    url.Values
	back    string // the page with the form
	expires time.Time
}

// keptForms holds forms under random ids, each good once.
type keptForms struct {
	mu    sync.Mutex
	forms map[string]keptForm
	order []string // ids, oldest first; those that were taken may still be in it
}

// put keeps a form and returns its id. What is oldest makes room: of the same
// session first, so that one browser cannot push out the forms of others.
func (k *keptForms) put(f keptForm, now time.Time) (id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.forms == nil {
		k.forms = make(map[string]keptForm)
	}
	own := 0
	for _, have := range k.forms {
		if have.session == f.session {
			own++
		}
	}
	k.order = slices.DeleteFunc(k.order, func(id string) bool {
		have, ok := k.forms[id]
		gone := !ok || !now.Before(have.expires)
		if !gone && own >= maxKeptSession && have.session == f.session {
			own--
			gone = true
		}
		if gone {
			delete(k.forms, id)
		}
		return gone
	})
	if len(k.order) >= maxKept {
		delete(k.forms, k.order[0])
		k.order = k.order[1:]
	}
	id = auth.NewSecret()
	f.expires = now.Add(keptLife)
	k.forms[id] = f
	k.order = append(k.order, id)
	return id
}

// get returns a form of the session's own.
func (k *keptForms) get(id, session string, now time.Time) (keptForm, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.forms[id]
	return f, ok && f.session == session && now.Before(f.expires)
}

// take returns a form of the session's own and forgets it: of several callers one gets it.
func (k *keptForms) take(id, session string, now time.Time) (keptForm, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.forms[id]
	if !ok || f.session != session || !now.Before(f.expires) {
		return keptForm{}, false
	}
	delete(k.forms, id)
	return f, true
}

// drop forgets the forms of a session that has ended.
func (k *keptForms) drop(session string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, f := range k.forms {
		if f.session == session {
			delete(k.forms, id)
		}
	}
}

// isFresh reports whether the visitor's last code is recent.
func (v *visit) isFresh() bool {
	age, ok := v.Session.Subject(v.Now).CodeAge()
	return ok && age <= int64(freshFor.Seconds())
}

// demandCode holds the need for a fresh code of a route that has it.
func (v *visit) demandCode() error {
	if !v.rt.fresh || v.isFresh() {
		return nil
	}
	if v.r.Method == http.MethodGet || v.r.Method == http.MethodHead {
		return &needsCode{back: v.r.URL.RequestURI()}
	}
	return &needsCode{post: true}
}

// askCode sends a visitor to give a fresh code, and answers a post that needs
// one without losing what was posted.
func (c *Console) askCode(w http.ResponseWriter, r *http.Request, v *visit, n *needsCode) {
	if !n.post {
		page := "/confirm"
		if n.key {
			page = "/confirm/key"
		}
		http.Redirect(w, r, c.remember(n.back).to(page), http.StatusSeeOther)
		return
	}
	back := c.pageOf(r)
	if !v.rt.mayKeep(r.PostForm) {
		base := v.Alone("Give a fresh code first")
		c.UI.Page(w, r, http.StatusForbidden, "stepup", &stepUpPage{Base: base, Confirm: c.remember(back).to("/confirm"), Back: back})
		return
	}
	id := c.kept.put(keptForm{session: v.Session.ID, pattern: v.rt.pattern, act: v.rt.act, uri: r.URL.RequestURI(), form: r.PostForm, back: back}, v.Now)
	http.Redirect(w, r, c.remember(stepUpPath+id).to("/confirm"), http.StatusSeeOther)
}

const stepUpPath = "/step-up/"

// mayKeep reports whether a posted form may wait for a fresh code: not one
// with secrets in it, which are never kept, nor one that is large.
func (rt route) mayKeep(form url.Values) bool {
	if rt.secret || len(form.Encode()) > maxKeptForm {
		return false
	}
	for name := range form {
		for _, s := range []string{"password", "secret", "code", "token"} {
			if strings.Contains(strings.ToLower(name), s) {
				return false
			}
		}
	}
	return true
}

// pageOf returns the page that a form stands on: that of the same address, or
// the nearest above it. Our pages send no referrer.
func (c *Console) pageOf(r *http.Request) string {
	for path := r.URL.EscapedPath(); len(path) > 1; {
		probe, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			break
		}
		probe.Host = r.Host
		if _, pattern := c.mux.Handler(probe); strings.HasPrefix(pattern, http.MethodGet+" ") {
			return path
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return "/"
}

// stepUpPage is the data of the page "stepup": what waits for a press of the
// button, or that nothing was kept.
type stepUpPage struct {
	Base
	Act     ui.Text // empty: nothing is kept
	Fields  []fact
	Action  string
	Confirm string // where to give a code, when nothing is kept
	Back    string
}

// errNotKept answers for a form that was sent already, is too old, or was
// never this session's: these are not told apart.
var errNotKept = &ui.Error{Status: http.StatusGone, Code: "not_kept", Title: "Nothing waits here",
	Detail: "It was done already, or it waited for more than ten minutes. Look at the page that you came from whether it is done, and fill it in again if not."}

func (c *Console) showStepUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, ok := c.kept.get(r.PathValue("id"), v.Session.ID, v.Now)
	if !ok {
		return errNotKept
	}
	page := &stepUpPage{Base: v.Alone("Do it now?"), Act: cmp.Or(f.act, "Send the form"), Fields: keptFields(f.form), Action: stepUpPath + r.PathValue("id"), Back: f.back}
	c.UI.Page(w, r, http.StatusOK, "stepup", page)
	return nil
}

// keptFields shows what a form says. Which state of an object it was made from
// is for the route alone.
func keptFields(form url.Values) []fact {
	var all []fact
	for name, values := range form {
		if said := strings.TrimSpace(strings.Join(values, ", ")); said != "" && name != "seen" {
			all = append(all, fact{fieldWords(name), ui.Verbatim(clip(said, 600))})
		}
	}
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return all
}

// stepUp sends a kept form to its route, as if the browser had posted it just
// now: who asks, what they may do and how old their code is are all looked at anew.
func (c *Console) stepUp(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, ok := c.kept.take(r.PathValue("id"), v.Session.ID, v.Now)
	if !ok {
		return errNotKept
	}
	body := f.form.Encode()
	again, err := http.NewRequestWithContext(r.Context(), http.MethodPost, f.uri, strings.NewReader(body))
	if err != nil {
		return err
	}
	again.Header = r.Header.Clone()
	again.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	again.Header.Del("Content-Length")
	again.Host, again.RemoteAddr, again.TLS, again.RequestURI = r.Host, r.RemoteAddr, r.TLS, f.uri
	if _, pattern := c.mux.Handler(again); pattern != f.pattern {
		return errNotKept
	}
	c.mux.ServeHTTP(w, again)
	return nil
}
