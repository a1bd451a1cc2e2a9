package console

import (
	"errors"
	"net/http"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// Paths on the hosts of clusters.
const (
	reservedPrefix = "/.ringfence"
	callbackPath   = reservedPrefix + "/callback"
)

// reservedHandler serves /.ringfence/ on the hosts of clusters.
func (c *Console) reservedHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(reservedPrefix+"/assets/", c.UI.Assets())
	mux.Handle("GET "+callbackPath, c.onCluster(c.callback))
	mux.Handle("POST "+reservedPrefix+"/logout", c.onCluster(c.clusterLogout))
	mux.Handle("/", c.onCluster(func(http.ResponseWriter, *http.Request) error { return ui.NotFound() }))
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(c.onCluster(func(w http.ResponseWriter, r *http.Request) error { return crossOrigin(w, r, nil) }))
	return cross.Handler(mux)
}

// onCluster frames a handler on a cluster's host, where nothing but our
// prefix is ours.
func (c *Console) onCluster(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ui.SecureHeaders(w.Header())
		id := requestID(r)
		w.Header().Set("X-Ringfence-Request-Id", id)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := f(w, r)
		if err == nil {
			return
		}
		e := ui.AsError(err)
		if wantsJSON(r) {
			c.UI.LogError(r, id, e)
			ui.SetRetryAfter(w.Header(), e.RetryAfter)
			writeJSON(w, e.Status, map[string]any{"error": c.jsonError(e, id)})
			return
		}
		frame := c.clusterFrame(e.Title)
		frame.RequestID = id
		c.UI.ShowError(w, r, frame, e)
	})
}

// clusterFrame is the frame of our pages on a cluster's host.
func (c *Console) clusterFrame(title ui.Text) ui.Frame {
	return ui.Frame{Title: title, Organisation: c.Organisation, Prefix: reservedPrefix, Gate: c.hostURL(c.gateHost), Narrow: true}
}

// callback takes a hand-off code from the gate and makes it into this host's
// own cookie. The code is bound to the browser that started, so a link made by
// somebody else signs nobody in.
func (c *Console) callback(w http.ResponseWriter, r *http.Request) error {
	host := canonicalHost(r)
	value, uri, err := c.Auth.RedeemHandoff(r.Context(), host, r.URL.Query().Get("code"), cookie(r, auth.StartCookie))
	if errors.Is(err, auth.ErrHandoffInvalid) {
		return &ui.Error{Status: http.StatusBadRequest, Code: "handoff_invalid", Title: "That took too long",
			Detail: "The way from the sign-in to this cluster works once, for half a minute, and in the same browser. Open the cluster again from your start page.", Err: err}
	}
	if err != nil {
		return authError(err, "redeeming a hand-off")
	}
	if !localURI(uri) {
		uri = "/"
	}
	setCookie(w, auth.SessionCookie, value, 0)
	http.Redirect(w, r, c.hostURL(host)+uri, http.StatusFound)
	return nil
}

// clusterLogout ends the session from a cluster's host, everywhere.
func (c *Console) clusterLogout(w http.ResponseWriter, r *http.Request) error {
	host := canonicalHost(r)
	s, err := c.Auth.Current(r, host)
	if err != nil {
		return authError(err, "identifying the visitor")
	}
	if s == nil {
		s = c.Auth.IdleSession(r, host)
	}
	if s != nil {
		o := auth.Origin{IP: c.ClientIP(r), UserAgent: r.UserAgent(), RequestID: w.Header().Get("X-Ringfence-Request-Id"), Host: host}
		if err := c.Auth.Logout(r.Context(), o, s); err != nil && !errors.Is(err, auth.ErrSessionEnded) {
			return authError(err, "signing out")
		}
	}
	dropCookie(w, auth.SessionCookie)
	http.Redirect(w, r, c.hostURL(c.gateHost)+"/login?note=out", http.StatusSeeOther)
	return nil
}
