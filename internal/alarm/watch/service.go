package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/alarm"
)

// A Source is the log: an [*accesslog.Log].
type Source interface {
	// Size must return the number of durable entries.
	Size() uint64
	// Subscribe must yield each entry from index from on once and in order, and
	// wait for further ones until ctx ends.
	Subscribe(ctx context.Context, from uint64) iter.Seq2[*accesslog.Entry, error]
	// Get must return one entry.
	Get(ctx context.Context, index uint64) (*accesslog.Entry, error)
}

// A Condition is a trouble that holds at this moment, of which no entry may tell.
type Condition struct {
	Kind  alarm.Kind // LogTrouble or Unanchored
	Name  string     // which one, such as "unwritable"
	For   time.Duration
	Facts map[string]string
}

// Config says what a [Service] watches. Source, Origin and Keeper are required.
type Config struct {
	Source Source
	Origin string // the log's
	Keeper alarm.Keeper
	// LearnFrom returns the index of the first entry to learn from where nothing
	// is remembered yet. Default: the log's first.
	LearnFrom func() (uint64, error)
	// Conditions returns the troubles that hold now; asked once a second. For is
	// how long each has held, as far as its teller knows. Default: there are none.
	Conditions func() []Condition
	Now        func() time.Time // default time.Now
	Logger     *slog.Logger

	pause func(context.Context, time.Duration) error // for tests
}

const (
	conditionsEvery = time.Second
	saveEvery       = 30 * time.Second
	saveBytes       = 256 << 10 // more to remember is kept less often
	saveLongest     = 10 * time.Minute
	retryEvery      = time.Second
)

// A Service watches one log. Its methods are safe for concurrent use.
type Service struct {
	cfg Config

	mu     sync.Mutex
	engine *engine   // nil before Run
	saved  uint64    // entries that the store remembers
	due    time.Time // when it is to be saved again

	// What is shown takes no lock: while the store fails, mu is held.
	shown atomic.Uint64 // the next entry
	fault atomic.Pointer[string]
}

// New checks c. Nothing is read before Run.
func New(c Config) (*Service, error) {
	if c.Source == nil || c.Origin == "" || c.Keeper == nil {
		return nil, errors.New("configuring alarms: source, origin and keeper are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.LearnFrom == nil {
		c.LearnFrom = func() (uint64, error) { return 0, nil }
	}
	if c.Conditions == nil {
		c.Conditions = func() []Condition { return nil }
	}
	if c.pause == nil {
		c.pause = pause
	}
	return &Service{cfg: c}, nil
}

// A Status is how the watching fares.
type Status struct {
	Next  uint64 // the next entry to look at
	Lag   uint64 // entries that were not looked at
	Fault string // why it does not go on; empty: it does
}

// Status returns how the watching fares.
func (s *Service) Status() Status {
	st := Status{Next: s.shown.Load()}
	if f := s.fault.Load(); f != nil {
		st.Fault = *f
	}
	if size := s.cfg.Source.Size(); size > st.Next {
		st.Lag = size - st.Next
	}
	return st
}

// Run watches until ctx ends. Faults are logged and tried again.
func (s *Service) Run(ctx context.Context) error {
	s.again(ctx, s.begin)
	if ctx.Err() != nil {
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.conditions(ctx) })
	for ctx.Err() == nil {
		s.again(ctx, s.follow)
	}
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.save(last, true); err != nil {
		s.cfg.Logger.Error("keeping what is remembered for alarms", "err", err)
	}
	return nil
}

// again calls fn until it succeeds or ctx ends.
func (s *Service) again(ctx context.Context, fn func(context.Context) error) {
	for ctx.Err() == nil {
		err := fn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.fault.Store(nil)
			return
		}
		s.failed(err, "watching for alarms, which is tried again")
		_ = s.cfg.pause(ctx, retryEvery) // its error is that of ctx
	}
}

// failed shows a fault, and logs it where it is another than before.
func (s *Service) failed(err error, what string) {
	text := err.Error()
	if was := s.fault.Swap(&text); was == nil || *was != text {
		s.cfg.Logger.Error(what, "err", err)
	}
}

// begin reads what is remembered, or begins to learn.
func (s *Service) begin(ctx context.Context) error {
	b, err := s.cfg.Keeper.AlarmState(ctx)
	if err != nil {
		return err
	}
	var st *state
	if b != nil {
		if st, err = readState(b); err != nil { // it can be learnt again
			s.cfg.Logger.Error("what is usual is learnt anew for alarms", "err", err)
			st = nil
		}
	}
	if st != nil {
		if err := s.fit(ctx, st); err != nil {
			return err
		}
	} else {
		st = newState(s.cfg.Origin)
		if st.Next, err = s.cfg.LearnFrom(); err != nil {
			return err
		}
		st.Quiet = s.cfg.Source.Size()
		if err := s.rulesSoFar(ctx, st); err != nil {
			return err
		}
	}
	e := newEngine(st)
	if err := e.load(ctx, s.cfg.Keeper); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.engine, s.saved = e, st.Next
	s.shown.Store(st.Next)
	return nil
}

// rulesSoFar puts the newest revisions in force where nothing says which are:
// their entries may lie before those that are learnt from.
func (s *Service) rulesSoFar(ctx context.Context, st *state) error {
	rules, err := s.cfg.Keeper.AlarmRules(ctx)
	for _, r := range rules {
		st.Rules[r.ID] = r.Revision
	}
	return err
}

// fit sees to it that what is remembered is of this log. What is usual stays
// so in another one, of which the last weeks are looked at.
func (s *Service) fit(ctx context.Context, st *state) error {
	ok := st.Origin == s.cfg.Origin && st.Next <= s.cfg.Source.Size()
	if ok && st.Next > 0 {
		e, err := s.cfg.Source.Get(ctx, st.Next-1)
		if err != nil && !errors.Is(err, accesslog.ErrNotFound) {
			return fmt.Errorf("reading the entry before the next: %w", err)
		}
		// The log has had as many: one that is not there went by age.
		ok = err != nil || new(engine).hashOf(e) == st.Last
	}
	if !ok {
		s.cfg.Logger.Warn("the access log is another one than was watched for alarms", "origin", s.cfg.Origin, "next", st.Next)
		first, err := s.cfg.LearnFrom()
		if err != nil {
			return err
		}
		st.Origin, st.Next, st.Last, st.Quiet = s.cfg.Origin, first, "", 0
	}
	return nil
}

// follow looks at entries as they become durable, until ctx ends or something fails.
func (s *Service) follow(ctx context.Context) error {
	for e, err := range s.cfg.Source.Subscribe(ctx, s.next()) {
		if err != nil {
			return fmt.Errorf("reading the access log: %w", err)
		}
		if err := s.look(ctx, e); err != nil {
			return err
		}
		if err := s.save(ctx, false); err != nil {
			return err
		}
	}
	if ctx.Err() == nil {
		return errors.New("the access log is closed")
	}
	return nil
}

func (s *Service) next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.Next
}

// look asks the rules about one entry and stores what they found before the
// next one is looked at.
func (s *Service) look(ctx context.Context, e *accesslog.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, revision, ok := ruleOf(e); ok {
		if err := s.engine.take(ctx, s.cfg.Keeper, id, revision); err != nil {
			return err
		}
	}
	found := s.engine.observe(e)
	for len(found) > 0 {
		_, err := s.cfg.Keeper.Raise(ctx, found, nil)
		if err == nil {
			s.fault.Store(nil)
			break
		}
		// What was asked cannot be asked again: the figures are counted.
		s.failed(err, "raising an alarm, which is tried again")
		if s.cfg.pause(ctx, retryEvery) != nil {
			// The state of before this entry is what a start goes on from.
			s.engine = nil
			return ctx.Err()
		}
	}
	s.shown.Store(s.engine.Next)
	return nil
}

// save keeps what is remembered, from time to time.
func (s *Service) save(ctx context.Context, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if s.engine == nil || s.saved == s.engine.Next || !last && now.Before(s.due) {
		return nil
	}
	b, err := s.engine.encode()
	if err != nil {
		return err
	}
	if err := s.cfg.Keeper.SaveAlarmState(ctx, b); err != nil {
		return err
	}
	s.saved = s.engine.Next
	s.due = now.Add(min(saveLongest, saveEvery*time.Duration(1+len(b)/saveBytes)))
	return nil
}

// conditions looks at troubles that hold, which the log may be unable to tell of.
func (s *Service) conditions(ctx context.Context) {
	tick := time.NewTicker(conditionsEvery)
	defer tick.Stop()
	for {
		if err := s.hold(ctx, s.cfg.Conditions()); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("raising an alarm, which is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// hold raises an alarm for each condition that has held long enough and that
// none was raised for since it began. What began, and what ended, is kept with it.
func (s *Service) hold(ctx context.Context, all []Condition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.engine
	if x == nil {
		return nil
	}
	now := s.cfg.Now().UTC()
	holds := map[string]bool{}
	var found []alarm.Raised
	for _, c := range all {
		for _, r := range x.rules {
			if r.Kind != c.Kind || !r.On || c.Kind == alarm.Unanchored && c.For < r.Within {
				continue
			}
			k := r.ID + "|" + c.Name
			_, known := x.Since[k]
			if at, ok := x.Raised[k]; !known && ok && now.UnixNano()-at < int64(r.Again) {
				continue // it comes and goes
			}
			if holds[k] = true; known {
				continue
			}
			began := now.Add(-c.For)
			found = append(found, alarm.Raised{To: r.receivers(""), Alarm: alarm.Alarm{ID: alarm.ID(r.ID, c.Name, began.Format(time.RFC3339Nano)), Rule: r.ID, Revision: r.Revision,
				Kind: r.Kind, Severity: r.Severity, Title: r.Title, At: now, About: c.Name, Facts: c.Facts}})
		}
	}
	was, raised := x.Since, maps.Clone(x.Raised)
	next := map[string]int64{}
	for k := range holds {
		at, known := was[k]
		if !known {
			at = now.UnixNano()
			x.Raised[k] = at
		}
		next[k] = at
	}
	if len(found) == 0 && len(next) == len(was) {
		return nil
	}
	x.Since = next
	b, err := x.encode()
	if err == nil {
		_, err = s.cfg.Keeper.Raise(ctx, found, b)
	}
	if err != nil {
		x.Since, x.Raised = was, raised
		return err
	}
	s.saved = x.Next
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
