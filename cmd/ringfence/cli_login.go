package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/client"
)

func userAgent() string { return "ringfence/" + buildVersion() }

func newLogin() *cobra.Command {
	var caFile, name string
	var noKeyring bool
	cmd := &cobra.Command{
		Use: "login GATE_URL", Short: "Sign this computer in at a gate", Args: exactly("a GATE_URL"),
		Long: "Login shows a code. Open the gate's page in a browser, type the code there and give a\n" +
			"fresh factor: this computer may then ask for tokens until that session's absolute end.\n" +
			"The tokens are worth nothing on another computer. What is kept lies in the system's\n" +
			"keyring, or in files that you alone may read where there is none. Sign out with\n" +
			"'ringfence logout', or on your page of tokens.",
		Example: "  ringfence login https://gate.example.com\n  ringfence login https://gate.localhost:8443 --ca ca.pem",
		RunE: func(cmd *cobra.Command, args []string) error {
			gate, err := client.NormalGate(args[0])
			if err != nil {
				return usagef("%v", err)
			}
			ca, err := readCA(cmd, caFile)
			if err != nil {
				return err
			}
			if name == "" {
				name, _ = os.Hostname() // without one the page says that it gave none
			}
			p := newProgress(cmd.ErrOrStderr(), "")
			c, err := client.Login(cmd.Context(), client.LoginOptions{Gate: gate, CA: ca, Name: name, Program: userAgent(),
				NoKeyring: noKeyring || os.Getenv(client.KeyringVariable) == "off",
				Show: func(q client.Prompt) {
					fmt.Fprintf(cmd.ErrOrStderr(), "Open  %s\nType  %s\n\nType the code only there, and give it to nobody. It is good until %s.\n", plain(q.URL), plain(q.Code), q.Expires.Local().Format("15:04 MST"))
				},
				Waiting: func(left time.Duration) {
					if p.on {
						fmt.Fprintf(cmd.ErrOrStderr(), "\rWaiting for you, %s left\x1b[K", left.Round(time.Second))
						p.shown = time.Now()
					}
				}})
			p.end()
			if err != nil {
				return loginHint(err)
			}
			return greet(cmd, c)
		},
	}
	cmd.Flags().StringVar(&caFile, "ca", "", "certificate `file` of the gate's own authority, from GATE_URL/ca.pem")
	cmd.Flags().StringVar(&name, "name", "", "what this computer is called on the page of approval (default its host name)")
	cmd.Flags().BoolVar(&noKeyring, "no-keyring", false, "keep secrets in files even where a keyring works")
	return cmd
}

func greet(cmd *cobra.Command, c *client.Client) error {
	p := c.Profile()
	fmt.Fprintf(cmd.ErrOrStderr(), "Signed in as %s until %s. What is kept lies in %s.\n", plain(p.Account), p.Ends.Local().Format("2006-01-02 15:04 MST"), c.Where())
	if len(p.Clusters) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "No cluster is open to you at the moment.")
	}
	for _, k := range p.Clusters {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%s\n", plain(k.Name), plain(strings.Join(k.URLs, " ")), plain(k.Title))
	}
	return nil
}

// readCA reads the authority's certificate and shows its fingerprint: it is
// believed because somebody named it, never because the network sent it.
func readCA(cmd *cobra.Command, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the certificate authority: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("reading the certificate authority: %s is no certificate in PEM form", file)
	}
	sum := sha256.Sum256(block.Bytes)
	fmt.Fprintf(cmd.ErrOrStderr(), "Trusting the authority with the SHA-256 fingerprint %s\n", hex.EncodeToString(sum[:]))
	return string(b), nil
}

func loginHint(err error) error {
	f, ok := errors.AsType[*client.Fault](err)
	switch {
	case ok && f.Code == "expired_token":
		return &hintError{err, "Run 'ringfence login' again, and type the code within ten minutes."}
	case ok && f.Code == "access_denied":
		return &hintError{err, "Somebody pressed 'No' on the page of approval. If that was not you, tell an administrator."}
	case strings.Contains(err.Error(), "certificate signed by unknown authority"):
		return &hintError{err, "If the gate has an authority of its own, get its ca.pem from an administrator and name it with --ca FILE."}
	}
	return err
}

func newLogout() *cobra.Command {
	return &cobra.Command{
		Use: "logout [GATE_URL]", Short: "Sign this computer out", Args: cobra.MaximumNArgs(1),
		Long:    "Logout ends this computer's sign-in with all of its tokens, and deletes what is kept of it.",
		Example: "  ringfence logout\n  ringfence logout https://gate.example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := chooseProfile(args)
			if err != nil {
				return err
			}
			c, err := client.Open(p, userAgent())
			if errors.Is(err, client.ErrSignedOut) {
				fmt.Fprintf(cmd.ErrOrStderr(), "The sign-in at %s had ended already.\n", p.Gate)
				return client.ForgetProfile(p)
			}
			if err != nil {
				return err
			}
			if err := c.Logout(cmd.Context()); err != nil {
				return &hintError{err, "It is forgotten here. End it on your page of tokens as well: " + p.Gate + "/tokens"}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Signed out of %s.\n", p.Gate)
			return nil
		},
	}
}

// chooseProfile returns the sign-in that the argument names, or the only one.
func chooseProfile(args []string) (client.Profile, error) {
	all, err := client.Profiles()
	if err != nil {
		return client.Profile{}, err
	}
	want := ""
	if len(args) > 0 {
		if want, err = client.NormalGate(args[0]); err != nil {
			return client.Profile{}, usagef("%v", err)
		}
	}
	for _, p := range all {
		if p.Gate == want || want == "" && len(all) == 1 {
			return p, nil
		}
	}
	if want == "" && len(all) > 1 {
		return client.Profile{}, usagef("this computer is signed in at several gates: name one")
	}
	return client.Profile{}, signedOutHint(client.ErrSignedOut, "")
}

func signedOutHint(err error, gate string) error {
	if gate == "" {
		gate = "GATE_URL"
	}
	return &hintError{err, "Sign it in with 'ringfence login " + gate + "'."}
}

// openCluster finds the sign-in that leads to a cluster, by name or address,
// and the cluster's address.
func openCluster(ctx context.Context, cluster string) (c *client.Client, base string, err error) {
	all, err := client.Profiles()
	if err != nil {
		return nil, "", err
	}
	if len(all) == 0 {
		return nil, "", signedOutHint(client.ErrSignedOut, "")
	}
	known := 0
	for _, p := range all {
		if p.Has(cluster) && time.Now().Before(p.Ends) {
			known++
		}
	}
	if known > 1 { // one of them may only say so, to be given what is meant for the other
		return nil, "", usagef("several gates that this computer is signed in at say that %q is theirs: sign out of the one that you do not mean", cluster)
	}
	err = client.ErrNoCluster
	for _, p := range all {
		opened, oerr := client.Open(p, userAgent())
		if oerr == nil {
			base, oerr = opened.Find(ctx, cluster)
		}
		if oerr == nil {
			return opened, base, nil
		}
		if errors.Is(oerr, client.ErrSignedOut) {
			oerr = signedOutHint(oerr, p.Gate)
		}
		if len(all) == 1 || !errors.Is(oerr, client.ErrNoCluster) {
			err = oerr
		}
	}
	if errors.Is(err, client.ErrNoCluster) {
		err = &hintError{fmt.Errorf("%s: %w", plain(cluster), err), "See what is open to you on the gate's start page."}
	}
	return nil, "", err
}
