package authtest

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/ringfence/ringfence/auth"
)

// factors are the authenticator apps of a [Store].
type factors struct {
	devices map[string]auth.TOTPDevice // by id
	pending map[string]auth.PendingTOTP
	marks   map[string]int64
}

func copyDevice(d auth.TOTPDevice) auth.TOTPDevice {
	d.Sealed = slices.Clone(d.Sealed)
	return d
}

// devicesOf returns copies of the account's devices, oldest first. Call under mu.
func (s *Store) devicesOf(account string) []auth.TOTPDevice {
	var out []auth.TOTPDevice
	for _, d := range s.factors.devices {
		if d.Account == account {
			out = append(out, copyDevice(d))
		}
	}
	slices.SortFunc(out, oldestFirst)
	return out
}

func oldestFirst(a, b auth.TOTPDevice) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), a.Confirmed.Compare(b.Confirmed), cmp.Compare(a.ID, b.ID))
}

func (s *Store) resetFactors(account string) {
	maps.DeleteFunc(s.factors.devices, func(_ string, d auth.TOTPDevice) bool { return d.Account == account })
	delete(s.factors.pending, account)
	delete(s.factors.marks, account)
}

// SetDevice puts a device in place of the one with its id, as somebody who can
// write to a database does.
func (s *Store) SetDevice(d auth.TOTPDevice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(&s.factors.devices, d.ID, copyDevice(d))
}

// AllTOTP implements [auth.TOTPDevices].
func (s *Store) AllTOTP(context.Context) ([]auth.TOTPDevice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []auth.TOTPDevice
	for _, d := range s.factors.devices {
		out = append(out, copyDevice(d))
	}
	slices.SortFunc(out, oldestFirst)
	return out, nil
}

// PutPendingTOTP implements [auth.TOTPDevices].
func (s *Store) PutPendingTOTP(_ context.Context, p auth.PendingTOTP) error {
	return s.write("PutPendingTOTP", func() error {
		if err := s.known(p.Account); err != nil {
			return err
		}
		p.Sealed = slices.Clone(p.Sealed)
		put(&s.factors.pending, p.Account, p)
		return nil
	})
}

// PendingTOTP implements [auth.TOTPDevices].
func (s *Store) PendingTOTP(_ context.Context, account string) (auth.PendingTOTP, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.factors.pending[account]
	if !ok {
		return auth.PendingTOTP{}, auth.ErrNotFound
	}
	p.Sealed = slices.Clone(p.Sealed)
	return p, nil
}

// DeletePendingTOTP implements [auth.TOTPDevices].
func (s *Store) DeletePendingTOTP(_ context.Context, account, id string) error {
	return s.write("DeletePendingTOTP", func() error {
		if s.factors.pending[account].ID == id {
			delete(s.factors.pending, account)
		}
		return nil
	})
}

// AddTOTP implements [auth.TOTPDevices].
func (s *Store) AddTOTP(_ context.Context, d auth.TOTPDevice) error {
	return s.write("AddTOTP", func() error {
		switch p, ok := s.factors.pending[d.Account]; {
		case !ok || p.ID != d.ID:
			return auth.ErrNotFound
		case len(s.devicesOf(d.Account)) >= auth.MaxTOTP:
			return auth.ErrTooMany
		case d.LastStep <= s.factors.marks[d.Account]:
			return auth.ErrCodeSpent
		}
		delete(s.factors.pending, d.Account)
		put(&s.factors.devices, d.ID, copyDevice(d))
		return nil
	})
}

// SpendTOTP implements [auth.TOTPDevices].
func (s *Store) SpendTOTP(_ context.Context, account string, at time.Time, spends []auth.Spend) (won bool, err error) {
	err = s.write("SpendTOTP", func() error {
		next := make(map[string]auth.TOTPDevice)
		for _, x := range spends {
			d, ok := s.factors.devices[x.Device]
			if !ok || d.Account != account || d.LastStep >= x.Step {
				return nil
			}
			d.LastStep, d.LastUsed, d.LastOffset = x.Step, at, x.Offset
			next[d.ID] = d
		}
		for id, d := range next {
			put(&s.factors.devices, id, d)
		}
		won = len(next) > 0
		return nil
	})
	return won && err == nil, err
}

// RenameTOTP implements [auth.TOTPDevices].
func (s *Store) RenameTOTP(_ context.Context, account, id, name string) error {
	return s.write("RenameTOTP", func() error {
		d, ok := s.factors.devices[id]
		if !ok || d.Account != account {
			return auth.ErrNotFound
		}
		d.Name = name
		put(&s.factors.devices, id, d)
		return nil
	})
}

// RemoveTOTP implements [auth.TOTPDevices].
func (s *Store) RemoveTOTP(_ context.Context, account, id string) error {
	return s.write("RemoveTOTP", func() error {
		d, ok := s.factors.devices[id]
		if !ok || d.Account != account {
			return auth.ErrNotFound
		}
		if len(s.devicesOf(account)) == 1 && len(s.keysOwnedBy(account)) == 0 {
			return auth.ErrLastFactor
		}
		put(&s.factors.marks, account, max(s.factors.marks[account], d.LastStep))
		delete(s.factors.devices, id)
		return nil
	})
}

// ResealTOTP implements [auth.TOTPDevices].
func (s *Store) ResealTOTP(_ context.Context, id string, was, sealed []byte) error {
	return s.write("ResealTOTP", func() error {
		if d, ok := s.factors.devices[id]; ok && bytes.Equal(d.Sealed, was) {
			d.Sealed, d.Legacy = slices.Clone(sealed), false
			put(&s.factors.devices, id, d)
		}
		return nil
	})
}
