package proxy

import (
	"net/http"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

var ourHeaders = []string{HeaderAccount, HeaderEmail, HeaderVendor, HeaderRoles, HeaderCluster, HeaderRequestID, HeaderEntry,
	HeaderAssertion, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// spellings of a header's name that some upstream reads as the same.
func spellings(name string) []string {
	under := strings.ReplaceAll(name, "-", "_")
	return []string{name, strings.ToLower(name), strings.ToUpper(name), under, strings.ToUpper(under), strings.ReplaceAll(name, "-", "."),
		strings.Replace(name, "-", "_", 1), strings.ReplaceAll(name, "-", "!"), strings.ReplaceAll(name, "-", "~")}
}

// TestIdentityHeaders_NoSpellingSurvives sends every spelling, names each of
// our headers in Connection, and takes the WebSocket path too.
func TestIdentityHeaders_NoSpellingSurvives(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	names := append([]string{"Remote-User", "X-Remote-User", "X-Auth-Request-Email", "X-Authenticated-User", "X-Forwarded-User", "X-Forwarded-Email",
		"X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Uri", "Forwarded", "X-Real-Ip", "X-Original-Url", "X-Rewrite-Url",
		"X-Http-Method-Override", "X-Ringfence-Anything-Else",
		"Tailscale-User-Login", "X-Consumer-Custom-Id", "X-Credential-Username"}, ourHeaders...)
	var head strings.Builder
	for _, n := range names {
		for _, s := range spellings(n) {
			head.WriteString(s + ": forged\r\n")
		}
	}
	connection := "Connection: close, " + strings.Join(ourHeaders, ", ") + ", Cookie2, X-Purpose\r\n"
	for _, extra := range []string{"", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n"} {
		got := g.raw("GET / HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nX-Purpose: audit\r\n" + head.String() + connection + extra + "\r\n")
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		if strings.Contains(body, "forged") {
			t.Errorf("a forged header reached the upstream: %s", body)
		}
		for _, n := range ourHeaders {
			if !strings.Contains(body, `"`+textproto.CanonicalMIMEHeaderKey(n)+`"`) {
				t.Errorf("%s is missing upstream: %.200s", n, got)
			}
		}
		if strings.Contains(body, "X-Purpose") || g.lastInput().Request.Headers["x-purpose"] != "" {
			t.Error("policy and upstream disagree on a header that Connection names")
		}
	}
	if in := g.lastInput(); in.Request.Protocol != protocolWebSocket {
		t.Errorf("protocol was %s", in.Request.Protocol)
	}
}

func FuzzIdentityHeaders(f *testing.F) {
	for _, n := range ourHeaders {
		for _, s := range spellings(n) {
			f.Add(s, n)
		}
	}
	f.Add("Remote_User", "X-Ringfence-Account, X-Forwarded-For")
	f.Add("content_length", "")
	f.Fuzz(func(t *testing.T, name, connection string) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 || !tokenByte(byte(r)) }) {
			return
		}
		h := http.Header{textproto.CanonicalMIMEHeaderKey(name): {"forged"}, "Connection": {connection}}
		cleanHeaders(h)
		for n, values := range h {
			if n == "Connection" || values[0] != "forged" {
				continue
			}
			// An upstream that makes variables of headers, in the widest way known.
			read := strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
					return r
				}
				return '_'
			}, strings.ToLower(n))
			if strings.HasPrefix(read, "x_ringfence_") || strings.HasPrefix(read, "x_forwarded_") || strings.HasPrefix(read, "x_remote_") ||
				strings.HasPrefix(read, "x_auth_request_") || strings.HasPrefix(read, "x_authenticated_") || read == "remote_user" || read == "forwarded" ||
				read == "x_real_ip" || read == "x_http_method_override" {
				t.Fatalf("%q survived as %q", name, n)
			}
			if (read == "content_length" || read == "transfer_encoding" || read == "cookie") && strings.ContainsFunc(n, func(r rune) bool { return r != '-' && !isAlnum(r) }) {
				t.Fatalf("alias %q survived", n)
			}
		}
		before := len(h)
		if cleanHeaders(h); len(h) != before {
			t.Fatal("cleaning twice is not cleaning once")
		}
	})
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func TestIdentityHeaders_OrdinaryOnesPass(t *testing.T) {
	for _, n := range []string{"Accept", "Content-Type", "X-Requested-With", "X-Csrf-Token", "X-Auth-Token", "X-Request-Id", "Private-Token",
		"Sec-Websocket-Key", "Grpc-Timeout", "X-Custom_header", "Git-Protocol", "X-Gitlab-Event", "Range", "If-None-Match", "X-Purpose"} {
		if isIdentityHeader(n) {
			t.Errorf("%s would be deleted", n)
		}
	}
}

func TestCredentials_OursNeverGoUp(t *testing.T) {
	up := upstream(t, echo)
	g := start(t, claims(up.URL))
	for _, tt := range []struct {
		name, cookie, authorization string
		cookieUp, authorizationUp   string
	}{
		{"session cookie", "a=1; __Host-ringfence=kim; b=2", "", "a=1; b=2", ""},
		{"session cookie alone", "__Host-ringfence=kim", "", "", ""},
		{"every cookie of ours", "__Host-ringfence=kim; __Host-ringfence-login=x; __Host-ringfence-start=y; c=3", "", "c=3", ""},
		{"odd spelling", "__Host-ringfence=kim; __HOST-RINGFENCE=x;__host-ringfence = y;d=4", "", "d=4", ""},
		{"nameless cookie", "__Host-ringfence=kim; =__Host-ringfence=x; e=5", "", "e=5", ""},
		{"named alike", "__Host-ringfence=kim; my__Host-ringfence=x", "", "my__Host-ringfence=x", ""},
		{"bearer token", "", "Bearer rft_kim", "", ""},
		{"the upstream's own", "__Host-ringfence=kim", "Basic a2ltOnB3", "", "Basic a2ltOnB3"},
		{"token as password", "__Host-ringfence=kim", "Basic eDpyZnRfa2lt", "", ""},
		{"token as name", "__Host-ringfence=kim", "basic cmZ0X2tpbTp4", "", ""},
		{"token under another scheme", "__Host-ringfence=kim", "Token rft_kim", "", ""},
	} {
		r, _ := http.NewRequest("GET", "https://"+testHost+"/", nil)
		if tt.cookie != "" {
			r.Header.Set("Cookie", tt.cookie)
		}
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		res, body := g.do(r)
		if res.StatusCode != 200 {
			t.Errorf("%s: got %d %s", tt.name, res.StatusCode, body)
			continue
		}
		e := readEcho(t, body)
		if got := e.Header.Get("Cookie"); got != tt.cookieUp {
			t.Errorf("%s: cookies upstream: %q", tt.name, got)
		}
		if got := e.Header.Get("Authorization"); got != tt.authorizationUp {
			t.Errorf("%s: authorization upstream: %q", tt.name, got)
		}
	}
}

func TestSetCookie_CookieTossing(t *testing.T) {
	for _, tt := range []struct {
		line string
		keep bool
	}{
		{"app=1; Path=/; HttpOnly", true},
		{"app=1; Domain=claims.example.com", true},
		{"app=1; domain=.Claims.Example.com", true},
		{"app=1; Domain=", true},
		{"app=1; Domain=example.com", false},
		{"app=1;Domain =example.com ; Secure", false},
		{"app=1; domain=\"example.com\"", false},
		{"app=1; Domain=claims.example.com; Domain=example.com", false},
		{"app=1; Domain=other.example.com", false},
		{"app=1; Domain=x.claims.example.com", false},
		{"__Host-ringfence=x; Path=/; Secure", false},
		{"__host-Ringfence-login=x", false},
		{" __Host-ringfence = x", false},
		{"=__Host-ringfence=x", false},
		{"__Host-other=x; Path=/; Secure", true},
		{"app=1\x00; Domain=example.com", false},
	} {
		if got := keepSetCookie(tt.line, testHost); got != tt.keep {
			t.Errorf("%q: kept %v", tt.line, got)
		}
	}
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = []string{"__Host-ringfence=evil; Path=/; Secure", "app=1", "x=1; Domain=example.com"}
		w.Header().Set("X-Ringfence-Entry", "forged")
		w.Header()["X_ringfence_Account"] = []string{"forged"}
		w.Header().Set("Alt-Svc", `h3="evil.example:443"`)
		w.Header().Set("Clear-Site-Data", `"cookies"`) // it would sign the person out of the gate and every cluster
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "Set-Cookie, X-Ringfence-Account, X-Sum")
		w.Write([]byte("x"))
		w.Header().Set("Set-Cookie", "__Host-ringfence=evil")
		w.Header().Set("X-Ringfence-Account", "forged")
		w.Header().Set("X-Sum", "9")
	})
	g := start(t, claims(up.URL))
	for _, h2 := range []bool{true, false} {
		g.client = g.newClient(h2)
		res, _ := g.get("/")
		if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "app=1" {
			t.Errorf("cookies that arrived: %q", got)
		}
		if res.Header.Get("Alt-Svc") != "" || res.Header.Get("Clear-Site-Data") != "" || strings.Contains(res.Header.Get(HeaderEntry), "forged") || res.Header.Get("X_ringfence_account") != "" {
			t.Errorf("headers that arrived: %v", res.Header)
		}
		if res.Trailer.Get("X-Sum") != "9" || res.Trailer.Get("Set-Cookie") != "" || res.Trailer.Get("X-Ringfence-Account") != "" {
			t.Errorf("trailers that arrived: %v", res.Trailer)
		}
	}
	raw := g.raw("GET / HTTP/1.1\r\nHost: " + testHost + "\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n")
	if !strings.Contains(raw, "HTTP/1.1 103 ") || strings.Contains(raw, "evil") || strings.Contains(raw, "forged") {
		t.Errorf("informational response let something through: %s", raw)
	}
}

// TestCookie_OfOneHostIsIdentifiedForThatHost: the host that Identify gets is
// the canonical one, so that a cookie's audience is compared with what was reached.
func TestCookie_OfOneHostIsIdentifiedForThatHost(t *testing.T) {
	up := upstream(t, echo)
	hosts := make(chan string, 1)
	g := start(t, claims(up.URL), func(c *Config) { c.Identifier = hostIdentifier{c.Identifier, hosts} })
	g.raw("GET / HTTP/1.1\r\nHost: CLAIMS.Example.com.:8443\r\nCookie: __Host-ringfence=kim\r\nConnection: close\r\n\r\n")
	if h := <-hosts; h != testHost {
		t.Errorf("identified for host %q", h)
	}
}

type hostIdentifier struct {
	Identifier
	hosts chan string
}

func (i hostIdentifier) IdentifyAt(r *http.Request, at *policy.Arrival) (policy.Subject, error) {
	i.hosts <- at.Host
	return i.Identifier.IdentifyAt(r, at)
}

// TestIdentityHeaders_Documented: the package comment lists every name, since
// operators have to know what their upstreams will not get.
func TestIdentityHeaders_Documented(t *testing.T) {
	b, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := set(regexp.MustCompile(`[a-z][a-z0-9-]+`).FindAllString(string(b), -1)...)
	for n := range identityNames {
		if !listed[n] {
			t.Errorf("%s is not listed", n)
		}
	}
	for _, ps := range identityPrefixes {
		for _, p := range ps {
			if !listed[p] {
				t.Errorf("prefix %s is not listed", p)
			}
		}
	}
}
