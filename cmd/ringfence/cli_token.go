package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/client"
)

func newToken() *cobra.Command {
	var dpop bool
	var method, address string
	cmd := &cobra.Command{
		Use: "token CLUSTER", Short: "Print a token for a tool that cannot ask for one", Args: exactly("a CLUSTER"),
		Long: "Token prints a bearer token for one cluster: good for at most 15 minutes and from this\n" +
			"network only, since the tool cannot prove this computer's key. With --dpop it prints\n" +
			"the two headers of one request instead, for a token that is bound to the key.\n" +
			"CLUSTER is its name or address. Give the output to the tool through a variable or a\n" +
			"pipe, never as an argument.",
		Example: "  ringfence token claims\n  ringfence token https://claims.example.com/\n" +
			"  ringfence token claims --dpop --method POST --url https://claims.example.com/work/7",
		RunE: func(cmd *cobra.Command, args []string) error {
			if dpop != (address != "") {
				return usagef("--dpop and --url go together: a proof is for one address")
			}
			c, base, err := openCluster(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !dpop {
				t, err := c.Token(cmd.Context(), base, true)
				if err != nil {
					return tokenHint(err, c)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), t.Secret)
				return err
			}
			authorization, proof, err := c.Headers(cmd.Context(), base, strings.ToUpper(method), address)
			if err != nil {
				return tokenHint(err, c)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Authorization: %s\nDPoP: %s\n", authorization, proof)
			return err
		},
	}
	cmd.Flags().BoolVar(&dpop, "dpop", false, "print the headers of one request, bound to this computer's key")
	cmd.Flags().StringVar(&method, "method", "GET", "`method` of that request")
	cmd.Flags().StringVar(&address, "url", "", "`address` of that request")
	return cmd
}

func tokenHint(err error, c *client.Client) error {
	if errors.Is(err, client.ErrSignedOut) {
		return signedOutHint(err, c.Profile().Gate)
	}
	return err
}

func newGitCredential() *cobra.Command {
	return &cobra.Command{
		Use: "git-credential get|store|erase", Short: "Give git a token when it asks", Args: exactly("get, store or erase"),
		Long: "Git-credential is a credential helper (gitcredentials(7)). Tell git to use it for a\n" +
			"cluster's address, and clone as usual: git gets a token of at most 15 minutes that is\n" +
			"good from this network only. Where the gate has an authority of its own, tell git of it\n" +
			"with http.ADDRESS.sslCAInfo.",
		Example: "  git config --global credential.https://claims.example.com.helper '!ringfence git-credential'\n" +
			"  ringfence git-credential get",
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := readCredential(cmd.InOrStdin())
			if err != nil {
				return err
			}
			address := asked["protocol"] + "://" + asked["host"] + "/"
			profiles, err := client.Profiles()
			if err != nil {
				return err
			}
			switch args[0] {
			case "get":
				return giveCredential(cmd, profiles, address)
			case "erase": // git was refused with it
				for _, p := range profiles {
					if c, err := client.Open(p, userAgent()); err == nil && p.Knows(address) {
						base, err := c.Find(cmd.Context(), address)
						if err != nil {
							return err
						}
						return c.Forget(base, true)
					}
				}
			}
			return nil // git may learn further words; a helper passes over what it does not know
		},
	}
}

// giveCredential answers git. For hosts that are not clusters it says nothing,
// so that git asks its other helpers.
func giveCredential(cmd *cobra.Command, profiles []client.Profile, address string) error {
	for _, p := range profiles {
		if !p.Knows(address) {
			continue
		}
		c, err := client.Open(p, userAgent())
		if errors.Is(err, client.ErrSignedOut) {
			return signedOutHint(err, p.Gate)
		}
		if err != nil {
			return err
		}
		base, err := c.Find(cmd.Context(), address)
		if err != nil {
			return err
		}
		t, err := c.Token(cmd.Context(), base, true)
		if err != nil {
			return tokenHint(err, c)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "username=ringfence\npassword=%s\npassword_expiry_utc=%d\n", t.Secret, t.Expires.Unix())
		return err
	}
	return nil
}

// readCredential reads git's question: lines of key=value up to an empty one.
func readCredential(r io.Reader) (map[string]string, error) {
	out := map[string]string{}
	s := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for s.Scan() && s.Text() != "" {
		key, value, ok := strings.Cut(s.Text(), "=")
		if !ok {
			return nil, fmt.Errorf("reading what git asks: a line has no equals sign")
		}
		out[key] = value
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading what git asks: %w", err)
	}
	return out, nil
}
