package auth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ringfence/ringfence/policy"
)

// SessionsOfVendor returns what [Service.SessionsOf] does for all accounts of a vendor.
func (s *Service) SessionsOfVendor(_ context.Context, vendor string) ([]Session, error) {
	return s.listed(s.sessionsWhere(ofVendor(vendor))), nil
}

// AllSessions returns what [Service.SessionsOf] does for all accounts.
func (s *Service) AllSessions(context.Context) ([]Session, error) {
	return s.listed(s.sessionsWhere(func(*Account) bool { return true })), nil
}

// ofVendor selects the accounts of a vendor; the customer's own people are of none.
func ofVendor(vendor string) func(*Account) bool {
	return func(a *Account) bool { return a != nil && vendor != "" && a.Vendor == vendor }
}

// accountsWhere returns the accounts with sessions or tokens that are wanted.
func (s *Service) accountsWhere(wanted func(*Account) bool) (all []*liveAccount) {
	s.live.accounts.Range(func(_, v any) bool {
		if l := v.(*liveAccount); wanted(l.p.Load()) {
			all = append(all, l)
		}
		return true
	})
	return all
}

func (s *Service) sessionsWhere(wanted func(*Account) bool) (all []*liveSession) {
	for _, a := range s.accountsWhere(wanted) {
		all = append(all, a.allSessions()...)
	}
	return all
}

// EndVendor ends every session, token, machine and sign-in under way of a vendor's
// accounts, and returns how many sessions there were. Only administrators may;
// others get [ErrForbidden].
func (s *Service) EndVendor(ctx context.Context, actor Actor, vendor string) (int, error) {
	if vendor == "" {
		return 0, fmt.Errorf("ending sessions of a vendor: none is named: %w", ErrInvalid)
	}
	r := s.eventBy(actionSessionEnd, actor, nil)
	r.Vendor, r.Object = vendor, "vendor:"+vendor
	n, err := s.endMany(ctx, actor, ending{
		record: detail(r, "reason", "end_vendor"), wanted: ofVendor(vendor),
		remove: func(ctx context.Context) error { return s.cfg.Store.EndVendor(ctx, vendor) },
	})
	if err != nil {
		return n, fmt.Errorf("ending sessions of vendor %s: %w", vendor, err)
	}
	return n, nil
}

// EndEverybody ends every session, token, machine and sign-in under way of all accounts
// but the session with the id keep, which is the actor's own or empty, and
// returns how many sessions ended. Only administrators may; others get
// [ErrForbidden].
func (s *Service) EndEverybody(ctx context.Context, actor Actor, keep string) (int, error) {
	if keep != "" {
		if l, ok := s.session(keep); !ok || l.view.Load().Account != actor.Account {
			return 0, fmt.Errorf("ending everybody's sessions: keeping another's: %w", ErrForbidden)
		}
	}
	r := s.eventBy(actionSessionEnd, actor, nil)
	r.Object = "everybody"
	if keep != "" {
		detail(r, "kept", keep)
	}
	n, err := s.endMany(ctx, actor, ending{
		record: detail(r, "reason", "end_everybody"), wanted: func(*Account) bool { return true }, keep: keep,
		remove: func(ctx context.Context) error { return s.cfg.Store.EndEverybody(ctx, keep) },
	})
	if err != nil {
		return n, fmt.Errorf("ending everybody's sessions: %w", err)
	}
	return n, nil
}

// An ending is the end of what many accounts have open.
type ending struct {
	record *policy.Record // of the whole
	wanted func(*Account) bool
	keep   string // the session that stays
	remove func(context.Context) error
}

// endMany records the whole, ends it, and then records each session and token:
// with thousands of them, these records must not hold up the end. That they
// could not be written is an error although all has ended.
func (s *Service) endMany(ctx context.Context, actor Actor, e ending) (n int, err error) {
	if err := s.mayAdminister(ctx, actor); err != nil {
		return 0, err
	}
	var each []*policy.Record
	err = s.change(func() error {
		var sessions []*liveSession
		var tokens []*liveToken
		var machines []*liveMachine
		for _, a := range s.accountsWhere(e.wanted) {
			for _, l := range a.allSessions() {
				if l.view.Load().ID != e.keep {
					sessions = append(sessions, l)
				}
			}
			tokens = append(tokens, a.allTokens()...)
			if p := a.p.Load(); p != nil {
				machines = append(machines, s.machinesOf(p.ID)...)
			}
		}
		n = len(sessions)
		detail(e.record, "sessions", strconv.Itoa(n))
		detail(e.record, "machines", strconv.Itoa(len(machines)))
		if err := s.record(ctx, detail(e.record, "tokens", strconv.Itoa(len(tokens)))); err != nil {
			return err
		}
		if err := e.remove(ctx); err != nil {
			return err
		}
		for _, l := range sessions {
			v := l.view.Load()
			r := detail(s.eventBy(actionSessionEnd, actor, l.account.p.Load()), "reason", e.record.Detail["reason"])
			r.Session = v.ID
			each = append(each, r)
			s.drop(v.ID)
		}
		for _, l := range tokens {
			each = append(each, s.tokenEvent(s.eventBy(actionTokenRevoke, actor, l.account.p.Load()), l.Token))
			s.dropToken(l.ID)
		}
		for _, l := range machines {
			each = append(each, machineEvent(s.eventBy(actionMachineEnd, actor, l.account.p.Load()), &l.Machine))
			s.dropMachine(l.ID)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, s.recordAll(context.WithoutCancel(ctx), each)
}

// recordAll keeps records several at a time, so that they share what it costs
// to make them durable.
func (s *Service) recordAll(ctx context.Context, all []*policy.Record) error {
	workers := min(32, len(all))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(all); i += workers {
				if err := s.record(ctx, all[i]); err != nil {
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
