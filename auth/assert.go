package auth

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ringfence/ringfence/policy"
)

// assertionClaims are what an upstream is told about who asks.
type assertionClaims struct {
	jwt.RegisteredClaims
	Email   string        `json:"email"`
	Vendor  string        `json:"vendor,omitempty"`
	Roles   []policy.Role `json:"roles"`
	Cluster string        `json:"cluster"`
	Session string        `json:"sid"`
}

// An assertionKey is what an assertion depends on beside the account's own data.
type assertionKey struct{ session, cluster, host string }

type assertion struct {
	token   string
	account string
	until   time.Time
}

// Assert returns a JSON Web Token, good for a minute, that tells the upstream
// behind host who asks; [Service.JWKS] has the keys to check it with. One is
// shared by the requests of a session on a cluster for 20 seconds, so it does
// not name requestID. An anonymous subject is an error.
func (s *Service) Assert(sub policy.Subject, cluster, host, requestID string) (string, error) {
	if sub.IsAnonymous() || sub.Session == "" || host == "" {
		return "", fmt.Errorf("signing assertion: nobody is signed in: %w", ErrInvalid)
	}
	now := s.now()
	key := assertionKey{sub.Session, cluster, host}
	if a, ok := s.assertions.get(key); ok && a.account == sub.Account && now.Before(a.until) {
		return a.token, nil
	}
	token, err := s.assertionKeys.sign(&assertionClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Audience: jwt.ClaimStrings{host}, Subject: sub.Account,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(assertionLife)),
		},
		Email: sub.Email, Vendor: sub.Vendor, Roles: sub.Roles, Cluster: cluster, Session: sub.Session,
	})
	if err != nil {
		return "", err
	}
	s.assertions.put(key, &assertion{token, sub.Account, now.Add(assertionKept)})
	return token, nil
}

// JWKS returns the public keys of assertions as a JSON Web Key Set. Callers
// must not change it. Keys of cookies are not among them.
func (s *Service) JWKS() []byte { return s.assertionKeys.keys.Load().jwks }
