package auth

import (
	"context"
	"fmt"

	"github.com/ringfence/ringfence/policy"
)

// Notices about where an account's sessions begin.
const (
	// NoticeNewDevice: a sign-in on a device that the account had not used
	// before. Detail "network" is "new" when the network was new as well.
	NoticeNewDevice NoticeKind = "new_device"
	// NoticeNewNetwork: a known device signed in or resumed from a network
	// that the account had not used for 90 days.
	NoticeNewNetwork NoticeKind = "new_network"
)

// recognise notes on a session that is to begin on which device and network it
// does, and whether these are new to the account. Nothing is new at the very
// first sign-in.
func (s *Service) recognise(ctx context.Context, row *StoredSession, o Origin, a *Account, c Credential) error {
	id, known := s.device(o.Device, a.Email, row.Created)
	row.Device, row.Network = or(id, newID("")), network(o.IP)
	if c.LastLogin.IsZero() {
		return nil
	}
	fresh, err := s.newNetwork(ctx, a.ID, row.Network)
	if err != nil {
		return err
	}
	row.NewDevice, row.NewNetwork = !known, fresh
	return nil
}

// newNetwork reports whether the account has not been on the network lately.
func (s *Service) newNetwork(ctx context.Context, account, network string) (bool, error) {
	seen, err := s.cfg.Store.NetworkSeen(ctx, account, network)
	if err != nil {
		return false, fmt.Errorf("reading known networks: %w", err)
	}
	return seen.IsZero() || s.now().Sub(seen) >= knownFor, nil
}

// detailNew adds to the record of a session's beginning what is new about it.
func detailNew(r *policy.Record, row *StoredSession) *policy.Record {
	if row.NewDevice {
		detail(r, "device", "new")
	}
	if row.NewNetwork {
		detail(r, "network", "new")
	}
	return r
}

// tellNew leaves a notice for the owner of a session that began somewhere new.
func (s *Service) tellNew(ctx context.Context, a *Account, row *StoredSession, o Origin) {
	switch {
	case row.NewDevice && row.NewNetwork:
		s.tell(ctx, a, NoticeNewDevice, o, map[string]string{"network": "new"})
	case row.NewDevice:
		s.tell(ctx, a, NoticeNewDevice, o, nil)
	case row.NewNetwork:
		s.tell(ctx, a, NoticeNewNetwork, o, nil)
	}
}
