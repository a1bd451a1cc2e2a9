package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"github.com/ringfence/ringfence/internal/certs"
	"github.com/ringfence/ringfence/internal/witness"
)

func newWitness() *cobra.Command {
	cmd := group("witness", "Remember logs on another machine, so that nobody can roll them back",
		"A witness remembers the newest checkpoint of each log that it is told of and cosigns\n"+
			"the next one only with proof that it continues that one (C2SP tlog-witness). Run it on\n"+
			"a machine that the gateway's administrators do not rule; it needs no configuration.")
	cmd.AddCommand(newWitnessInit(), newWitnessTrust(), newWitnessServe(), newWitnessStatus(), newWitnessForget())
	return cmd
}

func newWitnessInit() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "init FOLDER", Short: "Make a witness with a key of its own", Args: exactly("a FOLDER"),
		Example: "  ringfence witness init /var/lib/witness --name witness.example.org/w1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				return usagef("which name? Give one with --name, such as witness.example.org/w1")
			}
			vkey, err := witness.Init(args[0], name)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "The witness is made. Its public key, for access_log.witnesses of gateways:")
			_, err = fmt.Fprintln(cmd.OutOrStdout(), vkey)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the witness's `name` in signatures, a URL without its scheme")
	return cmd
}

func newWitnessTrust() *cobra.Command {
	return &cobra.Command{
		Use: "trust FOLDER KEYFILE", Short: "Cosign checkpoints that a log signs with this public key", Args: exactly("a FOLDER", "a KEYFILE"),
		Long: "Trust reads a log's public key (log.pub in its folder), which must reach you by a way\n" +
			"of its own. A second key of the same log stands beside the first, as after 'ringfence log\n" +
			"rotate-key'. Do it again after the older key was retired: the list then says up to which\n" +
			"checkpoint that one signed, and nothing beyond it is cosigned. It works while the witness\n" +
			"serves.",
		Example: "  ringfence witness trust /var/lib/witness log.pub",
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := os.ReadFile(args[1])
			if err != nil {
				return fmt.Errorf("reading the log's public key: %w", err)
			}
			origin := ""
			for line := range strings.Lines(strings.TrimSpace(string(key))) {
				if origin, err = witness.Trust(args[0], line); err != nil {
					return err
				}
			}
			if origin == "" {
				return fmt.Errorf("reading the log's public key: %s is empty", args[1])
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Checkpoints of %s will be cosigned.\n", plain(origin))
			return nil
		},
	}
}

func newWitnessStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status FOLDER", Short: "List the logs, what is remembered of them and what speaks against them", Args: exactly("a FOLDER"),
		Example: "  ringfence witness status /var/lib/witness",
		RunE: func(cmd *cobra.Command, args []string) error {
			logs, err := witness.List(args[0])
			if err != nil {
				return err
			}
			for _, l := range logs {
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %d entries, root %s", plain(l.Origin), l.Size, l.Root)
				if !l.Changed.IsZero() {
					fmt.Fprintf(cmd.OutOrStdout(), ", cosigned %s", stamp(l.Changed))
				}
				fmt.Fprintln(cmd.OutOrStdout())
				for _, e := range l.Evidence {
					fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", e)
				}
			}
			return nil
		},
	}
}

func newWitnessForget() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "forget FOLDER ORIGIN", Short: "Let a log that was lost begin anew", Args: exactly("a FOLDER", "an ORIGIN"),
		Long: "Forget sets the checkpoint of a log aside, with the reason, so that another log of that\n" +
			"name can begin. Do so only when you know how the log was lost: whoever rolls a log\n" +
			"back would ask you the same. The witness must not be serving.",
		Example: "  ringfence witness forget /var/lib/witness gate.example.com/node-1 --reason 'disk lost on 3 March'",
		RunE: func(_ *cobra.Command, args []string) error {
			if reason == "" {
				return usagef("why? Give the reason with --reason; it is kept")
			}
			err := witness.Forget(args[0], args[1], reason, time.Now())
			if errors.Is(err, witness.ErrLocked) {
				err = &hintError{err, "Stop the witness first."}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence` that is kept")
	return cmd
}

// witnessServing are the flags of serve.
type witnessServing struct {
	listen, host, certificate, key string
	plain                          bool
}

func newWitnessServe() *cobra.Command {
	var s witnessServing
	cmd := &cobra.Command{
		Use: "serve FOLDER", Short: "Answer gateways until interrupted", Args: exactly("a FOLDER"),
		Long: "Serve answers over TLS for --host, with a certificate from files, which are read again\n" +
			"when they change, or by an authority of its own, whose certificate (certs/ca.pem in\n" +
			"the folder) gateways name as ca_file. --plain is for a loopback address behind a proxy.",
		Example: "  ringfence witness serve /var/lib/witness --listen :8443 --host witness.example.org --certificate w.pem --key w.key\n  ringfence witness serve /var/lib/witness --listen :8443 --host witness.example.org",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.serve(cmd.Context(), args[0], slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.listen, "listen", ":8443", "`address` to answer at")
	f.StringVar(&s.certificate, "certificate", "", "PEM `file` with the certificate")
	f.StringVar(&s.key, "key", "", "PEM `file` with its private key")
	f.StringVar(&s.host, "host", "", "`name` by which gateways call this machine")
	f.BoolVar(&s.plain, "plain", false, "without TLS, on a loopback address")
	return cmd
}

// certificates returns where the certificate comes from; nil without TLS.
func (s *witnessServing) certificates(dir string, logger *slog.Logger) (*certs.Manager, error) {
	c := certs.Config{Dir: filepath.Join(dir, "certs"), Logger: logger, Fallback: s.host}
	switch given := (s.certificate != "" || s.key != ""); {
	case s.plain && !given && s.host == "":
		return nil, nil
	case !s.plain && given && s.certificate != "" && s.key != "":
		if s.host == "" {
			return nil, usagef("--certificate needs --host, the name that gateways call")
		}
		c.Mode, c.Files = certs.ModeFiles, []certs.Pair{{Certificate: s.certificate, Key: s.key}}
	case !s.plain && !given && s.host != "":
		c.Mode, c.Domains = certs.ModeLocal, []string{s.host}
	default:
		return nil, usagef("which TLS? Give --host, with --certificate and --key if you have them, or --plain")
	}
	m, err := certs.New(c)
	if err != nil {
		return nil, err
	}
	if err := m.SetHosts([]string{s.host}); err != nil { // every gateway would be turned away
		if c.Mode == certs.ModeLocal {
			err = &hintError{err, "To have one made for this host, move " + c.Dir + " aside. Gateways then need the new certs/ca.pem as ca_file."}
		}
		return nil, err
	}
	return m, nil
}

func (s *witnessServing) serve(ctx context.Context, dir string, logger *slog.Logger) (err error) {
	manager, err := s.certificates(dir, logger)
	if err != nil {
		return err
	}
	w, err := witness.Open(dir, logger)
	if errors.Is(err, witness.ErrLocked) {
		return &hintError{err, "Another process serves this witness."}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	l, err := net.Listen("tcp", s.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if s.plain && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(usagef("--plain is for loopback addresses, such as --listen 127.0.0.1:8080"), l.Close())
	}
	server := &http.Server{Handler: w.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}
	logger.Info("witnessing", "listen", l.Addr().String())
	l = netutil.LimitListener(l, witnessConnections)
	if manager == nil {
		return serveUntil(ctx, server, l)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(running) }()
	err = serveUntil(ctx, server, tls.NewListener(l, manager.TLSConfig()))
	stop()
	if cerr := <-ended; cerr != nil && !errors.Is(cerr, context.Canceled) {
		err = errors.Join(err, cerr)
	}
	return err
}

// witnessConnections bounds what strangers can hold open.
const witnessConnections = 512

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, s *http.Server, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = s.Shutdown(last) // what is cut is asked again
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", strings.TrimSpace(l.Addr().String()), err)
	}
	return nil
}
