package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// ErrFull means that too many mails wait already.
var ErrFull = errors.New("too many mails wait to be sent")

// A Queued is a mail that waits.
type Queued struct {
	ID      string
	Kind    string // what it is about, such as "invitation"
	Account string // whom it is about
	To      string
	Sealed  []byte // subject and text, encrypted
	Warning string // the warning that it passes on; empty: none
	Created time.Time
	Expires time.Time // worthless afterwards; zero: never
	Next    time.Time // when it is tried
	Tries   int       // failed ones
	Fault   string    // of the last try
	GivenUp time.Time // zero: not given up
}

// A State is how the outbox fares.
type State struct {
	Waiting int
	Oldest  time.Time // of what waits; zero: nothing does
	Fault   string    // of the newest failed try of what waits
	GivenUp []Queued  // the newest first, without what they say
}

// Queue keeps the mails that wait, for all processes together.
type Queue interface {
	// PutMail must store q, or return [ErrFull] when most mails wait already.
	PutMail(ctx context.Context, q Queued, most int) error
	// ClaimMail must set Next of at most limit mails that are due at now to
	// until and return them as they were, the oldest first: of several
	// processes each mail goes to one.
	ClaimMail(ctx context.Context, now, until time.Time, limit int) ([]Queued, error)
	// SentMail must remove the mail.
	SentMail(ctx context.Context, id string) error
	// DeferMail must count a failed try.
	DeferMail(ctx context.Context, id string, next time.Time, fault string) error
	// GiveUpMail must end the tries and forget what the mail says.
	GiveUpMail(ctx context.Context, id string, at time.Time, fault string) error
	// ForgetMail must remove what was given up before before.
	ForgetMail(ctx context.Context, before time.Time) error
	// MailState must return how many mails wait and at most limit that were given up.
	MailState(ctx context.Context, limit int) (State, error)
}

// Bounds of the outbox.
const (
	maxWaiting  = 10_000
	atOnce      = 20
	claimFor    = 5 * time.Minute // a process that died has its mails tried again after it
	lookEvery   = 15 * time.Second
	firstPause  = time.Minute
	longest     = time.Hour
	giveUpAfter = 48 * time.Hour
	forgetAfter = 14 * 24 * time.Hour
	leaveAfter  = 3 * time.Second // how long a delivery under way is waited for at the end
)

// OutboxConfig says what an [Outbox] works with. Queue, Seal and Open are
// required; without a Sender mails are refused.
type OutboxConfig struct {
	Queue  Queue
	Sender interface {
		// Send must return once the mail was taken, and an error that is
		// [ErrPermanent] when another try is useless.
		Send(context.Context, Message) error
	}
	// Seal and Open encrypt what a mail says, bound to its id: it may be an invitation.
	Seal func(id string, plain []byte) []byte
	Open func(id string, sealed []byte) ([]byte, error)
	// Sent, when set, is called after a mail was taken.
	Sent   func(context.Context, Queued)
	Now    func() time.Time
	Logger *slog.Logger
}

// An Outbox keeps mails until they are sent. It is safe for concurrent use.
type Outbox struct {
	OutboxConfig
	wake chan struct{}

	mu    sync.Mutex
	state State // as of the last round
}

// NewOutbox returns an outbox that sends nothing until Run.
func NewOutbox(c OutboxConfig) (*Outbox, error) {
	if c.Queue == nil || c.Seal == nil || c.Open == nil {
		return nil, errors.New("making an outbox: Queue, Seal and Open are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Sent == nil {
		c.Sent = func(context.Context, Queued) {}
	}
	return &Outbox{OutboxConfig: c, wake: make(chan struct{}, 1)}, nil
}

// sealed is what is encrypted of a mail.
type sealed struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// Put keeps a mail until it is sent. q names it and whom it goes to; the rest
// is filled in.
func (o *Outbox) Put(ctx context.Context, q Queued, subject, text string) error {
	plain, err := json.Marshal(sealed{subject, text})
	if err != nil {
		return fmt.Errorf("queueing mail: %w", err)
	}
	now := o.Now().UTC()
	q.Created, q.Next, q.Sealed = now, now, o.Seal(q.ID, plain)
	if err := o.Queue.PutMail(ctx, q, maxWaiting); err != nil {
		return fmt.Errorf("queueing mail: %w", err)
	}
	select {
	case o.wake <- struct{}{}:
	default: // a round is due already
	}
	return nil
}

// Run sends what waits until ctx ends. Faults are logged and tried again.
func (o *Outbox) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := o.Round(ctx); err != nil && ctx.Err() == nil {
			o.Logger.Error("sending mails", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-o.wake:
		}
	}
}

// Round sends what is due now.
func (o *Outbox) Round(ctx context.Context) error {
	for ctx.Err() == nil {
		now := o.Now().UTC()
		due, err := o.Queue.ClaimMail(ctx, now, now.Add(claimFor), atOnce)
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if len(due) == 0 {
			break
		}
		for _, q := range due {
			if err := o.deliver(ctx, q); err != nil {
				return err
			}
		}
	}
	if err := o.Queue.ForgetMail(context.WithoutCancel(ctx), o.Now().UTC().Add(-forgetAfter)); err != nil {
		return fmt.Errorf("clearing the outbox: %w", err)
	}
	return o.look(ctx)
}

// look notes how the outbox fares.
func (o *Outbox) look(ctx context.Context) error {
	s, err := o.Queue.MailState(context.WithoutCancel(ctx), 20)
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = s
	return nil
}

// State returns how the outbox fared at the last round.
func (o *Outbox) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state
}

// deliver tries one mail and notes how it went. The error is the queue's.
func (o *Outbox) deliver(ctx context.Context, q Queued) error {
	fault := o.send(ctx, q)
	if errors.Is(fault, context.Canceled) && ctx.Err() != nil {
		return nil // the program ends: whoever comes next tries again
	}
	done := context.WithoutCancel(ctx)
	now := o.Now().UTC()
	switch {
	case fault == nil:
		o.Sent(done, q)
		return o.Queue.SentMail(done, q.ID)
	case errors.Is(fault, ErrPermanent), now.Sub(q.Created) >= giveUpAfter, !q.Expires.IsZero() && !now.Before(q.Expires):
		o.Logger.WarnContext(ctx, "giving a mail up", "id", q.ID, "kind", q.Kind, "tries", q.Tries+1, "err", fault)
		return o.Queue.GiveUpMail(done, q.ID, now, clip(fault.Error()))
	}
	pause := min(longest, firstPause<<min(q.Tries, 10))
	o.Logger.WarnContext(ctx, "a mail could not be sent yet", "id", q.ID, "kind", q.Kind, "again_in", pause.String(), "err", fault)
	return o.Queue.DeferMail(done, q.ID, now.Add(pause), clip(fault.Error()))
}

func (o *Outbox) send(ctx context.Context, q Queued) error {
	if !q.Expires.IsZero() && !o.Now().Before(q.Expires) {
		return fmt.Errorf("%w: what it says has expired", ErrPermanent)
	}
	plain, err := o.Open(q.ID, q.Sealed)
	var s sealed
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	if err != nil {
		return fmt.Errorf("%w: reading it: %w", ErrPermanent, err)
	}
	if o.Sender == nil {
		return fmt.Errorf("%w: no mail server is configured", ErrPermanent)
	}
	result := make(chan error, 1)
	go func() {
		result <- o.Sender.Send(ctx, Message{ID: q.ID, To: q.To, Subject: s.Subject, Text: s.Text, Created: q.Created})
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	// A server that takes its time must not hold up the end of the program.
	late := time.NewTimer(leaveAfter)
	defer late.Stop()
	select {
	case err := <-result:
		return err
	case <-late.C:
		return ctx.Err()
	}
}

// clip bounds what is kept of a server's words.
func clip(s string) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
