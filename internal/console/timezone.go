package console

import (
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// zoneField is the control for a person's time zone. It is typed: there are
// some six hundred.
func zoneField(f *form) ui.Field {
	return with(f.text("time_zone", "Time zone"), func(u *ui.Field) {
		u.MaxLength, u.Placeholder = 64, "Europe/Berlin"
		u.Hint = "Where the person works, such as Europe/Berlin or Asia/Kolkata. Policies about working hours reckon in it, and deny where it is empty."
	})
}

// zone returns a field that holds a time zone, or nothing.
func (f *form) zone(name string) string {
	s := strings.TrimSpace(f.Value(name))
	if s != "" && !directory.ValidTimeZone(s) {
		f.fault(name, "“{1}” is no time zone. Give a name such as Europe/Berlin.", clip(s, 64))
	}
	return s
}
