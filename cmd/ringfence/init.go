package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/durable"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

func newInit() *cobra.Command {
	var file, email, name, gate, data string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "init", Short: "Make a new deployment and invite its first administrator", Args: exactly(),
		Long: "Init makes the data folder with its keys, store and access log, and prints an\n" +
			"invitation link for the first administrator. Where the configuration file does not\n" +
			"exist yet, --gate and --data write a small one to begin with. It never overwrites.",
		Example: "  ringfence init --config /etc/ringfence/config.yaml --email ada@example.com\n" +
			"  ringfence init --config ringfence.yaml --gate https://gate.example.com --data ./data --email ada@example.com",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" || email == "" {
				return usagef("init needs --config FILE and --email ADDRESS of the first administrator")
			}
			address, err := directory.CanonicalEmail(email)
			if err != nil {
				return usagef("--email %s: %w", email, err)
			}
			if err := starterConfig(file, gate, data); err != nil {
				return err
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if err := makeDeployment(cmd.Context(), cfg); err != nil {
				return err
			}
			d, err := openConfigured(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return errors.Join(firstAdministrator(cmd, d, address, name, asJSON), d.close())
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration `file`")
	f.StringVar(&email, "email", "", "`address` of the first administrator")
	f.StringVar(&name, "name", "", "`name` of the first administrator")
	f.StringVar(&gate, "gate", "", "the gate's `URL`, for a configuration file that does not exist yet")
	f.StringVar(&data, "data", "", "the data `folder`, likewise")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// starterConfig writes a small configuration where there is none.
func starterConfig(file, gate, data string) error {
	_, err := os.Stat(file)
	if !errors.Is(err, fs.ErrNotExist) {
		if err == nil && (gate != "" || data != "") {
			return usagef("%s exists: --gate and --data are for a file that does not", file)
		}
		return err
	}
	if gate == "" || data == "" {
		return &hintError{fmt.Errorf("reading %s: it does not exist", file), "Give --gate URL and --data FOLDER to have a small one written."}
	}
	u, err := url.Parse(gate)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return usagef("--gate %s: write a URL such as https://gate.example.com", gate)
	}
	text := fmt.Sprintf("# Every key is explained in deploy/config.example.yaml.\ngate: %q\ndata: %q\ntls:\n  mode: local\n", gate, data)
	if p := u.Port(); p != "" {
		text += fmt.Sprintf("listen: %q\nhttp_listen: \"\"\n", ":"+p)
	}
	return durable.WriteFile(file, []byte(text), 0o600)
}

// makeDeployment makes folders, keys and store; what exists stays.
func makeDeployment(ctx context.Context, cfg *config.Config) error {
	if err := prepare(cfg); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{Path: paths{cfg.Data}.db(), GateHost: cfg.GateHost()})
	if err != nil {
		return err
	}
	return db.Close()
}

func firstAdministrator(cmd *cobra.Command, d *deployment, email, name string, asJSON bool) error {
	ctx := cmd.Context()
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	dir, _, err := d.db.Directory(ctx)
	if err != nil {
		return err
	}
	for _, a := range dir.Accounts {
		if a.Email != email && a.Status == policy.StatusActive && hasRole(a, policy.Administrator) {
			return &hintError{fmt.Errorf("this deployment has an administrator already: %s", a.Email), "Invite others with 'ringfence account invite', or in the console."}
		}
	}
	if _, err := d.db.Change(ctx, operator, func(dir *directory.Directory) error {
		for _, a := range dir.Accounts {
			if a.Email == email {
				return nil
			}
		}
		dir.Accounts = append(dir.Accounts, directory.Account{Email: email, Name: name, Roles: []policy.Role{policy.Administrator}})
		return nil
	}); err != nil {
		return err
	}
	a, err := findAccount(ctx, d, email)
	if err != nil {
		return err
	}
	i, err := d.auth.InviteWith(ctx, authOperator, a.ID, auth.InviteOptions{})
	if err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := (&passOn{}).on(cmd, d, a, i, asJSON); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "Start the gateway with 'ringfence serve', then open the link.")
	return nil
}

func hasRole(a directory.Account, r policy.Role) bool {
	for _, x := range a.Roles {
		if x == r {
			return true
		}
	}
	return false
}
