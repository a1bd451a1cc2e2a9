package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// An Act is what a person has a destination's worker do.
type Act string

// The acts.
const (
	// Retry sends refused entries again; those that are taken leave the list.
	Retry Act = "retry"
	// Skip takes refused entries off the list: the destination stays without them.
	Skip Act = "skip"
	// Reset begins anew at an index: forwards leaves entries out, backwards sends
	// them again. It is what helps a delivery that has stopped.
	Reset Act = "reset"
)

// An Order is one act, which the worker carries out once. It is kept as a file,
// so that it does not matter whether the gateway runs when it is given.
type Order struct {
	Act Act `json:"act"`
	// Entries are the indexes for Retry and Skip. Empty: all that are listed.
	Entries []uint64 `json:"entries,omitempty"`
	// To is for Reset. An index beyond the log's end is the log's end.
	To uint64 `json:"to,omitempty"`
}

// Describe says what an order is to do, for the record of it.
func Describe(o Order) map[string]string {
	d := map[string]string{}
	switch {
	case o.Act == Reset:
		d["to"] = strconv.FormatUint(o.To, 10)
	case len(o.Entries) == 0:
		d["entries"] = "all"
	default:
		var all []string
		for _, n := range o.Entries[:min(len(o.Entries), 100)] {
			all = append(all, strconv.FormatUint(n, 10))
		}
		d["entries"], d["count"] = strings.Join(all, ","), strconv.Itoa(len(o.Entries))
	}
	return d
}

// ErrOrdered: another order for the destination has not been carried out yet.
var ErrOrdered = errors.New("another order waits for this delivery; a running gateway carries it out within seconds")

// lookForOrders is how often workers look whether somebody wants something.
const lookForOrders = time.Second

func orderFile(dir, name string) string { return filepath.Join(dir, name+".order") }

// Give leaves an order for the destination of that name whose cursor is in dir.
// Record it first: it is carried out from then on. One that waits is in its way
// ([ErrOrdered]) unless it is to retry, which may take for ever.
func Give(dir, name string, o Order) error {
	if !nameForm.MatchString(name) || o.Act != Retry && o.Act != Skip && o.Act != Reset {
		return fmt.Errorf("ordering a delivery: %q to %q is no order", o.Act, name)
	}
	if _, err := os.Stat(filepath.Join(dir, name+".cursor")); err != nil {
		return fmt.Errorf("ordering a delivery: there is none called %s: %w", name, err)
	}
	path := orderFile(dir, name)
	b, err := os.ReadFile(path)
	if err == nil {
		var waiting Order
		if json.Unmarshal(b, &waiting) != nil || waiting.Act != Retry {
			return ErrOrdered
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ordering a delivery: %w", err)
	}
	b, err = json.Marshal(o)
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("ordering a delivery: %w", err)
	}
	return nil
}

// Ordered reports whether an order waits for the destination.
func Ordered(dir, name string) bool {
	_, err := os.Stat(orderFile(dir, name))
	return err == nil
}

// Give is as the function [Give], for a destination of the service.
func (s *Service) Give(name string, o Order) error {
	if !slices.ContainsFunc(s.workers, func(w *worker) bool { return w.d.Name == name }) {
		return fmt.Errorf("ordering a delivery: there is none called %s", name)
	}
	return Give(s.cfg.Dir, name, o)
}

// Ordered is as the function [Ordered].
func (s *Service) Ordered(name string) bool { return Ordered(s.cfg.Dir, name) }

// Refusals returns the entries that a destination refused, by index.
func (s *Service) Refusals(name string) ([]Refusal, error) { return Refusals(s.cfg.Dir, name) }

// Refusals returns the entries that the destination of that name refused.
func Refusals(dir, name string) ([]Refusal, error) {
	if !nameForm.MatchString(name) {
		return nil, fmt.Errorf("reading refused entries: %q is not the name of a delivery", name)
	}
	return readRefusals(filepath.Join(dir, name+".refused"))
}

func (w *worker) ordered() bool { return Ordered(w.cfg.Dir, w.d.Name) }

// await returns once something is so, or ctx has ended.
func (w *worker) await(ctx context.Context, so func() bool) {
	tick := time.NewTicker(w.cfg.look)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// obey carries out an order, if there is one, and takes it away. An order that
// fails stays, and is tried again like everything else.
func (w *worker) obey(ctx context.Context) error {
	path := orderFile(w.cfg.Dir, w.d.Name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var o Order
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		if d.Decode(&o) != nil { // written whole or not at all, so somebody else's
			w.cfg.Logger.Error("an order for a delivery cannot be read and is dropped", "destination", w.d.Name)
			return wrap("dropping an order", os.Remove(path))
		}
		switch o.Act {
		case Retry:
			err = w.retry(ctx, o.Entries)
		case Skip:
			err = w.skip(o.Entries)
		case Reset:
			err = w.reset(ctx, o.To)
		}
	}
	if err == nil {
		if err = os.Remove(path); err == nil {
			err = durable.SyncDir(w.cfg.Dir)
		}
	}
	if err != nil {
		return fmt.Errorf("carrying out an order: %w", err)
	}
	w.cfg.Logger.Info("an order for a delivery was carried out", "destination", w.d.Name, "act", string(o.Act), "next", w.cursor.Next)
	return nil
}

// retry sends refused entries one by one, all where entries is empty. What has
// become of each is kept before the next one is sent.
func (w *worker) retry(ctx context.Context, entries []uint64) error {
	list, err := readRefusals(w.cfg.refusedFile(w.d.Name))
	if err != nil || w.d.Sender == nil {
		return err
	}
	for _, r := range slices.Clone(list) {
		if len(entries) > 0 && !slices.Contains(entries, r.Index) {
			continue
		}
		e, err := w.cfg.Source.Get(ctx, r.Index)
		if err != nil {
			return wrap("reading a refused entry", err)
		}
		reasons, err := w.send(ctx, []*accesslog.Entry{e})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(o Refusal) bool { return o.Index == r.Index })
		if why, refused := reasons[0]; refused {
			list[at].Reason, list[at].Time = clip(why), w.cfg.Now().UTC().Truncate(time.Second)
		} else {
			list = slices.Delete(list, at, at+1)
			w.note(func(s *State) { s.Delivered++ })
		}
		if err := w.settle(list); err != nil {
			return err
		}
	}
	return nil
}

// skip takes entries off the list, all where entries is empty.
func (w *worker) skip(entries []uint64) error {
	list, err := readRefusals(w.cfg.refusedFile(w.d.Name))
	if err != nil {
		return err
	}
	return w.settle(slices.DeleteFunc(list, func(r Refusal) bool { return len(entries) == 0 || slices.Contains(entries, r.Index) }))
}

// settle keeps list as the refused entries.
func (w *worker) settle(list []Refusal) error {
	if err := replaceRefusals(w.cfg.refusedFile(w.d.Name), list); err != nil {
		return err
	}
	w.note(func(s *State) { s.refusals(list) })
	return nil
}

// reset puts the cursor before entry to, or before the first that the log still has.
func (w *worker) reset(ctx context.Context, to uint64) error {
	first, err := accesslog.FirstHeld(w.cfg.LogDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap("finding the oldest entry of the log", err)
	}
	c := cursor{Origin: w.cfg.Origin, Next: min(max(to, first), w.cfg.Source.Size())}
	if c.Next > first {
		e, err := w.cfg.Source.Get(ctx, c.Next-1)
		if err != nil {
			return wrap("reading the entry before", err)
		}
		c.Last = payloadHash(e)
	}
	if err := c.write(w.cfg.cursorFile(w.d.Name)); err != nil {
		return err
	}
	w.cursor = c
	w.note(func(s *State) {
		s.Next, s.Stopped, s.Fault, s.Since, s.Oldest = c.Next, false, "", time.Time{}, time.Time{}
	})
	return nil
}
