package config

import (
	"net/netip"
	"time"
)

// A Config is the whole of the operator's file. Paths in it are absolute: a
// relative path is meant from the folder of the file. A Config is not changed
// after [Parse] and is safe for concurrent reading.
type Config struct {
	// Gate is the URL at which people sign in, such as
	// "https://gate.example.com", with a port when it is not 443 and without a
	// path. Required: cookies, links in invitations and the issuer of tokens
	// derive from it, so changing it later ends every session and every
	// invitation. No cluster may share its host.
	Gate string `yaml:"gate"`

	// Organisation names the company on pages and says whom to ask.
	Organisation Organisation `yaml:"organisation"`

	// Listen is the address for HTTPS, gate and clusters alike. Default ":443",
	// which is every address of the machine.
	Listen string `yaml:"listen"`

	// HTTPListen is the address for plain HTTP: it redirects to HTTPS, answers
	// ACME's http-01 challenge, and does nothing else. Default ":80"; empty is
	// off.
	HTTPListen string `yaml:"http_listen"`

	// Operations is the address for health, readiness and metrics, in plain
	// HTTP and without sign-in. Default "127.0.0.1:9443". Danger: whoever
	// reaches it reads names of clusters and figures of use, so it must name
	// its address, and one other than loopback needs a firewall in front.
	Operations string `yaml:"operations"`

	// Data is the folder that holds the store, the access log, keys and
	// certificates. Default "/var/lib/ringfence". It must be on a local disk:
	// the access log relies on its fsync.
	Data string `yaml:"data"`

	// TLS says where the certificates come from.
	TLS TLS `yaml:"tls"`

	// Policies is a folder of Rego policies. Default empty: the policies that
	// were published to the store are in force. Danger: with a folder, whoever
	// writes to it changes policies without a second person's approval.
	Policies string `yaml:"policies"`

	// PolicyBundle is a signed bundle of policies. Default none. Not beside Policies.
	PolicyBundle PolicyBundle `yaml:"policy_bundle"`

	// TrustedProxies are the networks of load balancers whose X-Forwarded-For
	// is believed. Default none: the peer of the connection is the source.
	// Danger: any other machine in these networks can claim any address.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`

	// Zones name networks for policies and the access log: the first zone that
	// holds a request's source address is its zone. Default none.
	Zones []Zone `yaml:"zones"`

	// Upstreams limits where clusters may send requests.
	Upstreams Upstreams `yaml:"upstreams"`

	// IdentityProviders limits where vendors' own sign-ins may be.
	IdentityProviders IdentityProviders `yaml:"identity_providers"`

	// Alarms limits where receivers of alarms may be.
	Alarms Alarms `yaml:"alarms"`

	// Sessions says how long a sign-in lasts.
	Sessions Sessions `yaml:"sessions"`

	// Codes says how one-time codes are judged.
	Codes Codes `yaml:"codes"`

	// Clock says how this machine's clock is watched.
	Clock Clock `yaml:"clock"`

	// Mail names the server that takes invitations and warnings. Default none:
	// administrators pass links and warnings on by themselves.
	Mail Mail `yaml:"mail"`

	// DeviceLogin is about signing in from the command line.
	DeviceLogin DeviceLogin `yaml:"device_login"`

	// AccessTokens is about personal access tokens, for machines on which
	// nobody can sign in.
	AccessTokens AccessTokens `yaml:"access_tokens"`

	// PolicyChanges is about the second person whom a change of policies needs.
	PolicyChanges PolicyChanges `yaml:"policy_changes"`

	// Limits bound what one client, or all of them, can take.
	Limits Limits `yaml:"limits"`

	// AccessLog is about the tamper-evident record of every request.
	AccessLog AccessLog `yaml:"access_log"`

	// Log is about the operational log, on standard error.
	Log Log `yaml:"log"`

	// RootKey says where the key that encrypts secrets in the store is kept.
	RootKey RootKey `yaml:"root_key"`

	// OldRootKeys are root keys of before, which open what was encrypted under
	// them until 'ringfence keys rotate root' has encrypted it anew. Default
	// none. A reload takes over a new RootKey with the one before listed here.
	OldRootKeys []RootKey `yaml:"old_root_keys"`

	// Keys is about the keys that sign cookies and assertions.
	Keys Keys `yaml:"keys"`
}

// Organisation is who runs this gateway, as contractors see it.
type Organisation struct {
	// Name stands on every page. Default: the gate's host.
	Name string `yaml:"name"`
	// Help is named wherever somebody is refused and nobody nearer is known.
	Help Help `yaml:"help"`
}

// Help is a person or a desk that contractors can turn to.
type Help struct {
	// Name is a person or a desk, such as "Data access desk". Default empty.
	Name string `yaml:"name"`
	// Email is where to write. Default empty: no address is shown.
	Email string `yaml:"email"`
}

// Values of [TLS.Mode].
const (
	ModeACME  = "acme"
	ModeFiles = "files"
	ModeLocal = "local"
)

// TLS says where the certificates for the gate and the clusters come from.
type TLS struct {
	// Mode is "acme" (ordered from a certificate authority and renewed by
	// itself), "files" (made elsewhere, named in Files) or "local" (signed by
	// an authority of this gateway's own, for closed networks; every client
	// must be given its ca.pem). Default "acme". Choosing acme agrees to the
	// terms of service of the authority.
	Mode string `yaml:"mode"`
	// ACME is read in mode acme only.
	ACME ACME `yaml:"acme"`
	// Files are the certificates of mode files. They are read again when they
	// change; a set with any fault in it changes nothing.
	Files []KeyPair `yaml:"files"`
	// Local is read in mode local only.
	Local Local `yaml:"local"`
}

// ACME is the certificate authority and how it reaches this gateway.
type ACME struct {
	// Directory is the URL of the authority's ACME directory. Default: Let's
	// Encrypt, https://acme-v02.api.letsencrypt.org/directory.
	Directory string `yaml:"directory"`
	// Email is told to the authority for notices about certificates. Default empty.
	Email string `yaml:"email"`
	// CAFile holds PEM certificates that are trusted for the connection to
	// Directory, for an authority of your own. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// HTTPPort is the port at which plain HTTP arrives here when the authority
	// asks at port 80 and something in between maps it. Default: the port of
	// http_listen.
	HTTPPort int `yaml:"http_port"`
	// TLSPort is the same for HTTPS and port 443. Default: the port of listen.
	TLSPort int `yaml:"tls_port"`
	// ExternalAccount binds to an account that the authority already knows;
	// some demand it. Default none.
	ExternalAccount ExternalAccount `yaml:"external_account"`
}

// ExternalAccount is an ACME external account binding.
type ExternalAccount struct {
	// KeyID is the name the authority gave to the key.
	KeyID string `yaml:"key_id"`
	// KeyFile holds the key as the authority gave it (base64url). It is a
	// secret: readable by the service alone.
	KeyFile string `yaml:"key_file"`
}

// A KeyPair names a certificate and its private key.
type KeyPair struct {
	// Certificate is a PEM file: the certificate first, then what leads to its root.
	Certificate string `yaml:"certificate"`
	// Key is a PEM file with the private key, readable by the service alone.
	Key string `yaml:"key"`
}

// Local is about the authority of mode local.
type Local struct {
	// Domains are the only domains, with all below them, for which the
	// authority can vouch: they are written into its certificate when it is
	// first made, so that its key is of no use for any other name. Default:
	// the gate's host without its first label. Changing them later needs a new
	// authority, that every client must be given again.
	Domains []string `yaml:"domains"`
}

// A Zone is a name for networks.
type Zone struct {
	// Name is what policies see as input.facts.zone, such as "office".
	Name string `yaml:"name"`
	// Networks are the zone's networks in CIDR form; a single address stands
	// for itself.
	Networks []netip.Prefix `yaml:"networks"`
}

// Upstreams limits where requests may be forwarded.
type Upstreams struct {
	// AllowNetworks are loopback and link-local networks in which upstreams
	// may lie all the same. Default none. Danger: services that listen on
	// loopback often trust everybody there, and 169.254.169.254 hands out a
	// cloud machine's credentials.
	AllowNetworks []netip.Prefix `yaml:"allow_networks"`
}

// Alarms limits where receivers of alarms may be: those that administrators
// name in the console.
type Alarms struct {
	// AllowNetworks are networks that are not public (private, loopback or
	// link-local ones) in which a webhook or syslog receiver may be all the same.
	// Default none. Danger: whoever administers the gateway can have it connect to
	// whatever is in these networks.
	AllowNetworks []netip.Prefix `yaml:"allow_networks"`
}

// IdentityProviders limits where vendors' own OpenID Connect providers may be.
type IdentityProviders struct {
	// AllowNetworks are networks that are not public (private, loopback or
	// link-local ones) in which a provider may be all the same. Default none.
	// Danger: the addresses that the gateway asks are chosen by the vendor's
	// provider, which could make it ask whatever is in these networks.
	AllowNetworks []netip.Prefix `yaml:"allow_networks"`
}

// Sessions says how long a sign-in lasts.
type Sessions struct {
	// Idle ends a session that was not used for so long. Default 30m; 1m to 24h.
	Idle time.Duration `yaml:"idle"`
	// Absolute ends every session so long after its sign-in, used or not.
	// Default 12h; at least Idle, at most 168h.
	Absolute time.Duration `yaml:"absolute"`
}

// Codes says how one-time codes are judged.
type Codes struct {
	// Skew is how many steps of 30 s a device's clock may be off, either way.
	// Default 1; 0 to 2. Danger: each step adds to the codes that a guess can hit.
	Skew int `yaml:"skew"`
}

// Clock says how this machine's clock is watched. It is never set.
type Clock struct {
	// Servers are NTP servers, each a host or host:port, that are asked every
	// quarter of an hour. More than 3 s of drift are a warning on the console,
	// at /readyz and in ringfence check. Default none: the kernel alone is
	// asked whether something keeps the clock.
	Servers []string `yaml:"servers"`
}

// DeviceLogin is about signing in from the command line: a program shows a
// code, which its owner re-types at the gate together with a fresh factor.
type DeviceLogin struct {
	// Enabled lets people sign programs in. Default true.
	Enabled bool `yaml:"enabled"`
	// SameNetwork refuses approval from another network (IPv4 address, or /64 of
	// IPv6) than the program's. Default false: the page warns. Danger: without
	// it, somebody who is talked into typing a stranger's code signs the
	// stranger in.
	SameNetwork bool `yaml:"same_network"`
}

// AccessTokens is about personal access tokens. An engagement has to admit
// them, too.
type AccessTokens struct {
	// MaxDays is how long one may last. Default 90; 1 to 90.
	MaxDays int `yaml:"max_days"`
}

// PolicyChanges is about the second person whom a change of policies needs.
type PolicyChanges struct {
	// OperatorAlone lets whoever works on this machine put policies in force
	// with 'ringfence policy publish' and 'policy rollback'; administrators and
	// approvers are told each time. Default true. False leaves drafts, which an
	// approver publishes on the console.
	OperatorAlone bool `yaml:"operator_alone"`
}

// Limits bound what one client, or all of them, can take.
type Limits struct {
	// Connections is how many clients' connections may be open at once; more
	// wait unaccepted. Default 10000.
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress is the same for one address; more are closed.
	// Default 256, or Connections where that is less: an office of contractors
	// often shares one address.
	ConnectionsPerAddress int `yaml:"connections_per_address"`
	// StreamsPerConnection is how many requests an HTTP/2 connection may have
	// open at once. Default 128.
	StreamsPerConnection int `yaml:"streams_per_connection"`
	// HeaderBytes is the size of a request's line and headers. Default 64KiB;
	// 4KiB to 1MiB.
	HeaderBytes Size `yaml:"header_bytes"`
	// HandshakeTimeout is how long a TLS handshake may take. Default 10s.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout"`
	// HeaderTimeout is how long a request's headers may take. Default 10s.
	HeaderTimeout time.Duration `yaml:"header_timeout"`
	// IdleTimeout closes a connection on which no request came for so long.
	// Default 2m.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// StallTimeout cuts a request whose client takes nothing of the response,
	// or gives nothing of the body that it announced, for so long. Default 5m.
	// Quiet WebSockets and gRPC streams are not stalled.
	StallTimeout time.Duration `yaml:"stall_timeout"`
	// RequestsPerAccount is how many requests of one account may be under way
	// at once, open streams among them; more get 429. Default 512.
	RequestsPerAccount int `yaml:"requests_per_account"`
	// ShutdownTimeout is how long requests may go on once the gateway was told
	// to stop; then they are cut. WebSockets, gRPC calls and event streams, which
	// would not end by themselves, are cut after two seconds. Default 20s. The service manager's own limit
	// must be longer, or the last checkpoint is not signed.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`
}

// AccessLog is about the tamper-evident record of every request.
type AccessLog struct {
	// Node names this machine in every entry. Default "node-1". Lower-case
	// letters, digits and hyphens. Changing it on a log that has entries is
	// refused when the gateway starts.
	Node string `yaml:"node"`
	// SegmentSize is the size of the log's files. Default 64MiB; 1MiB to 1GiB.
	SegmentSize Size `yaml:"segment_size"`
	// CommitDeadline is how long a request waits for its entry to be on disk;
	// later it is refused with 503 and never forwarded. Default 2s; 100ms to 30s.
	CommitDeadline time.Duration `yaml:"commit_deadline"`
	// QueryValues names the fields of queries (what stands behind ? in an
	// address) whose values are recorded. Default none: only names are. A policy
	// that reads another field's value cannot be replayed over requests that
	// have one. Danger: name none that can hold a secret or a search.
	QueryValues []string `yaml:"query_values"`
	// Witnesses are servers on other machines that remember the log's newest
	// checkpoint and cosign it (C2SP tlog-witness), so that nobody who holds
	// this machine and its keys can roll the log back unseen. Default none.
	Witnesses []Witness `yaml:"witnesses"`
	// Require is how many of the witnesses must have cosigned a checkpoint
	// before it counts. Default 1, which means nothing without witnesses.
	Require int `yaml:"require"`
	// MaxGap is how long clusters are served without a checkpoint that counts;
	// after that every request to them gets 503 until one does. Signing in and
	// the console go on. Default 0s: for ever, and only figures show the gap.
	// Otherwise 5s to 168h; below a minute the witnesses are asked more often.
	MaxGap time.Duration `yaml:"max_gap"`
	// Deliver lists other systems that get every entry, too. Default none. No
	// request waits for them.
	Deliver []Delivery `yaml:"deliver"`
	// Search is where the console searches the entries of many gateways together.
	Search LogSearch `yaml:"search"`
	// Retention is how long entries are kept.
	Retention Retention `yaml:"retention"`
}

// A Witness remembers the log's checkpoints on another machine.
type Witness struct {
	// Name is what it is called in figures and messages.
	Name string `yaml:"name"`
	// URL is where its add-checkpoint is, without that last part. https, or
	// http on this machine.
	URL string `yaml:"url"`
	// Key is its public key, as 'ringfence witness init' or its operator shows it.
	Key string `yaml:"key"`
	// CAFile holds PEM certificates that are trusted for the connection.
	// Default: the system's.
	CAFile string `yaml:"ca_file"`
}

// Log is about the operational log.
type Log struct {
	// Format is "text" or "json". Default "text".
	Format string `yaml:"format"`
	// Level is "debug", "info", "warn" or "error". Default "info". It is taken
	// over by a reload.
	Level string `yaml:"level"`
}

// Keys is about the keys that sign cookies, device marks and assertions. The
// gateway makes them itself.
type Keys struct {
	// MaxAge is how long a key signs before another takes its place by itself.
	// What it signed stays good until that ends. Default 2160h (90 days); 24h
	// to 8760h.
	MaxAge time.Duration `yaml:"max_age"`
}

// RootKey says where the root key is: 32 random bytes in base64. At most one
// of its fields is given, and the key must be there then. Default none: the key
// is keys/root.key in the data folder, made together with the deployment.
// Danger: without the key the store's secrets (one-time-code seeds and signing
// keys) cannot be read again, so it must be in a backup.
type RootKey struct {
	// File holds the key, readable by the service alone.
	File string `yaml:"file"`
	// Env names an environment variable that holds the key.
	Env string `yaml:"env"`
	// Command is a program with its arguments that prints the key. No shell
	// reads it.
	Command []string `yaml:"command"`
}
