package config

import (
	"net"
	"net/mail"
	"net/netip"
	"strings"
)

// Mail names the SMTP server that takes what Ringfence sends.
type Mail struct {
	// Server is the server's host name, or its address. Default empty: no mail
	// is sent.
	Server string `yaml:"server"`
	// Port is the server's port. Default 587 with starttls, 465 with tls, 25 with none.
	Port int `yaml:"port"`
	// TLS is "starttls" (demanded), "tls" (from the first byte on) or "none".
	// Default "starttls". Danger: with none whoever is between here and the
	// server reads invitations, so it is for a relay on the same machine.
	TLS string `yaml:"tls"`
	// CAFile holds the certificates, in PEM, of the authorities that may vouch
	// for the server. Default: those of the operating system.
	CAFile string `yaml:"ca_file"`
	// Username is for servers that ask for one. Default none.
	Username string `yaml:"username"`
	// PasswordFile holds the password, readable by the service alone. White
	// space around it does not count.
	PasswordFile string `yaml:"password_file"`
	// From is the sender, such as "Ringfence <gate@example.com>". Required with
	// a server.
	From string `yaml:"from"`
}

// Enabled reports whether mail is sent.
func (m Mail) Enabled() bool { return m.Server != "" }

func (d *decoder) mail(m *Mail) {
	if !d.given("mail") {
		return
	}
	if !m.Enabled() {
		d.bad("mail.server", "is missing: name the SMTP server, or remove the group to send no mail")
		return
	}
	host := strings.ToLower(m.Server)
	if _, err := netip.ParseAddr(host); err != nil && !hostname(host) {
		hint := "write the host name alone, such as smtp.example.com"
		if _, _, err := net.SplitHostPort(host); err == nil {
			hint = "write the port as mail.port"
		}
		d.bad("mail.server", "%s is not a host name: %s", quote(m.Server), hint)
	}
	if d.given("mail.port") {
		between(d, "mail.port", m.Port, 1, 65535)
	}
	oneOf(d, "mail.tls", m.TLS, "starttls", "tls", "none")
	switch {
	case m.From == "":
		d.bad("mail.from", "is missing: give the sender, such as Ringfence <gate@example.com>")
	default:
		if a, err := mail.ParseAddress(m.From); err != nil || strings.ContainsAny(m.From, "\r\n") || !strings.Contains(a.Address, "@") {
			d.bad("mail.from", "%s is not a sender: write it as gate@example.com or Ringfence <gate@example.com>", quote(m.From))
		}
	}
	switch {
	case m.Username != "" && m.PasswordFile == "":
		d.bad("mail.password_file", "is missing: name the file that holds the password of mail.username")
	case m.Username == "" && m.PasswordFile != "":
		d.bad("mail.username", "is missing: mail.password_file is of no use without it")
	case m.Username != "" && m.TLS == "none":
		d.bad("mail.tls", "is none, but there is a password: it would be sent in the open, use starttls or tls")
	}
	if m.TLS == "none" && m.CAFile != "" {
		d.bad("mail.ca_file", "is of no use with tls: none")
	}
}
