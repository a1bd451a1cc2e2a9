package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes, written with its unit: "64MiB".
type Size int64

// Units of a [Size].
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	name string
	size Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// String returns s in the largest unit that holds it exactly.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return "0B"
}

// parseSize reads what [Size.String] writes. Decimal units are refused rather
// than guessed at: "64MB" is read in two ways by different people.
func parseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
		if err != nil {
			break
		}
		if n > math.MaxInt64/uint64(u.size) {
			return 0, fmt.Errorf("%s is too large", quote(text))
		}
		return Size(n) * u.size, nil
	}
	return 0, fmt.Errorf("%s is not a size: write a whole number with B, KiB, MiB or GiB, such as 64MiB", quote(text))
}

// parseDuration reads a Go duration that is not negative.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a length of time: write a number with ms, s, m or h, such as 30m (a day is 24h)", quote(text))
	}
	if d < 0 {
		return 0, fmt.Errorf("%s is negative: write a length of time such as 30m", quote(text))
	}
	return d, nil
}

// parseNetwork reads a network in CIDR form, or one address as the network
// that holds it alone.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a network: write it as 10.0.0.0/8, 2001:db8::/32 or one address", quote(text))
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 network in IPv6 form: write it in IPv4 form, such as 10.0.0.0/8", quote(text))
	}
	if m := p.Masked(); m != p {
		return netip.Prefix{}, fmt.Errorf("%s has bits set beyond its length: write %s, or one address without a length", quote(text), m)
	}
	return p, nil
}

// quote makes text from the file safe and short enough to print.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToGraphic(text)
}
