package delivery

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"
)

// A Text is a message of its own, beside those about entries.
type Text struct {
	At         time.Time
	Severity   uint8 // 0 to 7
	Host, ID   string
	Parameters map[string]string // structured data under the name "ringfence@32473"; empty ones are left out
	Message    string
}

// DialWith has s connect through d, such as one that looks at addresses. It
// must be called before anything is sent.
func (s *Syslog) DialWith(d *net.Dialer) { s.net = d }

// SendText sends one message and waits, as [Syslog.Send] does, until the
// receiver's machine has it.
func (s *Syslog) SendText(ctx context.Context, t Text) error {
	m := &rfc5424.SyslogMessage{}
	m.SetPriority(s.facility<<3 | t.Severity).SetVersion(1).SetTimestamp(t.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00")).
		SetHostname(t.Host).SetAppname("ringfence").SetMsgID(t.ID)
	for _, k := range slices.Sorted(maps.Keys(t.Parameters)) {
		if v := t.Parameters[k]; v != "" {
			m.SetParameter("ringfence@32473", k, v)
		}
	}
	m.SetMessage(t.Message)
	text, err := m.String()
	if err != nil {
		return fmt.Errorf("encoding a message for syslog: %w", err)
	}
	return s.send(ctx, append(strconv.AppendInt(nil, int64(len(text)), 10), " "+text...))
}
