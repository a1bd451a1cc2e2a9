package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
)

// passOn says how an invitation gets to its person.
type passOn struct{ phone, mail bool }

func (p *passOn) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.phone, "phone-code", false, "demand a number of six digits too, which you tell by telephone")
	cmd.Flags().BoolVar(&p.mail, "mail", false, "send the link by mail instead of printing it")
}

func (p *passOn) options() auth.InviteOptions { return auth.InviteOptions{PhoneCode: p.phone} }

// check refuses what cannot be done before anything is made.
func (p *passOn) check(d *deployment) error {
	if p.mail && d.post == nil {
		return &hintError{errors.New("no mail server is configured"), "Leave --mail out and pass the link on yourself, or name a server as 'mail' in the configuration."}
	}
	return nil
}

// on prints or sends an invitation. The number for the telephone is printed
// in any case, and nowhere else.
func (p *passOn) on(cmd *cobra.Command, d *deployment, a *directory.Account, i auth.Invited, asJSON bool) error {
	until := i.Expires.UTC()
	if p.mail {
		if err := d.post.Invite(cmd.Context(), a, i); err != nil {
			return err
		}
	}
	if asJSON {
		out := map[string]any{"email": a.Email, "expires": until}
		if p.mail {
			out["mailed"] = true
		} else {
			out["link"] = i.Link
		}
		if i.PhoneCode != "" {
			out["phone_code"] = i.PhoneCode
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(out)
	}
	words := cmd.ErrOrStderr()
	if p.mail {
		fmt.Fprintf(words, "An invitation for %s, good once and until %s, is sent by the gateway.\n", a.Email, until.Format("2006-01-02 15:04 UTC"))
	} else {
		fmt.Fprintf(words, "Invitation for %s, good once and until %s:\n", a.Email, until.Format("2006-01-02 15:04 UTC"))
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), i.Link); err != nil {
			return err
		}
	}
	if i.PhoneCode == "" {
		return nil
	}
	fmt.Fprintln(words, "The number to tell by telephone, never the way of the link:")
	_, err := fmt.Fprintln(cmd.OutOrStdout(), i.PhoneCode)
	return err
}
