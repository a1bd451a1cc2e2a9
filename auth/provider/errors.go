package provider

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode"
)

// A Code says in a stable word what was wrong, for records.
type Code string

// The codes of an [Error].
const (
	Unavailable     Code = "provider_unavailable" // it cannot be reached, or gives no answer that can be read
	Misconfigured   Code = "provider_misconfigured"
	Refused         Code = "provider_refused"   // it, or the person there, said no
	IssuerMismatch  Code = "issuer_mismatch"    // the answer is of another provider (RFC 9207), or does not say
	ExchangeFailed  Code = "exchange_failed"    // the code is not good
	TokenInvalid    Code = "id_token_invalid"   // signature, algorithm, issuer, audience or times
	NonceMismatch   Code = "nonce_mismatch"     // the ID token was made for another sign-in
	EmailMissing    Code = "email_missing"      // no address, or one that is none
	EmailUnverified Code = "email_not_verified" // the provider does not vouch for it
)

// An Error says what was wrong. Its text is for operators; it holds no token
// and no code.
type Error struct {
	Code Code
	Err  error
}

// Error reads as a sentence.
func (e *Error) Error() string {
	return fmt.Sprintf("signing in at the provider (%s): %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fault(code Code, err error) *Error { return &Error{code, err} }

// reaching words why a request to a provider failed without repeating what
// the provider sent: it may send anything, and this goes to a log and a page.
func reaching(err error) error {
	if b, ok := errors.AsType[*blockedError](err); ok {
		return b
	}
	for _, known := range []error{errRedirect, errTooLarge, errScheme} {
		if errors.Is(err, known) {
			return known
		}
	}
	// The library words what it reads from a broken body, without wrapping.
	for _, known := range []error{errTooLarge, errRedirect} {
		if strings.Contains(err.Error(), known.Error()) {
			return known
		}
	}
	if n, ok := errors.AsType[net.Error](err); ok {
		if n.Timeout() {
			return errors.New("it does not answer in time")
		}
		return fmt.Errorf("it cannot be reached: %s", short(n.Error()))
	}
	return errors.New("its answer cannot be read")
}

// short makes a foreign text fit a log line.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}

// unreachable returns why the provider could not be asked, nil when it was and
// what it said is at fault. The library does not wrap what it met while
// fetching keys.
func unreachable(err error) error {
	if _, ok := errors.AsType[net.Error](err); ok {
		return reaching(err)
	}
	for _, known := range []error{errRedirect, errTooLarge, errScheme} {
		if errors.Is(err, known) || strings.Contains(err.Error(), known.Error()) {
			return known
		}
	}
	if strings.Contains(err.Error(), "fetching keys") {
		return errors.New("its keys cannot be fetched")
	}
	return nil
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
