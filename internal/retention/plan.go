package retention

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A kind is what rules tell entries apart by.
type kind struct{ cluster, class string }

// A summary is what rules and holds ask of a segment. It never changes.
type summary struct {
	kinds                 map[kind]bool
	accounts, engagements map[string]bool
}

// A Plan says what would go now.
type Plan struct {
	// Due are the segments whose time is over and that nothing keeps, oldest
	// first, and Before the index behind them.
	Due    []accesslog.SealedSegment
	Before uint64
	// Rule is which rules let them go, for the record.
	Rule string
	// Oldest is the first segment that stays; nil where none is sealed. Until is
	// when its time is over by Longest, zero where it is never; Kept says what
	// else keeps it, empty where nothing does.
	Oldest  *accesslog.SealedSegment
	Until   time.Time
	Longest string
	Kept    Keeper
}

// A Keeper is why a segment stays longer than its rule says.
type Keeper struct {
	Why  string // a value of Kept…
	What string // account, engagement or delivery
}

// Values of [Keeper.Why].
const (
	KeptByAccount    = "account"    // a hold on it
	KeptByEngagement = "engagement" // a hold on it
	KeptByTaker      = "taker"      // What has not taken all of it
	KeptByLog        = "log"        // unsigned, or a request in it still runs
)

// Plan says what would go now. It reads a segment that may be due once.
func (s *Service) Plan(ctx context.Context) (p Plan, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("deciding what of the access log may go: %w", err)
		}
	}()
	sealed, err := accesslog.Sealed(s.cfg.LogDir, 0)
	if err != nil || len(sealed) == 0 {
		return p, err
	}
	held, err := s.cfg.Held(ctx)
	if err != nil {
		return p, err
	}
	rules, err := s.Rules(ctx)
	if err != nil {
		return p, err
	}
	removable, err := s.cfg.Log.Removable()
	if err != nil {
		return p, err
	}
	taken, by := uint64(math.MaxUint64), ""
	if s.cfg.Taken != nil {
		taken, by = s.cfg.Taken()
	}
	p.Before = sealed[0].First
	var names []string
	for i := range sealed {
		seg := &sealed[i]
		p.Oldest, p.Kept = seg, Keeper{}
		var due bool
		if due, err = s.due(ctx, &p, &rules, held); err != nil {
			return p, err
		}
		end := seg.First + seg.Entries
		switch {
		case !due:
		case end > taken:
			p.Kept = Keeper{KeptByTaker, by}
		case end > removable:
			p.Kept = Keeper{Why: KeptByLog}
		}
		if !due || p.Kept.Why != "" {
			break
		}
		p.Due, p.Before, p.Oldest = append(p.Due, *seg), end, nil
		if !slices.Contains(names, p.Longest) {
			names = append(names, p.Longest)
		}
	}
	slices.Sort(names)
	p.Rule = strings.Join(names, ", ")
	return p, nil
}

// due judges p.Oldest by the rules of the moment and holds.
func (s *Service) due(ctx context.Context, p *Plan, rules *Rules, held Held) (bool, error) {
	seg, now := p.Oldest, s.cfg.Now()
	p.Until, p.Longest = time.Time{}, "for ever"
	shortest := rules.shortest()
	if shortest == 0 {
		return false, nil
	}
	if least := after(seg.Newest, shortest); least.After(now) {
		p.Until, p.Longest = least, "at least" // it is not looked into before that
		return false, nil
	}
	sum, err := s.summary(ctx, seg)
	if err != nil {
		return false, err
	}
	longest := -1
	for k := range sum.kinds {
		days, name := rules.of(k)
		if days == 0 {
			p.Until, p.Longest = time.Time{}, name+" for ever"
			return false, nil
		}
		if text := fmt.Sprintf("%s %d days", name, days); days > longest || days == longest && text < p.Longest {
			longest, p.Longest = days, text
		}
	}
	p.Until = after(seg.Newest, longest)
	if p.Until.After(now) {
		return false, nil
	}
	for a := range held.Accounts {
		if sum.accounts[a] {
			p.Kept = Keeper{KeptByAccount, a}
		}
	}
	for e := range held.Engagements {
		if sum.engagements[e] {
			p.Kept = Keeper{KeptByEngagement, e}
		}
	}
	return p.Kept.Why == "", nil
}

func after(t time.Time, days int) time.Time { return t.Add(time.Duration(days) * 24 * time.Hour) }

// summary reads a segment, once.
func (s *Service) summary(ctx context.Context, seg *accesslog.SealedSegment) (*summary, error) {
	s.mu.Lock()
	sum := s.seen[seg.First]
	s.mu.Unlock()
	if sum != nil {
		return sum, nil
	}
	sum = &summary{kinds: map[kind]bool{}, accounts: map[string]bool{}, engagements: map[string]bool{}}
	err := accesslog.Scan(ctx, s.cfg.LogDir, seg.First, seg.First+seg.Entries, func(e *accesslog.Entry) error {
		sum.kinds[kind{e.Cluster, e.Classification}] = true
		sum.accounts[e.Account], sum.accounts[e.Actor] = true, true
		if id, ok := strings.CutPrefix(e.Object, "account:"); ok {
			sum.accounts[id] = true
		}
		for i := range e.Personal {
			sum.accounts[e.Personal[i].Account] = true
		}
		if e.Engagement != "" {
			sum.engagements[e.Engagement] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[seg.First] = sum
	return sum, nil
}

// archive keeps segments apart and reads them back.
func (s *Service) archive(ctx context.Context, due []accesslog.SealedSegment) error {
	if s.cfg.Archive == nil {
		return nil
	}
	for _, seg := range due {
		content, err := os.ReadFile(seg.Path)
		if err == nil {
			err = keep(ctx, s.cfg.Archive, s.cfg.LogDir, seg.First, content)
		}
		if err != nil {
			return fmt.Errorf("archiving entries %d to %d in %s: %w", seg.First, seg.First+seg.Entries-1, s.cfg.Archive, err)
		}
	}
	return nil
}
