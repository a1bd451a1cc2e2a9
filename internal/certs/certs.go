// Package certs gives the TLS listener its certificates: ordered from an ACME
// authority, read from files, or signed by an authority of the gateway's own.
//
// Certificates exist for known hosts only, the gate's and the clusters'. A
// handshake that names another host, or none, is refused before anything is
// shown, so that nobody learns of hosts by asking and nobody makes the gateway
// order certificates for names of their choice. The package never serves
// requests and holds no policy. Start with [New] and [Manager.TLSConfig].
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Mode is where certificates come from.
type Mode string

// The modes.
const (
	ModeACME  Mode = "acme"  // ordered from a certificate authority by ACME
	ModeFiles Mode = "files" // made elsewhere
	ModeLocal Mode = "local" // signed by the gateway's own authority
)

// A Config says where certificates come from and for whom.
type Config struct {
	Mode Mode
	// Hosts returns the hosts known at the start. Nil is none: every
	// handshake is refused until [Manager.SetHosts] is called.
	Hosts func() []string
	// Fallback is the known host whose certificate is shown to whoever names an
	// unknown host or none, so that the answer above TLS can say what is wrong.
	// It should be the gate's, which is public. Empty: such handshakes are refused.
	Fallback string
	// Dir is the folder for the local authority and for what ACME must keep
	// (accounts, keys, certificates). It is made when missing, for the service
	// alone. Not used in mode files.
	Dir string
	// ACME is read in mode acme.
	ACME ACME
	// Files are the certificates of mode files.
	Files []Pair
	// Domains limits the local authority when it is first made: it can then
	// vouch only for these domains and what is below them. Empty is no limit.
	// An authority that exists already keeps its own.
	Domains []string
	// Logger receives the operational log. Default [slog.Default].
	Logger *slog.Logger
	// Now is the clock of the modes files and local. Default [time.Now].
	Now func() time.Time
}

// ACME is the authority of mode acme and the way from it to this gateway.
type ACME struct {
	// Directory is the URL of the authority's directory. Default: Let's Encrypt.
	Directory string
	// Email is told to the authority. Optional.
	Email string
	// CAFile holds PEM certificates trusted for the connection to Directory.
	// Default: the system's.
	CAFile string
	// KeyID and KeyFile bind to an account that the authority already knows.
	// Both or neither.
	KeyID, KeyFile string
	// ListenHost is the address, without port, at which the gateway's own
	// listeners are bound; empty is every address.
	ListenHost string
	// HTTPPort and TLSPort are the local ports at which the authority's http-01
	// and tls-alpn-01 challenges arrive. Default 80 and 443.
	HTTPPort, TLSPort int
	// NoHTTP says that nothing listens on plain HTTP: only tls-alpn-01 is offered then.
	NoHTTP bool
}

// A Pair names the PEM files of a certificate chain and its private key; one
// file may hold both.
type Pair struct{ Certificate, Key string }

// A source provides certificates for hosts that the Manager has let through.
type source interface {
	// certificate must return nil without an error when there is none yet.
	certificate(hello *tls.ClientHelloInfo, host string) (*tls.Certificate, error)
	// serves must say why no certificate can ever be had for host, or nil.
	serves(host string) error
	// hosts is told of every new set of hosts.
	hosts(set map[string]bool)
	run(ctx context.Context) error
}

// A Manager hands out certificates. It is safe for concurrent use.
type Manager struct {
	source source
	acme   *acmeSource  // nil in other modes
	local  *localSource // nil in other modes
	files  *fileSource  // nil in other modes
	logger *slog.Logger

	// known is replaced whole by SetHosts and read by every handshake.
	known    atomic.Pointer[map[string]bool]
	fallback string // Config.Fallback
}

// New prepares the certificates of cfg. In mode local it makes the authority
// when Dir holds none; in mode files it reads every file. It starts nothing:
// ACME orders and the watch over files begin with [Manager.Run]. One process
// must not order for one host through two Managers.
func New(cfg Config) (*Manager, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Manager{logger: cfg.Logger, fallback: cfg.Fallback}
	m.known.Store(&map[string]bool{})
	var err error
	switch cfg.Mode {
	case ModeACME:
		m.acme, err = newACME(cfg)
		m.source = m.acme
	case ModeFiles:
		m.files, err = newFiles(cfg)
		m.source = m.files
	case ModeLocal:
		m.local, err = newLocal(cfg)
		m.source = m.local
	default:
		err = fmt.Errorf("mode %q is not known: use acme, files or local", cfg.Mode)
	}
	if err != nil {
		return nil, fmt.Errorf("preparing certificates: %w", err)
	}
	if cfg.Hosts != nil {
		if err := m.SetHosts(cfg.Hosts()); err != nil {
			cfg.Logger.Warn("some hosts have no certificate", "err", err)
		}
	}
	return m, nil
}

// SetHosts replaces the hosts for which certificates are handed out; orders
// for new ones begin at once where they are needed. Hosts that left are
// refused from the next handshake on, whatever the error says. The error names
// every host that cannot be served (not a host name, outside of the local
// authority's domains, in none of the files); the others are served.
func (m *Manager) SetHosts(hosts []string) error {
	set := make(map[string]bool, len(hosts))
	var faults []error
	for _, h := range hosts {
		name, err := canonicalHost(h)
		if err != nil {
			faults = append(faults, fmt.Errorf("host %q: %w", h, err))
			continue
		}
		set[name] = true
		if err := m.source.serves(name); err != nil {
			faults = append(faults, fmt.Errorf("host %q: %w", h, err))
		}
	}
	m.known.Store(&set)
	m.source.hosts(set)
	return errors.Join(faults...)
}

// HTTPChallenge answers ACME's http-01 challenges for known hosts and leaves
// every other request to next. In other modes it is next.
func (m *Manager) HTTPChallenge(next http.Handler) http.Handler {
	if m.acme == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, err := canonicalHost(hostOnly(r.Host)); err == nil && m.knows(host) && m.acme.challenge(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// AuthorityPEM returns the certificate of the local authority, which clients
// must trust; nil in other modes.
func (m *Manager) AuthorityPEM() []byte {
	if m.local == nil {
		return nil
	}
	return m.local.authority.pem
}

// Reload reads the files of mode files again at once, whole or not at all: on
// an error the certificates before it stay. It does nothing in other modes.
func (m *Manager) Reload() error {
	if m.files == nil {
		return nil
	}
	return m.files.reload()
}

// Run orders and renews certificates, or watches files, until ctx ends. It
// must begin after the gateway's listeners were bound: where nothing listens
// on the challenge ports, ACME binds them itself for the time of an order.
func (m *Manager) Run(ctx context.Context) error { return m.source.run(ctx) }

func (m *Manager) knows(host string) bool { return (*m.known.Load())[host] }
