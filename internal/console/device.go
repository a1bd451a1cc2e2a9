package console

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// deviceRoutes is the table of signing in from the command line: what programs
// ask, and the pages of whoever approves.
func (c *Console) deviceRoutes() []route {
	return []route{
		{pattern: "GET /.well-known/oauth-authorization-server", need: anyone, handle: c.oauthMetadata},
		{pattern: "POST /device/code", need: anyone, handle: c.deviceCode, maxBody: maxDeviceBody},
		{pattern: "POST /device/token", need: anyone, handle: c.deviceToken, maxBody: maxDeviceBody},
		{pattern: "POST /device/clusters", need: anyone, handle: c.deviceClusters, maxBody: maxDeviceBody},
		{pattern: "POST /device/revoke", need: anyone, handle: c.deviceRevoke, maxBody: maxDeviceBody},
		{pattern: "GET /device", need: signedIn, handle: c.showDevice},
		{pattern: "POST /device", need: signedIn, handle: c.enterDevice},
		{pattern: "GET /device/{id}", need: signedIn, handle: c.showDeviceRequest},
		{pattern: "POST /device/{id}", need: signedIn, handle: c.answerDevice},
	}
}

// devicePage is the data of the page "device", where a code is re-typed. It is
// never filled in from a link: whoever sends the link would have typed for the
// person (RFC 8628 section 5.4).
type devicePage struct {
	Base
	Code ui.Field
	Off  bool
}

func (c *Console) deviceForm(v *visit) *devicePage {
	return &devicePage{Base: v.Alone("Sign in a program"), Code: ui.Field{Name: "user_code", Label: "Code in your terminal", Required: true, Autofocus: true,
		Autocomplete: "off", MaxLength: 16, Mono: true}}
}

func (c *Console) showDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.show(w, r, http.StatusOK, "device", c.deviceForm(v))
}

func (c *Console) enterDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	q, err := c.Auth.EnterDeviceCode(r.Context(), v.Origin, v.Session, r.PostForm.Get("user_code"))
	if err == nil {
		http.Redirect(w, r, "/device/"+url.PathEscape(q.ID), http.StatusSeeOther)
		return nil
	}
	page, status := c.deviceForm(v), http.StatusUnprocessableEntity
	if t, ok := errors.AsType[*auth.ThrottledError](err); ok {
		page.Code.Error, status = "Too many wrong codes were typed. None is looked at for an hour, and your account's notices say so.", http.StatusTooManyRequests
		ui.SetRetryAfter(w.Header(), t.RetryAfter)
	} else if errors.Is(err, auth.ErrDeviceUnknown) {
		page.Code.Error = "No program waits with this code. Read it again in your terminal; after ten minutes it needs a new one."
	} else if errors.Is(err, auth.ErrDeviceOff) {
		page.Off = true
	} else {
		return authError(err, "reading a program's code")
	}
	return c.show(w, r, status, "device", page)
}

// deviceRequestPage is the data of the page "device-request", which says who
// asks and lets the person answer.
type deviceRequestPage struct {
	Base
	Name, Program, IP, Here string
	Asked, Expires, Until   time.Time
	OtherNetwork, Refused   bool
	URL                     string
	Done                    string // "approved" or "denied"; empty: to be answered
}

func (c *Console) showDeviceRequest(w http.ResponseWriter, r *http.Request, v *visit) error {
	q, err := c.deviceRequest(r, v)
	if err != nil {
		return c.deviceGone(w, r, err)
	}
	page := &deviceRequestPage{Base: v.Alone("Sign in a program"), Name: q.Name, Program: q.Program, IP: q.IP, Here: v.Origin.IP.String(),
		Asked: q.Created, Expires: q.Expires, Until: v.Session.AbsoluteEnds, OtherNetwork: q.OtherNetwork, Refused: q.Refused, URL: "/device/" + url.PathEscape(q.ID)}
	return c.show(w, r, http.StatusOK, "device-request", page)
}

// deviceRequest returns the request of the address, once the person has given
// a code after the program asked.
func (c *Console) deviceRequest(r *http.Request, v *visit) (auth.DeviceRequest, error) {
	q, err := c.Auth.DeviceRequest(r.Context(), v.Origin, v.Session, r.PathValue("id"))
	if err == nil && !q.Fresh {
		err = &needsCode{back: "/device/" + url.PathEscape(q.ID)}
	}
	return q, err
}

// deviceGone sends whoever comes with an address that was not earned by typing
// the code to type it.
func (c *Console) deviceGone(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, auth.ErrDeviceUnknown) || errors.Is(err, auth.ErrDeviceOff) {
		http.Redirect(w, r, "/device", http.StatusSeeOther)
		return nil
	}
	if _, ok := errors.AsType[*needsCode](err); ok {
		return err
	}
	return authError(err, "reading a program's request")
}

func (c *Console) answerDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	q, err := c.deviceRequest(r, v)
	if err != nil {
		return c.deviceGone(w, r, err)
	}
	page := &deviceRequestPage{Base: v.Alone("Sign in a program"), Name: q.Name, IP: q.IP, Until: v.Session.AbsoluteEnds}
	switch r.PostForm.Get("answer") {
	case "approve":
		page.Done, err = "approved", c.Auth.ApproveDevice(r.Context(), v.Origin, v.Session, q.ID)
	case "deny":
		page.Done, err = "denied", c.Auth.DenyDevice(r.Context(), v.Origin, v.Session, q.ID)
	default:
		return &ui.Error{Status: http.StatusBadRequest}
	}
	if errors.Is(err, auth.ErrDeviceNetwork) {
		return &ui.Error{Status: http.StatusForbidden, Title: "From another network", Code: "other_network", Err: err,
			Detail: "The program asks from another network than yours, and programs are signed in from the same network only here. Use a browser on the same network."}
	}
	if err != nil {
		return c.deviceGone(w, r, err)
	}
	return c.show(w, r, http.StatusOK, "device-request", page)
}
