package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

type replayFlags struct {
	target
	since, until string
	ask          studio.ReplayRequest
	engine       bool
	asJSON       bool
}

func newPolicyReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use: "replay [FOLDER]", Short: "Decide recorded requests again under a policy folder",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.engine && len(args) > 0:
				return usagef("--engine replays the deployment's own policies: name no FOLDER with it")
			case !f.engine && len(args) != 1:
				return usagef("name a FOLDER, or --engine")
			}
			return nil
		},
		Long: "Replay decides the requests of the access log under the folder's policies and under the\n" +
			"deployment's, and shows which decisions differ: by account, vendor, cluster, route and\n" +
			"reasons. Requests that cannot be replayed exactly are counted with the cause.\n\n" +
			"With --engine it compares the decisions that the log holds with what this build of\n" +
			"Ringfence decides under the same policies: run it with the new build before an upgrade.\n\n" +
			"It works whether or not the gateway runs, in a process of low priority, and is itself\n" +
			"recorded in the access log. It exits 0 whether or not decisions differ.",
		Example: "  ringfence policy replay deploy/policy --since 7d --config /etc/ringfence/config.yaml\n" +
			"  ringfence policy replay deploy/policy --since 24h --cluster claims --json --data demo\n" +
			"  ringfence policy replay --engine --since 30d --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.target.flags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "7d", "from this `time` on: 2026-11-22, 2026-11-22T08:00:00Z, or 2h, 7d ago; empty: from the beginning")
	flags.StringVar(&f.until, "until", "", "before this `time`")
	flags.StringVar(&f.ask.Account, "account", "", "requests of one account: `id or address`")
	flags.StringVar(&f.ask.Vendor, "vendor", "", "requests of one vendor: its `name`")
	flags.StringVar(&f.ask.Cluster, "cluster", "", "requests to one cluster: its `name`")
	flags.BoolVar(&f.ask.Afresh, "afresh", false, "decide under the deployment's policies too, instead of believing what is recorded")
	flags.BoolVar(&f.engine, "engine", false, "compare recorded decisions with those that this build takes")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (f *replayFlags) run(cmd *cobra.Command, args []string) error {
	ctx, now := cmd.Context(), time.Now().UTC()
	var err error
	if f.ask.Since, err = parseWhen(f.since, now); err != nil {
		return usagef("--since %w", err)
	}
	if f.ask.Until, err = parseWhen(f.until, now); err != nil {
		return usagef("--until %w", err)
	}
	if !f.engine {
		src, err := rego.ReadFolder(args[0])
		if err != nil {
			return err
		}
		f.ask.New = src
	}
	d, err := openDeployment(ctx, &f.target)
	if err != nil {
		return err
	}
	err = f.prepare(ctx, d)
	if err == nil {
		err = recordRead(ctx, d, "log.replay", describe(cmd))
	}
	if err := errors.Join(err, d.close()); err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "Replaying")
	runner := studio.New(studio.Config{Command: policyWorker, Logger: slog.New(slog.DiscardHandler)})
	got, err := runner.Replay(ctx, f.ask, func(p studio.Progress) { bar.step(uint64(p.Done), uint64(p.Total)) })
	bar.end()
	if err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(got)
	}
	return printReplay(cmd.OutOrStdout(), &got)
}

// prepare finds the log and the policies to compare with.
func (f *replayFlags) prepare(ctx context.Context, d *deployment) (err error) {
	f.ask.Log = d.paths.log()
	if f.ask.Before, err = logEnd(ctx, f.ask.Log); err != nil {
		return err
	}
	if !f.engine {
		f.ask.Old, err = policySource(ctx, d.cfg, d.db)
		return err
	}
	f.ask.Recorded, err = recordedPolicies(ctx, d)
	return err
}

// recordedPolicies returns the sets that entries can name, by revision. Published
// ones that no start has noted are offered too: what they are called is found
// out when they are compiled.
func recordedPolicies(ctx context.Context, d *deployment) (map[string]map[string]string, error) {
	loaded, err := d.db.LoadedPolicies(ctx)
	if err != nil {
		return nil, err
	}
	sets, noted := map[string]map[string]string{}, map[int64]bool{}
	for _, p := range loaded {
		sets[p.Revision] = p.Modules
		noted[p.Policies] = true
	}
	changes := d.db.Changes(changesConfig(d.cfg))
	revisions, err := changes.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range revisions {
		if noted[r.ID] {
			continue
		}
		whole, err := changes.Revision(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		sets[fmt.Sprintf("policy:%d", r.ID)] = whole.Modules
	}
	sets["none"] = nil // the stock policies alone
	return sets, nil
}

// unfitWords say why requests were not replayed.
var unfitWords = map[string]string{
	studio.UnfitContract: "their input is of another version of the contract",
	studio.UnfitEarlier:  "recorded before whole inputs were kept",
	studio.UnfitWithheld: "a policy reads what is not kept",
	studio.UnfitFacts:    "the facts behind them cannot be read",
	studio.UnfitLarge:    "refused for their size",
	studio.UnfitRevision: "the policies that decided them are not known",
	studio.UnfitTimeout:  "refused because the policies took too long",
	studio.UnfitPolicies: "the policies that decided them do not compile with this build",
}

func printReplay(w io.Writer, r *studio.ReplayResult) error {
	var b strings.Builder
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "%-8s %6d  %s  %s/%s  %s -> %s  entries %s\n", g.Kind, g.Count, plain(orDash(g.Email)), plain(orDash(g.Cluster)), plain(orDash(g.Route)),
			outcomeWords(g.Old), outcomeWords(g.New), entryNumbers(g.Entries, g.Count))
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "and %s in further groups\n", plural(r.More, "decision"))
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Unfit)) {
		fmt.Fprintf(&b, "%s not replayed: %s", plural(r.Unfit[cause], "request"), unfitWords[cause])
		if cause == studio.UnfitWithheld {
			fmt.Fprintf(&b, " (%s)", plain(strings.Join(slices.Sorted(maps.Keys(r.Withheld)), ", ")))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s decided again in %v: %d allowed now and not before, %d allowed before and not now, %d with other reasons or obligations\n",
		plural(r.Replayed, "request"), r.Took.Round(time.Millisecond), r.Widened, r.Narrowed, r.Reworded)
	_, err := io.WriteString(w, b.String())
	return err
}

func outcomeWords(o studio.ReplayOutcome) string {
	s := o.Effect.String()
	if len(o.Reasons) > 0 {
		s += " (" + plain(strings.Join(o.Reasons, ", ")) + ")"
	}
	if o.Effect == policy.Allow && o.Obligations != nil {
		b, _ := json.Marshal(o.Obligations) // plain values cannot fail
		s += " " + plain(string(b))
	}
	return s
}

func entryNumbers(all []uint64, count int) string {
	few := all[:min(len(all), 3)]
	s := strings.Trim(fmt.Sprint(few), "[]")
	if count > len(few) {
		s += " …"
	}
	return s
}
