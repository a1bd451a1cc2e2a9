package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// An Identity is what a provider vouches for.
type Identity struct {
	Issuer, Subject string
	Email           string    // as the provider writes it; it vouches for it
	AMR             []string  // how the person proved who they are (RFC 8176)
	AuthTime        time.Time // when; zero: not told
}

// Fresh reports whether the person proved themselves at the provider at most
// maxAge before now, give or take a minute between the clocks.
func (i *Identity) Fresh(now time.Time, maxAge time.Duration) bool {
	return !i.AuthTime.IsZero() && !i.AuthTime.After(now.Add(skew)) && now.Sub(i.AuthTime) <= maxAge+skew
}

const (
	skew       = time.Minute
	maxCode    = 2048
	maxSubject = 255 // OpenID Connect Core 1.0 section 2
	maxIssued  = 10 * time.Minute
)

// Answer reads the query with which a provider sends a person back and returns
// the code in it. It refuses the answer of another provider before anything
// else is looked at (RFC 9207 section 2.4): a dishonest provider that passes on
// somebody else's code gets nothing.
func (c *Client) Answer(q url.Values) (code string, err error) {
	for _, name := range []string{"code", "state", "iss", "error"} {
		if len(q[name]) > 1 {
			return "", fault(Refused, fmt.Errorf("the answer has %s twice", name))
		}
	}
	switch iss := q.Get("iss"); {
	case q.Has("iss") && iss != c.cfg.Issuer:
		return "", fault(IssuerMismatch, fmt.Errorf("the answer is of %q", short(iss)))
	case !q.Has("iss") && c.Metadata.ResponseIssuer:
		return "", fault(IssuerMismatch, errors.New("the answer does not say whose it is, although this provider's always does"))
	}
	if e := q.Get("error"); e != "" {
		return "", fault(Refused, fmt.Errorf("it answers %q", short(e)))
	}
	code = q.Get("code")
	if code == "" || len(code) > maxCode {
		return "", fault(Refused, errors.New("the answer has no code"))
	}
	return code, nil
}

// Exchange turns a code into an identity. verifier and nonce are those of the
// [Start] that the same browser made.
func (c *Client) Exchange(ctx context.Context, code, verifier, nonce string) (*Identity, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), 2*c.http.Timeout)
	defer cancel()
	token, err := c.oauth().Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if r.Response != nil && r.Response.StatusCode >= 500 {
			return nil, fault(Unavailable, fmt.Errorf("it answers %d", r.Response.StatusCode))
		}
		return nil, fault(ExchangeFailed, fmt.Errorf("it answers %q", short(r.ErrorCode)))
	}
	if err != nil {
		return nil, fault(Unavailable, reaching(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return nil, fault(TokenInvalid, errors.New("there is no ID token"))
	}
	id, claims, err := c.verify(ctx, raw, token.AccessToken, nonce)
	if err != nil {
		return nil, err
	}
	return id, c.email(ctx, id, claims, token)
}

// claims are those of an ID token, beside the ones that the library reads.
type claims struct {
	AZP      string          `json:"azp"`
	AuthTime json.Number     `json:"auth_time"`
	AMR      json.RawMessage `json:"amr"`
	emailClaims
}

type emailClaims struct {
	Email    json.RawMessage `json:"email"`
	Verified json.RawMessage `json:"email_verified"`
}

// verify holds an ID token to OpenID Connect Core 1.0 section 3.1.3.7. Nothing
// of one that fails is read.
func (c *Client) verify(ctx context.Context, raw, access, nonce string) (*Identity, *claims, error) {
	bad := func(format string, args ...any) error { return fault(TokenInvalid, fmt.Errorf(format, args...)) }
	t, err := c.verifier.Verify(ctx, raw)
	if err != nil {
		if r := unreachable(err); r != nil {
			return nil, nil, fault(Unavailable, r)
		}
		return nil, nil, bad("%s", short(err.Error()))
	}
	var cl claims
	if err := t.Claims(&cl); err != nil {
		return nil, nil, bad("its claims cannot be read")
	}
	now := c.now()
	switch {
	case t.Issuer != c.cfg.Issuer:
		return nil, nil, bad("it is of the issuer %q", short(t.Issuer))
	case len(t.Audience) > 1 && cl.AZP == "" || cl.AZP != "" && cl.AZP != c.cfg.ClientID || !slices.Contains(t.Audience, c.cfg.ClientID):
		return nil, nil, bad("it was made for another client")
	case t.Subject == "" || len(t.Subject) > maxSubject:
		return nil, nil, bad("it names no subject")
	case t.IssuedAt.Unix() <= 0 || t.IssuedAt.After(now.Add(skew)) || now.Sub(t.IssuedAt) > maxIssued:
		return nil, nil, bad("it was not issued just now")
	case nonce == "" || !equal(t.Nonce, nonce):
		return nil, nil, fault(NonceMismatch, errors.New("the ID token was made for another sign-in"))
	}
	if t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(access); err != nil {
			return nil, nil, bad("the access token is not the one it was issued with")
		}
	}
	id := &Identity{Issuer: t.Issuer, Subject: t.Subject}
	// What is not a list of texts, or no time, is as if it were not there: it
	// can only add a factor.
	_ = json.Unmarshal(cl.AMR, &id.AMR)
	if at, err := cl.AuthTime.Int64(); err == nil && at > 0 {
		id.AuthTime = time.Unix(at, 0).UTC()
	}
	return id, &cl, nil
}

// email fills in the address that the provider vouches for. Some providers
// tell it at the userinfo endpoint only; its answer counts for the same
// subject alone (OpenID Connect Core 1.0 section 5.3.2).
func (c *Client) email(ctx context.Context, id *Identity, cl *claims, token *oauth2.Token) error {
	from := cl.emailClaims
	if len(from.Email) == 0 && c.Metadata.UserInfo != "" {
		info, err := c.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			if r := unreachable(err); r != nil {
				return fault(Unavailable, r)
			}
			return fault(EmailMissing, errors.New("neither the ID token nor the userinfo endpoint tells an address"))
		}
		if info.Subject != id.Subject {
			return fault(TokenInvalid, errors.New("the userinfo endpoint speaks of somebody else"))
		}
		from = emailClaims{}
		if err := info.Claims(&from); err != nil {
			return fault(EmailMissing, errors.New("the userinfo endpoint's answer cannot be read"))
		}
	}
	if json.Unmarshal(from.Email, &id.Email) != nil || id.Email == "" {
		return fault(EmailMissing, errors.New("it tells no address"))
	}
	// Exactly true: a text "true" is what some providers send for whatever the
	// person typed.
	if string(from.Verified) != "true" {
		return fault(EmailUnverified, errors.New("it does not vouch for the address"))
	}
	return nil
}
