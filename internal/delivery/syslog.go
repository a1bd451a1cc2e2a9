package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// Syslog is a receiver of RFC 5424 messages over TLS, framed as RFC 5425 says.
type Syslog struct {
	address  string
	conf     *tls.Config
	facility uint8
	shape    *Shape
	settle   time.Duration
	conn     *syslogConn
	net      *net.Dialer
}

// syslogSettle is how long a connection must stay open after the last byte was
// acknowledged. A receiver that has died answers with a reset well within it.
const syslogSettle = 100 * time.Millisecond

// FacilityAudit is the facility for audit messages.
const FacilityAudit = 13

// NewSyslog returns a sender to address, a host with a port. facility is 0 to 23.
func NewSyslog(address string, conf *tls.Config, facility int, shape *Shape) (*Syslog, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || facility < 0 || facility > 23 {
		return nil, fmt.Errorf("configuring syslog: %q is not an address with a port, or %d no facility", address, facility)
	}
	c := &tls.Config{}
	if conf != nil {
		c = conf.Clone()
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.ServerName == "" {
		c.ServerName = host
	}
	return &Syslog{address: address, conf: c, facility: uint8(facility), shape: shape, settle: syslogSettle,
		net: &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}}, nil
}

// A syslogConn notices when the receiver hangs up: it never sends anything.
type syslogConn struct {
	*tls.Conn
	gone chan struct{}
}

func (s *Syslog) dial(ctx context.Context) (*syslogConn, error) {
	d := tls.Dialer{NetDialer: s.net, Config: s.conf}
	raw, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, wrap("reaching the receiver", err)
	}
	c := &syslogConn{Conn: raw.(*tls.Conn), gone: make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.Discard, c.Conn) // returns when the connection ends, however
		close(c.gone)
	}()
	return c, nil
}

// Send implements [Sender].
func (s *Syslog) Send(ctx context.Context, batch []*accesslog.Entry) error {
	var b []byte
	for _, e := range batch {
		m, err := s.message(e)
		if err != nil {
			return err
		}
		b = append(strconv.AppendInt(b, int64(len(m)), 10), ' ')
		b = append(b, m...)
	}
	return s.send(ctx, b)
}

// send sends whole frames.
func (s *Syslog) send(ctx context.Context, b []byte) error {
	if s.conn != nil {
		select {
		case <-s.conn.gone:
			s.drop()
		default:
		}
	}
	if s.conn == nil {
		c, err := s.dial(ctx)
		if err != nil {
			return err
		}
		s.conn = c
	}
	if err := s.write(ctx, b); err != nil {
		s.drop() // the next one must not follow half of this
		return err
	}
	return nil
}

func (s *Syslog) write(ctx context.Context, b []byte) error {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(sendTimeout)
	}
	if err := s.conn.SetWriteDeadline(end); err != nil {
		return wrap("sending a batch", err)
	}
	interrupted := context.AfterFunc(ctx, func() { _ = s.conn.NetConn().Close() })
	defer interrupted()
	if _, err := s.conn.Write(b); err != nil {
		return wrap("sending a batch", err)
	}
	for {
		left, err := unacknowledged(s.conn.NetConn())
		if err != nil {
			return wrap("asking what was sent", err)
		}
		wait := s.settle
		if left > 0 {
			wait = 5 * time.Millisecond
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return wrap("waiting until the batch has arrived", context.Cause(ctx))
		case <-s.conn.gone:
			t.Stop()
			return errors.New("the receiver hung up behind the batch")
		case <-t.C:
		}
		if left == 0 {
			return nil
		}
	}
}

func (s *Syslog) drop() {
	if s.conn != nil {
		_ = s.conn.NetConn().Close() // without a farewell that could block
		<-s.conn.gone
		s.conn = nil
	}
}

// Close implements [Sender].
func (s *Syslog) Close() error {
	s.drop()
	return nil
}

// message writes an entry as RFC 5424 has it, without the frame.
func (s *Syslog) message(e *accesslog.Entry) ([]byte, error) {
	text, err := s.shape.line(e)
	if err != nil {
		return nil, err
	}
	m := &rfc5424.SyslogMessage{}
	m.SetPriority(s.facility<<3|severity(e)).SetVersion(1).SetTimestamp(e.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00")).
		SetHostname(e.Node).SetAppname("ringfence").SetMsgID(string(e.Type)).
		SetParameter("origin", "software", "ringfence").SetParameter("origin", "swVersion", s.shape.Version).
		SetParameter("meta", "sequenceId", strconv.FormatUint(e.Index%(1<<31-1)+1, 10)).
		SetMessage(string(text))
	out, err := m.String()
	if err != nil {
		return nil, fmt.Errorf("encoding entry %d for syslog: %w", e.Index, err)
	}
	return []byte(out), nil
}

// severity is that of syslog: a warning for what was refused, a notice for
// changes, information for the rest.
func severity(e *accesslog.Entry) uint8 {
	switch {
	case failed(e):
		return 4
	case e.Type == policy.RecordAdmin || e.Type == policy.RecordPolicy || e.Type == policy.RecordLog:
		return 5
	}
	return 6
}

// failed reports whether e tells of something that was refused or went wrong.
func failed(e *accesslog.Entry) bool {
	return e.Effect == policy.Deny.String() || e.Result != "" && e.Result != "ok" || e.Ended != "" || e.Status >= 500
}
