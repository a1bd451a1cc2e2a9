package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A server is a real SMTP server that keeps what it takes.
type server struct {
	t     *testing.T
	port  int
	roots *x509.CertPool

	mu    sync.Mutex
	taken []taken
	users []string // who authenticated
	// refuse, when set, is asked for each recipient and answers instead.
	refuse func(to string) error
	// stall, when set, holds every message back until it is closed.
	stall chan struct{}
}

type taken struct {
	from, to string
	data     string
	secure   bool
}

const smtpUser, smtpPassword = "ringfence", "long-smtp-password"

// newServer starts a server on loopback. mode is one of StartTLS, TLS, NoTLS.
func newServer(t *testing.T, mode string) *server {
	t.Helper()
	cert, roots := certificate(t)
	s := &server{t: t, roots: roots}
	x := smtp.NewServer(s)
	x.Domain = "localhost"
	x.ReadTimeout, x.WriteTimeout = 5*time.Second, 5*time.Second
	if mode != NoTLS {
		x.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if mode == TLS {
		l = tls.NewListener(l, x.TLSConfig)
	}
	done := make(chan error, 1)
	go func() { done <- x.Serve(l) }()
	t.Cleanup(func() {
		x.Close()
		<-done
	})
	return s
}

func (s *server) config(mode string) Config {
	c := Config{Server: "localhost", Port: s.port, TLS: mode, From: "Ringfence <gate@example.com>", RootCAs: s.roots, Timeout: 5 * time.Second}
	if mode != NoTLS {
		c.Username, c.Password = smtpUser, smtpPassword
	}
	return c
}

func (s *server) mails() []taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]taken(nil), s.taken...)
}

// NewSession implements [smtp.Backend].
func (s *server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{s: s, m: taken{secure: secure}}, nil
}

type session struct {
	s    *server
	m    taken
	user string
}

func (x *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (x *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != smtpUser || password != smtpPassword {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "who are you?"}
		}
		x.s.mu.Lock()
		defer x.s.mu.Unlock()
		x.s.users = append(x.s.users, username)
		x.user = username
		return nil
	}), nil
}

func (x *session) Mail(from string, _ *smtp.MailOptions) error { x.m.from = from; return nil }

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if x.m.to != "" {
		return errors.New("more than one recipient")
	}
	x.m.to = to
	x.s.mu.Lock()
	refuse := x.s.refuse
	x.s.mu.Unlock()
	if refuse != nil {
		return refuse(to)
	}
	return nil
}

func (x *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if x.s.stall != nil {
		<-x.s.stall
	}
	x.m.data = string(b)
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.taken = append(x.s.taken, x.m)
	return nil
}

func (x *session) Reset()        { x.m = taken{secure: x.m.secure} }
func (x *session) Logout() error { return nil }

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// closedPort is a port on loopback where nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}
