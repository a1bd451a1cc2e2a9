package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// An arrival is what the log yields.
type arrival struct {
	entry *accesslog.Entry
	err   error
}

// entries sends batches until something fails or ctx ends.
func (w *worker) entries(ctx context.Context, well func()) error {
	reading, stop := context.WithCancel(ctx)
	in := make(chan arrival, w.d.Batch)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(in)
		for e, err := range w.cfg.Source.Subscribe(reading, w.cursor.Next) {
			select {
			case in <- arrival{e, err}:
			case <-reading.Done():
				return
			}
		}
	}()
	defer func() { stop(); <-done }()
	for {
		batch, err := w.collect(ctx, in)
		if err != nil || len(batch) == 0 {
			return err
		}
		if batch[0].Index != w.cursor.Next {
			return fmt.Errorf("the log yields entry %d where %d is next", batch[0].Index, w.cursor.Next)
		}
		w.note(func(s *State) { s.Oldest = batch[0].Time })
		if err := w.hand(ctx, batch); err != nil {
			return err
		}
		well()
	}
}

// collect waits for a first entry, and then a moment for more. No entries and
// no error mean the end.
func (w *worker) collect(ctx context.Context, in <-chan arrival) (batch []*accesslog.Entry, err error) {
	var late <-chan time.Time
	for size := 0; len(batch) < w.d.Batch && size < w.d.BatchBytes; {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-late:
			return batch, nil
		case a, ok := <-in:
			if !ok {
				return batch, nil
			}
			if a.err != nil {
				return nil, wrap("reading the log", a.err)
			}
			batch = append(batch, a.entry)
			size += len(a.entry.Payload)
			if late == nil {
				t := time.NewTimer(w.d.Linger)
				defer t.Stop()
				late = t.C
			}
		}
	}
	return batch, nil
}

// hand sends a batch and moves the cursor behind it.
func (w *worker) hand(ctx context.Context, all []*accesslog.Entry) error {
	batch := all
	if len(w.d.Types) > 0 {
		batch = slices.DeleteFunc(slices.Clone(all), func(e *accesslog.Entry) bool { return !slices.Contains(w.d.Types, string(e.Type)) })
	}
	if len(batch) == 0 {
		return w.advance(all[len(all)-1], nil, 0)
	}
	reasons, err := w.send(ctx, batch)
	if err != nil {
		return err
	}
	if len(reasons) == len(batch) {
		return fmt.Errorf("the destination refuses every entry of the batch, so none is set aside: %s", unnamed(reasons[0], batch[0]))
	}
	var refused []Refusal
	for i, e := range batch {
		if why, ok := reasons[i]; ok {
			refused = append(refused, Refusal{Index: e.Index, Time: w.cfg.Now().UTC().Truncate(time.Second), Reason: clip(unnamed(why, e))})
		}
	}
	return w.advance(all[len(all)-1], refused, uint64(len(batch)-len(refused)))
}

// send hands a batch over and returns what is refused, by place. A batch that
// is refused as a whole is halved until the entries at fault stand alone.
func (w *worker) send(ctx context.Context, batch []*accesslog.Entry) (map[int]string, error) {
	timed, cancel := context.WithTimeout(ctx, sendTimeout)
	err := w.d.Sender.Send(timed, batch)
	cancel()
	r, ok := errors.AsType[*RefusedError](err)
	switch {
	case err == nil:
		return nil, nil
	case !ok:
		return nil, err
	case r.Entries != nil:
		return r.Entries, nil
	case len(batch) == 1:
		return map[int]string{0: r.Reason}, nil
	}
	half := len(batch) / 2
	first, err := w.send(ctx, batch[:half])
	if err != nil {
		return nil, err
	}
	second, err := w.send(ctx, batch[half:])
	if err != nil {
		return nil, err
	}
	out := make(map[int]string, len(first)+len(second))
	for i, why := range first {
		out[i] = why
	}
	for i, why := range second {
		out[half+i] = why
	}
	return out, nil
}
