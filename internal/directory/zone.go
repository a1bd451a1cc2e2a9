package directory

import (
	"regexp"
	"strings"
	"time"
)

// zoneName is an IANA name: no path, and not Local, which is another zone on
// another machine.
var zoneName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}$`)

// ValidTimeZone reports whether name is a time zone that policies can reckon
// in, such as Europe/Berlin or UTC.
func ValidTimeZone(name string) bool {
	if len(name) > 64 || !zoneName.MatchString(name) || strings.EqualFold(name, "local") {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}
