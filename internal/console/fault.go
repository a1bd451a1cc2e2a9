package console

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/ui"
)

// freshFor is how long a code counts as fresh for dangerous acts.
const freshFor = 15 * time.Minute

// A tried is what a form says after a try that failed: the status of the
// answer and a sentence for the person.
type tried struct {
	status int
	text   ui.Text
	wait   time.Duration
}

// triedCode words a failed sign-in, code or confirmation. Its second result is
// false for errors that no form can show. One sentence serves every cause that
// must not be told apart: unknown, disabled and ended accounts, and wrong passwords.
func triedCode(err error, wrong ui.Text) (tried, bool) {
	if t, ok := errors.AsType[*auth.ThrottledError](err); ok {
		text := ui.Say("There were too many tries. Please wait {1} and try again.", waitWords(t.RetryAfter))
		if t.Stopped {
			text = "There were too many wrong codes, so codes of the app are no longer accepted. Use a recovery code, or ask your administrator to reset your second factor."
		}
		return tried{http.StatusTooManyRequests, text, t.RetryAfter}, true
	}
	switch {
	case errors.Is(err, auth.ErrBadCredentials):
		return tried{http.StatusUnauthorized, wrong, 0}, true
	case errors.Is(err, auth.ErrCodeSpent):
		return tried{http.StatusUnauthorized, "This code has been used already. Wait for the next one in your app; it comes within half a minute.", 0}, true
	case errors.Is(err, auth.ErrClockBehind):
		return tried{http.StatusServiceUnavailable, "The gateway's clock was set back, so codes of the app are not accepted until it is right again. Use a recovery code or a security key, or ask your administrator.", 0}, true
	case errors.Is(err, auth.ErrBusy):
		return tried{http.StatusTooManyRequests, "Many people are signing in right now. Please try again in a few seconds.", 2 * time.Second}, true
	}
	return tried{}, false
}

// waitWords says a duration as people would.
func waitWords(d time.Duration) ui.Text {
	s := int(math.Ceil(d.Seconds()))
	switch {
	case s <= 1:
		return "a second"
	case s < 90:
		return ui.Count(s, "{1} second", "{1} seconds")
	case s < 5400:
		return ui.Count((s+59)/60, "{1} minute", "{1} minutes")
	}
	return ui.Count((s+3599)/3600, "{1} hour", "{1} hours")
}

// authError maps an error of package auth that no form of the page shows. doing
// is the present participle for the operational log.
func authError(err error, doing string) error {
	cause := fmt.Errorf("%s: %w", doing, err)
	switch {
	case errors.Is(err, auth.ErrSessionEnded):
		return errSignIn
	case errors.Is(err, auth.ErrNotFound):
		return &ui.Error{Status: http.StatusNotFound, Err: cause}
	case errors.Is(err, auth.ErrForbidden):
		return &ui.Error{Status: http.StatusForbidden, Detail: "Your account may not do this.", Err: cause}
	case errors.Is(err, auth.ErrAccountInactive), errors.Is(err, auth.ErrEnrolled):
		return &ui.Error{Status: http.StatusConflict, Title: "That is not possible now", Detail: ui.Known(sentence(err.Error())), Err: cause}
	case errors.Is(err, auth.ErrInvalid):
		return &ui.Error{Status: http.StatusBadRequest, Err: cause}
	case errors.Is(err, auth.ErrBusy):
		return &ui.Error{Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second, Err: cause}
	}
	// Anything else means that it could not be done and recorded: fail closed.
	return &ui.Error{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Err: cause}
}
