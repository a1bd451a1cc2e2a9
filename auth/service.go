package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Names of the cookies. All are host-only: Secure, Path=/, no Domain.
const (
	SessionCookie = "__Host-ringfence"        // a session, on the gate and on each cluster's host
	LoginCookie   = "__Host-ringfence-login"  // a sign-in that waits for its code
	EnrolCookie   = "__Host-ringfence-enrol"  // an enrolment under way
	StartCookie   = "__Host-ringfence-start"  // on a cluster's host: binds a hand-off to the browser that asked
	DeviceCookie  = "__Host-ringfence-device" // a device that has signed in; see [Service.Device]
)

// Names of the factors, as records and policies know them.
const (
	factorTOTP     = policy.FactorTOTP
	factorRecovery = policy.FactorRecovery
)

// Lives of what is short-lived.
const (
	flowLife      = 10 * time.Minute
	inviteLife    = 24 * time.Hour
	enrolmentLife = time.Hour
	handoffLife   = 30 * time.Second
	targetLife    = 15 * time.Minute
	assertionLife = 60 * time.Second
	assertionKept = 20 * time.Second
	tokenLife     = time.Hour
	deviceLife    = 180 * 24 * time.Hour
	flushEvery    = 30 * time.Second
)

// A Recorder keeps the record of what happened. Record returns once the
// record is durable; on error the event does not take effect. The gateway
// passes its access log; commands on the machine pass something that queues
// the record with the change, for the gateway to take over.
type Recorder interface {
	Record(context.Context, *policy.Record) (uint64, error)
}

// Config says how a [Service] works. The interfaces, Recorder, RootKey and
// Issuer are required; the rest has defaults.
type Config struct {
	Accounts    Accounts
	Credentials Credentials
	Invitations Invitations
	Logins      Logins
	Sessions    Sessions
	Tokens      Tokens
	Keys        Keys
	Recorder    Recorder

	// RootKey encrypts secrets at rest and peppers passwords: at least 32
	// random bytes. Whoever loses it must reset every account's factor.
	RootKey []byte
	// OldRootKeys open what was sealed before the root key was changed. The
	// pepper is always RootKey's: passwords set under another one are wrong.
	OldRootKeys [][]byte
	// NoPepper leaves passwords without a pepper. All of a deployment's
	// passwords are with or without.
	NoPepper bool

	// Issuer is the gate's URL without a trailing slash, such as https://gate.example.com.
	Issuer string
	// GateHost is the gate's canonical host; by default the one of Issuer, without port.
	GateHost string
	// Organisation is what authenticator apps show; by default GateHost.
	Organisation string
	// KnownHost reports whether a canonical host is a cluster's. Targets and
	// hand-offs go to such hosts only; nil knows none. It must be fast and
	// safe for concurrent use.
	KnownHost func(host string) bool

	// Idle ends a session that nobody used for so long; default 30 minutes.
	Idle time.Duration
	// Absolute ends a session whatever happens; default 12 hours.
	Absolute time.Duration
	// Skew is how many time steps before and after now a code may be of. The
	// zero value means 1; -1 means none, which a telephone whose clock is off fails.
	Skew int
	// MaxHashes is how many passwords are hashed at a time, 64 MiB each;
	// default 4, or the number of processors if that is less.
	MaxHashes int
	// HashCost is what one hash costs; the default is right outside of tests.
	HashCost HashCost
	// MaxSessions is how many sessions an account may have; default 20. One
	// more ends the oldest.
	MaxSessions int

	// Changed, when set, is called after sessions, tokens or accounts changed,
	// so that open streams can be looked at again. It must return at once.
	Changed func()

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: slog.Default
}

// LogValue shows nothing of a Config: it holds the root key.
func (Config) LogValue() slog.Value { return slog.StringValue("auth.Config") }

// String shows nothing of a Config.
func (Config) String() string { return "auth.Config" }

// GoString shows nothing of a Config.
func (Config) GoString() string { return "auth.Config" }

func (c *Config) check() error {
	if c.Accounts == nil || c.Credentials == nil || c.Invitations == nil || c.Logins == nil ||
		c.Sessions == nil || c.Tokens == nil || c.Keys == nil || c.Recorder == nil {
		return errors.New("stores and recorder are required")
	}
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("issuer %q is not a URL of scheme and host alone", c.Issuer)
	}
	if c.GateHost == "" {
		c.GateHost = strings.ToLower(u.Hostname())
	}
	if c.Organisation == "" {
		c.Organisation = c.GateHost
	}
	c.Idle, c.Absolute = or(c.Idle, 30*time.Minute), or(c.Absolute, 12*time.Hour)
	c.MaxSessions = or(c.MaxSessions, 20)
	if c.Idle < 0 || c.Absolute < 0 || c.MaxSessions < 0 {
		return errors.New("idle, absolute and the number of sessions must not be negative")
	}
	switch {
	case c.Skew == 0:
		c.Skew = 1
	case c.Skew == -1:
		c.Skew = 0
	case c.Skew < 0 || c.Skew > 2:
		return fmt.Errorf("skew %d is outside -1 to 2", c.Skew)
	}
	if c.KnownHost == nil {
		c.KnownHost = func(string) bool { return false }
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// An Origin is where a request came from. Its text is the client's own and
// reaches records only.
type Origin struct {
	IP        netip.Addr
	UserAgent string
	RequestID string
	Host      string
	Device    string // value of [DeviceCookie], if any
}

// An Actor is who does something to an account.
type Actor struct {
	Account   string // account id, or "operator" for commands on the machine
	Email     string
	RequestID string
	IP        string
}

// A Service is everything about who is asking. It is safe for concurrent use.
type Service struct {
	cfg    Config
	issuer string
	clock  *clock
	log    *slog.Logger

	// Set once by New.
	seal          *sealer
	hasher        *hasher
	sessionKeys   *keyring
	assertionKeys *keyring
	deviceKeys    *keyring

	// Read without a lock by every request, written under mu.
	live live

	// mu is held over a change of the stores and of live together, so that a
	// reload never brings back what was ended, nor loses what was begun.
	mu sync.Mutex

	// Each guards itself.
	verified   recent[string, *verifiedCookie]
	assertions recent[assertionKey, *assertion]
	slow       passwordThrottle
	targets    expiring[Target]
	handoffs   expiring[handoff]

	hashes atomic.Int64 // password hashes computed; tests read it
}

// New returns a Service that has read the stores' sessions, tokens and
// accounts. On the first start it makes the signing keys.
func New(cfg Config) (*Service, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("configuring sign-in: %w", err)
	}
	seal, err := newSealer(cfg.RootKey, cfg.OldRootKeys...)
	if err != nil {
		return nil, fmt.Errorf("configuring sign-in: %w", err)
	}
	var pepper []byte
	if !cfg.NoPepper {
		if pepper, err = deriveKey(cfg.RootKey, "pepper", 32); err != nil {
			return nil, fmt.Errorf("configuring sign-in: %w", err)
		}
	}
	s := &Service{
		cfg: cfg, issuer: cfg.Issuer, clock: newClock(cfg.Now), log: cfg.Logger, seal: seal,
		hasher:        newHasher(cfg.MaxHashes, cfg.HashCost, pepper),
		sessionKeys:   &keyring{purpose: purposeSession, typ: typeSession},
		assertionKeys: &keyring{purpose: purposeAssertion, typ: typeAssertion},
		deviceKeys:    &keyring{purpose: purposeDevice, typ: typeDevice},
	}
	s.verified.limit, s.assertions.limit = 1<<15, 1<<13
	s.targets.limit, s.handoffs.limit = 20_000, 20_000
	s.slow.limit = 100_000
	if err := s.load(context.Background()); err != nil {
		return nil, fmt.Errorf("starting sign-in: %w", err)
	}
	return s, nil
}

// now is the time by which everything ends.
func (s *Service) now() time.Time { return s.clock.now() }

// Run writes when sessions were last seen, ends the ones that expired, and
// clears what is left of sign-ins, every 30 seconds until ctx ends. Faults are
// logged and tried again.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			// The context is over; what was seen last is still worth keeping.
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := s.flush(last); err != nil {
				s.log.Error("writing when sessions were last seen", "err", err)
			}
			return nil
		case <-tick.C:
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("clearing expired sessions", "err", err)
			}
		}
	}
}

// sweep is one round of Run.
func (s *Service) sweep(ctx context.Context) error {
	if d := s.clock.behind(); d > time.Second {
		s.log.Warn("the clock was set back; sessions end as if it had not been", "behind", d)
	}
	now := s.now()
	return errors.Join(
		s.flush(ctx),
		s.endExpired(ctx, now),
		s.cfg.Logins.Expire(ctx, now),
		s.renewKeys(ctx, now),
	)
}

// renewKeys reads the signing keys again, which replaces one that is too old,
// and drops the ones whose last token has ended.
func (s *Service) renewKeys(ctx context.Context, now time.Time) error {
	for _, k := range []*keyring{s.sessionKeys, s.assertionKeys, s.deviceKeys} {
		if err := k.load(ctx, s.cfg.Keys, s.seal, now); err != nil {
			return err
		}
		kept := keyLife + max(s.cfg.Absolute, 24*time.Hour)
		if k.purpose == purposeDevice {
			kept = keyLife + deviceLife
		}
		if err := s.cfg.Keys.DeleteKeys(ctx, k.purpose, now.Add(-kept)); err != nil {
			return fmt.Errorf("deleting old %s keys: %w", k.purpose, err)
		}
	}
	return nil
}
