package auth

import (
	"errors"
	"fmt"
	"time"
)

// Errors that callers act upon. Everything else that this package returns is
// internal: to be logged, and shown to nobody.
var (
	// ErrNotFound is what stores return for a row that is not there.
	ErrNotFound = errors.New("not found")
	// ErrBadCredentials is the one answer to a wrong address, password or
	// code, and to an account that may not sign in.
	ErrBadCredentials = errors.New("the e-mail address, password or code is not right")
	// ErrBusy means that too many passwords are being checked at once. Try again shortly.
	ErrBusy = errors.New("too many sign-ins at once")
	// ErrCodeSpent means that the code was right and has been used already.
	ErrCodeSpent = errors.New("this code has been used already")
	// ErrClockBehind means that the clock was set back, so that codes of apps
	// that were good once would be good again: none is looked at until the clock
	// has caught up. Recovery codes and keys are as good as ever.
	ErrClockBehind = errors.New("the clock was set back, and codes are refused until it is right")
	// ErrFlowEnded means that a sign-in took too long or is finished: start again.
	ErrFlowEnded = errors.New("this sign-in has ended")
	// ErrInviteInvalid means that an invitation is unknown, used, voided or expired.
	ErrInviteInvalid = errors.New("this invitation is not valid")
	// ErrEnrolmentEnded means that an enrolment is unknown, finished or expired,
	// or is not at the step that was tried.
	ErrEnrolmentEnded = errors.New("this enrolment has ended")
	// ErrSessionEnded means that the session is no longer in force.
	ErrSessionEnded = errors.New("this session has ended")
	// ErrHandoffInvalid means that a hand-off code is unknown, used, expired,
	// or meant for another host or browser.
	ErrHandoffInvalid = errors.New("this hand-off is not valid")
	// ErrAccountInactive means that an account is disabled or ended, or its
	// vendor suspended. Administrators see it; whoever signs in does not.
	ErrAccountInactive = errors.New("the account is not active")
	// ErrEnrolled means that an account has its second factor already, so that
	// it takes ResetFactor, not Invite, to let somebody in anew.
	ErrEnrolled = errors.New("the account is enrolled already")
	// ErrForbidden means that the actor may not do this to that account.
	ErrForbidden = errors.New("not allowed")
	// ErrSetupEnded means that a new factor is unknown, finished or expired,
	// or was begun by another session.
	ErrSetupEnded = errors.New("this set-up has ended")
	// ErrCodeStale means that the session's last code is too long ago for what
	// was asked: prove a fresh one with [Service.Confirm] first.
	ErrCodeStale = errors.New("a fresh code is needed")
	// ErrLastFactor means that nothing would be left to sign in with.
	ErrLastFactor = errors.New("this is the last second factor")
	// ErrTooMany means that the account has as many of these as it may have.
	ErrTooMany = errors.New("there are as many as there may be")
	// ErrNameTaken means that the account has another one of that name.
	ErrNameTaken = errors.New("another one has that name")
	// ErrInvalid means that an argument is outside what is accepted, such as
	// a token's life of more than an hour.
	ErrInvalid = errors.New("not acceptable")
)

// A ThrottledError says that a try came too early and was not looked at.
type ThrottledError struct {
	// RetryAfter is how long to wait; whole seconds, at least one.
	RetryAfter time.Duration
	// Stopped means that no code of the authenticator app is accepted any
	// more: a recovery code or an administrator has to help.
	Stopped bool
}

// Error says how long to wait.
func (e *ThrottledError) Error() string {
	if e.Stopped {
		return "too many wrong codes: use a recovery code or ask for a reset"
	}
	return fmt.Sprintf("too many tries: wait %s", e.RetryAfter)
}

// Reasons of a [PasswordError].
const (
	PasswordTooShort = "too_short"
	PasswordTooLong  = "too_long"
	PasswordNotText  = "not_text"
	PasswordCommon   = "common"
	PasswordPattern  = "pattern"
	PasswordOwnWords = "own_words"
	PasswordSame     = "same"
)

var passwordReasons = map[string]string{
	PasswordTooShort: "use at least 12 characters",
	PasswordTooLong:  "use at most 256 characters",
	PasswordNotText:  "use letters, digits, spaces and signs only",
	PasswordCommon:   "this password is among the ones tried first: use several words that do not belong together",
	PasswordPattern:  "this password is a repetition or a run of keys: use several words that do not belong together",
	PasswordOwnWords: "this password is mostly your own name, address or company: use other words",
	PasswordSame:     "this is the password that you have: choose another one",
}

// A PasswordError says why a new password is refused. Its text may be shown.
type PasswordError struct {
	Reason string // one of PasswordTooShort and its like
}

// Error is a sentence for the person who chose the password. It never repeats it.
func (e *PasswordError) Error() string { return passwordReasons[e.Reason] }
