package studio

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"sync"
	"time"
)

// Limits bound one job.
type Limits struct {
	Time   time.Duration // of the whole job; 0: a minute for people who wait, an hour for long jobs
	Memory int64         // bytes; 0: 1 GiB. What the program itself takes comes on top.
}

// Config says how a [Runner] works.
type Config struct {
	// Command makes the child process, which must run [Serve] on its standard
	// input and output. Nil runs jobs in this process, for tests alone: a
	// hostile draft then ends it.
	Command func() *exec.Cmd
	Limits  Limits
	Logger  *slog.Logger // slog.Default when nil
}

// A Runner runs jobs on drafts. It is safe for concurrent use: people who wait
// share two places, of which nobody has both (see [For]), long jobs one, and
// whoever comes later waits for a place.
type Runner struct {
	cfg   Config
	short chan struct{}
	long  chan struct{}
	load  chan struct{} // of sets that are to come into force, which wait for nobody's trial
	vet   chan struct{} // of sets that a second person approves or somebody rolls back to
	turns turns
	vets  turns // of those who approve and roll back
}

// New returns a runner. It starts nothing.
func New(c Config) *Runner {
	if c.Limits.Memory == 0 {
		c.Limits.Memory = 1 << 30
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Runner{cfg: c, short: make(chan struct{}, 2), long: make(chan struct{}, 1), load: make(chan struct{}, 1), vet: make(chan struct{}, 2)}
}

// Progress says how far a job is.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"` // 0: not known
}

// A LimitError says which limit a job was stopped at.
type LimitError struct{ What string } // time, memory, depth or "room for its answer"

// Error says it in a sentence for the log.
func (e *LimitError) Error() string {
	return "the policies need more " + e.What + " than a trial may have"
}

// A FailedError is what a job itself says went wrong, such as a draft that
// does not compile where it must.
type FailedError struct{ Message string }

// Error returns the message.
func (e *FailedError) Error() string { return e.Message }

// message is one line from the child.
type message struct {
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
	Limit    string          `json:"limit,omitempty"`
}

// ask is the one line to the child.
type ask struct {
	Kind   string          `json:"kind"`
	Limits Limits          `json:"limits"`
	Body   json.RawMessage `json:"body"`
}

// call runs one job of a kind and decodes its result. Progress goes to tell,
// which may be nil.
func call[R any](ctx context.Context, r *Runner, place chan struct{}, kind string, body any, tell func(Progress)) (R, error) {
	var out R
	mine := &r.turns
	if place == r.vet {
		mine = &r.vets
	}
	if place == r.short || place == r.vet {
		done, err := mine.take(ctx)
		if err != nil {
			return out, fmt.Errorf("running %s: %w", kind, err)
		}
		defer done()
	}
	select {
	case place <- struct{}{}:
		defer func() { <-place }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	b, err := json.Marshal(body) // not before: whoever waits holds no copy
	if err != nil {
		return out, fmt.Errorf("asking for %s: %w", kind, err)
	}
	limits := r.cfg.Limits
	if limits.Time == 0 {
		limits.Time = time.Minute
		if place == r.long {
			limits.Time = time.Hour
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Time, &LimitError{"time"})
	defer cancel()
	a := ask{Kind: kind, Limits: limits, Body: b}
	var result json.RawMessage
	if r.cfg.Command == nil {
		result, err = r.inline(ctx, a, tell)
	} else {
		result, err = r.child(ctx, a, tell)
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return out, fmt.Errorf("running %s: %w", kind, err)
	}
	if err := json.Unmarshal(result, &out); err != nil {
		return out, fmt.Errorf("reading the result of %s: %w", kind, err)
	}
	return out, nil
}

// child runs a job in a process of its own, which ends with ctx.
func (r *Runner) child(ctx context.Context, a ask, tell func(Progress)) (json.RawMessage, error) {
	line, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	cmd := r.cfg.Command()
	cmd.Env = append(environment(), cmd.Env...)
	var words tail
	cmd.Stderr = &words
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	go func() { _, _ = in.Write(append(line, '\n')) }() // the input stays open: its end ends the child
	result, err := read(out, tell)
	_ = in.Close()
	_ = cmd.Process.Kill() // it has said what it had to say
	werr := cmd.Wait()
	if err == nil && result == nil {
		err = ended(words.bytes(), werr)
	}
	return result, err
}

// read passes progress on until a result or an error comes.
func read(from io.Reader, tell func(Progress)) (json.RawMessage, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), maxAnswer)
	for {
		if !lines.Scan() {
			if errors.Is(lines.Err(), bufio.ErrTooLong) {
				return nil, &LimitError{"room for its answer"}
			}
			return nil, nil // it ended without an answer
		}
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return nil, fmt.Errorf("reading from the child process: %w", err)
		}
		switch {
		case m.Limit != "":
			return nil, &LimitError{m.Limit}
		case m.Error != "":
			return nil, &FailedError{m.Error}
		case m.Result != nil:
			return m.Result, nil
		case m.Progress != nil && tell != nil:
			tell(*m.Progress)
		}
	}
}

// inline runs a job in this process.
func (r *Runner) inline(ctx context.Context, a ask, tell func(Progress)) (json.RawMessage, error) {
	do, ok := jobs[a.Kind]
	if !ok {
		return nil, errors.New("no such job")
	}
	if tell == nil {
		tell = func(Progress) {}
	}
	res, err := do(ctx, a.Body, tell)
	if err != nil {
		return nil, &FailedError{err.Error()}
	}
	return json.Marshal(res)
}

// tail keeps the first words of what a process writes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), max(0, 4096-len(t.b)))]...)
	return len(p), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b
}
