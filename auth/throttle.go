package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The limits on wrong codes. With them an attacker who knows the password and
// has any number of addresses gets at most 100 tries a month at a code that
// three of a million answer: 0.03 %. Whoever shares a network with the owner
// gets as many again. Each further device is answered by as many codes more,
// so there are fewer tries then; see stopAfter.
const (
	freeFailures  = 5
	firstDelay    = 30 * time.Second
	longestDelay  = time.Hour
	stopFailures  = 100 // NIST SP 800-63B-4: no more in a row
	stopBudget    = 495 // tries times codes that would be right: on two lanes, below 0.1 % of a million
	failureWindow = 30 * 24 * time.Hour
	knownFor      = 90 * 24 * time.Hour
	knownNetworks = 4
)

// everywhere is the lane of the account as a whole.
const everywhere = ""

// network returns what one subscriber can choose addresses from: an IPv4
// address, or an IPv6 /64.
func network(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if !ip.IsValid() {
		return "unknown"
	}
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// delayAfter returns how long to wait after n failures in a row.
func delayAfter(n int, longest time.Duration) time.Duration {
	if n < freeFailures {
		return 0
	}
	return min(longest, firstDelay<<min(n-freeFailures, 20))
}

// laneFor returns the lane that a try from network is judged by. A network
// that the account has signed in from has a lane of its own, so that somebody
// who hammers from elsewhere does not keep the owner out. All others share one.
func laneFor(lanes map[string]Failures, network string, now time.Time) string {
	if f, ok := lanes[network]; ok && now.Sub(f.Known) < knownFor {
		return network
	}
	return everywhere
}

// stopAfter returns how many wrong codes a month a lane takes when the account
// has so many devices: 100 for one, 33 for five.
func stopAfter(devices, skew int) int {
	return min(stopFailures, stopBudget/(max(1, devices)*(2*skew+1)))
}

// judged returns the lane as a try on it is judged. The networks that the
// account knows share one month's total: it would multiply with their number.
func judged(lanes map[string]Failures, lane string, now time.Time) Failures {
	f := lanes[lane]
	if lane == everywhere {
		return f
	}
	f.Total = 0
	for name, x := range lanes {
		if name == everywhere || x.Since.IsZero() || now.Sub(x.Since) >= failureWindow {
			continue
		}
		f.Total += x.Total
		if f.Since.Before(x.Since) {
			f.Since = x.Since
		}
	}
	return f
}

// roomForAnother returns a [ThrottledError] when an account with one device
// more than so many would be stopped for its wrong codes.
func (s *Service) roomForAnother(ctx context.Context, account string, devices int) error {
	lanes, err := s.cfg.Store.Failures(ctx, account)
	if err != nil {
		return fmt.Errorf("counting tries: %w", err)
	}
	now := s.now()
	for lane := range lanes {
		f := judged(lanes, lane, now)
		f.Next = time.Time{}
		if refused := f.wait(now, factorTOTP, stopAfter(devices+1, s.cfg.Skew)); refused != nil {
			return refused
		}
	}
	return nil
}

// wait returns the error with which f refuses a try at now, if it does.
func (f Failures) wait(now time.Time, factor string, stop int) *ThrottledError {
	// A recovery code cannot be guessed: it is the way out of a stop.
	stopped := f.Total >= stop && now.Sub(f.Since) < failureWindow && factor != factorRecovery
	if !stopped && !now.Before(f.Next) {
		return nil
	}
	e := &ThrottledError{RetryAfter: roundUp(f.Next.Sub(now)), Stopped: stopped}
	if stopped {
		e.RetryAfter = max(e.RetryAfter, roundUp(f.Since.Add(failureWindow).Sub(now)))
	}
	return e
}

func roundUp(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

// charge counts one failure at now.
func (f Failures) charge(now time.Time) Failures {
	if f.Since.IsZero() || now.Sub(f.Since) >= failureWindow {
		f.Since, f.Total = now, 0
	}
	f.Count++
	f.Total++
	f.Told = false
	if d := delayAfter(f.Count, longestDelay); d > 0 {
		f.Next = now.Add(d)
	}
	return f
}

// refund takes back a charge for a try that was no failure.
func (f Failures) refund() Failures {
	f.Count, f.Total = max(0, f.Count-1), max(0, f.Total-1)
	if f.Count < freeFailures {
		f.Next = time.Time{}
	}
	return f
}

// A try is one attempt at a code, charged before it is looked at: a hundred
// attempts at once must not all be looked at because none has failed yet.
type try struct {
	account, network, lane string
	unseen                 int // failures before it
	stop                   int // wrong codes a month that its lane takes
}

// beginTry charges a try, or refuses it with a [ThrottledError]. first means
// that this is the first refusal since the last failure, to be recorded.
func (s *Service) beginTry(ctx context.Context, account string, from netip.Addr, factor string) (t try, first bool, err error) {
	now := s.now()
	c, err := s.cfg.Store.Credential(ctx, account)
	if err != nil {
		return try{}, false, fmt.Errorf("reading factor: %w", err)
	}
	stop := stopAfter(len(c.Devices), s.cfg.Skew)
	var refused *ThrottledError
	err = s.cfg.Store.EditFailures(ctx, account, func(lanes map[string]Failures) {
		t, first = try{account: account, network: network(from), stop: stop}, false
		t.lane = laneFor(lanes, t.network, now)
		t.unseen = lanes[everywhere].Unseen
		f := lanes[t.lane]
		if refused = judged(lanes, t.lane, now).wait(now, factor, stop); refused != nil {
			first = !f.Told
			f.Told = true
		} else {
			f = f.charge(now)
		}
		lanes[t.lane] = f
	})
	if err != nil {
		return try{}, false, fmt.Errorf("counting tries: %w", err)
	}
	if refused != nil {
		return try{}, first, refused
	}
	return t, false, nil
}

// fail leaves the charge and counts it for the account as a whole as well.
// It returns what that is to be told about, if anything, and how many there were.
func (s *Service) fail(ctx context.Context, t try) (tell NoticeKind, codes int, err error) {
	now := s.now()
	err = s.editTry(ctx, t, func(lanes map[string]Failures) {
		all := lanes[everywhere]
		if t.lane != everywhere {
			all = all.charge(now)
		}
		all.Unseen++
		lanes[everywhere] = all
		tell, codes = warnCodes(lanes, t.lane, t.stop, now), all.Unseen
	})
	return tell, codes, err
}

// refund takes the charge back: the code was right and spent.
func (s *Service) refund(ctx context.Context, t try) error {
	return s.editTry(ctx, t, func(lanes map[string]Failures) { lanes[t.lane] = lanes[t.lane].refund() })
}

// succeed takes the charge back and forgives the lane's failures in a row. The
// month's total stays: otherwise each sign-in of the owner would give an
// attacker five more free tries. A recovery code forgives everything.
func (s *Service) succeed(ctx context.Context, t try, factor string) error {
	now := s.now()
	return s.editTry(ctx, t, func(lanes map[string]Failures) {
		if factor == factorRecovery {
			lanes[everywhere] = Failures{}
		}
		f := lanes[t.lane].refund()
		f.Count, f.Next, f.Told = 0, time.Time{}, false
		if factor == factorRecovery {
			f.Total = 0
		}
		lanes[t.lane] = f
		all := lanes[everywhere]
		all.Unseen = 0
		lanes[everywhere] = all
		own := lanes[t.network]
		own.Known = now
		lanes[t.network] = own
		pruneLanes(lanes, now)
	})
}

func (s *Service) editTry(ctx context.Context, t try, edit func(map[string]Failures)) error {
	if err := s.cfg.Store.EditFailures(ctx, t.account, edit); err != nil {
		return fmt.Errorf("counting tries: %w", err)
	}
	return nil
}

// pruneLanes keeps the networks that were used last.
func pruneLanes(lanes map[string]Failures, now time.Time) {
	for {
		oldest, n := "", 0
		for name, f := range lanes {
			if name == everywhere {
				continue
			}
			if now.Sub(f.Known) >= knownFor {
				delete(lanes, name)
				continue
			}
			if n++; oldest == "" || f.Known.Before(lanes[oldest].Known) {
				oldest = name
			}
		}
		if n <= knownNetworks {
			return
		}
		delete(lanes, oldest)
	}
}

// throttled returns the error as a ThrottledError, or nil.
func throttled(err error) *ThrottledError {
	if t, ok := errors.AsType[*ThrottledError](err); ok {
		return t
	}
	return nil
}
