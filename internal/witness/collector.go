package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/ringfence/ringfence/internal/durable"
)

// Config says which witnesses a [Collector] asks and what it demands.
type Config struct {
	Source Source
	Peers  []Peer
	// Require is how many witnesses must cosign a checkpoint before it counts
	// as witnessed.
	Require int
	// MaxGap is how long service goes on without a checkpoint that counts.
	// 0: for ever.
	MaxGap time.Duration
	// File is where the newest checkpoint that counts is kept.
	File string
	// Every is how often checkpoints are taken to the witnesses. Default 10 s.
	Every time.Duration
	// Timeout bounds one round, all witnesses at once. Default 5 s.
	Timeout time.Duration

	// Tell is called when a witness ceases to cosign, begins to again, or shows
	// a conflict; nil: nobody is told. It must not wait.
	Tell func(Event)

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// ErrUnwitnessed: service has stopped because no checkpoint was cosigned by
// enough witnesses for too long, or one of them proves that the log is not
// the one it was.
var ErrUnwitnessed = errors.New("the access log is not witnessed")

// A Collector takes checkpoints to witnesses and keeps what they cosign. Its
// methods are safe for concurrent use.
type Collector struct {
	cfg   Config
	log   logKeys
	peers []*peer
	keys  []note.Verifier // of the peers

	round    sync.Mutex                // one round at a time; guards the peers
	since    atomic.Pointer[time.Time] // when the newest round began that counted
	conflict atomic.Pointer[ConflictError]

	mu       sync.Mutex // guards what follows
	cosigned []byte     // the newest checkpoint that counts, with cosignatures
	size     uint64     // of that
	states   []PeerState
}

// A PeerState is how one witness fares.
type PeerState struct {
	Name string
	Key  string    // its public key
	Size uint64    // entries of the newest checkpoint that it cosigned
	At   time.Time // when that was; zero when it never did since the start
	Err  error     // why the last attempt failed
}

// An Event is a change in how one witness fares.
type Event struct {
	Witness  string
	Size     uint64         // entries of the checkpoint that it was asked about
	Err      error          // why it did not cosign; nil: it does again
	Conflict *ConflictError // what it remembers of another log; nil: nothing
}

// A Status is what metrics and pages show.
type Status struct {
	Gap       time.Duration // since a checkpoint counted
	Witnessed uint64        // entries that it covers
	Peers     []PeerState
	Require   int           // witnesses that must cosign before a checkpoint counts
	MaxGap    time.Duration // how long service goes on without; 0: for ever
	Stopped   error         // why there is no service, if so
}

// New makes a collector and reads what the last one kept. It asks nobody.
func New(cfg Config) (*Collector, error) {
	if cfg.Every == 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Require < 0 || cfg.Require > len(cfg.Peers) {
		return nil, fmt.Errorf("collecting cosignatures: %d witnesses are required and there are %d", cfg.Require, len(cfg.Peers))
	}
	c := &Collector{cfg: cfg}
	var err error
	if err = c.log.set(cfg.Source.Key); err != nil {
		return nil, fmt.Errorf("collecting cosignatures: %w", err)
	}
	for _, p := range cfg.Peers {
		x, err := newPeer(p, &c.log)
		if err != nil {
			return nil, err
		}
		for _, k := range c.keys {
			if k.Name() == x.verifier.Name() {
				return nil, fmt.Errorf("witness %s: its key bears the name of another's, %s", p.Name, k.Name())
			}
		}
		c.peers, c.keys = append(c.peers, x), append(c.keys, x.verifier)
		c.states = append(c.states, PeerState{Name: p.Name, Key: strings.TrimSpace(p.Key)})
	}
	now := cfg.Now()
	c.since.Store(&now)
	return c, c.restore()
}

// SetKeys takes over the log's public keys, as [Source] has them, after one was
// added or retired.
func (c *Collector) SetKeys(text string) error { return c.log.set(text) }

// restore takes over what was kept, so that a restart does not begin the gap anew.
func (c *Collector) restore() error {
	b, err := os.ReadFile(c.cfg.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the cosigned checkpoint: %w", err)
	}
	p, _, err := openCheckpoint(b, c.log.all())
	if err != nil {
		return fmt.Errorf("reading the cosigned checkpoint %s: it is not one of this log: %w", c.cfg.File, err)
	}
	c.cosigned, c.size = b, p.Size
	found, err := cosignatures(b, c.keys)
	if err != nil || len(found) < max(c.cfg.Require, 1) {
		return nil // of other witnesses than those of today
	}
	var times []time.Time
	for _, s := range found {
		times = append(times, s.at)
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	if at := times[max(c.cfg.Require, 1)-1]; at.Before(*c.since.Load()) {
		c.since.Store(&at)
	}
	return nil
}

// Compare takes the log's newest checkpoint to all witnesses before it is
// served. The error is a [ConflictError] when the log is not the one that was
// witnessed: when what was kept here shows it, when a witness proves it, or
// when one claims it and too few others vouch for the log. Witnesses that do
// not answer are no error: the gap goes on.
func (c *Collector) Compare(ctx context.Context) error {
	msg := c.cfg.Source.Checkpoint()
	at, _, err := openCheckpoint(msg, c.log.all())
	if err != nil {
		return fmt.Errorf("comparing with the witnesses: reading our own checkpoint: %w", err)
	}
	if c.cosigned != nil {
		kept, _, err := openCheckpoint(c.cosigned, c.log.all())
		if err != nil {
			return fmt.Errorf("comparing with the witnesses: %w", err)
		}
		conflict := &ConflictError{Witness: "checkpoint in " + c.cfg.File, Have: at.Size, Seen: kept.Size, Proof: c.cosigned}
		if kept.Size > at.Size {
			return conflict
		}
		_, root, err := c.cfg.Source.Older(ctx, msg, kept.Size)
		if err != nil {
			return fmt.Errorf("comparing with the witnesses: %w", err)
		}
		if root != kept.Root {
			return conflict
		}
	}
	good, errs := c.Round(ctx)
	var claimed *ConflictError
	for _, err := range errs {
		conflict, ok := errors.AsType[*ConflictError](err)
		if ok && conflict.Proof != nil {
			return conflict
		}
		if ok {
			claimed = conflict
		}
	}
	if claimed != nil && good < max(c.cfg.Require, 1) {
		return claimed
	}
	return ctx.Err()
}

// Run takes checkpoints to the witnesses until ctx ends, also when nothing
// was added: a fresh cosignature says that the log is still watched.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		c.Round(ctx)
	}
}

// Round takes the newest checkpoint to all witnesses at once and returns how
// many cosigned it, and for each that did not why.
func (c *Collector) Round(ctx context.Context) (good int, errs []error) {
	c.round.Lock()
	defer c.round.Unlock()
	began := c.cfg.Now()
	msg := c.cfg.Source.Checkpoint()
	stopping := ctx.Done()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	lines, all := make([]string, len(c.peers)), make([]error, len(c.peers))
	var wg sync.WaitGroup
	for i, p := range c.peers {
		wg.Go(func() {
			got, err := p.submit(ctx, &c.cfg.Source, msg, c.cfg.Now())
			lines[i], all[i] = got.line, err
		})
	}
	wg.Wait()
	select {
	case <-stopping: // what was cut says nothing about the witnesses
		return 0, []error{context.Cause(ctx)}
	default:
	}
	at, _, err := openCheckpoint(msg, c.log.all())
	if err != nil {
		return 0, []error{fmt.Errorf("reading our own checkpoint: %w", err)}
	}
	cosigned := bytes.Clone(msg)
	for i, line := range lines {
		c.note(i, at, began, all[i])
		if all[i] != nil {
			errs = append(errs, all[i])
			continue
		}
		good++
		cosigned = append(cosigned, line...)
	}
	if good > 0 && good >= c.cfg.Require {
		if err := c.publish(cosigned, at.Size, began); err != nil {
			errs = append(errs, err)
			c.cfg.Logger.Error("keeping the cosigned checkpoint", "err", err)
		}
	}
	return good, errs
}

// note remembers how one witness fared, and says so when that changed.
func (c *Collector) note(i int, at Point, began time.Time, err error) {
	if conflict, ok := errors.AsType[*ConflictError](err); ok && conflict.Proof != nil {
		c.conflict.Store(conflict)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.states[i]
	switch {
	case err != nil && s.Err == nil:
		c.cfg.Logger.Error("a witness does not cosign", "witness", s.Name, "err", err)
	case err == nil && s.Err != nil:
		c.cfg.Logger.Info("a witness cosigns again", "witness", s.Name)
	}
	conflict, _ := errors.AsType[*ConflictError](err)
	before, _ := errors.AsType[*ConflictError](s.Err)
	if c.cfg.Tell != nil && ((err == nil) != (s.Err == nil) || conflict != nil && before == nil) {
		c.cfg.Tell(Event{Witness: s.Name, Size: at.Size, Err: err, Conflict: conflict})
	}
	if s.Err = err; err == nil {
		s.Size, s.At = at.Size, began
	}
}

func (c *Collector) publish(cosigned []byte, size uint64, began time.Time) error {
	if err := durable.WriteFile(c.cfg.File, cosigned, 0o600); err != nil {
		return err
	}
	c.since.Store(&began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cosigned, c.size = cosigned, size
	return nil
}

// Serving returns nil while service may go on, and otherwise
// [ErrUnwitnessed] with the reason. It takes no lock.
func (c *Collector) Serving() error {
	if p := c.conflict.Load(); p != nil {
		return fmt.Errorf("%w: %w", ErrUnwitnessed, p)
	}
	if c.cfg.MaxGap == 0 || c.cfg.Require == 0 {
		return nil
	}
	if gap := c.cfg.Now().Sub(*c.since.Load()); gap > c.cfg.MaxGap {
		return fmt.Errorf("%w: too few witnesses have cosigned it for %s", ErrUnwitnessed, gap.Round(time.Second))
	}
	return nil
}

// Cosigned returns the newest checkpoint that enough witnesses have cosigned,
// with their signatures; nil when there is none.
func (c *Collector) Cosigned() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.cosigned)
}

// Status returns current figures.
func (c *Collector) Status() Status {
	stopped := c.Serving()
	gap := max(0, c.cfg.Now().Sub(*c.since.Load()))
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{Gap: gap, Witnessed: c.size, Peers: slices.Clone(c.states), Require: c.cfg.Require, MaxGap: c.cfg.MaxGap, Stopped: stopped}
}
