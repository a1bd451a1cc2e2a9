package studio

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// A process is a child that answers many lines.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	words tail
	once  sync.Once
}

// maxDecision is how long one answer of such a child may be, in bytes.
const maxDecision = 4 << 20

// endless is for a child that goes on until somebody stops it.
const endless = 365 * 24 * time.Hour

// start starts a child with one thing to do. Kill it afterwards.
func (r *Runner) start(kind string, body any) (*process, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", kind, err)
	}
	limits := r.cfg.Limits
	limits.Time = endless
	line, err := json.Marshal(ask{Kind: kind, Limits: limits, Body: b})
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", kind, err)
	}
	p := &process{cmd: r.cfg.Command()}
	p.cmd.Env = append(environment(), p.cmd.Env...)
	p.cmd.Stderr = &p.words
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(make([]byte, 64<<10), maxDecision)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the child process: %w", err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.kill()
		return nil, ended(p.words.bytes(), err)
	}
	return p, nil
}

// next returns the next message; an error once there are no more, which says why.
func (p *process) next() (m message, err error) {
	if !p.lines.Scan() {
		err := p.lines.Err()
		p.kill()
		if errors.Is(err, bufio.ErrTooLong) {
			return m, &LimitError{"room for its answer"}
		}
		return m, ended(p.words.bytes(), cmp.Or(err, io.EOF))
	}
	if err := json.Unmarshal(p.lines.Bytes(), &m); err != nil {
		return m, fmt.Errorf("reading from the child process: %w", err)
	}
	switch {
	case m.Limit != "":
		return m, &LimitError{m.Limit}
	case m.Error != "":
		return m, &FailedError{m.Error}
	}
	return m, nil
}

// kill ends the child and waits until it is gone. It may be called again.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.in.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
}
