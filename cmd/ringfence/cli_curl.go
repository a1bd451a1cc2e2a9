package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/client"
)

func newCurl() *cobra.Command {
	return &cobra.Command{
		Use: "curl CLUSTER_URL [curl arguments…]", Short: "Run curl with this computer's token", DisableFlagParsing: true,
		Long: "Curl runs curl on an address of a cluster, with a token that is bound to this computer's\n" +
			"key and a proof for this very request. Every other argument is curl's own. A proof is\n" +
			"for one method and one address: --location and several addresses are refused; use\n" +
			"'ringfence connect' for those. The token is in no argument that others could see.",
		Example: "  ringfence curl https://claims.example.com/work/7\n  ringfence curl https://claims.example.com/work/7 -X POST --json '{\"state\":\"done\"}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s needs a CLUSTER_URL", cmd.CommandPath())
			}
			if args[0] == "--help" || args[0] == "-h" {
				return cmd.Help()
			}
			return runCurl(cmd, args[0], args[1:])
		},
	}
}

func runCurl(cmd *cobra.Command, address string, args []string) error {
	method, err := curlMethod(args)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("curl")
	if err != nil {
		return &hintError{errors.New("curl is not installed"), "Install it, or get a token for another tool with 'ringfence token'."}
	}
	if !strings.HasPrefix(address, "https://") {
		return usagef("%q is not the address of a cluster: it begins with https://", address)
	}
	c, base, err := openCluster(cmd.Context(), address)
	if err != nil {
		return err
	}
	authorization, proof, err := c.Headers(cmd.Context(), base, method, address)
	if err != nil {
		return tokenHint(err, c)
	}
	dir, err := os.MkdirTemp("", "ringfence-curl-") // mode 0700
	if err != nil {
		return fmt.Errorf("making a folder for curl: %w", err)
	}
	defer os.RemoveAll(dir)
	config := filepath.Join(dir, "config")
	headers := filepath.Join(dir, "headers")
	// Never in the clear: a further argument without a scheme is an address to curl.
	text := fmt.Sprintf("proto = \"=https\"\nheader = \"Authorization: %s\"\nheader = \"DPoP: %s\"\n", authorization, proof)
	if ca := c.Profile().CA; ca != "" {
		file := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(file, []byte(ca), 0o600); err != nil {
			return fmt.Errorf("writing for curl: %w", err)
		}
		text += fmt.Sprintf("cacert = %q\n", file)
	}
	dumps := !hasOption(args, 'D', "dump-header")
	if dumps {
		text += fmt.Sprintf("dump-header = %q\n", headers)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing for curl: %w", err)
	}
	run := exec.CommandContext(cmd.Context(), program, append([]string{"--config", config, "--globoff"}, append(args, "--", address)...)...)
	run.Stdin, run.Stdout, run.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	err = run.Run()
	if dumps {
		wordChallenge(cmd, c, headers)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &exitError{exit.ExitCode()}
	}
	return err
}

// exitError ends the program with another program's exit status.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("curl ended with status %d", e.code) }

// wordChallenge says what to do when the gateway asks for something first.
func wordChallenge(cmd *cobra.Command, c *client.Client, headers string) {
	b, err := os.ReadFile(headers)
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)) != "Www-Authenticate" {
			continue
		}
		gate := c.Profile().Gate
		switch {
		case strings.Contains(value, `error="insufficient_user_authentication"`):
			fmt.Fprintf(cmd.ErrOrStderr(), "ringfence: a fresher code is needed: run 'ringfence login %s' again.\n", gate)
			return
		case strings.Contains(value, `error="use_dpop_nonce"`), strings.Contains(value, `error="invalid_dpop_proof"`):
			fmt.Fprintln(cmd.ErrOrStderr(), "ringfence: the proof was refused. Is this computer's clock right, and the address written as the gateway has it?")
			return
		case strings.Contains(value, `error="invalid_token"`):
			fmt.Fprintf(cmd.ErrOrStderr(), "ringfence: the token was refused: run 'ringfence login %s' again.\n", gate)
			return
		}
	}
}

// Options of curl that take a value, of those that matter here.
const curlShortValues = "AbcCdDeEFHhKmoPQrtTuUwxXyYz"

var curlLongValues = map[string]bool{"request": true, "data": true, "data-ascii": true, "data-binary": true, "data-raw": true, "data-urlencode": true,
	"json": true, "form": true, "form-string": true, "upload-file": true, "header": true, "output": true, "user-agent": true, "referer": true, "cookie": true,
	"max-time": true, "connect-timeout": true, "range": true, "write-out": true, "dump-header": true, "proxy": true, "retry": true, "limit-rate": true}

// curlMethod returns the method that curl will use, and refuses what a proof
// for one request cannot cover.
func curlMethod(args []string) (string, error) {
	method, asked, get := http.MethodGet, "", false
	use := func(name, value string) error {
		switch name {
		case "L", "location", "location-trusted":
			return usagef("%s: a proof is for one address: follow the redirect yourself, or use 'ringfence connect'", "--location")
		case ":", "next", "url", "K", "config":
			return usagef("--%s: ringfence curl takes one address, and no further configuration", strings.TrimPrefix(name, "--"))
		case "X", "request":
			asked = value
		case "I", "head":
			method = http.MethodHead
		case "G", "get":
			get = true
		case "T", "upload-file":
			method = http.MethodPut
		case "d", "data", "data-ascii", "data-binary", "data-raw", "data-urlencode", "json", "F", "form", "form-string":
			method = http.MethodPost
		}
		return nil
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		next := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch {
		case strings.HasPrefix(a, "--"):
			name, value := a[2:], ""
			if curlLongValues[name] {
				value = next()
			}
			if err := use(name, value); err != nil {
				return "", err
			}
		case len(a) > 1 && a[0] == '-':
			for j := 1; j < len(a); j++ {
				value, takes := "", strings.IndexByte(curlShortValues, a[j]) >= 0
				if takes {
					if value = a[j+1:]; value == "" {
						value = next()
					}
				}
				if err := use(a[j:j+1], value); err != nil {
					return "", err
				}
				if takes {
					break
				}
			}
		case strings.Contains(a, "://"):
			return "", usagef("ringfence curl takes one address, the first argument: %q is another", plain(a))
		}
	}
	if get {
		method = http.MethodGet
	}
	if asked != "" {
		method = asked
	}
	return method, nil
}

func hasOption(args []string, short byte, long string) bool {
	for _, a := range args {
		if a == "--"+long || len(a) > 1 && a[0] == '-' && a[1] == short {
			return true
		}
	}
	return false
}
