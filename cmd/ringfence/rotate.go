package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

const (
	// rotateEvery is how often a running gateway looks for a key that waits.
	rotateEvery = time.Second
	// rotateWait is how long the command waits for it.
	rotateWait = 30 * time.Second
)

// rotateStaged puts in force what 'log rotate-key' has laid beside the keys.
// Each file goes once what it asks for is done, so a crash begins it again.
func rotateStaged(ctx context.Context, p paths, l *accesslog.Log) (changed bool, err error) {
	next, err := os.ReadFile(p.nextLogKey())
	switch {
	case err == nil:
		if err := l.Rotate(ctx, strings.TrimSpace(string(next)), operator.Account); err != nil {
			return false, err
		}
		changed = true
		if err := keepLogKeys(p, func(kept []string) []string {
			if kept[0] == strings.TrimSpace(string(next)) {
				return kept
			}
			return append([]string{strings.TrimSpace(string(next))}, kept...)
		}); err != nil {
			return changed, err
		}
		if err := os.Remove(p.nextLogKey()); err != nil {
			return changed, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("reading the next key of the access log: %w", err)
	}
	if _, err := os.Stat(p.retireLogKey()); errors.Is(err, fs.ErrNotExist) {
		return changed, nil
	} else if err != nil {
		return changed, err
	}
	if err := l.Retire(ctx, operator.Account); err != nil {
		return changed, err
	}
	if err := keepLogKeys(p, func(kept []string) []string {
		for i := 1; i < len(kept); i++ {
			if vkey, err := accesslog.PublicKey(kept[i]); err == nil {
				kept[i] = vkey // what it signed is still checked
			}
		}
		return kept
	}); err != nil {
		return true, err
	}
	return true, os.Remove(p.retireLogKey())
}

// keepLogKeys rewrites the file of the log's keys.
func keepLogKeys(p paths, change func([]string) []string) error {
	b, err := os.ReadFile(p.logKey())
	if err != nil {
		return fmt.Errorf("reading the access log's key: %w", err)
	}
	kept := change(strings.Fields(string(b)))
	return durable.WriteFile(p.logKey(), []byte(strings.Join(kept, "\n")+"\n"), 0o600)
}

// rotations puts keys in force that wait, until ctx ends.
func (g *gateway) rotations(ctx context.Context) error {
	tick := time.NewTicker(rotateEvery)
	defer tick.Stop()
	for {
		changed, err := rotateStaged(ctx, paths{g.cfg.Load().Data}, g.log)
		if changed && g.witness != nil {
			err = errors.Join(err, g.witness.SetKeys(g.log.Keys()))
		}
		if changed && err == nil {
			g.logger.Info("the access log's key has changed", "keys", strings.Count(g.log.Keys(), "\n"))
		}
		if err != nil && ctx.Err() == nil {
			g.logger.Error("changing the access log's key", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func newLogRotateKey() *cobra.Command {
	var t target
	var retire bool
	cmd := &cobra.Command{
		Use: "rotate-key", Short: "Have another key sign the log, or end the older one's signing", Args: exactly(),
		Long: "Rotate-key makes a new key for the log. An entry under the older key names it, and from\n" +
			"then on both sign each checkpoint, so that reviewers and witnesses go on with the key that\n" +
			"they have. Hand them log.pub from the log's folder, which lists both; a witness's operator\n" +
			"takes it with 'ringfence witness trust'. Then end the older one's signing with --retire:\n" +
			"its secret half is removed, and what it signed goes on to verify.",
		Example: "  ringfence log rotate-key --config /etc/ringfence/config.yaml\n  ringfence log rotate-key --retire --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			return errors.Join(rotateKey(cmd, d, retire), d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&retire, "retire", false, "end the signing of every key but the newest")
	return cmd
}

func rotateKey(cmd *cobra.Command, d *deployment, retire bool) error {
	kept, err := os.ReadFile(d.paths.logKey())
	if err != nil {
		return fmt.Errorf("reading the access log's key: %w", err)
	}
	if err := checkKeys(d.cfg); err != nil {
		return err
	}
	signing := strings.Count(string(kept), "PRIVATE+KEY+")
	if retire {
		if signing < 2 {
			return &hintError{errors.New("one key signs, and it is the newest"), "Have another sign first: 'ringfence log rotate-key'."}
		}
		err = durable.WriteFile(d.paths.retireLogKey(), nil, 0o600)
	} else {
		if signing > 1 {
			return &hintError{errors.New("two keys sign already"), "End the older one's signing with 'ringfence log rotate-key --retire' once everybody has the new one."}
		}
		err = writeNew(d.paths.nextLogKey(), func() ([]byte, error) {
			skey, _, err := accesslog.GenerateKey(logOrigin(d.cfg))
			return []byte(skey + "\n"), err
		})
	}
	if err != nil {
		return err
	}
	if err := rotateNow(cmd.Context(), d); err != nil {
		return err
	}
	keys, err := os.ReadFile(d.paths.logPublic())
	if err != nil {
		return fmt.Errorf("reading the public keys: %w", err)
	}
	if _, err := cmd.OutOrStdout().Write(keys); err != nil {
		return err
	}
	if retire {
		fmt.Fprintln(cmd.ErrOrStderr(), "The newest key alone signs from now on.")
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Both keys sign. Hand %s to reviewers, and to each witness's operator for 'ringfence witness trust'.\nThen: ringfence log rotate-key --retire\n", d.paths.logPublic())
	return nil
}

// rotateNow does what is staged where no gateway runs, and waits for one that does.
func rotateNow(ctx context.Context, d *deployment) error {
	for deadline := time.Now().Add(rotateWait); ; {
		_, next := os.Stat(d.paths.nextLogKey())
		_, end := os.Stat(d.paths.retireLogKey())
		if errors.Is(next, fs.ErrNotExist) && errors.Is(end, fs.ErrNotExist) {
			return nil
		}
		l, err := openLog(ctx, d.cfg, d.db, slog.New(slog.DiscardHandler))
		if err == nil {
			return rotateInto(ctx, d, l)
		}
		if !errors.Is(err, accesslog.ErrLocked) {
			return err
		}
		if time.Now().After(deadline) {
			return &hintError{errors.New("the running gateway has not changed the key yet; it will as soon as it can"), "Look at its /readyz and its operational log."}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func rotateInto(ctx context.Context, d *deployment, l *accesslog.Log) error {
	return withLog(ctx, d, l, func() error {
		_, err := rotateStaged(ctx, d.paths, l)
		return err
	})
}

// withLog runs a log that a command opened while do works on it, and closes it.
func withLog(ctx context.Context, d *deployment, l *accesslog.Log, do func() error) error {
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- l.Run(runCtx) }()
	err := do()
	err = errors.Join(err, l.Close())
	if _, aerr := keepAnchor(ctx, d.db, l, nil); err == nil {
		err = aerr
	}
	stop()
	<-done
	return err
}
