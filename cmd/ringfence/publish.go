package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
)

func newLogPublish() *cobra.Command {
	var t target
	var listen string
	cmd := &cobra.Command{
		Use: "publish [FOLDER]", Short: "Show the log as tiles that checkers of other projects read", Args: cobra.MaximumNArgs(1),
		Long: "Publish writes the log into a folder as C2SP tlog-tiles, or goes on with one that it\n" +
			"wrote before; with --listen it serves the same over HTTP from an address of this\n" +
			"machine. Entries stand there in plain text: put it only where reviewers alone can read.\n" +
			"With witnesses, it shows the newest checkpoint that they have cosigned. Reviewers who\n" +
			"sign in read the same at the gate, below /log/.",
		Example: "  ringfence log publish /srv/review/log --config /etc/ringfence/config.yaml\n  ringfence log publish --listen 127.0.0.1:9445 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (listen == "") {
				return usagef("where to? Name a FOLDER, or an address with --listen")
			}
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			if err := errors.Join(recordRead(ctx, d, "log.publish", append(describe(cmd), args...)), d.close()); err != nil {
				return err
			}
			var newest func() ([]byte, error)
			if len(d.cfg.AccessLog.Witnesses) > 0 {
				newest = func() ([]byte, error) { return os.ReadFile(d.paths.witnessed()) }
			}
			p, err := accesslog.Publish(d.paths.log(), "", newest)
			if err != nil {
				return err
			}
			if listen != "" {
				return servePublication(cmd, p, listen)
			}
			bar := newProgress(cmd.ErrOrStderr(), "Publishing")
			defer bar.end()
			return p.WriteTo(ctx, args[0], bar.step)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "serve on this loopback `address` until interrupted")
	return cmd
}

// servePublication serves until it is interrupted, and only to this machine:
// nobody is asked who they are.
func servePublication(cmd *cobra.Command, h http.Handler, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.Join(usagef("--listen %s: name an address of loopback, such as 127.0.0.1:9445: nobody is asked who they are", addr), l.Close())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The log is at http://%s/ until you interrupt this.\n", l.Addr())
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	return serveUntil(cmd.Context(), s, l)
}
