package auth

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ringfence/ringfence/policy"
)

// An Account is what this package needs to know of a person's login. The rows
// belong to the directory; this package only reads them.
type Account struct {
	ID     string // opaque and stable
	Email  string // canonical, as [CanonicalEmail] returns it
	Name   string
	Vendor string // empty for the customer's own people
	Roles  []policy.Role
	Ends   time.Time // zero: no end

	Disabled        bool
	VendorSuspended bool
}

// Active reports whether the account may sign in and be signed in at now.
func (a *Account) Active(now time.Time) bool {
	return a != nil && a.ID != "" && !a.Disabled && !a.VendorSuspended &&
		(a.Ends.IsZero() || now.Before(a.Ends))
}

// inactiveReason names why an account is not active, for records.
func (a *Account) inactiveReason(now time.Time) string {
	switch {
	case a == nil || a.ID == "":
		return "account_unknown"
	case a.Disabled:
		return "account_disabled"
	case a.VendorSuspended:
		return "vendor_suspended"
	case !a.Ends.IsZero() && !now.Before(a.Ends):
		return "account_ended"
	}
	return ""
}

// words returns what a password of this account must not be made of.
func (a *Account) words() []string {
	return strings.FieldsFunc(a.Email+" "+a.Name+" "+a.Vendor, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// maxEmail is the longest address that mail systems accept (RFC 5321).
const maxEmail = 254

// CanonicalEmail returns the one spelling under which an address is looked up
// and counted: NFKC, trimmed, lower case. Without it, every alias of an
// account would have its own count of failures. It refuses what cannot be an
// address: no or several @, nothing on either side, white space or control
// characters inside, more than 254 bytes.
func CanonicalEmail(s string) (string, error) {
	if len(s) > 4*maxEmail || !utf8.ValidString(s) {
		return "", fmt.Errorf("reading e-mail address: %w", ErrInvalid)
	}
	s = norm.NFKC.String(s)
	s = norm.NFKC.String(strings.ToLower(strings.TrimSpace(s)))
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") || len(s) > maxEmail {
		return "", fmt.Errorf("reading e-mail address: %w", ErrInvalid)
	}
	for _, r := range s {
		// Format characters are invisible: two addresses that look alike must be one or refused.
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return "", fmt.Errorf("reading e-mail address: %w", ErrInvalid)
		}
	}
	return s, nil
}
