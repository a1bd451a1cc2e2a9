package synthetic

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// inFlight is after how many exchanges at most the writer waits for the log.
const inFlight = 128

// perExchange is how many entries an exchange makes on average, facts aside.
const perExchange = 1.94

// Exchanges returns of how many exchanges n entries are.
func Exchanges(n int) int { return max(1, int(float64(n)/perExchange)) }

// Fill writes a log of about n entries into dir, which has none, through
// [accesslog.Open], and returns how many there are. size is the length of a
// segment; 0 is the usual one. Progress may be nil.
func Fill(ctx context.Context, dir string, n int, size int64, progress func(done, of int)) (uint64, error) {
	w, err := New()
	if err != nil {
		return 0, err
	}
	key, _, err := accesslog.GenerateKey("bench.example.com/log")
	if err != nil {
		return 0, err
	}
	var clock atomic.Int64 // of the newest record; the log never lets its own go back
	clock.Store(Start.UnixNano())
	log, err := accesslog.Open(ctx, accesslog.Config{Dir: dir, Key: key, Node: "gw-1", SegmentSize: size, SealPersonal: true,
		Now: func() time.Time { return time.Unix(0, clock.Load()).UTC() }})
	if err != nil {
		return 0, err
	}
	ran := make(chan error, 1)
	go func() { ran <- log.Run(ctx) }()
	err = fill(ctx, log, w, dir, n, &clock, progress)
	if err == nil {
		err = settle(ctx, dir, 1)
	}
	size64 := log.Size()
	if cerr := log.Close(); err == nil {
		size64, err = log.Size(), cerr
	}
	if rerr := <-ran; err == nil {
		err = rerr
	}
	return size64, err
}

func fill(ctx context.Context, log *accesslog.Log, w *World, dir string, n int, clock *atomic.Int64, progress func(done, of int)) error {
	total := Exchanges(n)
	wait := min(inFlight, max(1, total/(4*Days)))
	for i := range total {
		for j, r := range w.Exchange(i, total) {
			clock.Store(r.Time.UnixNano())
			// Waiting keeps the log's clock, which facts documents are stamped with, near the record's time.
			add := log.Append
			if j == 0 && i%wait == 0 {
				add = func(r *policy.Record) error { _, err := log.Record(ctx, r); return err }
			}
			if err := add(r); err != nil {
				return err
			}
		}
		if i%20_000 == 0 {
			if progress != nil {
				progress(i, total)
			}
			// Compressing is slower than writing; without waiting, raw segments would fill the disk.
			if err := settle(ctx, dir, 6); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle waits until at most raw segments are not compressed.
func settle(ctx context.Context, dir string, raw int) error {
	for {
		names, err := filepath.Glob(filepath.Join(dir, "*.segment"))
		if err != nil || len(names) <= raw {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for compression: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
