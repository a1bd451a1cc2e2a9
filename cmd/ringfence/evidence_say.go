package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/evidence"
)

// sayBundle says what a bundle proves, and who vouches for it.
func sayBundle(cmd *cobra.Command, r *evidence.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(bundleReport(r))
	}
	var b strings.Builder
	m := &r.Manifest
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("The bundle holds: %s of the log %s, numbers %d to %d, from %s to %s.", countEntries(m.Entries), plain(m.Origin), r.First, r.Last, stamp(r.From), stamp(r.To))
	line("Each stands unchanged in the tree of %d entries with the root %s.", m.Size, r.Root)
	if r.Dense && m.Entries > 1 {
		line("They are all entries from %d to %d: none between is missing.", r.First, r.Last)
	} else {
		line("That no other entry answers the query is the word of the log's key: %s", orDash(m.Query))
	}
	for _, key := range r.SignedBy {
		line("Signed by the log's key %s", plain(key))
	}
	for _, c := range r.Cosigners {
		line("Witnessed, up to %d entries, on %s by %s", r.Cosigned, stamp(c.At), plain(c.Key))
	}
	for _, n := range r.Older {
		line("It continues the checkpoint of %d entries that was kept elsewhere.", n)
	}
	if m.Begins > 0 {
		line("Entries before %d had been removed by age and were not searched.", m.Begins)
	}
	if p := r.Previous; p != nil {
		line("%s", previousWords(p))
	}
	if n := m.Facts; n > 0 {
		line("With %s that entries name.", plural(n, "facts document"))
	}
	if n := len(r.Policies); n > 0 {
		line("With the policies of %s that entries name, and for %d of them who published it.", plural(n, "revision"), r.Published)
	}
	if n := len(r.Accounts); n > 0 {
		line("With what %s had accepted.", plural(n, "account"))
	}
	for _, what := range m.Without {
		line("It does not hold %s, which entries name.", plain(what))
	}
	if _, err := fmt.Fprint(cmd.OutOrStdout(), b.String()); err != nil {
		return err
	}
	words := cmd.ErrOrStderr()
	if !r.Trusted {
		fmt.Fprintln(words, "The key was taken from the bundle: this shows that nothing was changed since it was made, not who made it.\nCompare the key above with one from somebody you trust, or check again with --key LOG.PUB.")
	}
	switch {
	case len(r.Cosigners) == 0:
		fmt.Fprintln(words, "No witness vouches for it: whoever holds the log's key could have written another log before making it.")
	case !r.Witnessed:
		fmt.Fprintln(words, "The witnesses' keys were taken from the bundle. Compare them, or check again with --witness-key FILE.")
	}
	return nil
}

// bundleReport is what --json prints.
func bundleReport(r *evidence.Report) map[string]any {
	cosigners := []map[string]any{}
	for _, c := range r.Cosigners {
		cosigners = append(cosigners, map[string]any{"key": c.Key, "time": c.At.UTC()})
	}
	return map[string]any{"origin": r.Manifest.Origin, "query": r.Manifest.Query, "entries": r.Manifest.Entries, "first": r.First, "last": r.Last, "complete_range": r.Dense,
		"size": r.Manifest.Size, "root": r.Root, "signed_by": r.SignedBy, "key_given": r.Trusted, "cosigned": r.Cosigned, "cosigners": cosigners, "witness_keys_given": r.Witnessed,
		"continues": r.Older, "facts": r.Manifest.Facts, "policies": r.Policies, "accounts": r.Accounts, "without": r.Manifest.Without}
}

func countEntries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// previousWords says which log was given up before one began.
func previousWords(p *accesslog.Previous) string {
	return fmt.Sprintf("It began after the log %s was given up, of which %d entries with the root %s were known.", plain(p.Origin), p.Entries, plain(p.Root))
}
