package console

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// hostURL returns the origin of one of our hosts, on the gate's port.
func (c *Console) hostURL(host string) string {
	if p := c.gate.Port(); p != "" {
		return "https://" + net.JoinHostPort(host, p)
	}
	return "https://" + host
}

// canonicalHost is the name that a request was sent to: lower case, without
// port or trailing dot.
func canonicalHost(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// localURI reports whether uri may follow one of our own origins in a
// redirect: a path from the root. What a browser would read as another host,
// or repair into one, is refused even though the origin stands before it.
func localURI(uri string) bool {
	return strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "//") && !strings.ContainsAny(uri, "\\\r\n\t\x00")
}

// setCookie sets one of our cookies: for this host only, never readable by
// scripts, not sent with requests that other sites start. It ends with the
// browser, or after maxAge seconds when that is positive.
func setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func dropCookie(w http.ResponseWriter, name string) { setCookie(w, name, "", -1) }

// signIn gives the browser its session at the gate, and marks it as a device
// that this account uses, so that strangers who try passwords elsewhere do not
// slow it down.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request, value string, s *auth.Session) {
	// Whoever signs in from the start has no use for what the browser's last
	// session waits for.
	if old := c.Auth.IdleSession(r, c.gateHost); old != nil && old.ID != s.ID {
		o := auth.Origin{IP: c.ClientIP(r), UserAgent: r.UserAgent(), RequestID: w.Header().Get("X-Ringfence-Request-Id"), Host: c.gateHost}
		if err := c.Auth.Logout(r.Context(), o, old); err != nil {
			c.Logger.WarnContext(r.Context(), "ending the session before", "err", err)
		}
	}
	setCookie(w, auth.SessionCookie, value, 0)
	device, err := c.Auth.Device(s)
	if err != nil {
		c.Logger.WarnContext(r.Context(), "marking a device", "err", err)
		return
	}
	setCookie(w, auth.DeviceCookie, device, int(deviceKept.Seconds()))
}

const deviceKept = 180 * 24 * time.Hour

// cookie returns the value of the request's cookie, empty when it has none.
func cookie(r *http.Request, name string) string {
	k, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return k.Value
}

// returning is where a person was headed when they were sent to sign in, to
// give a code or to accept an agreement. The target itself is kept by package
// auth: a page only ever sees its random id, so no address of a query is
// followed or shown.
type returning struct {
	id     string // empty: nowhere
	target auth.Target
}

// returning reads the request's target; an unknown or expired one is nowhere.
func (c *Console) returning(r *http.Request) returning {
	return c.returningTo(r.URL.Query().Get("return"))
}

// returningTo finds the target with the id.
func (c *Console) returningTo(id string) returning {
	if id == "" || len(id) > 128 {
		return returning{}
	}
	if strings.HasPrefix(id, gateTarget) {
		if uri, ok := c.paths.get(id, c.Now()); ok {
			return returning{id: id, target: auth.Target{Host: c.gateHost, URI: uri}}
		}
		return returning{}
	}
	t, ok := c.Auth.Target(id)
	if !ok || !localURI(t.URI) {
		return returning{}
	}
	return returning{id: id, target: t}
}

// to returns the path of a page of the gate that keeps the target in mind.
func (b returning) to(path string) string {
	if b.id == "" {
		return path
	}
	return path + "?return=" + url.QueryEscape(b.id)
}

// aim prepares a page whose form leads to the target in the end: the browser
// must be allowed to follow.
func (b returning) aim(c *Console, base *Base) {
	if b.id != "" && b.target.Host != c.gateHost {
		base.FormTargets = []string{c.hostURL(b.target.Host)}
	}
}

// host names the target for the person, empty for the gate itself.
func (b returning) host(c *Console) string {
	if b.id == "" || b.target.Host == c.gateHost {
		return ""
	}
	return b.target.Host
}

// proceed sends a signed-in person on to where they were headed, or to their
// portal. What the session still lacks comes first.
func (c *Console) proceed(w http.ResponseWriter, r *http.Request, v *visit, s *auth.Session, b returning) error {
	if c.Auth.ShownRecovery(s) != nil { // a code in place of one that was used
		http.Redirect(w, r, b.to("/factors/recovery/new"), http.StatusSeeOther)
		return nil
	}
	if len(outstanding(v.Snapshot, s.Account, v.Now)) > 0 {
		http.Redirect(w, r, c.beyondAgreements(r, b).to("/agreements"), http.StatusSeeOther)
		return nil
	}
	if b.id == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	if b.target.Host == c.gateHost {
		http.Redirect(w, r, b.target.URI, http.StatusSeeOther)
		return nil
	}
	code, err := c.Auth.IssueHandoff(r.Context(), s, b.target.Host, b.id)
	if errors.Is(err, auth.ErrHandoffInvalid) { // the target has expired in the meantime
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return authError(err, "issuing a hand-off")
	}
	http.Redirect(w, r, c.hostURL(b.target.Host)+callbackPath+"?code="+url.QueryEscape(code), http.StatusSeeOther)
	return nil
}

// gateTarget begins the ids of targets at the gate, which are kept here.
const gateTarget = "gate-"

// remember keeps the address of a page of the gate and returns its id, for a
// person who has to do something else first.
func (c *Console) remember(uri string) returning {
	if !localURI(uri) || len(uri) > 2048 {
		return returning{}
	}
	return returning{id: c.paths.save(uri, c.Now()), target: auth.Target{Host: c.gateHost, URI: uri}}
}

// fresh returns an error that sends the visitor to give a fresh code first,
// and back to the page at back, unless the last code is recent: for acts that
// somebody at an unlocked screen should not be able to do.
func (v *visit) fresh(back string) error {
	if v.isFresh() {
		return nil
	}
	return &needsCode{back: back}
}

// needsCode is the error of [visit.fresh] and of routes that demand a fresh code.
type needsCode struct {
	back string // the page to come back to
	post bool   // come back to the form that was posted instead
	key  bool   // a passkey or security key alone will do
}

func (e *needsCode) Error() string { return "a fresh code is needed" }
