package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/mail"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

// newSender reads what the configuration names and connects to nothing.
func newSender(c config.Mail) (*mail.Sender, error) {
	m := mail.Config{Server: c.Server, Port: c.Port, TLS: c.TLS, Username: c.Username, From: c.From}
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading the mail server's password: %w", err)
		}
		if m.Password = strings.TrimSpace(string(b)); m.Password == "" {
			return nil, fmt.Errorf("reading the mail server's password: %s is empty", c.PasswordFile)
		}
	}
	if c.CAFile != "" {
		b, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the mail server's authorities: %w", err)
		}
		m.RootCAs = x509.NewCertPool()
		if !m.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("reading the mail server's authorities: %s holds no certificate", c.CAFile)
		}
	}
	return mail.NewSender(m)
}

// A post words what happens and keeps it in the outbox, in the gateway and in
// commands alike; only the gateway sends.
type post struct {
	sender renewedMail
	outbox *mail.Outbox // set by attach
	db     *store.DB
	head   console.Letterhead
	log    *slog.Logger
}

func letterhead(cfg *config.Config) console.Letterhead {
	return console.Letterhead{Organisation: cfg.Organisation.Name, Gate: gateURL(cfg).String()}
}

// newPost returns nil when no mail server is configured.
func newPost(cfg *config.Config, db *store.DB, logger *slog.Logger) (*post, error) {
	if !cfg.Mail.Enabled() {
		return nil, nil
	}
	sender, err := freshMail(cfg.Mail, logger)
	if err != nil {
		return nil, err
	}
	return &post{sender: sender, db: db, head: letterhead(cfg), log: logger}, nil
}

// attach completes the outbox once there is a service, which encrypts what waits.
func (p *post) attach(s *auth.Service) (err error) {
	if p == nil {
		return nil
	}
	p.outbox, err = mail.NewOutbox(mail.OutboxConfig{
		Queue: p.db, Sender: p.sender, Seal: s.SealMail, Open: s.OpenMail, Logger: p.log,
		Sent: func(ctx context.Context, q mail.Queued) {
			if q.Warning == "" {
				return
			}
			if err := s.WarningMailed(ctx, q.Warning); err != nil {
				p.log.ErrorContext(ctx, "noting that a warning was mailed", "id", q.Warning, "err", err)
			}
		},
	})
	return err
}

// told keeps the mails about a notice: to the account's owner, and for some
// kinds to whoever answers for the vendor.
func (p *post) told(ctx context.Context, a auth.Account, n auth.Notice) {
	if p == nil {
		return
	}
	err := p.put(ctx, mail.Queued{Kind: string(n.Kind), Account: a.ID, To: a.Email}, p.head.Notice(a.Name, &n))
	if auth.Warned(n.Kind) && a.Vendor != "" {
		err = errors.Join(err, p.warn(ctx, a, n))
	}
	if err != nil {
		p.log.ErrorContext(ctx, "telling by mail", "kind", n.Kind, "account", a.ID, "err", err)
	}
}

func (p *post) warn(ctx context.Context, a auth.Account, n auth.Notice) error {
	d, _, err := p.db.Directory(ctx)
	if err != nil {
		return err
	}
	owner, title := vendorOwner(d, a.Vendor)
	if owner.Email == "" {
		return nil // the console lists the warning
	}
	return p.put(ctx, mail.Queued{Kind: "warning_" + string(n.Kind), Account: a.ID, To: owner.Email, Warning: n.ID}, p.head.Warning(owner, a, title, &n))
}

func vendorOwner(d *directory.Directory, name string) (owner policy.Person, title string) {
	for _, v := range d.Vendors {
		if v.Name == name {
			if title = v.Title; title == "" {
				title = v.Name
			}
			return v.Owner, title
		}
	}
	return policy.Person{}, name
}

func (p *post) put(ctx context.Context, q mail.Queued, m console.MailText) error {
	var b [16]byte
	rand.Read(b[:])
	q.ID = "mail_" + hex.EncodeToString(b[:])
	return p.outbox.Put(ctx, q, m.Subject, m.Text)
}

// Invite implements [console.Mail].
func (p *post) Invite(ctx context.Context, a *directory.Account, i auth.Invited) error {
	return p.put(ctx, mail.Queued{Kind: "invitation", Account: a.ID, To: a.Email, Expires: i.Expires}, p.head.Invitation(a.Name, i.Link, i.Expires, i.PhoneCode != ""))
}

// State implements [console.Mail].
func (p *post) State() console.MailState {
	s := p.outbox.State()
	out := console.MailState{Waiting: s.Waiting, Oldest: s.Oldest, Fault: s.Fault}
	for _, q := range s.GivenUp {
		out.GivenUp = append(out.GivenUp, console.MailFault{To: q.To, Kind: q.Kind, Fault: q.Fault, At: q.GivenUp})
	}
	return out
}

func newMail() *cobra.Command {
	cmd := group("mail", "Try the mail server", "")
	var t target
	test := &cobra.Command{
		Use: "test ADDRESS", Short: "Send one mail and say whether the server took it", Args: exactly("an ADDRESS"),
		Example: "  ringfence mail test desk@example.com --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := t.load()
			if err != nil {
				return err
			}
			to, err := directory.CanonicalEmail(args[0])
			if err != nil {
				return usagef("%s is not an e-mail address", plain(args[0]))
			}
			if !cfg.Mail.Enabled() {
				return &hintError{errors.New("no mail server is configured"), "Name one as 'mail' in the configuration; without it links and warnings are passed on by hand."}
			}
			s, err := newSender(cfg.Mail)
			if err != nil {
				return err
			}
			m := letterhead(cfg).Test()
			err = s.Send(cmd.Context(), mail.Message{ID: "test_" + strings.ToLower(rand.Text()), To: to, Subject: m.Subject, Text: m.Text, Created: time.Now().UTC()})
			if err != nil {
				return &hintError{err, "Look at 'mail' in the configuration, and at the server's own log."}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s took a mail for %s. Whether it arrives is up to it.\n", cfg.Mail.Server, plain(to))
			return nil
		},
	}
	t.flags(test)
	cmd.AddCommand(test)
	return cmd
}

// checkMail reads what the mail server needs and, when asked, tries it.
func checkMail(ctx context.Context, cfg *config.Config, try bool) (step string, err error) {
	if !cfg.Mail.Enabled() {
		if try {
			return "mail: no server is configured; links and warnings are passed on by hand", nil
		}
		return "", nil
	}
	s, err := newSender(cfg.Mail)
	if err != nil {
		return "", err
	}
	if !try {
		return "mail: " + cfg.Mail.Server + " is configured; --mail tries it", nil
	}
	if err := s.Check(ctx); err != nil {
		return "", err
	}
	return "mail: " + cfg.Mail.Server + " lets us in", nil
}
