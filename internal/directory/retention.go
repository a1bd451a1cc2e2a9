package directory

import (
	"errors"
	"time"
)

// What a [RetentionRule] is for.
const (
	RetainCluster        = "cluster"        // entries of one cluster
	RetainClassification = "classification" // of all that were classified so
	RetainRest           = "rest"           // of everything else
)

// RetainAsFile, in place of days, gives a rule back to the configuration file.
const RetainAsFile = -1

// States of a [RetentionRule].
const (
	RetainWaiting  = "waiting"  // for another administrator
	RetainStanding = "standing" // in force
	RetainRefused  = "refused"  // or withdrawn
	RetainReplaced = "replaced" // by a later one
)

// A RetentionRule is what an administrator set, or asked to set, in place of
// what the configuration file says of how long entries are kept.
type RetentionRule struct {
	ID        int64
	Kind      string // a value of Retain…
	Subject   string // cluster or classification; empty for RetainRest
	Days      int    // 0: for ever
	Reason    string
	State     string
	Asked     time.Time
	AskedBy   string    // account id
	Decided   time.Time // when it came into force, or was refused; zero while it waits
	DecidedBy string
}

// ErrNoRule: nothing of that number waits for an administrator.
var ErrNoRule = errors.New("there is no such rule, or it no longer waits")
