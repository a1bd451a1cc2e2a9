package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/internal/sample"
)

// demoSegment keeps a demo's access log small on disk.
const demoSegment = "4MiB"

func newDemo() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use: "demo", Short: "Run everything on this machine, with sample systems and people", Args: exactly(),
		Long: "Demo starts a gateway on loopback with three sample systems behind it, two vendors,\n" +
			"contractors assigned to different clusters, an administrator, an approver and a\n" +
			"reviewer, and prints who can sign in. It needs no file, flag or network. What it keeps\n" +
			"is what serve keeps; without --data it is removed at the end.",
		Example: "  ringfence demo\n  ringfence demo --data ./demo\n  ringfence demo --listen 127.0.0.1:0 --ready-file ready.json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&d.listen, "listen", "127.0.0.1:8443", "`address` to serve on; port 0 picks one")
	f.StringVar(&d.data, "data", "", "keep everything in this `folder`")
	f.StringVar(&d.readyFile, "ready-file", "", "write a JSON `file` once it serves")
	f.StringVar(&d.logLevel, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

// A demo is one run of everything on loopback.
type demo struct {
	listen, data, readyFile, logLevel string

	gate     *url.URL
	accounts []demoAccount
}

// demoReady is the JSON of --ready-file.
type demoReady struct {
	Gate       string        `json:"gate"`
	CA         string        `json:"ca"`
	Operations string        `json:"operations"`
	Data       string        `json:"data"`
	Clusters   []demoCluster `json:"clusters"`
	Accounts   []demoAccount `json:"accounts"`
}

type demoCluster struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

type demoAccount struct {
	Email    string        `json:"email"`
	Password string        `json:"password"`
	OTPAuth  string        `json:"otpauth"`
	Roles    []string      `json:"roles"`
	Vendor   string        `json:"vendor,omitempty"`
	Clusters []demoCluster `json:"clusters"`
}

func (d *demo) run(cmd *cobra.Command) (err error) {
	ctx := cmd.Context()
	host, _, err := net.SplitHostPort(d.listen)
	if err != nil {
		return usagef("--listen %s: write an address such as 127.0.0.1:8443", d.listen)
	}
	public, err := net.Listen("tcp", d.listen)
	if err != nil {
		return &hintError{fmt.Errorf("listening for requests: %w", err), "Choose another address with --listen, or --listen 127.0.0.1:0 for any free port."}
	}
	closers := []io.Closer{public}
	defer func() {
		for _, c := range closers {
			_ = c.Close() // closed already when serving has begun
		}
	}()
	operations, err := demoOperations(host, d.listen)
	if err != nil {
		return err
	}
	closers = append(closers, operations)
	port := public.Addr().(*net.TCPAddr).Port
	d.gate = &url.URL{Scheme: "https", Host: fmt.Sprintf("gate.localhost:%d", port)}

	if d.data == "" {
		if d.data, err = os.MkdirTemp("", "ringfence-demo-"); err != nil {
			return fmt.Errorf("making the demo's folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.data)) }()
	} else if d.data, err = filepath.Abs(d.data); err != nil {
		return fmt.Errorf("finding the demo's folder: %w", err)
	}
	// Its configuration and upstreams are about to be rewritten for this process.
	if accesslog.InUse(paths{d.data}.log()) {
		return &hintError{fmt.Errorf("starting in %s: %w", d.data, accesslog.ErrLocked), "Another gateway runs on this data folder. Nothing has been changed."}
	}
	cfg, err := d.configure(public.Addr().String(), operations.Addr().String())
	if err != nil {
		return err
	}
	upstreams, stop, err := startSamples()
	if err != nil {
		return err
	}
	defer stop()
	if err := d.populate(ctx, cfg, upstreams); err != nil {
		return fmt.Errorf("preparing the demo: %w", err)
	}
	level := new(slog.LevelVar)
	return serve(ctx, cfg, serveOptions{
		file: filepath.Join(d.data, demoConfig), level: level, logger: newLogger(cfg, level),
		listener: public, operations: operations,
		ready: func(g *gateway) error { return d.ready(cmd, operations.Addr().String()) },
	})
}

// demoOperations takes the usual port when it is free and the demo's own port
// was not left to chance.
func demoOperations(host, listen string) (net.Listener, error) {
	if !strings.HasSuffix(listen, ":0") {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, "9443")); err == nil {
			return l, nil
		}
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("listening for operations: %w", err)
	}
	return l, nil
}

// configure writes the configuration that serve would read, and reads it.
func (d *demo) configure(listen, operations string) (*config.Config, error) {
	text := fmt.Sprintf(`# Written by 'ringfence demo' at each start.
gate: %q
organisation:
  name: Harbour Mutual
  help: {name: Service desk, email: desk@harbour.example}
listen: %q
http_listen: ""
operations: %q
data: %q
tls:
  mode: local
upstreams:
  allow_networks: [127.0.0.0/8]
identity_providers:
  allow_networks: [127.0.0.0/8]
alarms:
  allow_networks: [127.0.0.0/8]
access_log:
  segment_size: %s
log:
  level: %s
`, d.gate, listen, operations, d.data, demoSegment, d.logLevel)
	path := filepath.Join(d.data, demoConfig)
	if err := durable.Mkdir(d.data, 0o700); err != nil {
		return nil, fmt.Errorf("making the demo's folder: %w", err)
	}
	if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return config.Load(path)
}

// startSamples serves each sample system on a loopback port of its own.
func startSamples() (upstreams map[string]string, stop func(), err error) {
	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Close() // nothing to save
		}
	}
	upstreams = map[string]string{}
	for _, s := range sample.Systems {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			stop()
			return nil, nil, fmt.Errorf("starting the sample system %s: %w", s.Name, err)
		}
		srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, srv)
		go func() { _ = srv.Serve(l) }() // ends with Close
		upstreams[s.Name] = "http://" + l.Addr().String()
	}
	return upstreams, stop, nil
}

// populate makes the deployment, or brings a kept one up to this run's ports.
func (d *demo) populate(ctx context.Context, cfg *config.Config, upstreams map[string]string) error {
	if err := makeDeployment(ctx, cfg); err != nil {
		return err
	}
	dep, err := openConfigured(ctx, cfg)
	if err != nil {
		return err
	}
	err = func() error {
		people, err := d.knownPeople()
		if err != nil {
			return err
		}
		now := time.Now().UTC()
		first := people == nil
		if err := demoDirectory(ctx, dep, upstreams, now, first); err != nil {
			return err
		}
		if first {
			if people, err = provisionPeople(ctx, dep, now); err != nil {
				return err
			}
			if err := d.keepPeople(people); err != nil {
				return err
			}
		}
		d.accounts = people
		return d.assign(ctx, dep, now)
	}()
	return errors.Join(err, dep.close())
}

func (d *demo) peopleFile() string { return filepath.Join(d.data, "demo.json") }

// knownPeople reads the passwords of a demo that was kept; nil for a new one.
func (d *demo) knownPeople() ([]demoAccount, error) {
	b, err := os.ReadFile(d.peopleFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []demoAccount
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kept demo's accounts: %w", err)
	}
	return out, nil
}

func (d *demo) keepPeople(people []demoAccount) error {
	b, err := json.MarshalIndent(people, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(d.peopleFile(), b, 0o600)
}

// assign fills in which clusters each account reaches now, as the portal would.
func (d *demo) assign(ctx context.Context, dep *deployment, now time.Time) error {
	s, err := readSnapshot(ctx, dep.db, dep.cfg)
	if err != nil {
		return err
	}
	for i := range d.accounts {
		a := &d.accounts[i]
		a.Clusters = []demoCluster{}
		acc, ok := s.AccountByEmail(a.Email)
		if !ok {
			continue // removed from a kept demo
		}
		for _, c := range s.ClustersOf(acc.ID, now) {
			a.Clusters = append(a.Clusters, demoCluster{c.Cluster.Name, clusterURL(d.gate, c.Cluster.Hosts[0])})
		}
	}
	return nil
}

// ready tells people and scripts that requests are served.
func (d *demo) ready(cmd *cobra.Command, operations string) error {
	r := demoReady{Gate: d.gate.String(), CA: filepath.Join(paths{d.data}.certs(), "ca.pem"), Operations: "http://" + operations, Data: d.data, Accounts: d.accounts}
	for _, s := range sample.Systems {
		r.Clusters = append(r.Clusters, demoCluster{s.Name, clusterURL(d.gate, s.Name+".localhost")})
	}
	d.print(cmd.OutOrStdout(), r)
	if d.readyFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(d.readyFile, b, 0o600)
}

func (d *demo) print(w io.Writer, r demoReady) {
	fmt.Fprintf(w, "\nRingfence is serving at %s\n\n", r.Gate)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "E-MAIL\tPASSWORD\tAUTHENTICATOR SECRET\tROLE\tCLUSTERS")
	for _, a := range r.Accounts {
		var names []string
		for _, c := range a.Clusters {
			names = append(names, c.Name)
		}
		clusters := strings.Join(names, ", ")
		if clusters == "" && a.Vendor != "" {
			clusters = "none: the engagement has ended"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.Email, a.Password, secretOf(a.OTPAuth), strings.Join(a.Roles, ", "), clusters)
	}
	_ = t.Flush() // a terminal that went away needs no answer
	fmt.Fprintf(w, `
1. Open %s. The certificate comes from this demo's own authority:
   let your browser trust %s, or accept its warning.
2. Sign in with an address and password from above, and a code from the secret:
   add it to an authenticator app, or run  oathtool --totp -b SECRET
3. See what was recorded:  ringfence log query --data %s

`, r.Gate, r.CA, d.data)
	fmt.Fprintln(w, "Stop with Ctrl-C.")
}

func secretOf(otpauth string) string {
	u, err := url.Parse(otpauth)
	if err != nil {
		return ""
	}
	return u.Query().Get("secret")
}
