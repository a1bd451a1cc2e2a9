package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/mail"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/internal/studio"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

var _ console.Changes = consoleChanges{}

// tamperedHint follows the refusal of policies that are not what was signed.
const tamperedHint = "Somebody changed the store. Look at 'ringfence policy revisions' and the access log, then put a set in force that you know:\n" +
	"'ringfence policy rollback ID --reason WHY', or 'ringfence policy publish FOLDER'."

// changesConfig joins change control to a deployment's keys and switches.
func changesConfig(cfg *config.Config) store.ChangesConfig {
	// The key is read when it is needed: another may have taken its place.
	key := func() (string, error) {
		b, err := os.ReadFile(paths{cfg.Data}.logKey())
		if err != nil {
			return "", fmt.Errorf("reading the key that signs policies: %w", err)
		}
		return string(b), nil
	}
	return store.ChangesConfig{
		OperatorAlone: cfg.PolicyChanges.OperatorAlone,
		Origin:        func() change.Origin { return originOf(cfg) },
		Sign: func(text string) ([]byte, error) {
			skey, err := key()
			if err != nil {
				return nil, err
			}
			return accesslog.SignText(skey, text)
		},
		Open: func(statement []byte) (string, error) {
			skey, err := key()
			if err != nil {
				return "", err
			}
			vkeys, err := accesslog.PublicKeys(skey) // also of before: what they signed still holds
			if err != nil {
				return "", err
			}
			return accesslog.OpenText(vkeys, statement)
		},
		Check: func(context.Context, map[string]string) (change.Checked, error) {
			return change.Checked{}, errors.New("nothing can be checked here")
		},
	}
}

// storedPolicies returns the revision that the store holds to be put in force,
// if it is what was signed.
func storedPolicies(ctx context.Context, cfg *config.Config, db *store.DB) (change.Revision, error) {
	r, err := db.Changes(changesConfig(cfg)).InForce(ctx)
	if errors.Is(err, change.ErrTampered) {
		err = &hintError{err, tamperedHint}
	}
	return r, err
}

// knockedOut is how long ago a denial may have been recorded that no missing
// field may lift.
const knockedOut = 30 * 24 * time.Hour

// checkModules asks the child process what is wrong with modules. Denials that
// the log in a folder holds are knocked out too; empty: only those of tests.
// What it cannot finish within its limits cannot be put in force either.
func checkModules(check func(context.Context, studio.CheckRequest) (studio.CheckResult, error), log string) func(context.Context, map[string]string) (change.Checked, error) {
	return func(ctx context.Context, modules map[string]string) (change.Checked, error) {
		res, err := check(ctx, studio.CheckRequest{Modules: modules, Log: log, Since: time.Now().Add(-knockedOut)})
		c := change.Checked{Of: policy.Revision(modules), Revision: res.Revision, Tests: res.Tests, Coverage: res.Coverage.Percent, Holes: len(res.Knockout.Holes), Faults: res.Diagnostics}
		if limit, ok := errors.AsType[*studio.LimitError](err); ok && ctx.Err() == nil {
			c.Faults = []policy.Diagnostic{{File: "all", Code: "limit", Message: limit.Error()}}
			return c, nil
		}
		if err != nil {
			return c, err
		}
		for _, f := range res.Failures {
			c.Faults = append(c.Faults, policy.Diagnostic{File: f.File, Line: f.Line, Column: 1, Code: change.CodeTest, Message: f.Name + " " + f.Message})
		}
		for _, h := range res.Knockout.Holes {
			c.Faults = append(c.Faults, holeFault(h))
		}
		if res.LogFault != "" {
			c.Faults = append(c.Faults, policy.Diagnostic{File: "all", Code: change.CodeLog, Message: "recorded denials could not be looked at: " + res.LogFault})
		}
		if len(c.Faults) == 0 && !res.Publishable() {
			return c, errors.New("checking policies: they were refused without a fault")
		}
		return c, nil
	}
}

// holeFault is a hole as a fault: rule and field, what shows it, and the repair.
func holeFault(h rego.Hole) policy.Diagnostic {
	d := h.Diagnostic
	d.Code = change.CodeHole
	if h.Entry != nil {
		d.Message += fmt.Sprintf(" (entry %d of the access log shows it)", *h.Entry)
	}
	if h.Repair != "" {
		d.Message += "; this closes it: " + strings.Join(strings.Fields(h.Repair), " ")
	}
	return d
}

// buildChanges makes change control for the pages.
func (g *gateway) buildChanges() {
	c := changesConfig(g.cfg.Load())
	log := paths{g.cfg.Load().Data}.log()
	c.Origin, c.Check, c.Vet, c.CheckAlone = g.origin, checkModules(g.studio.Check, log), checkModules(g.studio.Vet, log), checkModules(g.studio.Vet, "")
	c.Alarmed = func(ctx context.Context, a store.Alarm) { alarmed(ctx, g.db, g.post, g.logger, a) }
	g.changes = g.db.Changes(c)
}

// origin says where the policies in force come from.
func (g *gateway) origin() change.Origin {
	o := changesConfig(g.cfg.Load()).Origin()
	if f := g.policyFault.Load(); f != nil {
		o.Fault = *f
	}
	if e := g.effects.current.Load(); e != nil {
		o.At = e.since
	} else if f := g.forced.Load(); f != nil {
		o.At = f.at
	}
	return o
}

// consoleChanges is change control as the pages use it: what is published is
// recorded and in force when the call returns.
type consoleChanges struct {
	*store.Changes
	g *gateway
}

func (c consoleChanges) Approve(ctx context.Context, actor directory.Actor, id int64, seal string) (change.Revision, error) {
	r, err := c.Changes.Approve(ctx, actor, id, seal)
	if err != nil {
		return r, err
	}
	return r, c.inForce(ctx)
}

func (c consoleChanges) RollBackAlone(ctx context.Context, actor directory.Actor, to int64, reason string) (change.Revision, error) {
	r, err := c.Changes.RollBackAlone(ctx, actor, to, reason)
	if err != nil {
		return r, err
	}
	return r, c.inForce(ctx)
}

// inForce puts what was published in force, whether or not whoever did it still waits.
func (c consoleChanges) inForce(ctx context.Context) error {
	if err := c.g.refresh(context.WithoutCancel(ctx), map[string]bool{store.KindPolicy: true}); err != nil {
		return fmt.Errorf("the revision is published and not in force yet: %w", err)
	}
	return nil
}

// alarmed passes on by mail what is kept already as notices and warnings.
func alarmed(ctx context.Context, db *store.DB, p *post, log *slog.Logger, a store.Alarm) {
	if p == nil {
		return // the console shows them
	}
	for _, n := range a.Notices {
		account, err := db.Account(ctx, n.Account)
		if err != nil {
			log.ErrorContext(ctx, "telling of policies that one person published", "account", n.Account, "err", err)
			continue
		}
		p.told(ctx, account, n)
	}
	for _, w := range a.Warnings {
		if err := p.warnOfPolicies(ctx, w); err != nil {
			log.ErrorContext(ctx, "telling a vendor's owner of policies that one person published", "vendor", w.Vendor, "err", err)
		}
	}
}

// warnOfPolicies keeps the mail to a vendor's owner.
func (p *post) warnOfPolicies(ctx context.Context, w auth.Warning) error {
	d, _, err := p.db.Directory(ctx)
	if err != nil {
		return err
	}
	owner, title := vendorOwner(d, w.Vendor)
	if owner.Email == "" {
		return nil // the console lists the warning
	}
	return p.put(ctx, mail.Queued{Kind: "warning_" + string(w.Kind), Account: w.Account, To: owner.Email, Warning: w.ID}, p.head.PolicyWarning(owner, title, &w.Notice))
}

// touching notes who made or changed whose sign-in before it is recorded and
// done: whoever could sign in as another is not that one's second person.
type touching struct {
	auth.Recorder
	db *store.DB
}

// touchActions are the acts of sign-in that give one person a way in as another.
var touchActions = map[string]bool{"invite.create": true, "factor.reset": true, "webauthn.allow": true, "oidc.unpin": true}

// Record implements [auth.Recorder].
func (t touching) Record(ctx context.Context, r *policy.Record) (uint64, error) {
	if touchActions[r.Action] && r.Account != "" && r.Actor != r.Account {
		by := directory.Actor{Account: r.Actor, Email: r.Detail["actor_email"]}
		if err := t.db.NoteTouch(ctx, r.Account, by, r.Action); err != nil {
			return 0, err
		}
	}
	return t.Recorder.Record(ctx, r)
}

// verifyEvery is how often the store is held against what is in force, and how
// often decisions are counted there.
const verifyEvery = 10 * time.Second

// tend counts decisions in the store and looks whether the policies there are
// still what was signed, until ctx ends.
func (g *gateway) tend(ctx context.Context) error {
	tick := time.NewTicker(verifyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		g.countEffects(ctx)
		g.verifyPolicies(ctx)
	}
}

// verifyPolicies says so where the store no longer holds what is in force:
// nothing changes then until a person has looked.
func (g *gateway) verifyPolicies(ctx context.Context) {
	if originOf(g.cfg.Load()).ReadOnly() {
		return
	}
	r, err := storedPolicies(ctx, g.cfg.Load(), g.db)
	e := g.effects.current.Load()
	if err == nil && e != nil && r.ID < e.id {
		err = fmt.Errorf("revision %d of the policies is in force and no longer in the store: %w", e.id, change.ErrTampered)
	}
	if !errors.Is(err, change.ErrTampered) {
		return // a store that cannot be read is told of elsewhere
	}
	if f := g.policyFault.Load(); f == nil || *f != err.Error() {
		g.logger.Error("the policies in the store are not what was signed; the set in force stays", "err", err)
		_ = g.refusePolicies(ctx, err) // it returns what it was given
	}
}
