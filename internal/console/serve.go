package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/internal/ui"
)

const maxForm = 64 << 10

// gateHandler builds the mux from the tables.
func (c *Console) gateHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	for _, rt := range slices.Concat(c.gateRoutes(), c.keyRoutes(), c.deviceRoutes(), c.tokenRoutes(), c.consoleRoutes()) {
		if rt.need.level == levelNobody {
			return nil, fmt.Errorf("route %q names nobody who may use it", rt.pattern)
		}
		if _, twice := c.needs[rt.pattern]; twice {
			return nil, fmt.Errorf("route %q is there twice", rt.pattern)
		}
		c.needs[rt.pattern] = rt.need
		mux.Handle(rt.pattern, c.serve(rt))
	}
	c.mux = mux
	mux.Handle("/assets/", c.UI.Assets())
	mux.Handle("/", c.serve(route{need: anyone, handle: func(w http.ResponseWriter, r *http.Request, v *visit) error {
		return unmatched(mux, w, r)
	}}))
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(c.serve(route{need: anyone, handle: crossOrigin}))
	return cross.Handler(mux), nil
}

// unmatched tells a wrong method from a wrong address.
func unmatched(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = m
		if _, pattern := mux.Handler(probe); pattern != "/" {
			allow = append(allow, m)
		}
	}
	if allow == nil {
		return ui.NotFound()
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return &ui.Error{Status: http.StatusMethodNotAllowed}
}

func crossOrigin(http.ResponseWriter, *http.Request, *visit) error {
	return &ui.Error{Status: http.StatusForbidden, Code: "cross_origin", Title: "That came from another site",
		Detail: "Another site tried to send this form in your name. Nothing was changed. If it was you, open the page here and try again."}
}

// serve is the one way into every handler: it identifies the visitor, holds
// the route's need, limits and parses the body, and answers errors.
func (c *Console) serve(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ui.SecureHeaders(w.Header())
		id := requestID(r)
		w.Header().Set("X-Ringfence-Request-Id", id)
		v := &visit{c: c, r: r, rt: rt, RequestID: id, Now: c.Now().UTC(), Snapshot: c.Directory.Snapshot(),
			Origin: auth.Origin{IP: c.ClientIP(r), UserAgent: r.UserAgent(), RequestID: id, Host: c.gateHost, Device: cookie(r, auth.DeviceCookie)}}
		err := c.enter(w, r, v, rt)
		if err == nil {
			if v.Session != nil { // what is tried and what is searched is so in turn
				r = r.WithContext(query.For(studio.For(r.Context(), v.Session.Account), v.Session.Account))
				v.r = r
			}
			err = rt.handle(w, r, v)
		}
		if err != nil {
			c.fail(w, r, v, rt, err)
		}
	})
}

// enter settles who comes and whether the request may be handled at all.
func (c *Console) enter(w http.ResponseWriter, r *http.Request, v *visit, rt route) error {
	session, err := c.Auth.Current(r, c.gateHost)
	if err != nil {
		return &ui.Error{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("identifying the visitor: %w", err)}
	}
	v.Session = session
	if !rt.need.met(session) {
		if session == nil {
			return errSignIn
		}
		return &ui.Error{Status: http.StatusForbidden}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return v.demandCode()
	}
	limit := rt.maxBody
	if limit == 0 {
		limit = maxForm
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	if err := readBody(r, rt.json); err != nil {
		return err
	}
	return v.demandCode()
}

// readBody demands the one content type that the route takes: a form that a
// browser sends with another type could be written by a foreign page.
func readBody(r *http.Request, isJSON bool) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if isJSON {
		if kind != "application/json" && r.ContentLength != 0 {
			return &ui.Error{Status: http.StatusUnsupportedMediaType, Detail: "Send the body as application/json."}
		}
		return nil
	}
	if kind != "application/x-www-form-urlencoded" && r.ContentLength != 0 {
		return &ui.Error{Status: http.StatusUnsupportedMediaType, Detail: "Send the form as application/x-www-form-urlencoded."}
	}
	if err := r.ParseForm(); err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return err
		}
		return &ui.Error{Status: http.StatusBadRequest, Err: err}
	}
	return nil
}

var errSignIn = &ui.Error{Status: http.StatusUnauthorized, Code: "sign_in_required", Detail: "Sign in at the gate first."}

// fail answers a request that was not served.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, v *visit, rt route, err error) {
	if _, ok := errors.AsType[*needsCode](err); ok && (rt.json || wantsJSON(r)) {
		err = &ui.Error{Status: http.StatusUnauthorized, Code: "code_stale", Detail: "Give a fresh code at the gate first."}
	}
	e := ui.AsError(err)
	if rt.json || wantsJSON(r) {
		c.UI.LogError(r, v.RequestID, e)
		ui.SetRetryAfter(w.Header(), e.RetryAfter)
		writeJSON(w, e.Status, map[string]any{"error": c.jsonError(e, v.RequestID)})
		return
	}
	if errors.Is(err, errSignIn) {
		http.Redirect(w, r, c.comeBack(r).to("/login"), http.StatusSeeOther)
		return
	}
	if n, ok := errors.AsType[*needsCode](err); ok {
		c.askCode(w, r, v, n)
		return
	}
	frame := v.Titled(e.Title).Frame
	frame.RequestID = v.RequestID
	frame.Narrow = v.Session == nil
	c.UI.ShowError(w, r, frame, e)
}

// comeBack remembers the page that an anonymous visitor asked for. The start
// page needs no remembering, and a form that was sent is not sent again.
func (c *Console) comeBack(r *http.Request) returning {
	if uri := r.URL.RequestURI(); r.Method == http.MethodGet && uri != "/" {
		return c.remember(uri)
	}
	return returning{}
}

func (c *Console) jsonError(e *ui.Error, id string) map[string]any {
	m := map[string]any{"code": e.Code, "message": e.Detail.String(), "request_id": id}
	if e.Status == http.StatusUnauthorized {
		m["sign_in"] = c.GateURL + "/login"
	}
	return m
}

// wantsJSON reports whether the client asks for JSON and not for a page. All
// that the API says is JSON.
func wantsJSON(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// writeJSON writes v with the headers of an answer that is nobody's page.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	if err != nil {
		return nil // the client is gone; there is nobody to tell
	}
	return nil
}

// requestID names one request in answers and logs. An id from the client is
// never taken: it could name the request of somebody else.
func requestID(*http.Request) string { return strings.ToLower(rand.Text()) }
