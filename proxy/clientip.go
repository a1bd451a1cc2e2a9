package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientIP returns the address that r comes from: the peer's, or, when the
// peer is one of trusted, the nearest address in X-Forwarded-For that is not.
// The header is read from right to left, since only what a trusted proxy
// appended can be believed. The zero Addr means that the peer has no address.
func ClientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := peerAddr(r.RemoteAddr)
	if len(trusted) == 0 || !within(addr, trusted) {
		return addr
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for rest != "" {
			var hop string
			if j := strings.LastIndexByte(rest, ','); j >= 0 {
				rest, hop = rest[:j], rest[j+1:]
			} else {
				rest, hop = "", rest
			}
			a, ok := parseHop(hop)
			if !ok {
				return addr // beyond this nothing can be believed
			}
			if addr = a; !within(addr, trusted) {
				return addr
			}
		}
	}
	return addr
}

// fromTrusted reports whether the peer itself is a trusted proxy.
func fromTrusted(r *http.Request, trusted []netip.Prefix) bool {
	return len(trusted) > 0 && within(peerAddr(r.RemoteAddr), trusted)
}

func peerAddr(remote string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// parseHop reads one element of X-Forwarded-For, which some proxies write with
// a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func within(a netip.Addr, nets []netip.Prefix) bool {
	for _, p := range nets {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
