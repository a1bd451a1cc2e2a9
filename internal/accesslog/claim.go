package accesslog

import "github.com/ringfence/ringfence/policy"

// A claim is what a record may have of the room that is kept back for when the
// disk is full: the last part of a segment, and then a whole one.
type claim uint8

const (
	claimNone claim = iota // requests and their outcomes
	// claimSome is of what anybody can bring about as often as they like, such as
	// wrong passwords and readings of the log. It gets a sixteenth, so that an
	// attacker cannot use up the rest, and begins no reserve of its own.
	claimSome
	claimAll // what it takes to make room
)

// claimOf says it of a record. Whatever changes the directory or policies may
// have all: that is for administrators, and the store has done it already.
func (l *Log) claimOf(r *policy.Record) claim {
	switch r.Type {
	case policy.RecordAdmin, policy.RecordPolicy:
		return claimAll
	case policy.RecordLog:
		if r.Account == "" && r.Actor == "" || r.Action == ActionPrune {
			return claimAll // the log about itself
		}
		return claimSome
	case policy.RecordLogin:
		if l.cfg.Mends != nil && l.cfg.Mends(r) {
			return claimAll
		}
		return claimSome
	}
	return claimNone
}
