package client

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// A Forwarder lets programs that know nothing of tokens reach one cluster
// through this computer: it adds the token and a proof to each request. It
// listens on loopback only, where others may sit too, so it serves nobody
// without its secret, which it makes anew each time: as the password of Basic
// authentication, as the first segment of the path, or as a cookie that
// visiting that path once sets. Pages of other origins, and names that were
// made to point here, are refused.
type Forwarder struct {
	client *Client
	base   *url.URL
	secret string
	hosts  map[string]bool // as which it may be addressed
	proxy  *httputil.ReverseProxy
}

const forwardCookie = "ringfence-connect"

// NewForwarder returns a forwarder to the cluster at base, as [Client.Find]
// gives it, that will be served at listener's address.
func NewForwarder(c *Client, base string, at net.Addr) (*Forwarder, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("forwarding to %s: %w", base, err)
	}
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return nil, fmt.Errorf("forwarding to %s: %w", base, err)
	}
	t, err := Transport(c.Profile().CA)
	if err != nil {
		return nil, err
	}
	f := &Forwarder{client: c, base: u, secret: strings.ToLower(rand.Text()),
		hosts: map[string]bool{"127.0.0.1:" + port: true, "localhost:" + port: true, "[::1]:" + port: true}}
	f.proxy = &httputil.ReverseProxy{Transport: &signing{c, base, t}, Rewrite: f.rewrite, ModifyResponse: f.answer, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "ringfence: "+err.Error(), http.StatusBadGateway)
		}}
	return f, nil
}

// Secret returns the forwarder's secret.
func (f *Forwarder) Secret() string { return f.secret }

// ServeHTTP forwards one request, or refuses it.
func (f *Forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.hosts[strings.ToLower(r.Host)] {
		http.Error(w, "ringfence: this address is for 127.0.0.1 only", http.StatusMisdirectedRequest)
		return
	}
	if !f.sameOrigin(r) {
		http.Error(w, "ringfence: a page of another origin may not do this", http.StatusForbidden)
		return
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if f.right(first) {
		f.stripped(w, r, rest)
		return
	}
	if !f.known(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="ringfence connect"`)
		http.Error(w, "ringfence: give the secret that 'ringfence connect' printed", http.StatusUnauthorized)
		return
	}
	f.proxy.ServeHTTP(w, r)
}

// stripped serves a request whose path begins with the secret. A browser is
// given a cookie and sent on, so that the page's own links work.
func (f *Forwarder) stripped(w http.ResponseWriter, r *http.Request, rest string) {
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		http.SetCookie(w, &http.Cookie{Name: forwardCookie, Value: f.secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		w.Header().Set("Cache-Control", "no-store")
		// One slash: what follows must not be read as a host.
		http.Redirect(w, r, "/"+strings.TrimLeft(rest, "/\\"), http.StatusSeeOther)
		return
	}
	path, err := url.PathUnescape("/" + rest)
	if err != nil {
		http.Error(w, "ringfence: the path cannot be read", http.StatusBadRequest)
		return
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = path, "/"+rest
	f.proxy.ServeHTTP(w, r)
}

func (f *Forwarder) right(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(secret), []byte(f.secret)) == 1
}

func (f *Forwarder) known(r *http.Request) bool {
	if _, password, ok := r.BasicAuth(); ok && f.right(password) {
		return true
	}
	k, err := r.Cookie(forwardCookie)
	return err == nil && f.right(k.Value)
}

// sameOrigin refuses what a page of another origin caused. Programs that are
// no browsers send neither header.
func (f *Forwarder) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	if o := r.Header.Get("Origin"); o != "" {
		u, err := url.Parse(o)
		return err == nil && u.Scheme == "http" && strings.EqualFold(u.Host, r.Host)
	}
	return true
}

// rewrite makes the request one to the cluster. What authenticated it here
// stays here.
func (f *Forwarder) rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = f.base.Scheme, f.base.Host, f.base.Host
	h := p.Out.Header
	h.Del("Authorization")
	h.Del("Dpop")
	cookies := p.Out.Cookies()
	h.Del("Cookie")
	for _, k := range cookies {
		if k.Name != forwardCookie {
			p.Out.AddCookie(k)
		}
	}
	if h.Get("Origin") != "" { // it was this origin; to the cluster it is its own
		h.Set("Origin", f.base.Scheme+"://"+f.base.Host)
	}
	for _, name := range []string{"Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User"} {
		h.Del(name)
	}
}

// answer keeps redirects of the cluster to itself on this side.
func (f *Forwarder) answer(res *http.Response) error {
	if l, err := res.Location(); err == nil && l.Scheme == f.base.Scheme && l.Host == f.base.Host {
		l.Scheme, l.Host = "", ""
		res.Header.Set("Location", l.String())
	}
	return nil
}

// signing adds token and proof to each request that goes out.
type signing struct {
	client *Client
	base   string
	next   http.RoundTripper
}

func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	authorization, proof, err := s.client.Headers(r.Context(), s.base, r.Method, r.URL.String())
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("DPoP", proof)
	return s.next.RoundTrip(r)
}
