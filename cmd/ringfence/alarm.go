package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/directory"
)

func newAlarmCommand() *cobra.Command {
	cmd := group("alarm", "See and acknowledge alarms over the access log",
		"Rules look at each entry of the access log as it comes and raise alarms. These commands\n"+
			"work whether or not the gateway runs. Reading alarms is recorded, as in the console.")
	cmd.AddCommand(newAlarmList(), newAlarmShow(), newAlarmAcknowledge(), newAlarmRules())
	return cmd
}

// withAlarms opens the deployment, records what is read unless action is empty,
// acts and settles.
func withAlarms(ctx context.Context, t *target, action string, args []string, act func(*deployment) error) error {
	d, err := openDeployment(ctx, t)
	if err != nil {
		return err
	}
	err = func() error {
		if action != "" {
			if err := recordRead(ctx, d, action, args); err != nil {
				return err
			}
		}
		if err := act(d); err != nil {
			return err
		}
		return d.settle(ctx)
	}()
	return errors.Join(err, d.close())
}

// An alarmLine is an alarm as commands print it.
type alarmLine struct {
	ID             string            `json:"id"`
	Rule           string            `json:"rule"`
	Kind           alarm.Kind        `json:"kind"`
	Severity       string            `json:"severity"`
	Title          string            `json:"title"`
	Text           string            `json:"text"`
	Time           time.Time         `json:"time"`
	Raised         time.Time         `json:"raised"`
	Entry          *uint64           `json:"entry,omitempty"`
	Account        string            `json:"account,omitempty"`
	Vendor         string            `json:"vendor,omitempty"`
	Cluster        string            `json:"cluster,omitempty"`
	Facts          map[string]string `json:"facts,omitempty"`
	Acknowledged   *time.Time        `json:"acknowledged,omitempty"`
	AcknowledgedBy string            `json:"acknowledged_by,omitempty"`
	Note           string            `json:"note,omitempty"`
	Told           []alarmTold       `json:"told,omitempty"` // of one alarm alone
}

// An alarmTold is how one receiver was told.
type alarmTold struct {
	Receiver string    `json:"receiver"`
	Of       string    `json:"of"` // alarm or acknowledgement
	State    string    `json:"state"`
	At       time.Time `json:"at"` // when it was told, given up, or is tried next
	Tries    int       `json:"failed_tries,omitempty"`
	Fault    string    `json:"fault,omitempty"`
}

func newAlarmLine(h console.Letterhead, d *directory.Directory, a *alarm.Alarm) alarmLine {
	open := *a
	open.Acknowledged = alarm.Acknowledgement{} // the words of the alarm itself
	title, text, _ := h.Alarm(d, &open)
	l := alarmLine{ID: a.ID, Rule: a.Rule, Kind: a.Kind, Severity: a.Severity, Title: title, Text: text, Time: a.At.UTC(), Raised: a.Raised.UTC(), Entry: a.Entry,
		Account: a.Account, Vendor: a.Vendor, Cluster: a.Cluster, Facts: a.Facts}
	if !a.Open() {
		at := a.Acknowledged.At.UTC()
		l.Acknowledged, l.AcknowledgedBy, l.Note = &at, a.Acknowledged.Account, a.Acknowledged.Note
	}
	for _, s := range a.Sends {
		x := alarmTold{Receiver: s.Receiver, Of: "alarm", State: "waits", At: s.Next.UTC(), Tries: s.Tries, Fault: s.Fault}
		switch {
		case !s.Sent.IsZero():
			x.State, x.At = "told", s.Sent.UTC()
		case !s.GivenUp.IsZero():
			x.State, x.At = "given up", s.GivenUp.UTC()
		}
		if s.Acknowledged {
			x.Of = "acknowledgement"
		}
		l.Told = append(l.Told, x)
	}
	return l
}

func newAlarmList() *cobra.Command {
	var t target
	var all, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List open alarms, the newest first", Args: exactly(),
		Example: "  ringfence alarm list --config /etc/ringfence/config.yaml\n  ringfence alarm list --all --json --data demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10_000 {
				return usagef("--limit %d: from 1 to 10000", limit)
			}
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			return withAlarms(ctx, &t, "log.alarms", describe(cmd), func(d *deployment) error {
				found, err := d.db.Alarms(ctx, alarm.Filter{Open: !all, Limit: limit})
				if err != nil {
					return err
				}
				dir, _, err := d.db.Directory(ctx)
				if err != nil {
					return err
				}
				if len(found) == 0 && !asJSON {
					fmt.Fprintln(cmd.ErrOrStderr(), map[bool]string{false: "No alarm is open.", true: "There was no alarm yet."}[all])
					return nil
				}
				w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				if !asJSON {
					fmt.Fprintln(w, "ID\tWHEN\tGRAVE\tSTATE\tALARM")
				}
				for i := range found {
					l := newAlarmLine(letterhead(d.cfg), dir, &found[i])
					if asJSON {
						if err := json.NewEncoder(out).Encode(l); err != nil {
							return err
						}
						continue
					}
					state := "open"
					if l.Acknowledged != nil {
						state = "acknowledged"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s. %s\n", l.ID, l.Time.Format(time.DateTime), console.AlarmSeverityWord(l.Severity), state, plain(l.Title), plain(l.Text))
				}
				return w.Flush()
			})
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "acknowledged ones too")
	f.IntVar(&limit, "limit", 50, "at most so many")
	f.BoolVar(&asJSON, "json", false, "print one alarm a line as JSON")
	return cmd
}

// alarmNotFound says how to find the id that was meant.
func alarmNotFound(id string) error {
	return &hintError{fmt.Errorf("no alarm has the id %s", id), "See them with 'ringfence alarm list --all'."}
}

func newAlarmShow() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show one alarm, who was told of it and what was found", Args: exactly("an ID"),
		Example: "  ringfence alarm show 4f1d2a9c0b7e8d6655443322 --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			return withAlarms(ctx, &t, "log.alarm", []string{"alarm=" + args[0]}, func(d *deployment) error {
				a, err := d.db.Alarm(ctx, args[0])
				if errors.Is(err, alarm.ErrNotFound) {
					return alarmNotFound(args[0])
				}
				if err != nil {
					return err
				}
				dir, _, err := d.db.Directory(ctx)
				if err != nil {
					return err
				}
				l := newAlarmLine(letterhead(d.cfg), dir, &a)
				if asJSON {
					return json.NewEncoder(out).Encode(l)
				}
				fmt.Fprintf(out, "%s\n%s\n\n", plain(l.Title), plain(l.Text))
				w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				line := func(name, value string) {
					if value != "" {
						fmt.Fprintf(w, "%s\t%s\n", name, value)
					}
				}
				line("when", l.Time.Format(time.DateTime)+" UTC")
				line("grave", console.AlarmSeverityWord(l.Severity))
				line("rule", l.Rule)
				line("account", l.Account)
				line("vendor", l.Vendor)
				line("cluster", l.Cluster)
				if l.Entry != nil {
					line("entry", fmt.Sprint(*l.Entry))
				}
				if l.Acknowledged != nil {
					line("acknowledged", l.Acknowledged.Format(time.DateTime)+" UTC by "+l.AcknowledgedBy)
					line("found", strings.ReplaceAll(plainText(l.Note), "\n", "\n\t"))
				}
				for _, s := range l.Told {
					line("told", fmt.Sprintf("%s, of the %s: %s %s %s", s.Receiver, s.Of, s.State, s.At.Format(time.DateTime), s.Fault))
				}
				return w.Flush()
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newAlarmAcknowledge() *cobra.Command {
	var t target
	var note string
	cmd := &cobra.Command{
		Use: "acknowledge ID", Short: "Say that somebody looked at an alarm, and what was found", Args: exactly("an ID"),
		Long: "Acknowledge closes an alarm with a note, in the name of whoever works on this machine.\n" +
			"Whoever was told of the alarm is told of it, without the note. An alarm about what was\n" +
			"done on this machine is for somebody with an account: the console.",
		Example: "  ringfence alarm acknowledge 4f1d2a9c0b7e8d6655443322 --note 'A drill, agreed with Ines.' --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			note = strings.TrimSpace(note)
			switch {
			case note == "":
				return usagef("--note is missing: say what was found, also where it was nothing")
			case utf8.RuneCountInString(note) > console.MaxAlarmNote:
				return usagef("--note is longer than %d characters", console.MaxAlarmNote)
			case !utf8.ValidString(note) || strings.ContainsFunc(note, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }):
				return usagef("--note holds characters that cannot be shown")
			}
			ctx := cmd.Context()
			return withAlarms(ctx, &t, "", nil, func(d *deployment) error {
				err := d.db.Acknowledge(ctx, operator, args[0], note)
				switch {
				case errors.Is(err, alarm.ErrNotFound):
					return alarmNotFound(args[0])
				case errors.Is(err, alarm.ErrDone):
					return &hintError{errors.New("somebody acknowledged this alarm already"), "See what they found with 'ringfence alarm show " + args[0] + "'."}
				case errors.Is(err, alarm.ErrInvolved):
					return &hintError{errors.New("this alarm is about what was done on this machine"), "Somebody with an account acknowledges it in the console."}
				}
				return err
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "what was `found`; it is kept with the alarm and in the access log")
	return cmd
}

// An alarmRuleLine is a rule as alarm rules prints it.
type alarmRuleLine struct {
	ID       string     `json:"id"`
	Kind     alarm.Kind `json:"kind"`
	Title    string     `json:"title"`
	On       bool       `json:"on"`
	Severity string     `json:"severity"`
	When     string     `json:"when"`
	Clusters []string   `json:"clusters,omitempty"`
	Vendors  []string   `json:"vendors,omitempty"`
	Accounts []string   `json:"accounts,omitempty"`
	Query    string     `json:"query,omitempty"`
	Owner    bool       `json:"tells_owner"`
	To       []string   `json:"tells,omitempty"`
	Revision int64      `json:"revision"`
}

func newAlarmRules() *cobra.Command {
	var t target
	var asJSON bool
	cmd := &cobra.Command{
		Use: "rules", Short: "Print the rules that raise alarms, with their thresholds", Args: exactly(),
		Long:    "Print the rules that raise alarms. They are changed, and tried against the recorded\npast, in the console.",
		Example: "  ringfence alarm rules --config /etc/ringfence/config.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			return withAlarms(ctx, &t, "", nil, func(d *deployment) error {
				rules, err := d.db.AlarmRules(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
				if !asJSON {
					fmt.Fprintln(w, "ID\tSTATE\tGRAVE\tWHEN\tRULE")
				}
				for i := range rules {
					r := &rules[i]
					title, when := console.AlarmRuleWords(r)
					if asJSON {
						if err := json.NewEncoder(out).Encode(alarmRuleLine{r.ID, r.Kind, title, r.On, r.Severity, when, r.Clusters, r.Vendors, r.Accounts, r.Query, r.Owner, r.To, r.Revision}); err != nil {
							return err
						}
						continue
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, map[bool]string{true: "on", false: "off"}[r.On], console.AlarmSeverityWord(r.Severity), when, title)
				}
				return w.Flush()
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one rule a line as JSON")
	return cmd
}
