package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/statement"
)

func newAgreement() *cobra.Command {
	cmd := group("agreement", "List agreements, and state and check who accepted them",
		"Agreements are texts that people accept before they reach a cluster. They are written in\n"+
			"the console, or with 'ringfence apply'.")
	cmd.AddCommand(newAgreementList(), newAgreementStatement(), newAgreementVerify())
	return cmd
}

// agreementLine is one agreement as 'agreement list' prints it.
type agreementLine struct {
	Name        string   `json:"name"`
	Title       string   `json:"title"`
	Version     int      `json:"version"`
	Hash        string   `json:"hash"`
	DemandedBy  []string `json:"demanded_by"` // engagements
	Accepted    int      `json:"accepted"`    // people of whom it is demanded and who have accepted this version
	Outstanding int      `json:"outstanding"` // people of whom it is demanded and who have not
}

func agreementLines(s *directory.Snapshot, now time.Time) []agreementLine {
	var out []agreementLine
	tallies := s.AgreementTallies(now)
	for _, a := range s.Directory().Agreements {
		line := agreementLine{Name: a.Name, Title: a.Title, Version: a.Version, Hash: directory.TextHash(a.Text), DemandedBy: []string{},
			Accepted: tallies[a.Name].Accepted, Outstanding: tallies[a.Name].Outstanding}
		for _, e := range s.Directory().Engagements {
			if slices.Contains(e.Agreements, a.Name) {
				line.DemandedBy = append(line.DemandedBy, e.Name)
			}
		}
		slices.Sort(line.DemandedBy)
		out = append(out, line)
	}
	slices.SortFunc(out, func(a, b agreementLine) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// acceptanceLine is one acceptance as 'agreement list NAME' prints it.
type acceptanceLine struct {
	Agreement string    `json:"agreement"`
	Version   int       `json:"version"`
	Account   string    `json:"account"`
	Email     string    `json:"email"`
	TypedName string    `json:"typed_name"`
	At        time.Time `json:"at"`
	IP        string    `json:"ip,omitempty"`
	Hash      string    `json:"hash"`
}

func newAgreementList() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [NAME]", Short: "List agreements, or who accepted one of them",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("give the NAME of one agreement, or none for the list of all")
			}
			return nil
		},
		Example: "  ringfence agreement list --config /etc/ringfence/config.yaml\n  ringfence agreement list nda --json --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				err = listAgreements(cmd.Context(), cmd.OutOrStdout(), d, asJSON)
			} else {
				err = listAcceptances(cmd.Context(), cmd.OutOrStdout(), d, args[0], asJSON)
			}
			return errors.Join(err, d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line")
	return cmd
}

func listAgreements(ctx context.Context, out io.Writer, d *deployment, asJSON bool) error {
	s, err := readSnapshot(ctx, d.db, d.cfg)
	if err != nil {
		return err
	}
	lines := agreementLines(s, time.Now())
	if asJSON {
		return printLines(out, lines)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tACCEPTED\tOUTSTANDING\tDEMANDED BY\tTITLE")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\n", l.Name, l.Version, l.Accepted, l.Outstanding, strings.Join(l.DemandedBy, " "), plain(l.Title))
	}
	return w.Flush()
}

func listAcceptances(ctx context.Context, out io.Writer, d *deployment, name string, asJSON bool) error {
	versions, err := d.db.AgreementVersions(ctx, name)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return &hintError{fmt.Errorf("no agreement is called %s", plain(name)), "See them with 'ringfence agreement list'."}
	}
	kept, err := d.db.Acceptances(ctx, name, "")
	if err != nil {
		return err
	}
	lines := make([]acceptanceLine, 0, len(kept))
	for _, k := range kept {
		lines = append(lines, acceptanceLine{Agreement: k.Agreement, Version: k.Version, Account: k.Account, Email: k.Email, TypedName: k.TypedName, At: k.At, IP: k.IP, Hash: k.Hash})
	}
	if asJSON {
		return printLines(out, lines)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tACCEPTED\tE-MAIL\tTYPED NAME\tADDRESS\tACCOUNT")
	for _, l := range lines {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", l.Version, stamp(l.At), plain(l.Email), plain(l.TypedName), l.IP, l.Account)
	}
	return w.Flush()
}

// printLines prints one JSON object a line.
func printLines[T any](out io.Writer, lines []T) error {
	e := json.NewEncoder(out)
	for i := range lines {
		if err := e.Encode(lines[i]); err != nil {
			return err
		}
	}
	return nil
}

func newAgreementStatement() *cobra.Command {
	var t target
	var about stated
	var email, file string
	cmd := &cobra.Command{
		Use: "statement [NAME]", Short: "Write a signed statement of who accepted what, when and from where",
		Long: "Statement writes the acceptances of the agreement NAME, of one account, or both, with the\n" +
			"full texts and the proofs that they are in the access log, signed with the log's key. The\n" +
			"file stands on its own: people can read and print it, and 'ringfence agreement verify'\n" +
			"checks it without this gateway. That it was made is recorded.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("give the NAME of one agreement")
			}
			return nil
		},
		Example: "  ringfence agreement statement nda -o nda.txt --config /etc/ringfence/config.yaml\n" +
			"  ringfence agreement statement --account kim@example.com --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				about.agreement = args[0]
			}
			if about.agreement == "" && email == "" {
				return usagef("of what? Name an agreement, or an account with --account")
			}
			if about.version < 0 || about.version > 0 && about.agreement == "" {
				return usagef("--version is the number of a version of the agreement that is named")
			}
			d, err := openDeployment(cmd.Context(), &t)
			if err != nil {
				return err
			}
			return errors.Join(writeStatement(cmd, d, about, email, file), d.close())
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&email, "account", "", "only what the account with this `e-mail` address, or id, accepted")
	cmd.Flags().IntVar(&about.version, "version", 0, "only this `version`")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to a new `file` instead of standard output")
	return cmd
}

func writeStatement(cmd *cobra.Command, d *deployment, about stated, email, file string) error {
	ctx := cmd.Context()
	if email != "" {
		id, err := acceptedBy(ctx, d, email)
		if err != nil {
			return err
		}
		about.account = id
	}
	b, err := stater{d.cfg, d.db}.make(ctx, about, operator.Account)
	if errors.Is(err, errNoAcceptance) {
		return &hintError{err, "See what was accepted with 'ringfence agreement list NAME'."}
	}
	if err != nil {
		return err
	}
	if err := d.db.Enqueue(ctx, recordStatement(about, operator)); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if file == "" {
		_, err = cmd.OutOrStdout().Write(b)
		return err
	}
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating the statement: %w", err)
	}
	_, err = w.Write(b)
	return errors.Join(err, w.Sync(), w.Close())
}

// acceptedBy finds the id of an account by its address or id, also of one that
// is gone and has accepted something.
func acceptedBy(ctx context.Context, d *deployment, who string) (string, error) {
	s, err := readSnapshot(ctx, d.db, d.cfg)
	if err != nil {
		return "", err
	}
	if a, ok := s.AccountByEmail(strings.ToLower(who)); ok {
		return a.ID, nil
	}
	kept, err := d.db.Acceptances(ctx, "", "")
	if err != nil {
		return "", err
	}
	for _, k := range kept {
		if k.Account == who || strings.EqualFold(k.Email, who) {
			return k.Account, nil
		}
	}
	return "", &hintError{fmt.Errorf("no account that accepted anything is %s", plain(who)), "See who did with 'ringfence agreement list NAME'."}
}

func newAgreementVerify() *cobra.Command {
	var keyFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Check a statement, offline, and name what was changed", Args: exactly("a FILE"),
		Long: "Verify checks the signature of a statement, the hashes of its texts, the proofs that its\n" +
			"entries are in the access log, and that what people read is what programs read. It fails\n" +
			"with exit status 1 and names what differs.",
		Example: "  ringfence agreement verify nda.txt --key log.pub",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("reading the statement: %w", err)
			}
			key := ""
			if keyFile != "" {
				k, err := os.ReadFile(keyFile)
				if err != nil {
					return fmt.Errorf("reading the public key: %w", err)
				}
				key = strings.TrimSpace(string(k))
				if err := accesslog.CheckPublicKey(key); err != nil {
					return fmt.Errorf("reading the public key from %s: %w", keyFile, err)
				}
			}
			s, err := statement.Verify(b, key)
			if err != nil {
				return &hintError{fmt.Errorf("verifying %s: %w", args[0], err), "Believe nothing of it. Ask for it again where it came from."}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			return sayVerified(cmd.OutOrStdout(), cmd.ErrOrStderr(), s, key != "")
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "`file` with the gateway's public key (log.pub), from somebody you trust")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what is stated as JSON")
	return cmd
}

func sayVerified(out, words io.Writer, s *statement.Statement, keyGiven bool) error {
	proved := 0
	for i := range s.Acceptances {
		a := &s.Acceptances[i]
		how := "no proof of the access log"
		if a.Entry != nil {
			proved++
			how = fmt.Sprintf("entry %d of the access log", a.Entry.Index)
		}
		if _, err := fmt.Fprintf(out, "%s  %s@%d  %s  %s  %s  %s\n", stamp(a.At), plain(a.Agreement), a.Version, plain(a.TypedName), plain(a.Email), plain(a.IP), how); err != nil {
			return err
		}
	}
	fmt.Fprintf(words, "The statement holds: %s, %d of them proved by the access log, signed by %s.\n", plural(len(s.Acceptances), "acceptance"), proved, plain(s.Key))
	if !keyGiven {
		fmt.Fprintln(words, "This shows that nothing was changed since it was signed, not who signed it: the key was taken\nfrom the statement. Check again with --key and the gateway's log.pub from somebody you trust.")
	}
	return nil
}
