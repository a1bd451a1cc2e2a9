package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"
)

const actionInviteFail = "invite.failed"

const (
	// phoneDigits is how long an invitation's second secret is.
	phoneDigits = 6
	// maxPhoneTries void the invitation: one in a hundred thousand for whoever has the link alone.
	maxPhoneTries = 10
)

// ErrPhoneCode means that the number which was told by telephone is missing or
// wrong. After ten such tries the invitation is void.
var ErrPhoneCode = errors.New("the number from the telephone is not right")

// InviteOptions says how an invitation is made.
type InviteOptions struct {
	// PhoneCode demands a second secret, a number of six digits to be told by
	// telephone: for accounts that reach what must not hang on one link. An
	// account that was invited so once is always invited so.
	PhoneCode bool
}

// An Invited is an invitation that was just made. It holds secrets: it belongs
// into the hands of whoever passes them on, and nowhere else.
type Invited struct {
	Link      string
	PhoneCode string // empty: none was asked for. Never to be sent the way of the link
	Expires   time.Time
}

// String shows nothing of the secrets.
func (i Invited) String() string { return "invitation until " + i.Expires.Format(time.RFC3339) }

// GoString shows nothing of the secrets.
func (i Invited) GoString() string { return i.String() }

// InviteWith makes an invitation as [Service.Invite] does, with options.
func (s *Service) InviteWith(ctx context.Context, actor Actor, accountID string, opt InviteOptions) (Invited, error) {
	token, phone, expires, err := s.inviteWith(ctx, actor, accountID, opt)
	if err != nil {
		return Invited{}, err
	}
	return Invited{Link: s.issuer + "/enrol?invite=" + token, PhoneCode: phone, Expires: expires}, nil
}

// newPhoneCode returns the second secret of an invitation and its hash; both
// are empty when none is asked for. So few digits get a password's hash.
func (s *Service) newPhoneCode(ctx context.Context, a *Account, opt InviteOptions) (code, hash string, err error) {
	before, err := s.cfg.Store.InvitedByPhone(ctx, a.ID)
	if err != nil {
		return "", "", fmt.Errorf("reading how the account was invited: %w", err)
	}
	if !opt.PhoneCode && !before {
		return "", "", nil
	}
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return "", "", fmt.Errorf("making a number: %w", err)
	}
	code = fmt.Sprintf("%0*d", phoneDigits, n)
	s.hashes.Add(1)
	if hash, err = s.hasher.hash(ctx, a.ID, code); err != nil {
		return "", "", err
	}
	return code, hash, nil
}

// provePhoneCode checks an invitation's second secret, if it has one. Each try
// is counted before it is looked at.
func (s *Service) provePhoneCode(ctx context.Context, o Origin, a *Account, inv Invitation, typed string) error {
	if inv.Phone == "" {
		return nil
	}
	typed = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, typed)
	if typed == "" || len(typed) > 4*phoneDigits {
		return ErrPhoneCode // nothing was tried
	}
	tries, err := s.cfg.Store.TryInvitation(ctx, inv.Hash, maxPhoneTries)
	if errors.Is(err, ErrNotFound) {
		return ErrInviteInvalid
	}
	if err != nil {
		return fmt.Errorf("counting tries: %w", err)
	}
	s.hashes.Add(1)
	right, _, err := s.hasher.verify(ctx, a.ID, typed, inv.Phone)
	if err != nil {
		return err
	}
	if right {
		return nil
	}
	if err := s.record(ctx, detail(s.event(actionInviteFail, "bad_credentials", a, o), "reason", "phone_code")); err != nil {
		return err
	}
	if tries >= maxPhoneTries {
		return ErrInviteInvalid
	}
	return ErrPhoneCode
}
