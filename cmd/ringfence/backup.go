package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/durable"
)

// backupParts are the folders of a data folder that a backup copies beside the
// store and the access log.
var backupParts = []string{"keys", "certs"}

func newBackup() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "backup FOLDER", Short: "Copy a deployment's state into a new folder, also while it runs", Args: exactly("a FOLDER"),
		Long: "Backup copies the store, the keys, the certificates and the access log with the keys of\n" +
			"its personal fields. The folder holds every secret of the deployment: keep it as safe as\n" +
			"the deployment itself. Whoever was erased can be read in a backup from before, so remove\n" +
			"those, and repeat 'ringfence account erase' after restoring one.",
		Example: "  ringfence backup /mnt/backup/2026-11-22 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			err = func() error {
				if err := os.Mkdir(args[0], 0o700); err != nil {
					return fmt.Errorf("making the backup's folder: %w", err)
				}
				if err := d.db.Backup(cmd.Context(), paths{args[0]}.db()); err != nil {
					return err
				}
				for _, part := range backupParts {
					if err := copyTree(filepath.Join(d.cfg.Data, part), filepath.Join(args[0], part)); err != nil {
						return err
					}
				}
				if err := copyLog(d.paths.log(), paths{args[0]}.log()); err != nil {
					return err
				}
				return copyPersonal(d.paths.log(), paths{args[0]}.log())
			}()
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Backed up %s to %s.\n", d.cfg.Data, args[0])
			return nil
		},
	}
	t.flags(cmd)
	return cmd
}

func newRestore() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "restore FOLDER", Short: "Put a backup into the empty data folder of a configuration", Args: exactly("a FOLDER"),
		Long: "Restore copies a backup into the configuration's data folder, which must not exist or\n" +
			"be empty. The access log goes on after the backup's last entry; entries written after\n" +
			"the backup are not in it, so keep the old log as well and compare checkpoints.",
		Example: "  ringfence restore /mnt/backup/2026-11-22 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("whose data folder? Name the configuration with --config FILE")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if _, err := os.Stat(paths{args[0]}.db()); err != nil {
				return fmt.Errorf("reading the backup: %w", err)
			}
			if entries, err := os.ReadDir(cfg.Data); err == nil && len(entries) > 0 {
				return &hintError{fmt.Errorf("restoring: %s is not empty", cfg.Data), "Move it away first; restore never overwrites."}
			}
			if err := copyTree(args[0], cfg.Data); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Restored %s to %s.\n", args[0], cfg.Data)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration `file` of the deployment")
	return cmd
}

// copyLog copies the access log while it may be written. The segments go last:
// what the copied checkpoints vouch for is in them then. What the log makes
// anew (spare segments, locks, half-written files) is left out, and may vanish
// at any time.
func copyLog(from, to string) error {
	if err := durable.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("copying the access log: %w", err)
	}
	var first, segments []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.Type().IsRegular() || name == "lock" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "spare-"):
		case strings.HasSuffix(name, ".segment"):
			segments = append(segments, name)
		case name != "checkpoint" && name != "removed":
			first = append(first, name)
		}
	}
	// The newest checkpoint before everything: the others only grow. But what says
	// which entries were removed must be no newer than it; a file that is removed
	// after that ends the copying.
	for _, name := range []string{"checkpoint", "removed"} {
		if _, err := os.Stat(filepath.Join(from, name)); err == nil {
			first = append([]string{name}, first...)
		}
	}
	copied := map[string]bool{}
	for _, name := range append(first, segments...) {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
		copied[name] = true
	}
	// A segment begun meanwhile may hold what a checkpoint copied meanwhile vouches for.
	later, err := filepath.Glob(filepath.Join(from, "*.segment"))
	if err != nil {
		return err
	}
	for _, name := range later {
		if base := filepath.Base(name); !copied[base] {
			if err := copyFile(name, filepath.Join(to, base)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyPersonal copies the keys of the personal fields in a log, after the log: an
// entry comes later than its keys.
func copyPersonal(from, to string) error {
	folder := accesslog.PersonalFolder(from)
	all, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("copying the keys of personal fields: %w", err)
	}
	if err := durable.Mkdir(accesslog.PersonalFolder(to), 0o700); err != nil {
		return err
	}
	for _, e := range all {
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") { // a file that is being written
			continue
		}
		err := copyFile(filepath.Join(folder, e.Name()), filepath.Join(accesslog.PersonalFolder(to), e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // erased just now
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return durable.WriteFile(to, b, 0o600)
}

// copyTree copies regular files and folders, private to the owner, synced.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("copying %s: %w", path, err)
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		switch {
		case e.IsDir():
			return durable.Mkdir(dst, 0o700)
		case !e.Type().IsRegular():
			return nil // locks and sockets are made anew
		}
		return copyFile(path, dst)
	})
}
