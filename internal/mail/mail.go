// Package mail sends what Ringfence has to tell by mail: invitations and
// notices. Mail is optional; nothing waits for it.
//
// An [Outbox] keeps mails in the store until the server has taken them, over
// restarts, with growing pauses between tries: each is sent at least once, or
// given up, which is shown. A [Sender] speaks to the one SMTP server of the
// configuration (RFC 5321, STARTTLS by RFC 3207). This package words nothing,
// receives nothing and knows no account.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// How the connection to the server is encrypted.
const (
	StartTLS = "starttls" // in the clear until STARTTLS, which is demanded
	TLS      = "tls"      // from the first byte on
	NoTLS    = "none"     // never
)

// Config says which server takes the mails. Server and From are required.
type Config struct {
	Server   string // host name or address
	Port     int    // 0: 587 for STARTTLS, 465 for TLS, 25 for none
	TLS      string // StartTLS (the default), TLS or NoTLS
	Username string // empty: no authentication
	Password string
	From     string // address, with or without a name
	RootCAs  *x509.CertPool
	// Timeout bounds each step of a delivery; default 20 s.
	Timeout time.Duration
}

// String shows nothing of a Config: it holds a password.
func (Config) String() string { return "mail.Config" }

// GoString shows nothing of a Config.
func (Config) GoString() string { return "mail.Config" }

// LogValue shows nothing of a Config.
func (Config) LogValue() slog.Value { return slog.StringValue("mail.Config") }

// A Message is one mail to one person, plain text.
type Message struct {
	ID      string // also the local part of the Message-ID, so that a second delivery is recognised
	To      string // a bare address
	Subject string
	Text    string
	Created time.Time
}

// A Sender hands mails to the configured server. It is safe for concurrent use.
type Sender struct {
	from   *netmail.Address
	server string
	make   func() (*gomail.Client, error)
}

// NewSender checks c. It connects to nothing.
func NewSender(c Config) (*Sender, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("configuring mail: sender %q: %w", c.From, err)
	}
	if c.Server == "" {
		return nil, errors.New("configuring mail: no server is named")
	}
	if c.Timeout <= 0 {
		c.Timeout = 20 * time.Second
	}
	options := []gomail.Option{
		gomail.WithTimeout(c.Timeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: c.Server, RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12}),
	}
	port := c.Port
	switch c.TLS {
	case "", StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
		port = or(port, 587)
	case TLS:
		options = append(options, gomail.WithSSL())
		port = or(port, 465)
	case NoTLS:
		if c.Username != "" {
			return nil, errors.New("configuring mail: a password is not sent over a connection without TLS")
		}
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
		port = or(port, 25)
	default:
		return nil, fmt.Errorf("configuring mail: TLS %q is not one of starttls, tls, none", c.TLS)
	}
	options = append(options, gomail.WithPort(port))
	if c.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(c.Username), gomail.WithPassword(c.Password))
	}
	s := &Sender{from: from, server: c.Server, make: func() (*gomail.Client, error) { return gomail.NewClient(c.Server, options...) }}
	if _, err := s.make(); err != nil {
		return nil, fmt.Errorf("configuring mail: %w", err)
	}
	return s, nil
}

func or(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// ErrPermanent is in the chain of errors after which another try is useless.
var ErrPermanent = errors.New("the mail is refused for good")

// Check connects, encrypts and authenticates as a delivery would, and sends nothing.
func (s *Sender) Check(ctx context.Context) error {
	c, err := s.make()
	if err != nil {
		return fmt.Errorf("reaching the mail server: %w", err)
	}
	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reaching the mail server %s: %w", s.server, err)
	}
	_ = c.CloseWithSMTPClient(conn) // it answered, which is what was asked
	return nil
}

// Send hands m to the server and returns once it was taken. An error that is
// [ErrPermanent] will not go away by itself.
func (s *Sender) Send(ctx context.Context, m Message) error {
	msg, err := s.message(m)
	if err != nil {
		return err
	}
	c, err := s.make()
	if err != nil {
		return fmt.Errorf("sending mail: %w", err)
	}
	err = c.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() { // what fails after the server has taken it is nobody's trouble
		return nil
	}
	if e, ok := errors.AsType[*gomail.SendError](err); ok && e.ErrorCode() >= 500 && e.ErrorCode() < 600 {
		return fmt.Errorf("sending mail: %w: %w", ErrPermanent, err)
	}
	return fmt.Errorf("sending mail: %w", err)
}

// message builds the mail. Names and texts come from people: nothing of them
// can become another header or recipient.
func (s *Sender) message(m Message) (*gomail.Msg, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Address != m.To || strings.ContainsFunc(m.To, unicode.IsControl) {
		return nil, fmt.Errorf("sending mail: %w: %q is not a bare address", ErrPermanent, m.To)
	}
	if strings.ContainsFunc(m.ID, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' || r > unicode.MaxASCII
	}) {
		return nil, fmt.Errorf("sending mail: %w: %q is not an id", ErrPermanent, m.ID)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(&netmail.Address{Address: to.Address})
	msg.Subject(oneLine(m.Subject))
	msg.SetDateWithValue(m.Created)
	_, domain, _ := strings.Cut(s.from.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answering machine answers
	msg.SetBodyString(gomail.TypeTextPlain, text(m.Text))
	return msg, nil
}

// oneLine makes a text fit for a header.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// text keeps lines and drops other control characters.
func text(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\uFFFD"))
}
