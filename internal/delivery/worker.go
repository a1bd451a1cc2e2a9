package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A worker delivers to one destination.
type worker struct {
	cfg    *Config
	d      Destination
	cursor cursor
	care   upkeep
	keeps  bool // whether the sender is a [Keeper]

	mu    sync.Mutex
	state State
}

func newWorker(cfg *Config, d Destination) (*worker, error) {
	w := &worker{cfg: cfg, d: d, state: State{Name: d.Name, Kind: d.Kind}}
	_, w.keeps = d.Sender.(Keeper)
	c, found, err := readCursor(cfg.cursorFile(d.Name))
	if err != nil {
		return nil, err
	}
	if !found {
		c = cursor{Origin: cfg.Origin}
		if d.Newest {
			c.Next = cfg.Source.Size()
		} else if c.Next, err = accesslog.FirstHeld(cfg.LogDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("finding the oldest entry of the log: %w", err)
		}
		// From now on nothing is left out, whatever happens before the first batch.
		if err := c.write(cfg.cursorFile(d.Name)); err != nil {
			return nil, err
		}
	}
	w.cursor = c
	w.state.Next = c.Next
	list, err := readRefusals(cfg.refusedFile(d.Name))
	w.note(func(s *State) { s.refusals(list) })
	if err == nil {
		err = w.beginForgetting()
	}
	return w, err
}

// State returns how the destination fares.
func (w *worker) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	if size := w.cfg.Source.Size(); size > s.Next {
		s.Lag = size - s.Next
	}
	if w.keeps {
		all, _ := Forgetting(w.cfg.Dir, w.d.Name)
		s.Forgetting = len(all)
	}
	return s
}

func (w *worker) note(change func(*State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.state)
}

// run delivers until ctx ends or only a person can help.
func (w *worker) run(ctx context.Context) {
	logger := w.cfg.Logger.With("destination", w.d.Name, "kind", w.d.Kind)
	defer func() {
		if err := w.close(); err != nil && ctx.Err() == nil {
			logger.Warn("closing a delivery", "err", err)
		}
	}()
	for tries := 0; ctx.Err() == nil; {
		again, err := w.round(ctx, &tries)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil: // an order came
			continue
		case again == 0:
			logger.Error("a delivery has stopped: the log or the cursor was replaced", "err", err, "cursor", w.cfg.cursorFile(w.d.Name))
			w.await(ctx, w.ordered)
			continue
		}
		logger.Warn("a delivery failed and is tried again", "err", clip(err.Error()), "next", w.cursor.Next, "again_in", again.String())
		pausing, end := ctx, func() {}
		if !Ordered(w.cfg.Dir, w.d.Name) { // one that waits has failed itself
			pausing, end = w.until(ctx, func() bool { return w.ordered() || w.changed() })
		}
		_ = w.cfg.pause(pausing, again) // cut short where somebody wants something
		end()
	}
}

// round carries out what was ordered and delivers until something fails, an
// order comes, which is no error, or ctx ends. It returns the pause that a
// failure asks for; 0: only a person can help.
func (w *worker) round(ctx context.Context, tries *int) (time.Duration, error) {
	w.renew()
	err := w.obey(ctx)
	if err == nil {
		err = w.cursor.fits(ctx, w.cfg)
	}
	if err == nil {
		w.keepUp(ctx)
		inner, end := w.until(ctx, func() bool { return w.ordered() || w.changed() || w.upkeepDue(ctx) })
		err = w.deliver(inner, tries)
		interrupted := inner.Err() != nil
		end()
		if interrupted || err == nil {
			return 0, nil
		}
	}
	*tries++
	stopped := errors.Is(err, errMisfit)
	w.failed(err, stopped)
	if stopped {
		return 0, err
	}
	var asked time.Duration
	if a, ok := errors.AsType[*askedError](err); ok {
		asked = a.after
	}
	return backOff(*tries, asked), err
}

func (w *worker) changed() bool { return w.d.Changed != nil && w.d.Changed() }

// renew takes the destination with its secrets as they are now.
func (w *worker) renew() {
	if !w.changed() {
		return
	}
	logger := w.cfg.Logger.With("destination", w.d.Name, "kind", w.d.Kind)
	next, err := w.d.Renew()
	if err != nil {
		logger.Error("reading a delivery's secrets again; those before stay in use", "err", err)
		return
	}
	if err := w.close(); err != nil {
		logger.Warn("closing a delivery", "err", err)
	}
	w.d.Sender, w.d.Segments, w.d.Days = next.Sender, next.Segments, next.Days
	logger.Info("read a delivery's secrets again")
}

// until returns a context that ends when something is so.
func (w *worker) until(ctx context.Context, so func() bool) (context.Context, func()) {
	inner, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		w.await(inner, so)
	}()
	return inner, func() { cancel(); <-done }
}

// deliver goes on until something fails. It sets tries back after each success.
func (w *worker) deliver(ctx context.Context, tries *int) error {
	well := func() {
		if *tries > 0 {
			w.cfg.Logger.Info("a delivery works again", "destination", w.d.Name, "next", w.cursor.Next)
		}
		*tries = 0
	}
	switch {
	case w.d.Segments != nil:
		return w.segments(ctx, well)
	case w.d.Days != nil:
		return w.days(ctx, well)
	}
	return w.entries(ctx, well)
}

func (w *worker) close() error {
	switch {
	case w.d.Segments != nil:
		return w.d.Segments.Close()
	case w.d.Days != nil:
		return w.d.Days.Store.Close()
	}
	return w.d.Sender.Close()
}

func (w *worker) failed(err error, stopped bool) {
	w.note(func(s *State) {
		s.Failures++
		s.Fault, s.Stopped = clip(err.Error()), stopped
		if s.Since.IsZero() {
			s.Since = w.cfg.Now().UTC()
		}
	})
}

// advance moves the cursor behind last: first on disk, then in what is shown.
func (w *worker) advance(last *accesslog.Entry, refused []Refusal, delivered uint64) error {
	if len(refused) > 0 {
		if err := keepRefusals(w.cfg.refusedFile(w.d.Name), refused); err != nil {
			return err
		}
		w.cfg.Logger.Error("a destination refuses entries, which are set aside", "destination", w.d.Name, "entries", len(refused),
			"first", refused[0].Index, "reason", refused[0].Reason, "list", w.cfg.refusedFile(w.d.Name))
	}
	next := cursor{Origin: w.cfg.Origin, Next: last.Index + 1, Last: payloadHash(last)}
	if err := next.write(w.cfg.cursorFile(w.d.Name)); err != nil {
		return err
	}
	w.cursor = next
	w.note(func(s *State) {
		s.Next, s.Oldest, s.Fault, s.Since = next.Next, time.Time{}, "", time.Time{}
		s.Delivered += delivered
		if len(refused) > 0 && s.Refused == 0 {
			s.FirstRefused = refused[0].Index
		}
		s.Refused += uint64(len(refused))
	})
	return nil
}

// An askedError carries how long a destination wants to be left alone.
type askedError struct {
	after time.Duration
	err   error
}

func (e *askedError) Error() string { return e.err.Error() }
func (e *askedError) Unwrap() error { return e.err }

// clip bounds what is kept of a receiver's words, on one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
