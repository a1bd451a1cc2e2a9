package provider

import "net/netip"

// Public reports whether an address that somebody outside has chosen may be
// connected to: one of the public network, or of a network that the operator
// has named.
func Public(a netip.Addr, allowed []netip.Prefix) bool { return public(a, allowed) }
