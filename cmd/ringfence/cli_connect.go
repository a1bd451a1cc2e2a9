package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/client"
)

func newConnect() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use: "connect CLUSTER", Short: "Open a cluster on this computer, for any program that speaks HTTP", Args: exactly("a CLUSTER"),
		Long: "Connect listens on this computer's loopback and forwards to one cluster, adding a token\n" +
			"that is bound to this computer's key to each request, WebSockets included. It prints\n" +
			"the address to use, with a secret that is good until it ends: as user name and password\n" +
			"in the address, or as the first part of the path. Other people on this computer and\n" +
			"pages in your browser cannot use it without. Stop it with Ctrl-C.",
		Example: "  ringfence connect claims\n  ringfence connect claims --listen 127.0.0.1:8080",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, base, err := openCluster(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if _, err := c.Token(cmd.Context(), base, false); err != nil {
				return tokenHint(err, c)
			}
			host, _, err := net.SplitHostPort(listen)
			if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
				return usagef("--listen %s: give an address of loopback with its port, such as 127.0.0.1:8080", listen)
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listening: %w", err)
			}
			return forward(cmd, c, base, l)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "loopback `address` to listen at; port 0 picks one")
	return cmd
}

func forward(cmd *cobra.Command, c *client.Client, base string, l net.Listener) error {
	f, err := client.NewForwarder(c, base, l.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s is open until you stop this. In a browser: http://%s/%s/\n", base, l.Addr(), f.Secret())
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "http://ringfence:%s@%s/\n", f.Secret(), l.Addr()); err != nil {
		return errors.Join(err, l.Close())
	}
	s := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("forwarding: %w", err)
	case <-cmd.Context().Done():
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if s.Shutdown(ctx) != nil { // long streams
			return s.Close()
		}
		return nil
	}
}
