package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A BlockedAddressError says that an upstream's name led to an address that
// upstreams may not have unless it is named in Config.AllowUpstreamNetworks.
type BlockedAddressError struct{ Addr netip.Addr }

// Error names the address.
func (e *BlockedAddressError) Error() string {
	return fmt.Sprintf("connecting to %s is not allowed: name its network among the allowed upstream networks", e.Addr)
}

// specialNetworks are further addresses of the machine itself or of its
// surroundings, beyond what net/netip knows.
var specialNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("fd00:ec2::254/128"), // a cloud's metadata
	netip.MustParsePrefix("::/96"),             // IPv4 in IPv6, deprecated
}

// wrappers are IPv6 networks whose addresses hold an IPv4 address that a
// translator on the way would connect to, with its place in bytes.
var wrappers = []struct {
	net netip.Prefix
	at  int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// allowedTarget reports whether an upstream may have address a.
func allowedTarget(a netip.Addr, allowed []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	if within(a, allowed) {
		return true
	}
	for _, w := range wrappers {
		if w.net.Contains(a) {
			b := a.As16()
			return allowedTarget(netip.AddrFrom4([4]byte(b[w.at:w.at+4])), allowed)
		}
	}
	return a.IsValid() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() &&
		!a.IsUnspecified() && !within(a, specialNetworks)
}

// newDialer returns a dialer that looks at the resolved address, right before
// connecting, so that a name cannot lead elsewhere than what was looked at.
func newDialer(allowed []netip.Prefix) *net.Dialer {
	return &net.Dialer{
		Timeout:   5 * time.Second,
		KeepAlive: 15 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading address of upstream: %w", err)
			}
			if !allowedTarget(ap.Addr(), allowed) {
				return &BlockedAddressError{Addr: ap.Addr().Unmap()}
			}
			return nil
		},
	}
}
