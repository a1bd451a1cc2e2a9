package auth

import (
	"context"
	"fmt"
	"time"
)

const (
	// offsetsSpan is how far back codes are looked at for [Service.CodeOffsets].
	offsetsSpan = 24 * time.Hour
	// offsetsFewest is how many accounts must have given codes before they say
	// anything about the gate's clock.
	offsetsFewest = 5
)

// CodeOffsets says how far from the gate's clock the newest right codes of
// different accounts were.
type CodeOffsets struct {
	Accounts int // that gave a right code within a day
	Offset   int // in steps of 30 seconds, that most of them share
	Same     int // how many do
}

// Suspicious reports whether most accounts are off by the same: then it is the
// gate's clock, and not their telephones'.
func (o CodeOffsets) Suspicious() bool {
	return o.Offset != 0 && o.Accounts >= offsetsFewest && 2*o.Same > o.Accounts
}

// CodeOffsets looks at the newest code of each account within a day.
func (s *Service) CodeOffsets(ctx context.Context) (CodeOffsets, error) {
	all, err := s.cfg.Store.AllTOTP(ctx)
	if err != nil {
		return CodeOffsets{}, fmt.Errorf("reading authenticators: %w", err)
	}
	now := s.now()
	newest := make(map[string]*TOTPDevice)
	for i := range all {
		d := &all[i]
		if d.LastUsed.IsZero() || now.Sub(d.LastUsed) > offsetsSpan {
			continue
		}
		if have := newest[d.Account]; have == nil || d.LastUsed.After(have.LastUsed) {
			newest[d.Account] = d
		}
	}
	counts := make(map[int]int)
	for _, d := range newest {
		counts[d.LastOffset]++
	}
	o := CodeOffsets{Accounts: len(newest)}
	for offset, n := range counts {
		if n > o.Same || n == o.Same && max(offset, -offset) < max(o.Offset, -o.Offset) {
			o.Offset, o.Same = offset, n
		}
	}
	return o, nil
}
