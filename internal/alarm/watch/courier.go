package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/internal/alarm"
	"github.com/ringfence/ringfence/internal/delivery"
	"github.com/ringfence/ringfence/internal/mail"
)

// A Letter is what people are told of an alarm: plain text, in English.
type Letter struct {
	Title, Text string // a line; some sentences
	Mail        string // the whole text of a mail
	URL         string // of the alarm's page
}

// CourierConfig says what a [Courier] works with. Outbox, Open, Words and Owner
// are required.
type CourierConfig struct {
	Outbox alarm.Outbox
	// Open decrypts the secret of a receiver.
	Open func(id string, sealed []byte) ([]byte, error)
	// Words words an alarm, or that it was acknowledged where it says so.
	Words func(alarm.Alarm) Letter
	// Owner returns the address of a vendor's owner; empty: nobody is named.
	Owner func(vendor string) string
	// Mail takes mails; nil: no server is configured, and mails are given up.
	Mail interface {
		Send(context.Context, mail.Message) error
	}
	// AllowNetworks are networks that are not public in which receivers may be.
	AllowNetworks []netip.Prefix
	Origin, Node  string
	Now           func() time.Time // default time.Now
	Logger        *slog.Logger
}

// Bounds of sending.
const (
	lookEvery   = time.Second
	claimFor    = 2 * time.Minute // a process that died has its sends tried again after it
	atOnce      = 50
	firstPause  = 5 * time.Second
	longest     = time.Hour
	giveUpAfter = 48 * time.Hour
)

// A Courier tells receivers of alarms. It is safe for concurrent use.
type Courier struct{ c CourierConfig }

// NewCourier checks c and connects to nothing.
func NewCourier(c CourierConfig) (*Courier, error) {
	if c.Outbox == nil || c.Open == nil || c.Words == nil || c.Owner == nil {
		return nil, errors.New("configuring the sending of alarms: outbox, secrets, words and owners are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Courier{c}, nil
}

// Run sends what waits until ctx ends. Faults are kept with the alarm and tried
// again.
func (k *Courier) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		if err := k.round(ctx, &wg); err != nil && ctx.Err() == nil {
			k.c.Logger.Error("sending alarms", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round begins to send what is due: each receiver on its own, so that one that
// hangs holds no other up.
func (k *Courier) round(ctx context.Context, wg *sync.WaitGroup) error {
	now := k.c.Now().UTC()
	due, err := k.c.Outbox.ClaimSends(ctx, now, now.Add(claimFor), atOnce)
	if err != nil {
		return err
	}
	by := map[string][]alarm.Send{}
	for _, s := range due {
		by[s.Receiver] = append(by[s.Receiver], s)
	}
	for _, sends := range by {
		wg.Go(func() {
			var failed error
			for _, s := range sends {
				err := failed // what waits for a receiver that is away waits on
				if err == nil {
					if err = k.tell(ctx, &s); err != nil && !isPermanent(err) {
						failed = err
					}
				}
				if ctx.Err() != nil {
					return // whoever comes next tries again
				}
				if err := k.note(ctx, s, err); err != nil {
					k.c.Logger.Error("noting how an alarm was sent", "alarm", s.Alarm, "receiver", s.Receiver, "err", err)
				}
			}
		})
	}
	return nil
}

// note stores how a try went.
func (k *Courier) note(ctx context.Context, s alarm.Send, err error) error {
	now := k.c.Now().UTC()
	switch {
	case err == nil:
		s.Sent, s.Fault = now, ""
	default:
		a, aerr := k.c.Outbox.Alarm(ctx, s.Alarm)
		s.Tries++
		s.Fault = clip(err.Error())
		s.Next = now.Add(backOff(s.Tries))
		began := a.Raised
		if s.Acknowledged {
			began = a.Acknowledged.At
		}
		if isPermanent(err) || aerr == nil && now.Sub(began) >= giveUpAfter {
			s.GivenUp = now
		}
		k.c.Logger.Warn("an alarm could not be sent", "alarm", s.Alarm, "receiver", s.Receiver, "tries", s.Tries, "given_up", !s.GivenUp.IsZero(), "err", s.Fault)
	}
	return k.c.Outbox.NoteSend(context.WithoutCancel(ctx), s)
}

func backOff(tries int) time.Duration {
	d := min(longest, firstPause<<min(max(tries-1, 0), 16))
	return d/2 + delivery.Jitter(d/2)
}

// A permanentError is one after which another try is useless.
type permanentError struct{ what string }

func (e *permanentError) Error() string { return e.what }

func permanent(format string, args ...any) error {
	return &permanentError{fmt.Sprintf(format, args...)}
}

func isPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok || errors.Is(err, errGone) || errors.Is(err, mail.ErrPermanent)
}

// tell sends one alarm to one receiver.
func (k *Courier) tell(ctx context.Context, s *alarm.Send) error {
	a, err := k.c.Outbox.Alarm(ctx, s.Alarm)
	if err != nil {
		return fmt.Errorf("reading the alarm: %w", err)
	}
	if !s.Acknowledged {
		a.Acknowledged = alarm.Acknowledgement{} // that is told by a message of its own
	}
	if s.Receiver == alarm.OwnerReceiver {
		to := k.c.Owner(a.Vendor)
		if to == "" {
			return permanent("the vendor has no owner with an address")
		}
		return k.mail(ctx, a, s.Receiver, to)
	}
	c, err := k.c.Outbox.Receiver(ctx, s.Receiver)
	if errors.Is(err, alarm.ErrNotFound) || err == nil && c.Off {
		return permanent("the receiver was removed or switched off")
	}
	if err != nil {
		return fmt.Errorf("reading the receiver: %w", err)
	}
	return k.Send(ctx, c, a)
}

// Send tells a receiver of an alarm at once, such as to try it.
func (k *Courier) Send(ctx context.Context, c alarm.Receiver, a alarm.Alarm) error {
	ctx, cancel := context.WithTimeout(ctx, 2*sendTimeout)
	defer cancel()
	switch c.Kind {
	case alarm.Webhook:
		secret, err := k.c.Open(c.ID, c.Sealed)
		if err != nil {
			return fmt.Errorf("opening the receiver's secret: %w", err)
		}
		now := k.c.Now().UTC()
		body, err := k.message(a)
		if err != nil {
			return err
		}
		return postWebhook(ctx, &c, string(secret), k.c.AllowNetworks, messageID(a), now, body)
	case alarm.Mail:
		return k.mail(ctx, a, c.ID, c.Address)
	case alarm.Syslog:
		return k.syslog(ctx, &c, a)
	}
	return permanent("a receiver of kind %s is not known", c.Kind)
}

func (k *Courier) mail(ctx context.Context, a alarm.Alarm, receiver, to string) error {
	if k.c.Mail == nil {
		return permanent("no mail server is configured")
	}
	l := k.c.Words(a)
	return k.c.Mail.Send(ctx, mail.Message{ID: messageID(a) + "_" + receiver, To: to, Subject: l.Title, Text: l.Mail, Created: createdAt(a)})
}

func (k *Courier) syslog(ctx context.Context, c *alarm.Receiver, a alarm.Alarm) error {
	conf, err := tlsOf(c)
	if err != nil {
		return err
	}
	s, err := delivery.NewSyslog(c.Address, conf, delivery.FacilityAudit, nil)
	if err != nil {
		return err
	}
	s.DialWith(dialer(k.c.AllowNetworks))
	defer s.Close()
	severity := map[string]uint8{alarm.High: 1, alarm.Medium: 4}[a.Severity]
	if severity == 0 {
		severity = 5
	}
	if !a.Open() {
		severity = 5
	}
	l := k.c.Words(a)
	return s.SendText(ctx, delivery.Text{At: createdAt(a), Severity: severity, Host: k.c.Node, ID: "alarm",
		Parameters: map[string]string{"id": a.ID, "rule": a.Rule, "kind": string(a.Kind), "severity": a.Severity, "account": a.Account, "vendor": a.Vendor, "cluster": a.Cluster, "entry": entryOf(a, k.c.Origin), "acknowledged_by": a.Acknowledged.Account},
		Message:    l.Title + ". " + l.Text})
}

// messageID names a message, the same however often it is tried.
func messageID(a alarm.Alarm) string {
	if a.Open() {
		return "alarm_" + a.ID
	}
	return "alarm_" + a.ID + "_acknowledged"
}

// createdAt is when what a message tells happened.
func createdAt(a alarm.Alarm) time.Time {
	if a.Open() {
		return a.At
	}
	return a.Acknowledged.At
}

// message is the body of a webhook.
func (k *Courier) message(a alarm.Alarm) ([]byte, error) {
	l := k.c.Words(a)
	type data struct {
		ID       string            `json:"id"`
		Rule     string            `json:"rule"`
		Kind     alarm.Kind        `json:"kind"`
		Severity string            `json:"severity"`
		Title    string            `json:"title"`
		Text     string            `json:"text"`
		Time     time.Time         `json:"time"`
		Account  string            `json:"account,omitempty"`
		Vendor   string            `json:"vendor,omitempty"`
		Cluster  string            `json:"cluster,omitempty"`
		About    string            `json:"about,omitempty"`
		Facts    map[string]string `json:"facts,omitempty"`
		Entry    string            `json:"entry,omitempty"`
		URL      string            `json:"url"`
		By       string            `json:"acknowledged_by,omitempty"`
		ByAt     *time.Time        `json:"acknowledged_at,omitempty"`
	}
	kind, at := "alarm.raised", a.Raised
	var byAt *time.Time
	if !a.Open() {
		done := a.Acknowledged.At.UTC()
		kind, at, byAt = "alarm.acknowledged", done, &done
	}
	b, err := json.Marshal(struct {
		Type      string    `json:"type"`
		Timestamp time.Time `json:"timestamp"`
		Data      data      `json:"data"`
	}{kind, at.UTC(), data{a.ID, a.Rule, a.Kind, a.Severity, l.Title, l.Text, a.At.UTC(), a.Account, a.Vendor, a.Cluster, a.About, a.Facts, entryOf(a, k.c.Origin), l.URL, a.Acknowledged.Account, byAt}})
	if err != nil {
		return nil, fmt.Errorf("encoding the alarm: %w", err)
	}
	return b, nil
}

// entryOf names the entry that raised an alarm, as origin#index.
func entryOf(a alarm.Alarm, origin string) string {
	if a.Entry == nil {
		return ""
	}
	return fmt.Sprintf("%s#%d", origin, *a.Entry)
}

// clip bounds what is kept of a fault, on one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
