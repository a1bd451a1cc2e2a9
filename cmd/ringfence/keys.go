package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/store"
)

func newKeys() *cobra.Command {
	cmd := group("keys", "List and rotate the keys that sign and encrypt",
		"Signing keys (session, assertion, device) are made and replaced by the gateway; what an old\n"+
			"one signed stays good until that ends. The root key encrypts secrets in the store; the\n"+
			"operator keeps it. The access log's key is another matter and is not here.")
	cmd.AddCommand(newKeysList(), newKeysRotate())
	return cmd
}

// keyLine is one key as 'keys list' prints it. Nothing of the key itself is here.
type keyLine struct {
	Purpose string    `json:"purpose"` // session, assertion, device or root
	ID      string    `json:"id"`
	Created time.Time `json:"created,omitzero"` // root: first seen
	State   string    `json:"state"`            // signs, honoured; root: seals, opens, unused
	Until   time.Time `json:"until,omitzero"`   // signs: replaced then; honoured: ends then
	Secrets *int      `json:"secrets,omitempty"`
}

func keyLines(ctx context.Context, d *deployment) ([]keyLine, error) {
	keys, err := d.auth.Keys(ctx)
	if err != nil {
		return nil, err
	}
	var out []keyLine
	for _, k := range keys {
		state := "honoured"
		if k.Signs {
			state = "signs"
		}
		out = append(out, keyLine{Purpose: k.Purpose, ID: k.ID, Created: k.Created, State: state, Until: k.Until})
	}
	counts, err := d.auth.Sealed(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := d.db.RootKeys(ctx)
	if err != nil {
		return nil, err
	}
	roots := map[string]keyLine{d.auth.RootKey(): {Purpose: "root", ID: d.auth.RootKey(), State: "seals"}}
	for id := range counts {
		if id != d.auth.RootKey() {
			roots[id] = keyLine{Purpose: "root", ID: id, State: "opens"}
		}
	}
	for _, k := range seen {
		l, ok := roots[k.ID]
		if !ok {
			l = keyLine{Purpose: "root", ID: k.ID, State: "unused"}
		}
		l.Created = k.Seen
		roots[k.ID] = l
	}
	lines := slices.SortedFunc(maps.Values(roots), func(a, b keyLine) int { return a.Created.Compare(b.Created) })
	for _, l := range lines {
		n := counts[l.ID]
		l.Secrets = &n
		out = append(out, l)
	}
	return out, nil
}

func newKeysList() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List keys by purpose and id, and until when they are good", Args: exactly(),
		Example: "  ringfence keys list --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			lines, err := keyLines(cmd.Context(), d)
			if err == nil && asJSON {
				err = printLines(cmd.OutOrStdout(), lines)
			} else if err == nil {
				err = sayKeys(cmd.OutOrStdout(), lines)
			}
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func sayKeys(out io.Writer, lines []keyLine) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PURPOSE\tID\tSINCE\tSTATE")
	for _, l := range lines {
		state := ""
		switch l.State {
		case "signs":
			state = "signs now, replaced by itself on " + stamp(l.Until)
		case "honoured":
			state = "signs no more, honoured until " + stamp(l.Until)
		case "seals":
			state = fmt.Sprintf("encrypts now, %s", plural(*l.Secrets, "secret"))
		case "opens":
			state = fmt.Sprintf("%s still under it: run 'ringfence keys rotate root'", plural(*l.Secrets, "secret"))
		default:
			state = "nothing is under it any more"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Purpose, plain(l.ID), stamp(l.Created), state)
	}
	return w.Flush()
}

func newKeysRotate() *cobra.Command {
	var t target
	var revoke string
	cmd := &cobra.Command{
		Use: "rotate [session|assertion|device|root|all]", Short: "Put new keys in force, or void what a stolen one signed",
		Long: "Rotate makes a new signing key of the purpose, which a running gateway uses within a\n" +
			"second. Nobody is signed out: what the old key signed is honoured until it ends. With\n" +
			"root it encrypts every secret of the store under root_key that is under one of\n" +
			"old_root_keys, while people go on signing in; interrupted, it goes on where it was. With\n" +
			"all it does both.\n\n" +
			"With --revoke ID a key is taken away at once, for one that somebody else may have: what it\n" +
			"signed is void, and revoking a session key ends every session.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && revoke != "" {
				return usagef("name one purpose, or --revoke ID alone")
			}
			if revoke == "" && (len(args) == 0 || args[0] != "root" && args[0] != "all" && !slices.Contains(auth.Purposes, args[0])) {
				return usagef("which keys? There are session, assertion, device, root and all")
			}
			return nil
		},
		Example: "  ringfence keys rotate session --config /etc/ringfence/config.yaml\n" +
			"  ringfence keys rotate root --config /etc/ringfence/config.yaml\n" +
			"  ringfence keys rotate --revoke 5d1f0c2b7a984e3d8f6b0a1c2d3e4f50 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			// A new signing key is sealed as well, and the gateway must open it.
			if err = gatewayHasRootKey(cmd.Context(), d); err == nil && revoke != "" {
				err = revokeKey(cmd, d, revoke)
			} else if err == nil {
				err = rotateKeys(cmd, d, args[0])
			}
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&revoke, "revoke", "", "take away the signing key with this `id`")
	return cmd
}

func revokeKey(cmd *cobra.Command, d *deployment, id string) error {
	k, err := d.auth.RevokeKey(cmd.Context(), authOperator, id)
	if errors.Is(err, auth.ErrNotFound) {
		return &hintError{fmt.Errorf("no signing key has the id %s", plain(id)), "See them with 'ringfence keys list'. A root key is changed in the configuration; see 'ringfence keys rotate --help'."}
	}
	if err != nil {
		return err
	}
	if err := d.settle(cmd.Context()); err != nil {
		return err
	}
	words := "What it signed is void."
	if k.Purpose == auth.Purposes[0] {
		words = "What it signed is void, and every session has ended."
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "The %s key %s is revoked. %s\n", k.Purpose, k.ID, words)
	return nil
}

func rotateKeys(cmd *cobra.Command, d *deployment, which string) error {
	for _, purpose := range auth.Purposes {
		if which != purpose && which != "all" {
			continue
		}
		k, err := d.auth.RotateKey(cmd.Context(), authOperator, purpose)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s signs now, until %s at the latest.\n", purpose, k.ID, stamp(k.Until))
	}
	if which == "root" || which == "all" {
		if err := reseal(cmd, d); err != nil {
			return err
		}
	}
	return d.settle(cmd.Context())
}

// reseal encrypts the store's secrets under the root key of the configuration.
func reseal(cmd *cobra.Command, d *deployment) error {
	ctx := cmd.Context()
	if err := d.db.NoteRootKey(ctx, d.auth.RootKey(), false); err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "Encrypting")
	done, err := d.auth.Reseal(ctx, authOperator, func(n, of int) { bar.step(uint64(n), uint64(of)) })
	bar.end()
	if err != nil {
		return &hintError{err, "What was done stays done. Run the command again: it goes on where it was."}
	}
	if done.Values == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "root: every secret is under %s already.\n", d.auth.RootKey())
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "root: %s encrypted under %s. Now take old_root_keys out of the configuration, and keep the old key only for backups from before.\n", plural(done.Values, "secret"), d.auth.RootKey())
	return nil
}

// gatewayHasRootKey waits for a running gateway to take over the root key:
// re-sealing before that would lock it out of its own secrets.
func gatewayHasRootKey(ctx context.Context, d *deployment) error {
	deadline := time.Now().Add(settleWait)
	for accesslog.InUse(d.paths.log()) {
		seen, err := d.db.RootKeys(ctx)
		if err != nil {
			return err
		}
		var newest store.RootKey
		for _, k := range seen {
			if k.Taken.After(newest.Taken) {
				newest = k
			}
		}
		if newest.ID == d.auth.RootKey() {
			return nil
		}
		if time.Now().After(deadline) {
			return &hintError{fmt.Errorf("the running gateway still encrypts under the root key %s, and the configuration says %s", newest.ID, d.auth.RootKey()),
				"Does it run with this configuration? It takes over root_key and old_root_keys by itself or with SIGHUP, and says in its log why not.\nAn environment variable reaches it only with a restart."}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
