package studio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// jobs are the kinds of work, each in a file of its own.
var jobs = map[string]job{
	"check":  handle(check),
	"replay": handle(replay),
}

type job func(ctx context.Context, body json.RawMessage, tell func(Progress)) (any, error)

// handle makes a job of a function with types.
func handle[A, R any](do func(context.Context, A, func(Progress)) (R, error)) job {
	return func(ctx context.Context, body json.RawMessage, tell func(Progress)) (any, error) {
		var a A
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, fmt.Errorf("reading what is asked: %w", err)
		}
		return do(ctx, a, tell)
	}
}

// Serve reads one job from in, does it and writes progress and result to out.
// It returns when the job is done or in ends, which it does with the gateway.
// The caller has lowered its own priority; Serve sets the limits on memory.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading what is asked: %w", err)
	}
	var a ask
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("reading what is asked: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = lines.ReadByte() // nothing comes: this returns when the gateway is gone
		cancel()
	}()
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	say := func(m message) error {
		mu.Lock()
		defer mu.Unlock()
		return enc.Encode(m)
	}
	do, ok := jobs[a.Kind]
	if !ok {
		return errors.Join(fmt.Errorf("no job is called %q", a.Kind), say(message{Error: "no such job"}))
	}
	res, err := do(ctx, a.Body, func(p Progress) { _ = say(message{Progress: &p}) })
	if err != nil {
		return say(message{Error: err.Error()})
	}
	b, err := json.Marshal(res)
	if err != nil {
		return say(message{Error: err.Error()})
	}
	return say(message{Result: b})
}
