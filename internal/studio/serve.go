package studio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// jobs are the kinds of work, each in a file of its own.
var jobs = map[string]job{
	"check":  handle(check),
	"replay": handle(replay),

	"format": handle(formatModules),
	"reach":  handle(reach),

	"cover":  handle(cover),
	"decide": handle(decide),
	"load":   handle(load),
	"test":   handle(test),
	"try":    handle(try),
	"matrix": handle(matrix),
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
// It returns when the job is done. When in ends, which it does with the
// gateway, it ends the process: what is under way may not look at its context.
// The caller has lowered its own priority; Serve sets the limits.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return serve(ctx, in, out, confine)
}

func serve(ctx context.Context, in io.Reader, out io.Writer, confine func(Limits) error) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading what is asked: %w", err)
	}
	var a ask
	if err := json.Unmarshal(line, &a); err != nil {
		return fmt.Errorf("reading what is asked: %w", err)
	}
	if err := confine(a.Limits); err != nil {
		return err
	}
	if a.Kind != "replay" {
		lowerPriority(19)
	}
	if a.Kind == "shadow" { // more lines follow, until the gateway is gone
		enc := json.NewEncoder(out)
		return serveShadow(ctx, a.Body, lines, func(m message) error { return enc.Encode(m) })
	}
	go func() {
		_, _ = lines.ReadByte() // nothing comes: this returns when the gateway is gone
		os.Exit(1)
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
