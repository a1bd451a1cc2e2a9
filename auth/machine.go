package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

const (
	// machinePrefix begins the secret of a machine that is signed in.
	machinePrefix = "rfm_"
	// bearerLife is how long a token that is bound to a network alone lasts.
	bearerLife = 15 * time.Minute
	// maxMachines is how many an account may have; one more ends the one used least lately.
	maxMachines = 10
	// maxMachineTokens is how many tokens of one sort a machine may have for a
	// cluster; one more ends the oldest.
	maxMachineTokens = 4
)

// Actions of the records about machines.
const (
	actionMachineStart = "device.start"
	actionMachineEnd   = "device.end"
)

// A liveMachine is a machine that is signed in.
type liveMachine struct {
	Machine
	account *liveAccount
	ended   atomic.Bool
	dpop    dpopState
	used    lastUse
}

// alive returns the machine's account while both are in force.
func (l *liveMachine) alive(now time.Time) (*Account, bool) {
	a := l.account.p.Load()
	return a, !l.ended.Load() && a.Active(now) && now.Before(l.Ends)
}

func (l *liveMachine) view() Machine {
	m := l.Machine
	use := l.used.get()
	m.LastUsed, m.LastIP = use.At, use.IP
	return m
}

func (s *Service) publishMachine(m Machine, a *liveAccount) {
	l := &liveMachine{Machine: m, account: a}
	l.used.start(m.LastUsed, m.LastIP)
	s.live.machines.Store(m.Hash, l)
	s.live.machineIDs.Store(m.ID, l)
}

// dropMachine takes a machine and its tokens out of force. Call under mu.
func (s *Service) dropMachine(id string) {
	v, ok := s.live.machineIDs.LoadAndDelete(id)
	if !ok {
		return
	}
	l := v.(*liveMachine)
	l.ended.Store(true)
	s.live.machines.Delete(l.Hash)
	for _, t := range s.tokensOf(l.Account) {
		if t.Machine == id {
			s.dropToken(t.ID)
		}
	}
}

func (s *Service) machinesOf(account string) []*liveMachine {
	var all []*liveMachine
	s.live.machineIDs.Range(func(_, v any) bool {
		if l := v.(*liveMachine); l.Account == account {
			all = append(all, l)
		}
		return true
	})
	return all
}

func (s *Service) loadMachines(rows []Machine) {
	have := make(map[string]bool, len(rows))
	for _, m := range rows {
		v, ok := s.live.accounts.Load(m.Account)
		if !ok {
			continue
		}
		have[m.ID] = true
		if _, ok := s.live.machineIDs.Load(m.ID); !ok {
			s.publishMachine(m, v.(*liveAccount))
		}
	}
	s.live.machineIDs.Range(func(id, _ any) bool {
		if !have[id.(string)] {
			s.dropMachine(id.(string))
		}
		return true
	})
}

// endMachines removes the rows of machines that are no longer in force.
func (s *Service) endMachines(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	s.live.machineIDs.Range(func(id, v any) bool {
		if _, ok := v.(*liveMachine).alive(now); !ok {
			ids = append(ids, id.(string))
		}
		return true
	})
	if len(ids) == 0 {
		return nil
	}
	if err := s.cfg.Store.DeleteMachines(ctx, ids); err != nil {
		return fmt.Errorf("ending machines: %w", err)
	}
	for _, id := range ids {
		s.dropMachine(id)
	}
	return nil
}

// startMachine signs a machine in under an approved grant. Call under mu.
func (s *Service) startMachine(ctx context.Context, o Origin, a *Account, g *DeviceGrant) (secret string, m Machine, err error) {
	secret = newPrefixedSecret(machinePrefix)
	m = Machine{
		ID: newID("mac_"), Account: a.ID, Hash: hashSecret(secret), Key: g.Key, Name: g.Name, Program: g.Program, Session: g.Session,
		Created: s.now(), Ends: g.Ends, PasswordAt: g.PasswordAt, CodeAt: g.CodeAt, CodeFactor: g.CodeFactor, KeyAt: g.KeyAt, IP: g.IP, ApprovedIP: g.ApprovedIP,
	}
	have := s.machinesOf(a.ID)
	slices.SortFunc(have, func(x, y *liveMachine) int {
		return latest(x.Created, x.used.get().At).Compare(latest(y.Created, y.used.get().At))
	})
	for len(have) >= maxMachines {
		if err := s.endMachine(ctx, have[0], detail(machineEvent(s.event(actionMachineEnd, "ok", a, o), &have[0].Machine), "reason", "surplus")); err != nil {
			return "", Machine{}, err
		}
		have = have[1:]
	}
	if err := s.record(ctx, machineEvent(s.event(actionMachineStart, "ok", a, o), &m)); err != nil {
		return "", Machine{}, err
	}
	won, err := s.cfg.Store.PutMachine(ctx, m, g.ID)
	if err != nil {
		return "", Machine{}, fmt.Errorf("storing machine: %w", err)
	}
	if !won { // another process was first: it redeemed the grant, or ended all that the account has open
		return "", Machine{}, errors.Join(ErrDeviceUnknown, s.record(ctx, machineEvent(s.event(actionMachineStart, "gone", a, o), &m)))
	}
	s.publishMachine(m, s.account(a))
	return secret, m, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// machineEvent adds to a record which machine it is about.
func machineEvent(r *policy.Record, m *Machine) *policy.Record {
	r.Session = m.Session
	detail(r, "machine", m.ID)
	detail(r, "name", cut(m.Name))
	detail(r, "asked_from", m.IP)
	return detail(r, "ends", m.Ends.Format(time.RFC3339))
}

// endMachine records r and ends one machine with its tokens. Call under mu.
func (s *Service) endMachine(ctx context.Context, l *liveMachine, r *policy.Record) error {
	if err := s.record(ctx, r); err != nil {
		return err
	}
	if err := s.cfg.Store.DeleteMachines(ctx, []string{l.ID}); err != nil {
		return fmt.Errorf("ending machine: %w", err)
	}
	s.dropMachine(l.ID)
	return nil
}

// MachinesOf returns the account's machines in force, the one used last first.
func (s *Service) MachinesOf(_ context.Context, account string) ([]Machine, error) {
	now := s.now()
	var out []Machine
	for _, l := range s.machinesOf(account) {
		if _, ok := l.alive(now); ok {
			out = append(out, l.view())
		}
	}
	slices.SortFunc(out, func(a, b Machine) int { return latest(b.Created, b.LastUsed).Compare(latest(a.Created, a.LastUsed)) })
	return out, nil
}

// EveryCredential returns the machines and tokens of all accounts that are in
// force, the newest first, for administrators.
func (s *Service) EveryCredential(context.Context) (machines []Machine, tokens []Token, err error) {
	now := s.now()
	s.live.machineIDs.Range(func(_, v any) bool {
		if l := v.(*liveMachine); l.inForce(now) {
			machines = append(machines, l.view())
		}
		return true
	})
	s.live.tokenIDs.Range(func(_, v any) bool {
		l := v.(*liveToken)
		if _, ok := l.alive(now); ok {
			tokens = append(tokens, l.view())
		}
		return true
	})
	slices.SortFunc(machines, func(a, b Machine) int { return b.Created.Compare(a.Created) })
	slices.SortFunc(tokens, func(a, b Token) int { return b.Created.Compare(a.Created) })
	return machines, tokens, nil
}

func (l *liveMachine) inForce(now time.Time) bool {
	_, ok := l.alive(now)
	return ok
}

// EndMachine signs a machine out and ends its tokens. Administrators and its
// owner may; others get [ErrForbidden]. One that has ended is [ErrNotFound].
func (s *Service) EndMachine(ctx context.Context, actor Actor, id string) error {
	v, ok := s.live.machineIDs.Load(id)
	if !ok {
		return fmt.Errorf("ending machine: %w", ErrNotFound)
	}
	l := v.(*liveMachine)
	if err := s.mayEnd(ctx, actor, l.Account); err != nil {
		return fmt.Errorf("ending machine: %w", err)
	}
	return s.change(func() error {
		return s.endMachine(ctx, l, machineEvent(s.eventBy(actionMachineEnd, actor, l.account.p.Load()), &l.Machine))
	})
}

// A MachineCall is a request of a machine to the gate.
type MachineCall struct {
	Request *http.Request // with its proof
	Arrival policy.Arrival
	Origin  Origin
	Secret  string // the machine's
}

// machine returns the machine that calls: its secret and a proof of its key
// are both needed. Errors: [ErrBadCredentials] when either is wrong or the
// machine is signed out, which is one answer on purpose.
func (s *Service) machine(c *MachineCall) (*liveMachine, *Account, error) {
	v, ok := s.live.machines.Load(hashSecret(c.Secret))
	if !ok {
		return nil, nil, ErrBadCredentials
	}
	l, now := v.(*liveMachine), s.now()
	a, ok := l.alive(now)
	if !ok {
		return nil, nil, ErrBadCredentials
	}
	if _, why := s.checkProof(c.Request, &c.Arrival, &l.dpop, l.Key, nil, now); why != "" {
		return nil, nil, &ProofError{Code: why}
	}
	l.used.note(now, c.Origin.IP)
	return l, a, nil
}

// A ProofError says that a machine's proof of its key did not do.
type ProofError struct{ Code string } // as in [policy.TokenRefusal]

// Error names what is wrong with the proof.
func (e *ProofError) Error() string { return "the proof of the machine's key is refused: " + e.Code }

// MachineAccount returns the machine that calls, and whose it is. Errors are
// [ErrBadCredentials] and [*ProofError].
func (s *Service) MachineAccount(c *MachineCall) (Machine, Account, error) {
	l, a, err := s.machine(c)
	if err != nil {
		return Machine{}, Account{}, err
	}
	return l.view(), *a, nil
}

// MachineToken is [Service.MachineAccount] and [Service.MachineTokenAfter] in one.
func (s *Service) MachineToken(ctx context.Context, c *MachineCall, cluster string, bearer bool) (secret string, t Token, err error) {
	m, _, err := s.MachineAccount(c)
	if err != nil {
		return "", Token{}, err
	}
	return s.MachineTokenAfter(ctx, c, m.ID, cluster, bearer)
}

// MachineTokenAfter makes a token for a machine that [Service.MachineAccount]
// has returned for the call, and one cluster. It is bound to the
// machine's key and good for an hour; with bearer it is for programs that
// cannot prove a key, good for 15 minutes from the network that asks. Neither
// outlives the machine's sign-in. Errors: [ErrBadCredentials], [ErrInvalid].
func (s *Service) MachineTokenAfter(ctx context.Context, c *MachineCall, id, cluster string, bearer bool) (secret string, t Token, err error) {
	place, ok := s.live.machineIDs.Load(id)
	if !ok {
		return "", Token{}, ErrBadCredentials
	}
	l := place.(*liveMachine)
	if !slug.MatchString(cluster) || bearer && !c.Origin.IP.IsValid() {
		return "", Token{}, fmt.Errorf("making a token for cluster %q: %w", cluster, ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	a, ok := l.alive(now)
	if !ok {
		return "", Token{}, ErrBadCredentials
	}
	secret = newTokenSecret()
	t = Token{
		ID: newID("tok_"), Account: a.ID, Cluster: cluster, Name: l.Name, Session: l.Session, Created: now, Expires: now.Add(tokenLife),
		PasswordAt: l.PasswordAt, CodeAt: l.CodeAt, CodeFactor: l.CodeFactor, KeyAt: l.KeyAt, Hash: hashSecret(secret), Kind: TokenMachine, Machine: l.ID,
	}
	if bearer {
		t.Expires, t.Networks = now.Add(bearerLife), []netip.Prefix{networkPrefix(c.Origin.IP)}
	} else {
		t.Key = l.Key
	}
	if l.Ends.Before(t.Expires) {
		t.Expires = l.Ends
	}
	if err := s.endSurplusTokens(ctx, &t); err != nil {
		return "", Token{}, err
	}
	if err := s.record(ctx, s.tokenEvent(s.event(actionTokenCreate, "ok", a, c.Origin), t)); err != nil {
		return "", Token{}, err
	}
	if err := s.putToken(ctx, &t, s.event(actionTokenCreate, "gone", a, c.Origin), ErrBadCredentials); err != nil {
		return "", Token{}, err
	}
	s.publishToken(t, l.account)
	return secret, t, nil
}

// endSurplusTokens ends a machine's oldest tokens of t's sort, so that with t
// there are not too many. They are the machine's own: nothing is recorded but
// that their successor was made. Call under mu.
func (s *Service) endSurplusTokens(ctx context.Context, t *Token) error {
	var same []*liveToken
	for _, l := range s.tokensOf(t.Account) {
		if l.Machine == t.Machine && l.Cluster == t.Cluster && l.Key == t.Key {
			same = append(same, l)
		}
	}
	if len(same) < maxMachineTokens {
		return nil
	}
	slices.SortFunc(same, func(a, b *liveToken) int { return a.Created.Compare(b.Created) })
	var ids []string
	for _, l := range same[:len(same)-maxMachineTokens+1] {
		ids = append(ids, l.ID)
	}
	if err := s.cfg.Store.DeleteTokens(ctx, ids); err != nil {
		return fmt.Errorf("ending tokens: %w", err)
	}
	for _, id := range ids {
		s.dropToken(id)
	}
	return nil
}

// MachineLogout signs the calling machine out. Errors are those of [Service.MachineAccount].
func (s *Service) MachineLogout(ctx context.Context, c *MachineCall) error {
	l, a, err := s.machine(c)
	if err != nil {
		return err
	}
	return s.change(func() error {
		return s.endMachine(ctx, l, detail(machineEvent(s.event(actionMachineEnd, "ok", a, c.Origin), &l.Machine), "reason", "logout"))
	})
}

// networkPrefix is the network that counts as one place: an address of IPv4,
// the /64 of an address of IPv6.
func networkPrefix(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return netip.PrefixFrom(ip, 32)
	}
	return netip.PrefixFrom(ip, 64).Masked()
}
