package studio

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
)

// A process is a child that answers many lines.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
	words tail
	once  sync.Once
}

// start starts a child with one thing to do. Kill it afterwards.
func (r *Runner) start(kind string, body any) (*process, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", kind, err)
	}
	line, err := json.Marshal(ask{Kind: kind, Limits: r.cfg.Limits, Body: b})
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
	p.lines = bufio.NewReaderSize(out, 64<<10)
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
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		p.kill()
		return m, ended(p.words.bytes(), err)
	}
	if err := json.Unmarshal(line, &m); err != nil {
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
