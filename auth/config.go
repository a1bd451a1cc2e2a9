package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// A Recorder keeps the record of what happened. Record returns once the
// record is durable; on error the event does not take effect. The gateway
// passes its access log; commands on the machine pass something that queues
// the record with the change, for the gateway to take over.
type Recorder interface {
	Record(context.Context, *policy.Record) (uint64, error)
}

// Config says how a [Service] works. Store, Recorder, RootKey and Issuer
// are required; the rest has defaults.
type Config struct {
	Store    Store
	Recorder Recorder

	// RootKey encrypts secrets at rest, the pepper of passwords among them: at least 32
	// random bytes. Whoever loses it must reset every account's factor.
	RootKey []byte
	// OldRootKeys open what was sealed before the root key was changed; see
	// [Service.Reseal].
	OldRootKeys [][]byte
	// KeyMaxAge is how long a signing key signs before another takes its
	// place; default 90 days. What it signed stays good until that ends.
	KeyMaxAge time.Duration
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
	// Limits, when set, narrows Idle and Absolute for an account's sessions. It
	// is asked at every use of a session, so that a change holds at once for
	// those that are open: it must read memory only and be safe for concurrent use.
	Limits func(account string) Limits
	// Derive computes argon2id (RFC 9106) with one lane, memory in KiB, size in
	// bytes. nil computes it in this process; the gateway passes a process of
	// its own, so that hashes do not slow what it forwards. At most MaxHashes
	// calls run at a time.
	Derive func(ctx context.Context, password, salt []byte, passes, memory, size uint32) ([]byte, error)
	// MaxSessions is how many sessions an account may have; default 20. One
	// more ends the one that was used least lately.
	MaxSessions int

	// ProviderNetworks are networks that are not public in which vendors'
	// identity providers may be; default none.
	ProviderNetworks []netip.Prefix

	// PhishingResistant reports whether an engagement in force demands a
	// passkey or security key of the account: it may then add its first one
	// only while enrolling or with an administrator's permission. Nil: none
	// does. It must be fast and safe for concurrent use.
	PhishingResistant func(account string) bool

	// DeviceLogin says how machines are signed in from the command line.
	DeviceLogin DeviceLogin
	// AccessTokenLife is how long a personal access token may last; default and
	// at most 90 days.
	AccessTokenLife time.Duration

	// Changed, when set, is called after sessions, tokens or accounts changed,
	// so that open streams can be looked at again. It must return at once.
	Changed func()

	// CodeMatched and CodeFailed, when set, count codes: how many steps of 30
	// seconds a right one was from the gate's clock, and wrong ones. They must
	// return at once.
	CodeMatched func(offset int)
	CodeFailed  func()

	// Told, when set, is called after an account's owner was left a notice, to
	// send it by mail as well. For some kinds whoever answers for the vendor is
	// to be told too: see [Warned]. It must return soon.
	Told func(context.Context, Account, Notice)

	// Behind, when set, returns how far the clock is behind the latest time that
	// was ever recorded, also before this process began. While that is more than
	// a second, codes of authenticator apps are refused. It must return at once.
	Behind func() time.Duration

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
	if c.Store == nil || c.Recorder == nil {
		return errors.New("store and recorder are required")
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
	c.KeyMaxAge = or(c.KeyMaxAge, keyLife)
	if c.Idle < 0 || c.Absolute < 0 || c.MaxSessions < 0 || c.KeyMaxAge < 0 {
		return errors.New("idle, absolute, the age of keys and the number of sessions must not be negative")
	}
	switch {
	case c.Skew == 0:
		c.Skew = 1
	case c.Skew == -1:
		c.Skew = 0
	case c.Skew < 0 || c.Skew > 2:
		return fmt.Errorf("skew %d is outside -1 to 2", c.Skew)
	}
	if c.AccessTokenLife = or(c.AccessTokenLife, longestAccess); c.AccessTokenLife < 0 || c.AccessTokenLife > longestAccess {
		return fmt.Errorf("a personal access token's life of %s is outside 0 to %s", c.AccessTokenLife, longestAccess)
	}
	if c.KnownHost == nil {
		c.KnownHost = func(string) bool { return false }
	}
	if c.PhishingResistant == nil {
		c.PhishingResistant = func(string) bool { return false }
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.CodeMatched == nil {
		c.CodeMatched = func(int) {}
	}
	if c.CodeFailed == nil {
		c.CodeFailed = func() {}
	}
	if c.Told == nil {
		c.Told = func(context.Context, Account, Notice) {}
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
