package main

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/studio"
)

// Password hashes are computed by a process of their own, at the lowest
// priority: each takes 64 MiB and a tenth of a second of a core, anybody can
// ask for one, and neither the garbage nor the time may slow proxied requests.

// A hashAsk is one key derivation, as the gateway asks for it. Password is
// what package auth made of the typed one: with a pepper it is no password any more.
type hashAsk struct {
	ID             uint64
	Password, Salt []byte
	Passes, Memory uint32 // Memory in KiB
	Size           uint32
}

type hashAnswer struct {
	ID  uint64
	Key []byte
}

// newHashWorker is the hidden command behind [hashWorker].
func newHashWorker() *cobra.Command {
	return &cobra.Command{
		Use: "hash-worker", Hidden: true, Args: cobra.NoArgs,
		Short: "Compute password hashes for a gateway on standard input and output",
		RunE: func(*cobra.Command, []string) error {
			studio.LowerPriority()
			return serveHashes(os.Stdin, os.Stdout)
		},
	}
}

// serveHashes answers until in ends, which it does with the gateway.
func serveHashes(in io.Reader, out io.Writer) error {
	answers := gob.NewEncoder(out)
	asks := gob.NewDecoder(in)
	var mu sync.Mutex
	for {
		var ask hashAsk
		if err := asks.Decode(&ask); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("reading what to hash: %w", err)
		}
		go func() {
			key, err := auth.Argon2id(context.Background(), ask.Password, ask.Salt, ask.Passes, ask.Memory, ask.Size)
			if err != nil {
				return // the gateway gives up on it
			}
			mu.Lock()
			defer mu.Unlock()
			_ = answers.Encode(hashAnswer{ask.ID, key}) // whoever asked is gone: the input ends next
		}()
	}
}

// A hashWorker derives keys in the process of the hidden command while
// [hashWorker.Run] runs, and in this process otherwise. It is safe for
// concurrent use.
type hashWorker struct {
	logger *slog.Logger

	mu      sync.Mutex
	process *os.Process
	asks    *gob.Encoder // nil: no process
	next    uint64
	waiting map[uint64]chan []byte // closed without an answer when the process ended
}

// Derive is argon2id with one lane. It satisfies auth.Config.Derive.
func (h *hashWorker) Derive(ctx context.Context, password, salt []byte, passes, memory, size uint32) ([]byte, error) {
	h.mu.Lock()
	if h.asks == nil {
		h.mu.Unlock()
		return auth.Argon2id(ctx, password, salt, passes, memory, size)
	}
	h.next++
	id, answer := h.next, make(chan []byte, 1)
	h.waiting[id] = answer
	err := h.asks.Encode(hashAsk{id, password, salt, passes, memory, size})
	h.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("asking the hash worker: %w", err)
	}
	select {
	case key, ok := <-answer:
		if !ok {
			return nil, errors.New("the hash worker ended")
		}
		return key, nil
	case <-ctx.Done():
		h.mu.Lock()
		delete(h.waiting, id)
		h.mu.Unlock()
		return nil, ctx.Err()
	}
}

// Run keeps the process running until ctx ends.
func (h *hashWorker) Run(ctx context.Context) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		began := time.Now()
		err := h.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		h.logger.Error("the process that hashes passwords ended; starting another", "err", err)
		if time.Since(began) > time.Minute {
			pause = 10 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// serve runs one process to its end.
func (h *hashWorker) serve(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, ownProgram(), "hash-worker")
	cmd.Args[0] = "ringfence"
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting the hash worker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting the hash worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the hash worker: %w", err)
	}
	h.mu.Lock()
	h.process, h.asks, h.waiting = cmd.Process, gob.NewEncoder(in), map[uint64]chan []byte{}
	h.mu.Unlock()
	err = h.read(gob.NewDecoder(out))
	h.mu.Lock()
	h.asks = nil
	for _, answer := range h.waiting {
		close(answer)
	}
	h.waiting = nil
	h.mu.Unlock()
	return errors.Join(err, in.Close(), cmd.Wait())
}

func (h *hashWorker) read(answers *gob.Decoder) error {
	for {
		var a hashAnswer
		if err := answers.Decode(&a); err != nil {
			return err
		}
		h.mu.Lock()
		if answer, ok := h.waiting[a.ID]; ok {
			answer <- a.Key
			delete(h.waiting, a.ID)
		}
		h.mu.Unlock()
	}
}
