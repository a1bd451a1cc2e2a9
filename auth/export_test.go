package auth

import "time"

// Hashes returns how many password hashes were computed so far.
func (s *Service) Hashes() int64 { return s.hashes.Load() }

// Sweep runs one round of Run.
var Sweep = (*Service).sweep

// SetElapsed gives the clock a time since start that nobody sets.
func (s *Service) SetElapsed(f func() time.Duration) { s.clock.elapsed = f }
