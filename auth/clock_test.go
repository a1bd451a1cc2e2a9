package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/auth/authtest"
)

// TestCodeReuse_ClockSetBack: where the clock was set back, codes that somebody
// looked over a shoulder for would be good again. None is looked at until the
// clock has caught up, whether this process or the access log knows better;
// recovery codes go on working.
func TestCodeReuse_ClockSetBack(t *testing.T) {
	var behind time.Duration
	e, _ := newEnv(t, func(c *auth.Config) { c.Behind = func() time.Duration { return behind } })
	p := e.Enrol(t, authtest.Kim)
	e.Clock.Advance(time.Minute)
	seen := e.FreshCode(t, p) // and never used
	e.Clock.Advance(time.Hour)
	wantErr(t, "a code by the right clock", tryCode(t, e, p, e.FreshCode(t, p)), nil)

	e.Clock.Advance(-time.Hour)
	wantErr(t, "the code from before, after the clock was set back", tryCode(t, e, p, seen), auth.ErrClockBehind)
	e.Clock.Advance(time.Hour + 2*time.Minute)
	wantErr(t, "once the clock has caught up", tryCode(t, e, p, e.FreshCode(t, p)), nil)

	e.Clock.Advance(time.Minute)
	behind = 2 * time.Second // as after a restart: only the log's entries tell
	err := tryCode(t, e, p, e.FreshCode(t, p))
	if !errors.Is(err, auth.ErrClockBehind) {
		t.Errorf("behind the access log: %v", err)
	}
	wantErr(t, "a recovery code meanwhile", tryCode(t, e, p, p.Recovery[0]), nil)
	behind = time.Second
	wantErr(t, "within what time servers correct", tryCode(t, e, p, e.FreshCode(t, p)), nil)
}
