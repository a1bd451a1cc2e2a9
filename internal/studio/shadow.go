package studio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A ShadowRequest starts a policy set beside the one in force.
type ShadowRequest struct {
	Modules map[string]string `json:"modules"`
}

// A ShadowDifference is a request that the two sets decided differently.
type ShadowDifference struct {
	Turn    rego.Turn
	Entry   uint64 // of the access log
	Subject policy.Subject
	Request policy.Request
	policy.Resource
	Old, New policy.Decision
}

// A Shadow hands decisions of the gateway to a child process, where another
// policy set decides about the same input. It is safe for concurrent use.
type Shadow struct {
	queue   chan shadowed
	dropped atomic.Int64
	runner  *Runner
	ask     ShadowRequest
}

// shadowed is one decision with what it was made from.
type shadowed struct {
	in    policy.Input
	made  policy.Decision
	entry uint64
}

// shadowQueue is how many decisions wait for the child at most: a second or so
// of heavy traffic, some MiB.
const shadowQueue = 1024

// NewShadow returns a shadow, which decides while Run runs.
func (r *Runner) NewShadow(a ShadowRequest) *Shadow {
	return &Shadow{queue: make(chan shadowed, shadowQueue), runner: r, ask: a}
}

// Offer hands over one decision and the index of its entry, and returns at
// once: what finds no room is counted as dropped. It keeps a copy of in, whose
// maps and slices must not change afterwards.
func (s *Shadow) Offer(in *policy.Input, made policy.Decision, entry uint64) {
	w := shadowed{in: *in, made: made, entry: entry}
	if in.Request.TLS != nil { // it is part of something larger, which must not be held
		t := *in.Request.TLS
		w.in.Request.TLS = &t
	}
	select {
	case s.queue <- w:
	default:
		s.dropped.Add(1)
	}
}

// TakeDropped returns how many decisions were dropped since it was last called.
func (s *Shadow) TakeDropped() int64 { return s.dropped.Swap(0) }

// Run decides until ctx ends, and then returns nil. It calls decided for each
// request that was decided, one after another: with nil where both sets agree.
// An error, such as a [*LimitError], means that the set can decide no more.
func (s *Shadow) Run(ctx context.Context, decided func(*ShadowDifference)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	if s.runner.cfg.Command == nil {
		err = s.inline(ctx, decided)
	} else {
		err = s.child(ctx, decided)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("the child process ended")
	}
	return fmt.Errorf("deciding in shadow: %w", err)
}

// inline decides in this process, for tests alone.
func (s *Shadow) inline(ctx context.Context, decided func(*ShadowDifference)) error {
	e, err := rego.NewJudge(ctx, s.ask.Modules)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-s.queue:
			decided(difference(&w, e.Decide(ctx, &w.in)))
		}
	}
}

func difference(w *shadowed, is policy.Decision) *ShadowDifference {
	turn := rego.TurnOf(w.made, is)
	if turn == "" {
		return nil
	}
	return &ShadowDifference{Turn: turn, Entry: w.entry, Subject: w.in.Subject, Request: w.in.Request, Resource: w.in.Resource, Old: w.made, New: is}
}

// shadowLine is one decision on its way to the child. A facts document goes
// there once and is named by its hash afterwards.
type shadowLine struct {
	Input    policy.Input    `json:"input"`
	Facts    string          `json:"facts,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
	Forget   bool            `json:"forget,omitempty"` // all documents from before
}

// maxDocuments bounds what both sides remember of facts.
const maxDocuments = 2048

// child decides in a process of its own: one line there and one line back for
// each request, in the same order.
func (s *Shadow) child(ctx context.Context, decided func(*ShadowDifference)) error {
	p, err := s.runner.start("shadow", s.ask)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	sent := make(chan shadowed, 64) // asked and not answered yet
	var wg sync.WaitGroup
	defer wg.Wait()
	defer p.kill()
	ended := make(chan struct{})
	defer close(ended)
	wg.Go(func() { s.send(ctx, p.in, sent, ended) })
	for {
		m, err := p.next()
		if err != nil {
			return err
		}
		if m.Result == nil {
			continue
		}
		var is policy.Decision
		if err := json.Unmarshal(m.Result, &is); err != nil {
			return fmt.Errorf("reading from the child process: %w", err)
		}
		select {
		case w := <-sent:
			decided(difference(&w, is))
		default:
			return errors.New("the child process answered what was not asked")
		}
	}
}

// send writes decisions to the child until ctx or the child ends.
func (s *Shadow) send(ctx context.Context, to io.Writer, sent chan<- shadowed, ended <-chan struct{}) {
	out := bufio.NewWriterSize(to, 64<<10)
	enc := json.NewEncoder(out)
	known := map[string]bool{}
	for {
		var w shadowed
		select {
		case <-ctx.Done():
			return
		case <-ended:
			return
		case w = <-s.queue:
		}
		line := shadowLine{Input: w.in, Facts: w.in.Facts.Hash()}
		line.Input.Facts = nil
		if line.Facts != "" && !known[line.Facts] {
			if len(known) >= maxDocuments {
				clear(known)
				line.Forget = true
			}
			known[line.Facts], line.Document = true, w.in.Facts.JSON()
		}
		select {
		case sent <- w:
		case <-ctx.Done():
			return
		case <-ended:
			return
		}
		if enc.Encode(line) != nil || out.Flush() != nil {
			return // the child is gone, which its reader says
		}
	}
}

// serveShadow is the child's side: it answers each line until there are no more.
func serveShadow(ctx context.Context, body json.RawMessage, in *bufio.Reader, say func(message) error) error {
	var a ShadowRequest
	if err := json.Unmarshal(body, &a); err != nil {
		return errors.Join(err, say(message{Error: err.Error()}))
	}
	e, err := rego.NewJudge(ctx, a.Modules)
	if err != nil {
		return say(message{Error: err.Error()})
	}
	dec := json.NewDecoder(in)
	documents := map[string]*policy.Document{}
	for {
		var l shadowLine
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return say(message{Error: "reading a request: " + err.Error()})
		}
		if l.Forget {
			clear(documents)
		}
		if l.Document != nil {
			d := new(policy.Document)
			if err := d.UnmarshalJSON(l.Document); err != nil {
				return say(message{Error: "reading facts: " + err.Error()})
			}
			documents[l.Facts] = d
		}
		l.Input.Facts = documents[l.Facts]
		result, err := json.Marshal(e.Decide(ctx, &l.Input))
		if err != nil {
			return say(message{Error: err.Error()})
		}
		if err := say(message{Result: result}); err != nil {
			return err
		}
	}
}
