// Package auth: the words that the console needs, until the package is joined.
package auth

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/ringfence/ringfence/policy"
)

type Origin struct {
	IP                         netip.Addr
	UserAgent, RequestID, Host string
}
type Actor struct{ Account, Email, RequestID, IP string }
type Session struct {
	ID, Account, Email, Name, Vendor          string
	Roles                                     []policy.Role
	Created, LastSeen, IdleEnds, AbsoluteEnds time.Time
	IP, UserAgent                             string
	LastLogin                                 time.Time
	LastIP                                    string
	FailedCodes, RecoveryLeft                 int
}

func (x *Session) Subject(now time.Time) policy.Subject { return policy.Subject{Account: x.Account} }

type Service struct{}

func (s *Service) Current(r *http.Request, host string) (*Session, error) { return nil, nil }
