package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Actions of the records about keys. They are of type admin.
const (
	actionKeyRotate = "key.rotate"
	actionKeyRevoke = "key.revoke"
	actionKeyReseal = "key.reseal"
)

// Purposes lists the purposes of signing keys, as [Service.RotateKey] takes them.
var Purposes = []string{purposeSession, purposeAssertion, purposeDevice}

// Lives of what signing keys sign, which is how long an old key is honoured.
const (
	longestSession = 7 * 24 * time.Hour // more than any session is configured to last
	assertionKeys  = 24 * time.Hour     // upstreams may keep the key set for so long
)

// A KeyInfo describes a signing key, without the key.
type KeyInfo struct {
	Purpose string
	ID      string
	Created time.Time
	Signs   bool // it is the one that signs now
	// Until is when the key's part ends: for the one that signs, when another
	// takes its place by age; for an old one, when the last thing that it signed has ended.
	Until time.Time
}

func (s *Service) rings() []*keyring {
	return []*keyring{s.sessionKeys, s.assertionKeys, s.deviceKeys}
}

// signedLife is how long what a key of the purpose signs is good.
func (s *Service) signedLife(purpose string) time.Duration {
	switch purpose {
	case purposeSession:
		return max(s.cfg.Absolute, longestSession)
	case purposeDevice:
		return deviceLife
	}
	return assertionKeys
}

// loadKeys reads the signing keys, and makes new ones in place of those that
// are too old to sign.
func (s *Service) loadKeys(ctx context.Context, now time.Time) error {
	for _, k := range s.rings() {
		was := k.keys.Load()
		if err := k.load(ctx, s.cfg.Store, s.seal, now, s.cfg.KeyMaxAge); err != nil {
			return err
		}
		if was == nil {
			continue
		}
		for id := range was.public {
			if _, kept := k.keys.Load().public[id]; !kept {
				s.verified.clear() // what a key that is gone has signed is worth nothing
			}
		}
	}
	return nil
}

// renewKeys is one round of keeping keys: those too old to sign are replaced,
// and those whose last token has ended are dropped.
func (s *Service) renewKeys(ctx context.Context, now time.Time) error {
	if err := s.loadKeys(ctx, now); err != nil {
		return err
	}
	all, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	for _, purpose := range Purposes {
		kept := slices.IndexFunc(all, func(k KeyInfo) bool { return k.Purpose == purpose && (k.Signs || now.Before(k.Until)) })
		if kept < 0 {
			continue
		}
		if err := s.cfg.Store.DeleteKeys(ctx, purpose, all[kept].Created); err != nil {
			return fmt.Errorf("deleting old %s keys: %w", purpose, err)
		}
	}
	return nil
}

// Keys returns what there is to know of the signing keys, by purpose, the
// oldest first.
func (s *Service) Keys(ctx context.Context) ([]KeyInfo, error) {
	rows, err := s.cfg.Store.AllKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading signing keys: %w", err)
	}
	var all []KeyInfo
	for _, purpose := range Purposes {
		var of []KeyInfo
		for _, r := range rows {
			if r.Purpose == purpose {
				of = append(of, KeyInfo{Purpose: purpose, ID: r.ID, Created: r.Created})
			}
		}
		slices.SortStableFunc(of, func(a, b KeyInfo) int { return a.Created.Compare(b.Created) })
		for i := range of {
			if i == len(of)-1 {
				of[i].Signs, of[i].Until = true, of[i].Created.Add(s.cfg.KeyMaxAge)
			} else {
				of[i].Until = of[i+1].Created.Add(s.signedLife(purpose))
			}
		}
		all = append(all, of...)
	}
	return all, nil
}

// RotateKey puts a new signing key of the purpose in force, in this process at
// once and in the others as soon as they read the change. What the old one
// signed stays good until it ends. It is [ErrNotFound] for an unknown purpose.
func (s *Service) RotateKey(ctx context.Context, actor Actor, purpose string) (KeyInfo, error) {
	ring := s.ring(purpose)
	if ring == nil {
		return KeyInfo{}, fmt.Errorf("rotating keys: there is no purpose %q: %w", purpose, ErrNotFound)
	}
	next, err := s.nextKey(ctx, ring)
	if err != nil {
		return KeyInfo{}, err
	}
	r := s.keyEvent(actionKeyRotate, actor, purpose)
	if err := s.record(ctx, detail(r, "key", next.ID)); err != nil {
		return KeyInfo{}, err
	}
	if err := s.cfg.Store.PutKey(ctx, next); err != nil {
		return KeyInfo{}, fmt.Errorf("rotating %s keys: %w", purpose, err)
	}
	info := KeyInfo{Purpose: purpose, ID: next.ID, Created: next.Created, Signs: true, Until: next.Created.Add(s.cfg.KeyMaxAge)}
	return info, s.loadKeys(ctx, s.now())
}

// RevokeKey removes a signing key, so that nothing that it signed is good any
// more; where it signs now, a new one takes its place. Whoever had a session's
// key could pass for anybody, so revoking one ends every session. It is [ErrNotFound] for an unknown id.
func (s *Service) RevokeKey(ctx context.Context, actor Actor, id string) (KeyInfo, error) {
	all, err := s.Keys(ctx)
	if err != nil {
		return KeyInfo{}, err
	}
	at := slices.IndexFunc(all, func(k KeyInfo) bool { return k.ID == id && id != "" })
	if at < 0 {
		return KeyInfo{}, fmt.Errorf("revoking a key: there is none with the id %q: %w", cut(id), ErrNotFound)
	}
	gone := all[at]
	var next *SigningKey
	if gone.Signs {
		k, err := s.nextKey(ctx, s.ring(gone.Purpose))
		if err != nil {
			return KeyInfo{}, err
		}
		next = &k
	}
	r := detail(s.keyEvent(actionKeyRevoke, actor, gone.Purpose), "key", gone.ID)
	if next != nil {
		detail(r, "next", next.ID)
	}
	if err := s.record(ctx, r); err != nil {
		return KeyInfo{}, err
	}
	if err := s.cfg.Store.RevokeKey(ctx, gone.ID, next); err != nil {
		return KeyInfo{}, fmt.Errorf("revoking a %s key: %w", gone.Purpose, err)
	}
	if err := s.loadKeys(ctx, s.now()); err != nil {
		return gone, err
	}
	if gone.Purpose != purposeSession {
		s.assertions.clear()
		return gone, nil
	}
	return gone, s.endEverySession(ctx, actor)
}

// endEverySession ends all sessions because a key that signs them is known to
// somebody else.
func (s *Service) endEverySession(ctx context.Context, actor Actor) error {
	defer s.cfg.Changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.cfg.Store.Sessions(ctx)
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	ids := make([]string, 0, len(rows))
	for i := range rows {
		r := s.eventBy(actionSessionEnd, actor, &Account{ID: rows[i].Account})
		r.Object, r.Session = "account:"+rows[i].Account, rows[i].ID
		if l, ok := s.session(rows[i].ID); ok {
			if a := l.account.p.Load(); a != nil {
				r.Email, r.Vendor, r.Object = a.Email, a.Vendor, "account:"+a.Email
			}
		}
		if err := s.record(ctx, detail(r, "reason", "key_revoked")); err != nil {
			return err
		}
		ids = append(ids, rows[i].ID)
	}
	if err := s.cfg.Store.DeleteSessions(ctx, ids); err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	for _, id := range ids {
		s.drop(id)
	}
	return nil
}

func (s *Service) ring(purpose string) *keyring {
	for _, k := range s.rings() {
		if k.purpose == purpose {
			return k
		}
	}
	return nil
}

// nextKey makes a key that is newer than every other of its purpose, whatever
// the clock says.
func (s *Service) nextKey(ctx context.Context, ring *keyring) (SigningKey, error) {
	all, err := s.Keys(ctx)
	if err != nil {
		return SigningKey{}, err
	}
	at := s.now()
	for _, k := range all {
		if k.Purpose == ring.purpose && !at.After(k.Created) {
			at = k.Created.Add(1)
		}
	}
	return ring.fresh(s.seal, at)
}

// keyEvent begins the record of something that an actor did to keys.
func (s *Service) keyEvent(action string, actor Actor, purpose string) *policy.Record {
	return &policy.Record{Type: policy.RecordAdmin, Time: s.now(), Action: action, Result: "ok", RequestID: actor.RequestID,
		Actor: actor.Account, Email: actor.Email, SourceIP: actor.IP, Object: "key:" + purpose}
}
