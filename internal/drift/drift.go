// Package drift finds out whether this machine's clock can be believed: codes
// of authenticator apps are refused when it is off, and entries of the access
// log carry its time. It asks the kernel whether something keeps the clock,
// and time servers how far it is off. It never sets a clock.
//
// Start with [New]; [Monitor.Run] looks every quarter of an hour.
package drift

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/beevik/ntp"
)

// MaxDrift is how far a clock may be off without a warning.
const MaxDrift = 3 * time.Second

const (
	defaultEvery = 15 * time.Minute
	askTime      = 3 * time.Second
)

// A Sync says whether something keeps the kernel's clock right.
type Sync int

// What the kernel says.
const (
	Unknown        Sync = iota // this system does not tell
	Synchronised               // a time service keeps it
	Unsynchronised             // nothing does
)

// A Status is what was found at one moment. The zero Status knows nothing.
type Status struct {
	At       time.Time // zero: not looked yet
	Kernel   Sync
	Asked    int           // time servers
	Answered int           // of them
	Drift    time.Duration // how far the clock is ahead, as the middle one of the servers has it
	Server   string        // which one that is
}

// A Kind says what a [Warning] is about.
type Kind int

// Kinds of warnings.
const (
	Drifted  Kind = iota + 1 // time servers say that the clock is off
	Unkept                   // nothing keeps the clock right
	Silent                   // no time server answered
	OffCodes                 // most people's codes are off by the same, so it is not their telephones
)

// A Warning is a reason to look at the clock.
type Warning struct {
	Kind   Kind
	Drift  time.Duration // Drifted: how far the clock is ahead; OffCodes: about
	Server string        // Drifted
	Asked  int           // Silent: how many servers
	Same   int           // OffCodes: how many people
	Of     int           // OffCodes: of how many
}

// Warnings returns what is wrong, the gravest first.
func (s Status) Warnings() []Warning {
	switch {
	case s.At.IsZero():
		return nil
	case s.Answered > 0 && s.Drift.Abs() > MaxDrift:
		return []Warning{{Kind: Drifted, Drift: s.Drift, Server: s.Server}}
	case s.Answered > 0: // measured and right, whatever keeps it
		return nil
	}
	var out []Warning
	if s.Asked > 0 {
		out = append(out, Warning{Kind: Silent, Asked: s.Asked})
	}
	if s.Kernel == Unsynchronised {
		out = append(out, Warning{Kind: Unkept})
	}
	return out
}

// Config says what to ask. The zero Config asks the kernel alone.
type Config struct {
	Servers []string      // host or host:port of NTP servers
	Every   time.Duration // how often to look; default 15 minutes
	Now     func() time.Time
	Logger  *slog.Logger
	// Kernel replaces what the kernel says, for tests.
	Kernel func() Sync
}

// A Monitor looks at the clock. It is safe for concurrent use.
type Monitor struct {
	Config
	last atomic.Pointer[Status]
}

// New returns a Monitor that has not looked yet.
func New(c Config) *Monitor {
	c.Every = cmp.Or(c.Every, defaultEvery)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Kernel == nil {
		c.Kernel = kernel
	}
	return &Monitor{Config: c}
}

// Status returns what was found last, without waiting.
func (m *Monitor) Status() Status {
	if s := m.last.Load(); s != nil {
		return *s
	}
	return Status{}
}

// Check looks now. It takes at most some seconds: servers are asked together.
func (m *Monitor) Check(ctx context.Context) Status {
	s := Status{At: m.Now().UTC(), Kernel: m.Kernel(), Asked: len(m.Servers)}
	answers := m.ask(ctx)
	if s.Answered = len(answers); s.Answered > 0 {
		// The middle one: a single server that lies does not decide.
		slices.SortFunc(answers, func(a, b answer) int { return cmp.Compare(a.drift, b.drift) })
		mid := answers[len(answers)/2]
		s.Drift, s.Server = mid.drift, mid.server
	}
	m.last.Store(&s)
	return s
}

type answer struct {
	server string
	drift  time.Duration
}

func (m *Monitor) ask(ctx context.Context) []answer {
	var mu sync.Mutex
	var answers []answer
	var wg sync.WaitGroup
	for _, server := range m.Servers {
		wg.Go(func() {
			// The library takes no context; its time-out is short.
			r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: askTime, GetSystemTime: m.Now})
			if err == nil {
				err = r.Validate()
			}
			if err != nil {
				if ctx.Err() == nil {
					m.Logger.WarnContext(ctx, "asking a time server", "server", server, "err", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer{server, -r.ClockOffset})
		})
	}
	wg.Wait()
	return answers
}

// Run looks at once and then again and again until ctx ends. What is wrong is
// logged each time.
func (m *Monitor) Run(ctx context.Context) error {
	tick := time.NewTicker(m.Every)
	defer tick.Stop()
	for {
		s := m.Check(ctx)
		for _, w := range s.Warnings() {
			m.Logger.WarnContext(ctx, "this machine's clock", "drift", w.Drift, "server", w.Server, "synchronised", s.Kernel == Synchronised, "servers", s.Asked, "answered", s.Answered)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
