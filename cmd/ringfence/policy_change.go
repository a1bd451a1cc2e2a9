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
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A publication is what 'policy publish' and 'policy rollback' are asked for.
type publication struct {
	title, reason string
	draft         bool // for review, instead of in force at once
}

func (p *publication) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.draft, "draft", false, "make a draft that an approver publishes, instead of putting it in force")
}

// changes is change control for commands: checks run in a child process, and
// known is what was found already.
func (d *deployment) changes(known *change.Checked) *store.Changes {
	c := changesConfig(d.cfg)
	quiet := slog.New(slog.DiscardHandler)
	runner := studio.New(studio.Config{Command: policyWorker, Logger: quiet})
	check := checkModules(runner.Check, d.paths.log())
	c.CheckAlone = checkModules(runner.Check, "")
	c.Check = func(ctx context.Context, modules map[string]string) (change.Checked, error) {
		if known != nil && known.Of == policy.Revision(modules) {
			return *known, nil
		}
		return check(ctx, modules)
	}
	c.Alarmed = func(ctx context.Context, a store.Alarm) { alarmed(ctx, d.db, d.post, slog.Default(), a) }
	return d.db.Changes(c)
}

// publish puts a set in force or makes a draft of it, and says what it did.
// Holes are printed on words.
func (d *deployment) publish(ctx context.Context, src rego.Source, p publication, words io.Writer) (string, error) {
	res, err := commandTrial().Check(ctx, studio.CheckRequest{Modules: src, Log: d.paths.log(), Since: time.Now().Add(-knockedOut)})
	if err != nil {
		return "", err
	}
	if err := refuseHoles(res.Knockout); err != nil {
		return "", errors.Join(printKnockout(words, res.Knockout), err)
	}
	if res.LogFault != "" {
		return "", &hintError{fmt.Errorf("looking at recorded denials: %s; nothing has been changed", res.LogFault),
			"No missing field may lift a denial that the access log holds, and the log cannot be read. Look at it with 'ringfence log verify'."}
	}
	if !res.Publishable() {
		return "", errors.New("checking policies: they were refused without a fault")
	}
	found := &change.Checked{Of: policy.Revision(src), Revision: res.Revision, Tests: res.Tests, Coverage: res.Coverage.Percent}
	c := d.changes(found)
	if p.draft {
		draft, err := draftOfFolder(ctx, c, src, p)
		if err != nil {
			return "", changeHint(err)
		}
		return fmt.Sprintf("Draft %d waits for review.", draft.ID), nil
	}
	if _, err := c.PublishAlone(ctx, operator, src, found, p.title, p.reason); err != nil {
		return "", changeHint(err)
	}
	said := fmt.Sprintf("Published revision %s (%s; %s looked at for missing fields", res.Revision, plural(len(src), "file"), plural(res.Knockout.Recorded+res.Knockout.Alike, "recorded denial"))
	if res.Knockout.Cut {
		said += ", not all in the time there is"
	}
	return said + ").", nil
}

// draftOfFolder hands a folder to review. A draft that cannot be handed in is
// given up again.
func draftOfFolder(ctx context.Context, c *store.Changes, src rego.Source, p publication) (change.Draft, error) {
	d, err := c.Begin(ctx, operator, p.title, p.reason)
	if err != nil {
		return d, err
	}
	next, err := func() (change.Draft, error) {
		e := change.Edit{Write: src}
		for _, name := range slices.Sorted(maps.Keys(d.Modules)) {
			if _, stays := src[name]; !stays {
				e.Remove = append(e.Remove, name)
			}
		}
		saved, err := c.Save(ctx, operator, d.ID, d.Version, e)
		if err != nil {
			return d, err
		}
		next, err := c.Submit(ctx, operator, d.ID, saved.Version)
		if err != nil {
			return saved, err
		}
		return next, nil
	}()
	if err != nil {
		return next, errors.Join(err, c.Withdraw(ctx, operator, d.ID, next.Version))
	}
	return next, nil
}

// changeHint adds the next step to what change control refuses.
func changeHint(err error) error {
	switch {
	case errors.Is(err, change.ErrOperatorAlone):
		return &hintError{err, "Make a draft with --draft; an approver publishes it on the console. See policy_changes in the configuration."}
	case errors.Is(err, change.ErrTampered):
		return &hintError{err, tamperedHint}
	case errors.Is(err, change.ErrReadOnly):
		return &hintError{err, "See 'policies' in the configuration."}
	}
	if i, ok := errors.AsType[*change.InvalidError](err); ok && i.Field == "same" {
		return errors.New("nothing would change: this is what is in force")
	}
	return err
}

func newPolicyRollback() *cobra.Command {
	var t target
	var p publication
	cmd := &cobra.Command{
		Use: "rollback [ID]", Short: "Put an earlier policy revision in force again",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes no argument %q", cmd.CommandPath(), args[1])
			}
			return nil
		},
		Long: "Rollback makes a new revision of an earlier one, of the one before the newest where no ID\n" +
			"is given. It is in force within a second, every administrator and approver is told, and\n" +
			"the owners of all vendors. With --draft an approver publishes it instead.",
		Example: "  ringfence policy rollback --reason 'nobody can work since noon' --config /etc/ringfence/config.yaml\n  ringfence policy rollback 12 --draft --reason 'the freeze is over' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if p.reason == "" {
				return usagef("why? Give the reason with --reason; it is recorded")
			}
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			said, err := d.rollback(ctx, args, p)
			if err == nil {
				err = d.settle(ctx)
			}
			if err := errors.Join(err, d.close()); err != nil {
				return printFaults(cmd.ErrOrStderr(), err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), said)
			return nil
		},
	}
	t.flags(cmd)
	p.flags(cmd)
	cmd.Flags().StringVar(&p.reason, "reason", "", "why, in a `sentence` that is recorded")
	return cmd
}

// rollback goes back to the revision that args name.
func (d *deployment) rollback(ctx context.Context, args []string, p publication) (string, error) {
	c := d.changes(nil)
	to, err := earlierRevision(ctx, c, args)
	if err != nil {
		return "", err
	}
	if p.draft {
		draft, err := c.RollBack(ctx, operator, to, p.reason)
		if err != nil {
			return "", changeHint(err)
		}
		return fmt.Sprintf("Draft %d, back to revision %d, waits for review.", draft.ID, to), nil
	}
	r, err := c.RollBackAlone(ctx, operator, to, p.reason)
	if err != nil {
		return "", changeHint(err)
	}
	return fmt.Sprintf("Revision %d is what revision %d was. Administrators, approvers and the owners of all vendors are told.", r.ID, to), nil
}

// earlierRevision is the one that is named, or the one before the newest.
func earlierRevision(ctx context.Context, c *store.Changes, args []string) (int64, error) {
	if len(args) == 1 {
		id, err := strconv.ParseInt(strings.TrimPrefix(args[0], "policy:"), 10, 64)
		if err != nil || id < 1 {
			return 0, usagef("%s is no revision: give its number, such as 12; 'ringfence policy revisions' lists them", plain(args[0]))
		}
		return id, nil
	}
	all, err := c.Revisions(ctx)
	if err != nil {
		return 0, err
	}
	if len(all) < 2 {
		return 0, errors.New("rolling back: there is no earlier revision")
	}
	return all[1].ID, nil
}

// printFaults prints why modules were refused, one a line.
func printFaults(w io.Writer, err error) error {
	f, ok := errors.AsType[*change.FaultError](err)
	if !ok {
		return err
	}
	for _, d := range f.Faults {
		fmt.Fprintln(w, plain(d.String()))
	}
	return fmt.Errorf("%s in the policies; nothing has been changed", plural(len(f.Faults), "fault"))
}

func newPolicyRevisions() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "revisions", Short: "List the policy revisions that were published", Args: exactly(),
		Long: "Revisions lists every published policy set, the newest first: when, by whom, who approved\n" +
			"it, why, and what it has decided since. What is not what was signed is said.",
		Example: "  ringfence policy revisions --config /etc/ringfence/config.yaml\n  ringfence policy revisions --json --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			all, err := d.wholeRevisions(ctx)
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			if asJSON {
				return printRevisionsJSON(cmd.OutOrStdout(), all)
			}
			return printRevisions(cmd.OutOrStdout(), all)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one revision a line")
	return cmd
}

// wholeRevisions returns every revision, each held against its statement whole.
func (d *deployment) wholeRevisions(ctx context.Context) ([]change.Revision, error) {
	c := d.changes(nil)
	all, err := c.Revisions(ctx)
	for i := range all {
		var r change.Revision
		if r, err = c.Revision(ctx, all[i].ID); err != nil {
			return nil, err
		}
		r.Modules = nil
		all[i] = r
	}
	return all, err
}

func printRevisions(out io.Writer, all []change.Revision) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPUBLISHED\tBY\tAPPROVED BY\tALLOWED\tDENIED\tTITLE\tREASON\tSIGNATURE")
	for i := range all {
		r := &all[i]
		var authors []string
		for _, a := range r.Authors {
			authors = append(authors, a.Name())
		}
		approver, signature := r.Approver.Name(), "holds"
		if r.Alone {
			approver = "nobody"
		}
		if r.Statement == nil {
			signature = "none, from before they were signed"
		}
		if r.Fault != "" {
			signature = r.Fault
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", r.ID, r.Published.Format(time.RFC3339), plain(strings.Join(authors, ", ")), plain(approver),
			r.Effect.Allowed, r.Effect.Denied+r.Effect.Challenged, plain(r.Title), plain(oneLine(r.Reason)), signature)
	}
	return w.Flush()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// revisionLine is a revision as programs read it.
type revisionLine struct {
	ID        int64           `json:"id"`
	Hash      string          `json:"hash"`
	Published time.Time       `json:"published"`
	Title     string          `json:"title,omitempty"`
	Reason    string          `json:"reason"`
	Authors   []change.Person `json:"authors"`
	Approver  *change.Person  `json:"approver,omitempty"`
	Alone     bool            `json:"alone"`
	Draft     int64           `json:"draft,omitempty"`
	Base      int64           `json:"base,omitempty"`
	BackTo    int64           `json:"back_to,omitempty"`
	Figures   change.Figures  `json:"figures"`
	Allowed   int64           `json:"allowed"`
	Challenge int64           `json:"challenged"`
	Denied    int64           `json:"denied"`
	Statement string          `json:"statement,omitempty"`
	Fault     string          `json:"fault,omitempty"`
}

func printRevisionsJSON(out io.Writer, all []change.Revision) error {
	enc := json.NewEncoder(out)
	for i := range all {
		r := &all[i]
		l := revisionLine{ID: r.ID, Hash: r.Hash, Published: r.Published, Title: r.Title, Reason: r.Reason, Authors: r.Authors, Alone: r.Alone, Draft: r.Draft, Base: r.Base,
			BackTo: r.BackTo, Figures: r.Figures, Allowed: r.Effect.Allowed, Challenge: r.Effect.Challenged, Denied: r.Effect.Denied, Statement: string(r.Statement), Fault: r.Fault}
		if r.Approver.Account != "" {
			l.Approver = &r.Approver
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func newPolicyDrafts() *cobra.Command {
	var t target
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "drafts", Short: "List the policy drafts that are not published yet", Args: exactly(),
		Example: "  ringfence policy drafts --config /etc/ringfence/config.yaml\n  ringfence policy drafts --all --json --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			d, err := openDeployment(ctx, &t)
			if err != nil {
				return err
			}
			list, err := d.changes(nil).Drafts(ctx)
			if err := errors.Join(err, d.close()); err != nil {
				return err
			}
			if !all {
				list = slices.DeleteFunc(list, func(d change.Draft) bool { return d.Closed() })
			}
			return printDrafts(cmd.OutOrStdout(), list, asJSON)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one draft a line")
	cmd.Flags().BoolVar(&all, "all", false, "list those that were published or withdrawn, too")
	return cmd
}

// draftLine is a draft as programs read it.
type draftLine struct {
	ID      int64           `json:"id"`
	State   change.State    `json:"state"`
	Title   string          `json:"title"`
	Reason  string          `json:"reason"`
	Base    int64           `json:"base,omitempty"`
	BackTo  int64           `json:"back_to,omitempty"`
	Version int             `json:"version"`
	Hash    string          `json:"hash"`
	Authors []change.Person `json:"authors"`
	Figures change.Figures  `json:"figures"`
	Created time.Time       `json:"created"`
	Changed time.Time       `json:"changed"`
}

func printDrafts(out io.Writer, list []change.Draft, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		for i := range list {
			d := &list[i]
			if err := enc.Encode(draftLine{d.ID, d.State, d.Title, d.Reason, d.Base, d.BackTo, d.Version, d.Hash, d.Authors, d.Figures, d.Created, d.Changed}); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tCHANGED\tAUTHORS\tTITLE\tREASON")
	for i := range list {
		d := &list[i]
		var authors []string
		for _, a := range d.Authors {
			authors = append(authors, a.Name())
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.State, d.Changed.Format(time.RFC3339), plain(strings.Join(authors, ", ")), plain(d.Title), plain(oneLine(d.Reason)))
	}
	return w.Flush()
}
