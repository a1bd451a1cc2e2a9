package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/ringfence/ringfence/policy"
)

// identityNames are headers by which some upstream believes to be told who
// asks, from where, or for what. Kept in step with the package comment.
var identityNames = set(
	"remote-user", "remote-email", "remote-name", "remote-groups", "remote-addr", "remote-host", "remote-ident",
	"auth-user", "auth-type", "x-user", "x-username", "x-user-id", "x-user-email", "x-user-name", "x-user-groups",
	"x-user-roles", "x-email", "x-groups", "x-roles", "x-account", "x-consumer-username", "x-proxy-user",
	"x-client-cert", "x-client-dn", "client-cert", "client-cert-chain", "x-subject-token",
	"forwarded", "x-forwarded", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "client-ip", "true-client-ip",
	"cf-connecting-ip", "fastly-client-ip", "x-originating-ip", "x-host", "x-http-host-override",
	"x-url-scheme", "x-scheme", "x-script-name", "script-name", "path-info", "front-end-https",
	"x-http-method-override", "x-http-method", "x-method-override", "x-sendfile", "x-middleware-subrequest", "proxy",
)

// identityPrefixes are beginnings of such names, by their first letter.
var identityPrefixes = byFirst(
	"x-ringfence-", "x-remote-", "x-forwarded-", "x-auth-request-", "x-authenticated-", "x-auth-user", "x-auth-email",
	"x-auth-groups", "x-auth-name", "x-webauth-", "x-original-", "x-rewrite-", "x-envoy-", "x-pomerium-",
	"x-goog-authenticated-", "x-goog-iap-", "x-amzn-oidc-", "x-ms-client-principal", "x-authentik-", "x-vouch-",
	"x-token-", "x-ssl-client-", "x-accel-", "ssl-client-", "cf-access-", "tailscale-",
	"x-consumer-", "x-credential-",
)

// framingNames are headers of which only the proper spelling may go up: another
// one could be read by the upstream in its place.
var framingNames = func() map[string]bool {
	m := set("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
		"keep-alive", "cookie", "authorization", "proxy-authorization", "range", "content-encoding",
		"sec-fetch-site", "sec-websocket-key", "x-request-id")
	for _, n := range policy.InputHeaders {
		m[n] = true
	}
	return m
}()

// forwardable lists what a Connection header may name without its being deleted first.
var forwardable = set("close", "keep-alive", "upgrade", "te")

// cleanHeaders deletes from h, before anything else reads it, what the
// Connection header names, identity headers in every spelling, and misspelt
// framing headers. Were it done later, policy and upstream would see different headers.
func cleanHeaders(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.ToLower(strings.Trim(name, " \t")); name != "" && !forwardable[name] {
				h.Del(name)
			}
		}
	}
	var buf [64]byte
	for name := range h {
		if norm, alias := normalName(&buf, name); isIdentity(norm, len(name)) || alias && framingNames[string(norm)] {
			delete(h, name)
		}
	}
}

// isIdentityHeader reports whether name, in any spelling, is one that only we may set.
func isIdentityHeader(name string) bool {
	var buf [64]byte
	norm, _ := normalName(&buf, name)
	return isIdentity(norm, len(name))
}

// isOurs reports whether name, in any spelling, begins like our own headers.
func isOurs(name string) bool {
	var buf [64]byte
	norm, _ := normalName(&buf, name)
	return strings.HasPrefix(string(norm), "x-ringfence-")
}

func isIdentity(norm []byte, full int) bool {
	if len(norm) == 0 {
		return false
	}
	if full == len(norm) && identityNames[string(norm)] {
		return true
	}
	for _, p := range identityPrefixes[norm[0]] {
		if len(norm) >= len(p) && string(norm[:len(p)]) == p {
			return true
		}
	}
	return false
}

// normalName writes name into buf as an upstream may read it: in lower case,
// everything but letters and digits as "-". Alias reports that name held
// another character than "-" for it. What does not fit buf is left out.
func normalName(buf *[64]byte, name string) (norm []byte, alias bool) {
	n := min(len(name), len(buf))
	for i := 0; i < n; i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			buf[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
			buf[i] = c
		default:
			buf[i], alias = '-', true
		}
	}
	return buf[:n], alias
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func byFirst(prefixes ...string) (t [256][]string) {
	for _, p := range prefixes {
		t[p[0]] = append(t[p[0]], p)
	}
	return t
}

// roleNames joins roles with commas; one role, the usual case, costs nothing.
func roleNames(roles []policy.Role) string {
	if len(roles) == 1 {
		return string(roles[0])
	}
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

// headerText makes s fit for a header's value. Our values come from the
// directory, but a name there may hold anything.
func headerText(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// A setter sets headers whose values lie in one array, to save an allocation for each.
type setter struct {
	values [14]string
	n      int
}

func (s *setter) set(h http.Header, name, value string) {
	if value == "" {
		delete(h, name)
		return
	}
	if s.n == len(s.values) {
		h[name] = []string{value}
		return
	}
	s.values[s.n] = value
	h[name] = slices.Clip(s.values[s.n : s.n+1])
	s.n++
}
