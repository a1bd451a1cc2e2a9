package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

var errHostileUpstream = errors.New("reading response: it breaks the protocol")

// modifyResponse applies the obligations that can be applied to a response's
// head, and takes off what an upstream may not tell a browser.
func modifyResponse(res *http.Response) error {
	x := exchangeOf(res.Request.Context())
	if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols || res.StatusCode > 999 {
		return errHostileUpstream
	}
	if res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified {
		res.Body.Close() // a length without a body is read, over HTTP/2, as a body that is missing
		res.Body = http.NoBody
		delete(res.Header, "Content-Length")
	}
	if limit := x.limit.Load(); limit > 0 && res.ContentLength > limit && hasBody(res) {
		x.out.tooLarge.Store(true)
		x.failure = &denial{http.StatusBadGateway, policy.ReasonResponseTooLarge,
			"The response is larger than the policy allows.", "Ask for a smaller part, or ask the cluster's owner.", 0}
		return errResponseTooLarge
	}
	if len(x.masked) > 0 {
		if err := x.maskResponse(res); err != nil {
			x.failure = notMaskable()
			return err
		}
	}
	if b := x.budget.Load(); b > 0 && x.meter != nil && hasBody(res) && res.ContentLength > x.meter.left(today(x.h.Now()), b) {
		x.failure = tooMuchToday(x.h.Now())
		return errBudgetSpent
	}
	x.events.Store(strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"))
	if hasBody(res) {
		x.out.length = max(0, res.ContentLength)
	}
	x.filterHeader(res.Header)
	x.filterHeader(res.Trailer)
	if len(res.Trailer) > 0 {
		delete(res.Header, "Content-Length") // beside it HTTP/1 has no room for trailers
	}
	if loc := res.Header["Location"]; len(loc) == 1 {
		x.localLocation(loc)
	}
	x.answers.set(res.Header, HeaderRequestID, x.id)
	x.answers.set(res.Header, HeaderEntry, x.entry)
	if res.StatusCode != http.StatusSwitchingProtocols {
		x.answer.ReadCloser, x.answer.res = res.Body, res
		res.Body = &x.answer
	}
	return nil
}

func hasBody(res *http.Response) bool {
	return res.Request.Method != http.MethodHead && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified
}

// filterHeader takes off h, headers or trailers from an upstream, what would
// reach beyond its own cluster and what the decision obliges to take off.
func (x *exchange) filterHeader(h http.Header) {
	for name := range h {
		if isOurs(name) {
			delete(h, name)
		}
	}
	delete(h, "Alt-Svc")         // it would lead browsers past the gateway
	delete(h, "Clear-Site-Data") // its cookies are those of all sibling hosts, the gate's too
	for _, name := range x.decision.Obligations.StripHeaders {
		h.Del(name)
	}
	if len(x.masked) > 0 { // trailers come late
		for _, name := range maskedHeaders {
			delete(h, name)
		}
	}
	lines, ok := h["Set-Cookie"]
	if !ok {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		if keepSetCookie(line, x.host) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
	} else {
		h["Set-Cookie"] = kept
	}
}

// localLocation makes a redirect that names the upstream's own address one
// that works on the cluster's host. Others pass as they are.
func (x *exchange) localLocation(loc []string) {
	if x.upstream == nil || !strings.Contains(loc[0], x.upstream.host) {
		return
	}
	u, err := url.Parse(loc[0])
	if err != nil || u.Host != x.upstream.host || u.Scheme != "" && u.Scheme != x.upstream.scheme || u.User != nil || u.Opaque != "" {
		return
	}
	u.Scheme, u.Host = x.scheme, x.authority
	loc[0] = u.String()
}
