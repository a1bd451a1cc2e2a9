package console

import (
	"cmp"
	"net/url"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// sessionTable is the data of the shared template "session-table".
type sessionTable struct {
	Rows   []sessionRow
	People bool // whose session each is is shown
	MayEnd bool
}

// sessionRow is one session as its owner and administrators see it.
type sessionRow struct {
	ID            string
	This          bool // the one that asks
	Person        ui.Link
	Client        ui.Text // browser and system, in words
	UserAgent     string
	IP            string
	Created, Seen time.Time
	Idle          bool      // paused: the password resumes it
	IdleEnds      time.Time // when it will be, unless it is used
	Ends          time.Time // at the latest
	NewDevice     bool
	NewNetwork    bool
	Opened        []string // clusters, by title
	EndURL        string   // where a button ends it
}

// newSessionRow describes s to the visitor; end is where a button ends it.
func (v *visit) newSessionRow(s *auth.Session, end string) sessionRow {
	row := sessionRow{ID: s.ID, This: v.Session != nil && s.ID == v.Session.ID, Client: clientWords(s.UserAgent), UserAgent: clip(s.UserAgent, 160), IP: s.IP,
		Created: s.Created, Seen: s.LastSeen, Idle: s.Idle, IdleEnds: s.IdleEnds, Ends: s.AbsoluteEnds, NewDevice: s.NewDevice, NewNetwork: s.NewNetwork, EndURL: end}
	for _, host := range s.Opened {
		row.Opened = append(row.Opened, clusterOfHost(v.Snapshot, host))
	}
	return row
}

// clusterOfHost names a cluster by its title, or by the host when it is gone.
func clusterOfHost(s *directory.Snapshot, host string) string {
	if c, ok := s.ClusterByHost(host); ok {
		return cmp.Or(c.Title, c.Name)
	}
	return host
}

// endSessionURL is where an administrator ends one session of any account.
func endSessionURL(id string) string { return "/console/sessions/" + url.PathEscape(id) + "/end" }

// active counts the sessions that are in force.
func active(sessions []auth.Session) (n int) {
	for i := range sessions {
		if !sessions[i].Idle {
			n++
		}
	}
	return n
}
