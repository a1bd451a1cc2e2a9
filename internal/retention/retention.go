// Package retention decides how long the access log keeps its entries, and has
// those removed whose time is over. Whole segments go, from the log's beginning,
// and each stays as long as the longest rule of any entry in it. It never
// decides what a proof is: package accesslog removes and proves.
package retention

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
)

// Rules say for how many days entries are kept. 0: for ever.
type Rules struct {
	// Days is for entries that no other rule is for: of sign-ins, changes and
	// the log itself too.
	Days int
	// Classifications are for entries of clusters that were classified so when
	// the entry was made.
	Classifications map[string]int
	// Clusters are for those of one cluster, and stand before Classifications.
	Clusters map[string]int

	least *Rules // of the configuration file, where others stand over them
}

// of returns the days of an entry, and the rule's name.
func (r *Rules) of(k kind) (days int, name string) {
	days, name, _ = r.own(k)
	if r.least != nil {
		if least, by, named := r.least.own(k); named && shorter(days, least) {
			return least, by
		}
	}
	return days, name
}

// own is of without what is the least; named is false for the default.
func (r *Rules) own(k kind) (days int, name string, named bool) {
	if d, ok := r.Clusters[k.cluster]; ok && k.cluster != "" {
		return d, "cluster " + k.cluster, true
	}
	if d, ok := r.Classifications[k.class]; ok && k.class != "" {
		return d, "classification " + k.class, true
	}
	return r.Days, "default", false
}

// shortest is the least number of days that any rule has, 0 where all are for ever.
func (r *Rules) shortest() (least int) {
	all := append(slices.Collect(maps.Values(r.Clusters)), slices.Collect(maps.Values(r.Classifications))...)
	for _, days := range append(all, r.Days) {
		if days > 0 && (least == 0 || days < least) {
			least = days
		}
	}
	return least
}

// Held is what legal holds keep: entries about or by these accounts, by id, and
// those of these engagements, by name.
type Held struct{ Accounts, Engagements map[string]bool }

// Log is what removes: *accesslog.Log.
type Log interface {
	// Removable must return the index of the first entry that cannot go now.
	Removable() (uint64, error)
	Prune(ctx context.Context, r accesslog.Removal) error
}

// An Archive keeps segments that the log no longer has.
type Archive interface {
	// Put must return only once the segment is safely kept under its name.
	Put(ctx context.Context, name string, content []byte) error
	// Get must return what was put under the name, or [fs.ErrNotExist] where
	// nothing was.
	Get(ctx context.Context, name string) ([]byte, error)
	// String must say where it is, without secrets.
	String() string
}

// Config says what a Service works on. Log, LogDir and Held are required.
type Config struct {
	Log    Log
	LogDir string
	Rules  Rules // of the configuration file
	// Set returns what administrators set in place of some of them, once that is
	// recorded. Default: nothing.
	Set func(ctx context.Context) ([]directory.RetentionRule, error)
	// Held returns what stands under a hold now.
	Held func(ctx context.Context) (Held, error)
	// Taken returns the index of the first entry that somebody has yet to take:
	// deliveries, or a witness. Default: everything was taken.
	Taken func() (upTo uint64, by string)
	// Archive gets each segment before it goes. Default none: it is removed.
	Archive Archive
	// After is told of the first entry that is left, to let an index follow. Default none.
	After func(ctx context.Context, first uint64) error
	// Memory is the file that keeps what clock and rules were, so that nothing is
	// removed until both have been as they are for [Settled]. Default: both are
	// taken for right.
	Memory string
	// Drift returns how far the clock is off, as time servers say; 0 where that is
	// not known. Nothing is removed while that is more than an hour. Default: not known.
	Drift func() time.Duration
	// Every is how often Run looks. Default 24h.
	Every  time.Duration
	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// Service removes entries whose time is over. Its methods are safe for
// concurrent use.
type Service struct {
	cfg Config
	ask chan string // accounts that want it done now

	acting sync.Mutex // held while a plan is made and carried out

	looking              sync.Mutex // guards the next two
	anchor, anchorSteady time.Time  // two clocks at one moment; zero: none was looked at yet

	mu    sync.Mutex // guards the rest
	seen  map[uint64]*summary
	state State
}

// State is how the newest look went.
type State struct {
	At      time.Time // zero: there was none yet
	Fault   string    // empty: it went well
	Removed uint64    // entries that it removed
	Plan    Plan      // what it was about to do
	Waits   Waiting   // why it did not; the zero value: nothing kept it
}

// New starts nothing.
func New(c Config) (*Service, error) {
	if c.Log == nil || c.LogDir == "" || c.Held == nil {
		return nil, errors.New("configuring retention: log, folder and holds are required")
	}
	c.Every = cmp.Or(c.Every, 24*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{cfg: c, ask: make(chan string, 1), seen: map[uint64]*summary{}}, nil
}

// Rules returns the rules in force.
func (s *Service) Rules(ctx context.Context) (Rules, error) {
	if s.cfg.Set == nil {
		return s.cfg.Rules, nil
	}
	set, err := s.cfg.Set(ctx)
	if err != nil {
		return Rules{}, err
	}
	return s.cfg.Rules.With(set), nil
}

// FileRules returns those of the configuration file.
func (s *Service) FileRules() Rules { return s.cfg.Rules }

// ArchivedTo says where segments are put before they go; empty: nowhere.
func (s *Service) ArchivedTo() string {
	if s.cfg.Archive == nil {
		return ""
	}
	return s.cfg.Archive.String()
}

// State returns how the newest look went.
func (s *Service) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

const (
	// firstLook is how long a gateway that has just started is left alone.
	firstLook = time.Minute
	// secondTry is when what failed is tried again: an archive may be back soon.
	secondTry = time.Hour
)

// Run removes what is due, a minute after the start and then once in Every, or
// an hour after it failed, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	t := time.NewTimer(min(firstLook, s.cfg.Every))
	defer t.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		actor := Operator
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if _, err := s.Waits(ctx, true); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Error("looking at the clock", "err", err)
			}
			continue
		case <-t.C:
		case actor = <-s.ask:
		}
		wait := s.cfg.Every
		if _, err := s.Apply(ctx, actor); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("removing old entries of the access log", "err", err)
			wait = min(wait, secondTry)
		}
		t.Reset(wait)
	}
}

// Operator is who acts where nobody asks: who wrote the rules.
const Operator = "operator"

// Ask has Run remove what is due now, for an account. Asking again before it
// has begun changes nothing.
func (s *Service) Ask(account string) {
	select {
	case s.ask <- account:
	default:
	}
}

var errKept = errors.New("a hold or a delivery now keeps what was about to go: it is looked at again at the next time")

// Apply removes what is due, after it was archived, and returns what the plan
// was. Actor, an account or [Operator], is recorded. It removes nothing while
// clock or rules are not [Settled]: State says so.
func (s *Service) Apply(ctx context.Context, actor string) (p Plan, err error) {
	s.acting.Lock()
	defer s.acting.Unlock()
	removed, waits := uint64(0), Waiting{}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state = State{At: s.cfg.Now().UTC(), Removed: removed, Plan: p, Waits: waits}
		if err != nil {
			s.state.Fault = err.Error()
		}
	}()
	if waits, err = s.Waits(ctx, true); err != nil {
		return p, err
	}
	if p, err = s.Plan(ctx); err != nil || len(p.Due) == 0 || waits.Why != "" {
		return p, err
	}
	if err := s.archive(ctx, p.Due); err != nil {
		return p, err
	}
	// A hold may be placed while segments are copied, and while the log reads them once more.
	still := func(ctx context.Context) error {
		now, err := s.Plan(ctx)
		if err == nil && now.Before < p.Before {
			err = errKept
		}
		return err
	}
	if err := still(ctx); err != nil {
		return p, err
	}
	if err := s.cfg.Log.Prune(ctx, accesslog.Removal{Before: p.Before, Rule: p.Rule, Archive: s.ArchivedTo(), Actor: actor, Still: still}); err != nil {
		return p, err
	}
	removed = p.Before - p.Due[0].First
	s.forget(p.Due)
	s.cfg.Logger.Info("removed old entries of the access log", "entries", removed, "first", p.Before, "rule", p.Rule)
	if s.cfg.After != nil {
		return p, s.cfg.After(ctx, p.Before)
	}
	return p, nil
}

// forget drops what is remembered of segments that went.
func (s *Service) forget(gone []accesslog.SealedSegment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range gone {
		delete(s.seen, seg.First)
	}
}
