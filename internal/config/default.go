package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Default returns what a file without a single key would mean. It has no gate,
// so it is not a valid configuration by itself.
func Default() *Config {
	return &Config{
		Listen:            ":443",
		HTTPListen:        ":80",
		Operations:        "127.0.0.1:9443",
		Data:              "/var/lib/ringfence",
		TLS:               TLS{Mode: ModeACME, ACME: ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory"}},
		PolicyBundle:      PolicyBundle{Algorithm: "ES256", Poll: time.Minute, Timeout: 30 * time.Second},
		TrustedProxies:    []netip.Prefix{},
		Zones:             []Zone{},
		Upstreams:         Upstreams{AllowNetworks: []netip.Prefix{}},
		IdentityProviders: IdentityProviders{AllowNetworks: []netip.Prefix{}},
		Alarms:            Alarms{AllowNetworks: []netip.Prefix{}},
		Sessions:          Sessions{Idle: 30 * time.Minute, Absolute: 12 * time.Hour},
		Codes:             Codes{Skew: 1},
		Clock:             Clock{Servers: []string{}},
		Mail:              Mail{TLS: "starttls"},
		DeviceLogin:       DeviceLogin{Enabled: true},
		AccessTokens:      AccessTokens{MaxDays: 90},
		PolicyChanges:     PolicyChanges{OperatorAlone: true},
		Limits: Limits{
			Connections:           10000,
			ConnectionsPerAddress: 256,
			StreamsPerConnection:  128,
			HeaderBytes:           64 * KiB,
			HandshakeTimeout:      10 * time.Second,
			HeaderTimeout:         10 * time.Second,
			IdleTimeout:           2 * time.Minute,
			StallTimeout:          5 * time.Minute,
			RequestsPerAccount:    512,
			ShutdownTimeout:       20 * time.Second,
		},
		AccessLog: AccessLog{Node: "node-1", SegmentSize: 64 * MiB, CommitDeadline: 2 * time.Second, QueryValues: []string{}, Witnesses: []Witness{}, Require: 1, Deliver: []Delivery{}, Retention: Retention{Days: 396, Rules: []RetentionRule{}}},
		Log:       Log{Format: "text", Level: "info"},
		Keys:      Keys{MaxAge: 90 * 24 * time.Hour},

		OldRootKeys: []RootKey{},
	}
}

// complete sets the defaults that derive from other values. It runs after the
// file was judged, on a valid configuration only.
func (c *Config) complete() {
	if c.Organisation.Name == "" {
		c.Organisation.Name = c.GateHost()
	}
	c.Limits.ConnectionsPerAddress = min(c.Limits.ConnectionsPerAddress, c.Limits.Connections)
	if c.TLS.Mode == ModeACME {
		if c.TLS.ACME.HTTPPort == 0 {
			c.TLS.ACME.HTTPPort = port(c.HTTPListen)
		}
		if c.TLS.ACME.TLSPort == 0 {
			c.TLS.ACME.TLSPort = port(c.Listen)
		}
	}
	if c.TLS.Mode == ModeLocal && len(c.TLS.Local.Domains) == 0 {
		c.TLS.Local.Domains = []string{parentDomain(c.GateHost())}
	}
}

// GateHost returns the gate's host, in lower case and without a port.
func (c *Config) GateHost() string {
	u, err := url.Parse(c.Gate)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Path returns the path of something in the data folder, such as
// c.Path("keys", "log.key").
func (c *Config) Path(elem ...string) string {
	return filepath.Join(append([]string{c.Data}, elem...)...)
}

// Database returns the path of the store.
func (c *Config) Database() string { return c.Path("ringfence.db") }

// port returns the port of a listening address, 0 for none.
func port(address string) int {
	n, _ := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	return n
}

// parentDomain cuts the first label off a host; a host of one label stays.
func parentDomain(host string) string {
	if _, parent, ok := strings.Cut(host, "."); ok {
		return parent
	}
	return host
}
