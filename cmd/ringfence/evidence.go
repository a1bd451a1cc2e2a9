package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/evidence"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// evidenceSource joins bundles of evidence to a deployment. older are
// checkpoints that were kept elsewhere.
func evidenceSource(ctx context.Context, cfg *config.Config, db *store.DB, older [][]byte) (evidence.Source, error) {
	p := paths{cfg.Data}
	src := evidence.Source{Log: p.log(), Gate: gateURL(cfg).String(), Organisation: cfg.Organisation.Name, Older: older, Temp: cfg.Data,
		Sign: changesConfig(cfg).Sign}
	if len(cfg.AccessLog.Witnesses) > 0 {
		cosigned, err := os.ReadFile(p.witnessed())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return src, fmt.Errorf("reading the cosigned checkpoint: %w", err)
		}
		src.Cosigned = cosigned
	}
	for _, w := range cfg.AccessLog.Witnesses {
		src.Witnesses = append(src.Witnesses, strings.TrimSpace(w.Key))
	}
	loaded, err := db.LoadedPolicies(ctx)
	if err != nil {
		return src, err
	}
	changes := db.Changes(changesConfig(cfg))
	src.Policies = func(ctx context.Context, revision string) (map[string]string, []byte, error) {
		for i := range loaded {
			files := rego.Texts(loaded[i].Modules)
			if loaded[i].Revision != revision || policy.Revision(files) != revision {
				continue // the rules beside the administrators' are of another build
			}
			if loaded[i].Policies == 0 {
				return files, nil, nil
			}
			r, err := changes.Revision(ctx, loaded[i].Policies)
			return files, r.Statement, err
		}
		if files := rego.Texts(nil); policy.Revision(files) == revision {
			return files, nil, nil
		}
		return nil, nil, nil
	}
	stater := stater{cfg, db}
	src.Agreements = func(ctx context.Context, account string) ([]byte, error) {
		b, err := stater.make(ctx, stated{account: account}, "evidence")
		if errors.Is(err, errNoAcceptance) {
			return nil, nil
		}
		return b, err
	}
	return src, nil
}

// consoleEvidence makes bundles for the console's exports.
type consoleEvidence struct{ g *gateway }

// Bundle implements [console.Evidence].
func (e consoleEvidence) Bundle(ctx context.Context, out io.Writer, q evidence.Question, progress func(int)) (*evidence.Manifest, error) {
	cfg := e.g.cfg.Load()
	src, err := evidenceSource(ctx, cfg, e.g.db, nil)
	if err != nil {
		return nil, err
	}
	if err := awaitSigned(ctx, src.Log); err != nil {
		return nil, err
	}
	ctx, progress, done := whileRoom(ctx, e.g.log.Space, progress)
	defer done()
	return evidence.Write(ctx, out, src, q, progress)
}

// errLittleRoom ends a bundle that would take what the log needs.
var errLittleRoom = errors.New("the data folder's disk is almost full, and the access log needs what is left")

// whileRoom returns ctx and progress for a bundle that ends once the disk is
// almost full: its parts lie on the log's disk until it is put together.
func whileRoom(ctx context.Context, space func() accesslog.Space, progress func(int)) (context.Context, func(int), func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	look := func(n int) {
		if space().Level == accesslog.SpaceCritical {
			cancel(errLittleRoom)
		}
		progress(n)
	}
	look(0)
	return ctx, look, func() { cancel(nil) }
}

func newLogEvidence() *cobra.Command {
	var t target
	var file string
	var against []string
	cmd := &cobra.Command{
		Use: "evidence [QUERY…]", Short: "Write one file with entries and everything that proves them", Args: cobra.ArbitraryArgs,
		Long: "Evidence writes a bundle: the entries that a query selects, each with its proof, the\n" +
			"signed checkpoint with the cosignatures of witnesses, the facts and policies that the\n" +
			"entries name, what the people concerned had accepted, the public keys, and a page that\n" +
			"says how to check it all without any program. 'ringfence log verify FILE' checks it on a\n" +
			"machine that has nothing else. Without a QUERY the bundle holds every entry.",
		Example: "  ringfence log evidence account:kim since:30d --out kim.zip --config /etc/ringfence/config.yaml\n" +
			"  ringfence log evidence 'cluster:claims effect:deny' --against checkpoint-of-may --out denied.zip --data demo",
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("where to? Name a new file with --out FILE")
			}
			n, err := query.Parse(strings.Join(args, " "))
			if err != nil {
				return usagef("QUERY: %w", err)
			}
			older, err := readFiles(against, "the checkpoint to compare with")
			if err != nil {
				return err
			}
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			return errors.Join(writeEvidence(cmd, d, evidence.Ask(n, time.Now().UTC()), older, file), d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVarP(&file, "out", "o", "", "the new `file` to write")
	cmd.Flags().StringArrayVar(&against, "against", nil, "`file` with a checkpoint that was kept elsewhere, to be proven continued; again for more")
	return cmd
}

func readFiles(names []string, what string) (out [][]byte, err error) {
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", what, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// writeEvidence records the reading, then writes the bundle whole or not at all.
func writeEvidence(cmd *cobra.Command, d *deployment, q evidence.Question, older [][]byte, file string) (err error) {
	ctx := cmd.Context()
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("creating the bundle: %s is there already", file)
	}
	src, err := evidenceSource(ctx, d.cfg, d.db, older)
	if err != nil {
		return err
	}
	q.MadeFor = operator.Account
	r := &policy.Record{Type: policy.RecordLog, Time: q.Now, Action: "log.evidence", Result: "ok", Actor: operator.Account,
		Detail: map[string]string{"query": q.Query}}
	if err := d.db.Enqueue(ctx, r); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := awaitSigned(ctx, src.Log); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("creating the bundle: %w", err)
	}
	defer os.Remove(tmp.Name())
	bar := newProgress(cmd.ErrOrStderr(), "Bundling")
	m, err := evidence.Write(ctx, tmp, src, q, func(n int) { bar.step(uint64(n), 0) })
	bar.end()
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), file) // fails where a file has come meanwhile
	}
	if errors.Is(err, evidence.ErrNothing) || errors.Is(err, evidence.ErrTooMany) {
		err = &hintError{err, "Look with 'ringfence log query' what the query selects, and ask otherwise."}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s holds %s of %d, all that match below the checkpoint of %d.\nCheck it anywhere with: ringfence log verify %s --key log.pub\n",
		file, countEntries(m.Entries), m.Size, m.Size, file)
	for _, what := range m.Without {
		fmt.Fprintf(cmd.ErrOrStderr(), "It does not hold %s: this is not known here any more.\n", plain(what))
	}
	return nil
}

// signedWait is how long a checkpoint of what was just recorded is waited for.
const signedWait = 5 * time.Second

// awaitSigned waits until a checkpoint covers what is in the log now. A gateway
// that is stuck may never sign one: then what is covered must do.
func awaitSigned(ctx context.Context, dir string) error {
	end, err := logEnd(ctx, dir)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(signedWait); time.Now().Before(deadline); {
		p, err := accesslog.NewProver(dir)
		if err != nil || p.Size() >= end {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// verifyBundle checks a bundle with what the person brings along.
func verifyBundle(cmd *cobra.Command, file, keyFile string, witnessFiles, against []string, asJSON bool) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("reading the bundle: %w", err)
	}
	if info.IsDir() {
		return usagef("%s is a folder: a bundle is a file, and a copied log is named with --log", file)
	}
	trust := evidence.Trust{}
	if keyFile != "" {
		b, err := os.ReadFile(keyFile)
		if err != nil {
			return fmt.Errorf("reading the log's public key: %w", err)
		}
		if err := accesslog.CheckPublicKey(string(b)); err != nil {
			return fmt.Errorf("reading the log's public key from %s: %w", keyFile, err)
		}
		trust.Keys = string(b)
	}
	keys, err := readFiles(witnessFiles, "the public key of a witness")
	if err != nil {
		return err
	}
	for _, b := range keys {
		trust.Witnesses = append(trust.Witnesses, strings.Fields(string(b))...)
	}
	if trust.Older, err = readFiles(against, "the checkpoint to compare with"); err != nil {
		return err
	}
	r, err := evidence.Verify(cmd.Context(), f, info.Size(), trust)
	if err != nil {
		return &hintError{fmt.Errorf("verifying %s: %w", file, err), "Believe nothing of it. Ask for it again where it came from."}
	}
	return sayBundle(cmd, r, asJSON)
}
