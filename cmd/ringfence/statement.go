package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/statement"
	"github.com/ringfence/ringfence/internal/store"
	"github.com/ringfence/ringfence/policy"
)

// errNoAcceptance reports a statement about nothing.
var errNoAcceptance = errors.New("nothing of this kind has been accepted")

// entrySearch is how long after an acceptance its entry is looked for: it is
// written at once, or as soon as the log can write again.
const entrySearch = 24 * time.Hour

// stated says which acceptances a statement is about; empty fields select all.
type stated struct {
	agreement, account string
	version            int
}

func (w stated) object() string {
	switch {
	case w.agreement != "" && w.version > 0:
		return "agreement:" + w.agreement + "@" + strconv.Itoa(w.version)
	case w.agreement != "":
		return "agreement:" + w.agreement
	}
	return "account:" + w.account
}

// A stater makes signed statements of acceptances.
type stater struct {
	cfg *config.Config
	db  *store.DB
}

// make returns the signed statement of what is asked for. madeFor is stated in it.
func (s stater) make(ctx context.Context, about stated, madeFor string) ([]byte, error) {
	key, err := os.ReadFile(paths{s.cfg.Data}.logKey())
	if err != nil {
		return nil, fmt.Errorf("reading the key that signs statements: %w", err)
	}
	kept, err := s.db.Acceptances(ctx, about.agreement, about.account)
	if err != nil {
		return nil, err
	}
	kept = slices.DeleteFunc(kept, func(e directory.Evidence) bool { return about.version > 0 && e.Version != about.version })
	if len(kept) == 0 {
		return nil, errNoAcceptance
	}
	if len(kept) > statement.MaxAcceptances {
		return nil, &hintError{fmt.Errorf("there are %d acceptances, and a statement holds %d", len(kept), statement.MaxAcceptances), "Name a version or an account."}
	}
	st := &statement.Statement{Gate: gateURL(s.cfg).String(), Organisation: s.cfg.Organisation.Name, Made: time.Now().UTC().Truncate(time.Second), MadeFor: madeFor}
	if st.Texts, err = s.texts(ctx, kept); err != nil {
		return nil, err
	}
	entries, err := s.entries(ctx, kept)
	if err != nil {
		return nil, err
	}
	for i := range kept {
		a, err := acceptanceOf(&kept[i], entries[i])
		if err != nil {
			return nil, err
		}
		st.Acceptances = append(st.Acceptances, a)
	}
	return statement.Sign(st, string(key))
}

// acceptanceOf states an acceptance as the store and the log have it, which
// must say the same.
func acceptanceOf(k *directory.Evidence, found *logged) (statement.Acceptance, error) {
	a := statement.Acceptance{Agreement: k.Agreement, Version: k.Version, Hash: k.Hash, Account: k.Account, Email: k.Email, Name: k.Name, Vendor: k.Vendor,
		TypedName: k.TypedName, At: k.At, IP: k.IP, UserAgent: k.UserAgent, Session: k.Session, Factor: k.Factor, CodeAt: k.CodeAt}
	if found == nil {
		return a, nil
	}
	// Rows of before the store kept these have what the account is called now.
	a.Email, a.Vendor = found.entry.Email, found.entry.Vendor
	if d := a.Differs(found.entry); d != nil {
		return a, &hintError{fmt.Errorf("the store and entry %d of the access log differ about an acceptance: %s is %q in the store and %q in the log",
			found.entry.Index, d[0][0], plain(d[0][1]), plain(d[0][2])), "One of them was changed. Look with 'ringfence log verify', and keep both as they are."}
	}
	a.Entry = found.proof
	return a, nil
}

// texts returns the texts of what was accepted, each once.
func (s stater) texts(ctx context.Context, kept []directory.Evidence) ([]statement.Text, error) {
	type version struct {
		name   string
		number int
	}
	wanted := map[version]bool{}
	var names []string
	for i := range kept {
		wanted[version{kept[i].Agreement, kept[i].Version}] = true
		if !slices.Contains(names, kept[i].Agreement) {
			names = append(names, kept[i].Agreement)
		}
	}
	slices.Sort(names)
	var all []statement.Text
	for _, name := range names {
		versions, err := s.db.AgreementVersions(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			if wanted[version{name, v.Version}] {
				all = append(all, statement.Text{Agreement: name, Version: v.Version, Title: v.Title, Created: v.Created, Hash: v.Hash, Text: v.Text})
			}
		}
	}
	return all, nil
}

// A logged acceptance is its entry in the access log. proof is nil until a
// checkpoint covers it.
type logged struct {
	entry *accesslog.Entry
	proof *accesslog.Proof
}

// entries finds the entries of acceptances; nil where there is none.
func (s stater) entries(ctx context.Context, kept []directory.Evidence) ([]*logged, error) {
	type id struct{ account, object, version string }
	places, first, last := map[id]int{}, kept[0].At, kept[0].At
	for i := range kept {
		places[id{kept[i].Account, "agreement:" + kept[i].Agreement, strconv.Itoa(kept[i].Version)}] = i
		if kept[i].At.Before(first) {
			first = kept[i].At
		}
		if kept[i].At.After(last) {
			last = kept[i].At
		}
	}
	found, indexes, dir := make([]*logged, len(kept)), []uint64(nil), paths{s.cfg.Data}.log()
	f := accesslog.Filter{Type: string(policy.RecordAdmin), Action: store.ActionAccept, Since: first.Add(-time.Second), Until: last.Add(entrySearch), Ascending: true}
	err := accesslog.Query(ctx, dir, f, func(e *accesslog.Entry) bool {
		i, ours := places[id{e.Account, e.Object, e.Detail["version"]}]
		if ours && found[i] == nil {
			copied := *e
			copied.Payload = slices.Clone(e.Payload)
			found[i] = &logged{entry: &copied}
			indexes = append(indexes, e.Index)
		}
		return len(indexes) < len(kept)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the entries of acceptances: %w", err)
	}
	if len(indexes) == 0 {
		return found, nil
	}
	proofs, err := accesslog.ProveAll(ctx, dir, indexes)
	if err != nil {
		return nil, err
	}
	for _, l := range found {
		if l != nil {
			l.proof = proofs[l.entry.Index]
		}
	}
	return found, nil
}

// recordStatement is the record that must be kept before a statement is given out.
func recordStatement(about stated, actor directory.Actor) *policy.Record {
	detail := map[string]string{}
	if about.account != "" {
		detail["account"] = about.account
	}
	if about.version > 0 {
		detail["version"] = strconv.Itoa(about.version)
	}
	return &policy.Record{Type: policy.RecordAdmin, Action: "agreement.statement", Result: "ok", Time: time.Now().UTC(), RequestID: actor.RequestID,
		SourceIP: actor.IP, Actor: actor.Account, Email: actor.Email, Object: about.object(), Detail: detail}
}
