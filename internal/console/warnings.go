package console

import (
	"net/http"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// An openWarning is something that whoever answers for a vendor should hear,
// from an administrator as long as no mail has told them.
type openWarning struct {
	ID     string
	Who    ui.Link
	Title  ui.Text
	Help   ui.Text
	At     time.Time
	IP     string
	Client ui.Text
	Vendor string
	Tell   policy.Person // empty for the customer's own people
}

// openWarnings lists the warnings that wait to be passed on, for administrators.
func (c *Console) openWarnings(r *http.Request, d *directory.Directory, v *visit) ([]openWarning, error) {
	if !v.mayChange() {
		return nil, nil
	}
	list, err := c.Auth.OpenWarnings(r.Context())
	if err != nil {
		return nil, authError(err, "listing warnings")
	}
	var out []openWarning
	for _, w := range list {
		o := openWarning{ID: w.ID, Who: ui.Link{Label: ui.Verbatim(w.Email), URL: personURL(w.Account)}, Title: warningTitle(&w.Notice), Help: warningHelp(&w.Notice), At: w.At, IP: w.IP}
		if a := find(d.Accounts, accountWithID(w.Account)); a != nil {
			o.Who.Label = ui.Verbatim(nameOf(a))
		}
		if w.UserAgent != "" {
			o.Client = clientWords(w.UserAgent)
		}
		if w.Vendor != "" {
			o.Tell, o.Vendor = vendorOf(v.Snapshot, w.Vendor)
		}
		out = append(out, o)
	}
	return out, nil
}

// passWarning notes that a warning was passed on.
func (c *Console) passWarning(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Auth.PassWarning(r.Context(), v.AuthActor(), r.PathValue("id")); err != nil {
		return authError(err, "noting that a warning was passed on")
	}
	return c.seeOther(w, r, v, "/console/", "It is noted that you passed it on.")
}

// mailFaults says what is wrong with sending mails.
func (c *Console) mailFaults(v *visit) []attention {
	if c.Mail == nil || !v.mayChange() {
		return nil
	}
	var out []attention
	s := c.Mail.State()
	if s.Fault != "" && s.Waiting > 0 {
		out = append(out, attention{ui.Badge{Kind: ui.Warn, Text: "mail waits"}, ui.Link{Label: count(s.Waiting, "mail")},
			ui.Say("cannot be sent yet, the oldest since {1}: {2}", clock(s.Oldest), clip(s.Fault, 300))})
	}
	for _, m := range s.GivenUp {
		out = append(out, attention{ui.Badge{Kind: ui.Bad, Text: "mail failed"}, ui.Link{Label: ui.Verbatim(m.To)},
			ui.Say("was not reached on {1}: {2}. Tell them in another way, and look at the address.", clock(m.At), clip(m.Fault, 300))})
	}
	return out
}
