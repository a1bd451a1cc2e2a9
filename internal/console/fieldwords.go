package console

import (
	"strings"

	"github.com/ringfence/ringfence/internal/ui"
)

// fieldLabels says what the fields of forms are called, for the page that shows
// a form that waits for a fresh code.
var fieldLabels = map[string]ui.Text{
	"access": "Access", "access_tokens": "Programs that nobody signs in", "account": "E-mail of the contractor", "agreements": "Agreements to accept before any access",
	"classification": "Classification", "cluster": "Cluster", "clusters": "Clusters covered", "email": "E-mail address", "ends": "Last day", "engagement": "Engagement",
	"factor": "What counts", "hosts": "Host names", "id": "Id", "kind": "Kind", "log_mode": "Waiting for the access log", "methods": "Only these methods", "mine": "This session of yours", "name": "Name",
	"networks": "Networks that it may be used from", "owner_email": "E-mail of the owner", "owner_name": "Name of the owner", "pass_on": "How the link gets there",
	"paths": "Only these paths", "reason": "Reason", "roles": "Roles", "session_absolute": "Ended at the latest after", "session_idle": "Paused when not used for",
	"shorten": "When the last day moves forward", "starts": "First day", "text": "Text", "time_zone": "Time zone", "title": "Title", "trust": "Second factor", "vendor": "Vendor",
	"word": "Type the word everybody to confirm",
}

// fieldWords names a field to people.
func fieldWords(name string) ui.Text {
	if words, ok := fieldLabels[name]; ok {
		return words
	}
	return ui.Verbatim(strings.ReplaceAll(name, "_", " "))
}
