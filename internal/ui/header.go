package ui

import (
	"net/http"
	"strings"
)

const policyBase = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// SecureHeaders sets the headers that every answer of ours carries: a content
// security policy that allows nothing but this host's own files, no framing,
// no sniffing, no referrer, and no storing. formTargets are the further
// origins that a form on the page may lead to: browsers apply form-action to
// the redirects that follow a post as well.
func SecureHeaders(h http.Header, formTargets ...string) {
	csp := policyBase
	for _, t := range formTargets {
		// A target with a space or a semicolon would add sources or directives.
		if !strings.ContainsAny(t, " ;,'\"\t\r\n") && strings.HasPrefix(t, "https://") {
			csp += " " + t
		}
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cache-Control", "no-store")
}
