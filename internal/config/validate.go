package config

import (
	"cmp"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// bad notes a fault at the line where field, or the nearest group around it,
// stands in the file. Nothing is said of a value that could not be read.
func (d *decoder) bad(field, format string, args ...any) {
	if slices.ContainsFunc(d.faults[:d.unread], func(f Fault) bool { return within(field, f.Field) }) {
		return
	}
	at := field
	for at != "" && d.lines[at] == 0 {
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
	d.fault(d.lines[at], field, format, args...)
}

// within says whether field is group, or below it.
func within(field, group string) bool {
	rest, ok := strings.CutPrefix(field, group)
	return ok && group != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (d *decoder) given(field string) bool { return d.lines[field] > 0 }

// validate judges what single values cannot show. It runs also when values
// were faulty, so that everything is found at once; a value that could not be
// read holds its default then.
func (d *decoder) validate(c *Config) {
	d.unread = len(d.faults)
	d.gate(c)
	d.addresses(c)
	if c.Data == "" {
		d.bad("data", "is empty: name the folder for store, log and keys, such as /var/lib/ringfence")
	}
	if e := c.Organisation.Help.Email; e != "" {
		d.email("organisation.help.email", e)
	}
	d.tls(&c.TLS, c.HTTPListen)
	d.policyBundle(c)
	d.networks(c)
	d.zones(c.Zones)
	between(d, "sessions.idle", c.Sessions.Idle, time.Minute, 24*time.Hour)
	between(d, "sessions.absolute", c.Sessions.Absolute, time.Minute, 168*time.Hour)
	if c.Sessions.Absolute < c.Sessions.Idle {
		d.bad("sessions.absolute", "is %s, shorter than sessions.idle (%s): a session would end before it can be idle", show(c.Sessions.Absolute), show(c.Sessions.Idle))
	}
	between(d, "codes.skew", c.Codes.Skew, 0, 2)
	d.clock(&c.Clock)
	d.mail(&c.Mail)
	between(d, "access_tokens.max_days", c.AccessTokens.MaxDays, 1, 90)
	d.limits(&c.Limits)
	d.accessLog(&c.AccessLog)
	oneOf(d, "log.format", c.Log.Format, "text", "json")
	oneOf(d, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	d.rootKey("root_key", &c.RootKey)
	for i := range c.OldRootKeys {
		d.rootKey(fmt.Sprintf("old_root_keys[%d]", i), &c.OldRootKeys[i])
	}
	between(d, "keys.max_age", c.Keys.MaxAge, 24*time.Hour, 8760*time.Hour)
}

func (d *decoder) gate(c *Config) {
	const example = "write it as https://gate.example.com"
	if !d.given("gate") {
		d.bad("gate", "is missing: give the URL at which people sign in, such as https://gate.example.com")
		return
	}
	u, err := url.Parse(c.Gate)
	switch {
	case err != nil || u.Host == "":
		d.bad("gate", "%s is not a URL: %s", quote(c.Gate), example)
		return
	case u.Scheme != "https":
		d.bad("gate", "%s is not https: sign-in needs it, %s", quote(c.Gate), example)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(c.Gate, "#") || u.Path != "" && u.Path != "/":
		d.bad("gate", "%s has more than scheme, host and port: the gate has a host of its own, %s", quote(c.Gate), example)
	}
	host := strings.ToLower(u.Hostname())
	switch _, err := netip.ParseAddr(host); {
	case err == nil:
		d.bad("gate", "%s is an address: the gate and the clusters are told apart by name, %s", quote(host), example)
	case !hostname(host):
		d.bad("gate", "%s is not a host name: it has letters, digits, hyphens and dots (other scripts in their xn-- form)", quote(host))
	}
	p := u.Port()
	if n, err := strconv.Atoi(p); p != "" && (err != nil || n < 1 || n > 65535) || p == "" && strings.HasSuffix(u.Host, ":") {
		d.bad("gate", "port %s is not between 1 and 65535", quote(p))
	}
	c.Gate = "https://" + host
	if p != "" && p != "443" {
		c.Gate += ":" + p
	}
}

func (d *decoder) addresses(c *Config) {
	d.address("listen", c.Listen)
	if c.HTTPListen != "" {
		d.address("http_listen", c.HTTPListen)
	}
	d.address("operations", c.Operations)
	if strings.HasPrefix(c.Operations, ":") {
		d.bad("operations", "%s names no address: write 127.0.0.1%[2]s, or 0.0.0.0%[2]s where a firewall keeps everybody else out", quote(c.Operations), c.Operations)
	}
	// Two listeners on one port are told here: bind's own error names neither.
	pairs := [][2]string{{"listen", c.Listen}, {"http_listen", c.HTTPListen}, {"operations", c.Operations}}
	for i, a := range pairs {
		for _, b := range pairs[:i] {
			if p := port(a[1]); p != 0 && p == port(b[1]) && overlap(a[1], b[1]) {
				d.bad(a[0], "uses port %d as %s does: give each its own", p, b[0])
			}
		}
	}
}

func overlap(a, b string) bool {
	ha, _, _ := net.SplitHostPort(a)
	hb, _, _ := net.SplitHostPort(b)
	every := func(h string) bool { return h == "" || h == "0.0.0.0" || h == "::" }
	return ha == hb || every(ha) || every(hb)
}

func (d *decoder) address(field, value string) {
	host, p, err := net.SplitHostPort(value)
	if err != nil {
		d.bad(field, "%s is not an address with a port: write :443 or 10.0.0.5:443", quote(value))
		return
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		d.bad(field, "%s is not an IP address of this machine: write one, or none for every address", quote(host))
	}
	if n, err := strconv.ParseUint(p, 10, 16); err != nil || strconv.FormatUint(n, 10) != p {
		d.bad(field, "port %s is not a number between 0 and 65535", quote(p))
	}
}

func (d *decoder) email(field, value string) {
	if a, err := mail.ParseAddress(value); err != nil || a.Address != value {
		d.bad(field, "%s is not an e-mail address: write it bare, such as desk@example.com", quote(value))
	}
}

func (d *decoder) networks(c *Config) {
	for i, p := range c.TrustedProxies {
		if p.IsValid() && p.Bits() == 0 {
			d.bad(fmt.Sprintf("trusted_proxies[%d]", i), "%s is everybody: any client could claim any address, name the load balancers alone", p)
		}
	}
	for i, p := range c.Upstreams.AllowNetworks {
		if p.IsValid() && p.Bits() == 0 {
			d.bad(fmt.Sprintf("upstreams.allow_networks[%d]", i), "%s is every address, a cloud's credentials service included: name the loopback or link-local networks that are needed", p)
		}
	}
	for i, p := range c.IdentityProviders.AllowNetworks {
		if p.IsValid() && p.Bits() == 0 {
			d.bad(fmt.Sprintf("identity_providers.allow_networks[%d]", i), "%s is every address, a cloud's credentials service included: name the networks of the providers alone", p)
		}
	}
	for i, p := range c.Alarms.AllowNetworks {
		if p.IsValid() && p.Bits() == 0 {
			d.bad(fmt.Sprintf("alarms.allow_networks[%d]", i), "%s is every address, a cloud's credentials service included: name the networks of the receivers alone", p)
		}
	}
}

var slug = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (d *decoder) zones(zones []Zone) {
	seen := map[string]bool{}
	for i, z := range zones {
		at := fmt.Sprintf("zones[%d]", i)
		switch {
		case z.Name == "" && !d.given(at+".name"):
			d.bad(at+".name", "is missing: policies and the access log call the zone by it")
		case !slug.MatchString(z.Name):
			d.bad(at+".name", "%s is not a name: write lower-case letters, digits and hyphens, such as office", quote(z.Name))
		case seen[z.Name]:
			d.bad(at+".name", "%s names two zones: put all networks into one", z.Name)
		}
		seen[z.Name] = true
		if len(z.Networks) == 0 {
			d.bad(at+".networks", "is missing: give at least one network, such as 10.0.0.0/8")
		}
	}
}

func (d *decoder) clock(c *Clock) {
	for i, s := range c.Servers {
		host, p, err := net.SplitHostPort(s)
		if err != nil { // no port
			host, p = strings.Trim(s, "[]"), "123"
		}
		n, perr := strconv.Atoi(p)
		_, aerr := netip.ParseAddr(host)
		if perr != nil || n < 1 || n > 65535 || aerr != nil && !hostName.MatchString(host) {
			d.bad(fmt.Sprintf("clock.servers[%d]", i), "%s is not a time server: write its host, such as time.example.com, and its port if it is not 123", quote(s))
		}
	}
}

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func (d *decoder) limits(l *Limits) {
	between(d, "limits.connections", l.Connections, 10, 1_000_000)
	between(d, "limits.connections_per_address", l.ConnectionsPerAddress, 1, 1_000_000)
	between(d, "limits.streams_per_connection", l.StreamsPerConnection, 1, 10_000)
	between(d, "limits.header_bytes", l.HeaderBytes, 4*KiB, MiB)
	between(d, "limits.handshake_timeout", l.HandshakeTimeout, time.Second, time.Minute)
	between(d, "limits.header_timeout", l.HeaderTimeout, time.Second, time.Minute)
	between(d, "limits.idle_timeout", l.IdleTimeout, 5*time.Second, time.Hour)
	between(d, "limits.stall_timeout", l.StallTimeout, 5*time.Second, 24*time.Hour)
	between(d, "limits.requests_per_account", l.RequestsPerAccount, 1, 1_000_000)
	between(d, "limits.shutdown_timeout", l.ShutdownTimeout, 0, time.Hour)
	if d.given("limits.connections_per_address") && l.ConnectionsPerAddress > l.Connections {
		d.bad("limits.connections_per_address", "is %d, more than limits.connections (%d): one address could take them all", l.ConnectionsPerAddress, l.Connections)
	}
}

func (d *decoder) accessLog(a *AccessLog) {
	if !slug.MatchString(a.Node) {
		d.bad("access_log.node", "%s is not a name: write lower-case letters, digits and hyphens, such as node-1", quote(a.Node))
	}
	between(d, "access_log.segment_size", a.SegmentSize, MiB, GiB)
	between(d, "access_log.commit_deadline", a.CommitDeadline, 100*time.Millisecond, 30*time.Second)
	for i, name := range a.QueryValues {
		at := fmt.Sprintf("access_log.query_values[%d]", i)
		switch {
		case name == "" || len(name) > 100 || strings.ContainsAny(name, "*?&="):
			d.bad(at, "%s is not the name of one field: write it as it stands in addresses, such as page", quote(name))
		case slices.Contains(a.QueryValues[:i], name):
			d.bad(at, "repeats %s", quote(name))
		}
	}
	d.witnesses(a)
	d.deliveries(a.Deliver)
	d.logSearch(&a.Search)
	d.retention(&a.Retention)
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (d *decoder) rootKey(at string, k *RootKey) {
	given := 0
	for _, field := range []string{".file", ".env", ".command"} {
		if d.given(at + field) {
			given++
		}
	}
	if given > 1 {
		d.bad(at, "names more than one place: keep one of file, env and command")
	}
	if given == 0 && at != "root_key" {
		d.bad(at, "names no place: write file, env or command; the one in the data folder is file: keys/root.key there, with its full path")
	}
	if d.given(at+".file") && k.File == "" {
		d.bad(at+".file", "is empty: name the file, or remove the line for keys/root.key in the data folder")
	}
	if d.given(at+".env") && !variable.MatchString(k.Env) {
		// Whoever pastes the key itself here must not read it in a log.
		d.bad(at+".env", "is not the name of an environment variable: write one such as RINGFENCE_ROOT_KEY, not the key itself")
	}
	if d.given(at+".command") && (len(k.Command) == 0 || !filepath.IsAbs(k.Command[0])) {
		d.bad(at+".command", "does not begin with a program's full path: write [/usr/bin/program, argument]")
	}
}

// between notes a value outside of its range.
func between[T cmp.Ordered](d *decoder, field string, value, low, high T) {
	if value < low || value > high {
		d.bad(field, "is %s, not between %s and %s", show(value), show(low), show(high))
	}
}

// show writes a length of time as an operator would: 30m, not 30m0s.
func show(v any) string {
	text := fmt.Sprint(v)
	if _, ok := v.(time.Duration); ok && text != "0s" {
		if cut, ok := strings.CutSuffix(text, "m0s"); ok {
			text = cut + "m"
		}
		if cut, ok := strings.CutSuffix(text, "h0m"); ok {
			text = cut + "h"
		}
	}
	return text
}

func oneOf(d *decoder, field, value string, choices ...string) {
	if !slices.Contains(choices, value) {
		d.bad(field, "%s is not one of %s", quote(value), strings.Join(choices, ", "))
	}
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// hostname says whether name, in lower case, can be a host of ours.
func hostname(name string) bool {
	if len(name) > 253 {
		return false
	}
	for l := range strings.SplitSeq(name, ".") {
		if !label.MatchString(l) {
			return false
		}
	}
	return true
}
