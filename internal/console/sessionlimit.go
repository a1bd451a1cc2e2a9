package console

import (
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// sessionLimitGroup are the fields for how long sessions under an engagement last.
func sessionLimitGroup(f *form) group {
	return group{Title: "Sessions", Hint: "How long its people stay signed in. This can only shorten what holds everywhere; of several engagements the shortest counts, at once and for sessions that are open.", Controls: controls(
		with(f.text("session_idle", "Paused when not used for"), func(u *ui.Field) {
			u.MaxLength, u.Placeholder, u.Hint = 20, "15m", "Such as 15m or 1h. Empty: as everywhere. The password resumes a paused session."
		}),
		with(f.text("session_absolute", "Ended at the latest after"), func(u *ui.Field) {
			u.MaxLength, u.Placeholder, u.Hint = 20, "8h", "Such as 8h. Empty: as everywhere."
		}),
	)}
}

func sessionLimitsFrom(f *form) directory.SessionLimits {
	return directory.SessionLimits{Idle: f.span("session_idle"), Absolute: f.span("session_absolute")}
}

// span returns a field that holds a duration; an empty one is zero.
func (f *form) span(name string) time.Duration {
	s := strings.TrimSpace(f.Value(name))
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		f.fault(name, "Write it as 15m or 8h.")
		return 0
	}
	return d
}

// spanValue writes a duration as its field shows it; empty for none.
func spanValue(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return span(d)
}
