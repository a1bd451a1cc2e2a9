package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

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
	relyingParty  *webauthn.WebAuthn // nil: the gate's host cannot have keys
	hasher        *hasher
	sessionKeys   *keyring
	assertionKeys *keyring
	deviceKeys    *keyring
	throttle      []byte // keys what wrong passwords are counted under

	// Read without a lock by every request, written under mu.
	live live

	// mu is held over a change of the stores and of live together, so that a
	// reload never brings back what was ended, nor loses what was begun.
	mu sync.Mutex

	// Each guards itself.
	verified   recent[string, *verifiedCookie]
	assertions recent[assertionKey, *assertion]
	shown      expiring[[]string] // new recovery codes, by session
	targets    expiring[Target]
	handoffs   expiring[handoff]

	external *externalSignIn

	clockTold atomic.Int64 // how far behind the clock was when last recorded, in nanoseconds

	polls expiring[*poll] // by hash of the device code

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
	s := &Service{
		cfg: cfg, issuer: cfg.Issuer, clock: newClock(cfg.Now), log: cfg.Logger, seal: seal,
		hasher:        newHasher(cfg.MaxHashes, cfg.HashCost, nil),
		sessionKeys:   &keyring{purpose: purposeSession, typ: typeSession},
		assertionKeys: &keyring{purpose: purposeAssertion, typ: typeAssertion},
		deviceKeys:    &keyring{purpose: purposeDevice, typ: typeDevice},
	}
	if s.relyingParty, err = newRelyingParty(&s.cfg); err != nil {
		return nil, fmt.Errorf("configuring sign-in: %w", err)
	}
	s.verified.limit, s.assertions.limit = 1<<15, 1<<13
	s.targets.limit, s.handoffs.limit = 20_000, 20_000
	s.shown.limit = 20_000
	s.polls.limit = maxDeviceGrants
	if s.throttle, err = deriveKey(cfg.RootKey, "throttle", 32); err != nil {
		return nil, fmt.Errorf("configuring sign-in: %w", err)
	}
	s.external = newExternalSignIn(&s.cfg, s.now)
	if cfg.Derive != nil {
		s.hasher.derive = cfg.Derive
	}
	if err := s.unlock(context.Background()); err != nil {
		return nil, fmt.Errorf("starting sign-in: %w", err)
	}
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
			if err := errors.Join(s.flush(last), s.flushTokens(last)); err != nil {
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
	now := s.now()
	return errors.Join(
		s.noteClock(ctx),
		s.flush(ctx),
		s.flushTokens(ctx),
		s.endExpired(ctx, now),
		s.endMachines(ctx, now),
		s.cfg.Store.ExpireDeviceGrants(ctx, now.Add(-deviceGrantKept), now.Add(-deviceTryWindow)),
		s.cfg.Store.Expire(ctx, now),
		s.cfg.Store.ExpireNotices(ctx, now.Add(-noticeLife)),
		s.cfg.Store.ExpireWarnings(ctx, now.Add(-noticeLife)),
		s.cfg.Store.ExpirePasswordFailures(ctx, now.Add(-passwordFailureLife)),
		s.renewKeys(ctx, now),
	)
}
