package console

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/alarm/watch"
	"github.com/ringfence/ringfence/internal/ui"
)

const receiversPath = alarmsPath + "/receivers"

func receiverURL(id string) string { return receiversPath + "/" + url.PathEscape(id) }

var receiverKinds = map[string]ui.Text{alarm.Webhook: "webhook", alarm.Mail: "mail", alarm.Syslog: "syslog"}

// receiversPage lists who is told of alarms.
type receiversPage struct {
	Base
	Rows   []receiverRow
	Empty  ui.Empty
	NoMail bool
}

type receiverRow struct {
	URL, Title, Address string
	Kind                ui.Text
	State               ui.Badge
}

func (c *Console) receivers(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := c.Alarms.Receivers(r.Context())
	if err != nil {
		return err
	}
	page := receiversPage{Base: v.page("Receivers of alarms"), NoMail: c.Mail == nil,
		Empty: ui.Empty{Title: "Nobody is told yet", Text: "Alarms stand in the console, and rules can tell the vendor's owner by mail. A receiver is a webhook, a mail address or a syslog server besides.",
			Action: "Add the first receiver", ActionURL: receiversPath + "/new"}}
	for _, x := range all {
		row := receiverRow{URL: receiverURL(x.ID), Title: x.Title, Address: x.Address, Kind: receiverKinds[x.Kind], State: ui.Badge{Kind: ui.Good, Text: "on"}}
		if u, err := url.Parse(x.Address); x.Kind == alarm.Webhook && err == nil {
			row.Address = u.Host // the path of some is a secret
		}
		if x.Off {
			row.State = ui.Badge{Kind: ui.Neutral, Text: "off"}
		}
		page.Rows = append(page.Rows, row)
	}
	return c.show(w, r, http.StatusOK, "console-alarm-receivers", page)
}

// receiverPage is the form of a receiver.
type receiverPage struct {
	editPage
	TryURL, RemoveURL string // empty for a new one
}

func (c *Console) newReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showReceiver(w, r, v, newForm(url.Values{"kind": {alarm.Webhook}, "state": {"on"}}), "")
}

func (c *Console) editReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, err := c.receiverOf(r)
	if err != nil {
		return err
	}
	state := "on"
	if x.Off {
		state = "off"
	}
	return c.showReceiver(w, r, v, newForm(url.Values{"kind": {x.Kind}, "title": {x.Title}, "address": {x.Address}, "ca": {x.CA}, "state": {state}}), x.ID)
}

func (c *Console) receiverOf(r *http.Request) (alarm.Receiver, error) {
	all, err := c.Alarms.Receivers(r.Context())
	if err != nil {
		return alarm.Receiver{}, err
	}
	if i := slices.IndexFunc(all, func(x alarm.Receiver) bool { return x.ID == r.PathValue("receiver") }); i >= 0 {
		return all[i], nil
	}
	return alarm.Receiver{}, ui.NotFound()
}

func (c *Console) showReceiver(w http.ResponseWriter, r *http.Request, v *visit, f *form, id string) error {
	page := receiverPage{editPage: editPage{Base: v.page("A receiver of alarms"), About: ui.Link{Label: "Receivers of alarms", URL: receiversPath}, Submit: "Save",
		URL: receiversPath + "/new", Back: receiversPath, Faulty: f.Faulty(), Faults: f.Notes}}
	secret := ui.Text("Leave it empty to have one made, which is shown once.")
	if id != "" {
		page.URL, page.TryURL, page.RemoveURL = receiverURL(id), receiverURL(id)+"/try", receiverURL(id)+"/remove"
		secret = "Leave it empty to keep the one that is there. It does not stay with another address."
	}
	state := f.boxes("state", "State", []choice{{Value: "on", Label: "On"}, {Value: "off", Label: "Off", Hint: "nothing is sent"}})
	state.One, state.Short = true, true
	page.Groups = []group{
		{Title: "Where", Controls: controls(f.choice("kind", "Kind", "", []ui.Option{{Value: alarm.Webhook, Label: "Webhook"}, {Value: alarm.Mail, Label: "Mail"}, {Value: alarm.Syslog, Label: "Syslog over TLS"}}),
			with(f.text("title", "Name"), func(u *ui.Field) { u.Required, u.MaxLength = true, 120 }),
			with(f.text("address", "Address"), func(u *ui.Field) {
				u.Required, u.Mono, u.MaxLength, u.Hint = true, true, 2000, "A webhook's https address, an e-mail address, or host:port of a syslog server."
			}), state)},
		{Title: "Trust", Hint: "A webhook's messages are signed as Standard Webhooks say, so that the receiver can tell ours from others.", Controls: controls(
			with(f.text("secret", "Secret of the webhook"), func(u *ui.Field) { u.Value, u.Mono, u.MaxLength, u.Hint = "", true, 200, secret }),
			with(f.area("ca", "Certificates", 3), func(u *ui.Field) {
				u.Mono, u.Hint = true, "PEM, of the authority that vouches for the receiver. Empty: those that the system trusts."
			}))},
	}
	return c.show(w, r, f.status(), "console-alarm-receiver", page)
}

// receiverFrom reads a receiver and its secret out of the form.
func receiverFrom(f *form, x alarm.Receiver) (alarm.Receiver, string) {
	x.Kind = f.oneOf("kind", "a kind", alarm.ReceiverKinds)
	x.Title = f.line("title", "a name", 120, true)
	x.Off = f.oneOf("state", "whether it is on", []string{"on", "off"}) == "off"
	x.CA = strings.TrimSpace(f.Value("ca"))
	switch x.Kind {
	case alarm.Webhook:
		if x.Address = f.line("address", "an address", 2000, true); x.Address != "" && watch.CheckURL(x.Address) != nil {
			f.fault("address", "Give an address that begins with https://, without a password in it.")
		}
	case alarm.Mail:
		x.Address = f.address("address")
	case alarm.Syslog:
		x.Address = f.line("address", "an address", 300, true)
		host, port, err := net.SplitHostPort(x.Address)
		if _, perr := strconv.ParseUint(port, 10, 16); x.Address != "" && (err != nil || perr != nil || host == "" || strings.ContainsAny(host, "/@ ")) {
			f.fault("address", "Give host:port, such as logs.example.com:6514.")
		}
	}
	if len(x.CA) > 64<<10 || x.CA != "" && !strings.Contains(x.CA, "-----BEGIN CERTIFICATE-----") {
		f.fault("ca", "Give certificates in PEM.")
	}
	secret := strings.TrimSpace(f.Value("secret"))
	if x.Kind != alarm.Webhook {
		secret = ""
	}
	if secret != "" && watch.CheckSecret(secret) != nil {
		f.fault("secret", "A secret is whsec_ and base64 of 24 to 64 bytes.")
	}
	return x, secret
}

func (c *Console) addReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	x, secret := receiverFrom(f, alarm.Receiver{ID: "to-" + strings.ToLower(rand.Text()[:10])})
	said := ui.Text("The receiver is added. Rules say what it is told.")
	if x.Kind == alarm.Webhook && secret == "" {
		secret = watch.NewSecret()
		said = ui.Say("The receiver is added. Its secret, which is shown only now: {1}", secret)
	}
	return c.keepReceiver(w, r, v, f, x, secret, "", said)
}

func (c *Console) changeReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, err := c.receiverOf(r)
	if err != nil {
		return err
	}
	f := posted(r)
	x.Sealed = nil
	x, secret := receiverFrom(f, x)
	return c.keepReceiver(w, r, v, f, x, secret, x.ID, "The receiver is saved.")
}

func (c *Console) keepReceiver(w http.ResponseWriter, r *http.Request, v *visit, f *form, x alarm.Receiver, secret, id string, said ui.Text) error {
	if f.OK() {
		err := c.Alarms.SaveReceiver(r.Context(), v.Actor(), x, []byte(secret))
		fault, faulty := errors.AsType[*alarm.Fault](err)
		switch {
		case faulty && fault.Part == "secret":
			f.fault("secret", "Another address needs a secret of its own.")
		case errors.Is(err, alarm.ErrTooMany):
			f.note("There are too many receivers already.")
		case err != nil:
			return alarmError(err)
		}
	}
	if !f.OK() {
		return c.showReceiver(w, r, v, f, id)
	}
	return c.seeOther(w, r, v, receiversPath, said)
}

func (c *Console) removeReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Alarms.RemoveReceiver(r.Context(), v.Actor(), r.PathValue("receiver")); err != nil {
		return alarmError(err)
	}
	return c.seeOther(w, r, v, receiversPath, "The receiver is removed. Rules that named it tell it no longer.")
}

// tryReceiver sends a receiver an alarm about nothing.
func (c *Console) tryReceiver(w http.ResponseWriter, r *http.Request, v *visit) error {
	x, err := c.receiverOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	a := alarm.Alarm{ID: "test" + strings.ToLower(rand.Text()[:20]), Rule: "test", Kind: alarm.Matches, Severity: alarm.Low, Title: "A test of this receiver",
		At: v.Now, Raised: v.Now, Facts: map[string]string{"count": "1", "since": v.Now.Format(time.RFC3339)}, About: "nobody"}
	if err := c.Alarms.TryReceiver(ctx, x.ID, a); err != nil {
		f := newForm(url.Values{"kind": {x.Kind}, "title": {x.Title}, "address": {x.Address}, "ca": {x.CA}, "state": {"on"}})
		f.note("It did not take a test: {1}", clip(err.Error(), 300))
		return c.showReceiver(w, r, v, f, x.ID)
	}
	return c.seeOther(w, r, v, receiverURL(x.ID), "It took a test.")
}
