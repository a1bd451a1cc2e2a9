package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/durable"
)

// A Source is the log: an [*accesslog.Log].
type Source interface {
	// Size must return the number of durable entries.
	Size() uint64
	// Subscribe must yield each entry from index from on once and in order, and
	// wait for further ones until ctx ends.
	Subscribe(ctx context.Context, from uint64) iter.Seq2[*accesslog.Entry, error]
	// Get must return one entry.
	Get(ctx context.Context, index uint64) (*accesslog.Entry, error)
}

// A Sender hands batches to one destination. It is used by one goroutine.
type Sender interface {
	// Send must return nil once the destination has every entry of the batch,
	// which is never empty, a [*RefusedError] where it will never take some of
	// them, and any other error where another try may help.
	Send(ctx context.Context, batch []*accesslog.Entry) error
	// Close must let go of connections.
	Close() error
}

// A RefusedError says that the destination will not take entries for what they say.
type RefusedError struct {
	// Entries holds reasons by place in the batch; the others were taken. Nil:
	// the batch as a whole was refused, and some of it may have been taken.
	Entries map[int]string
	Reason  string
}

func (e *RefusedError) Error() string {
	if e.Entries == nil {
		return "the destination refuses the batch: " + e.Reason
	}
	return fmt.Sprintf("the destination refuses %d of the entries: %s", len(e.Entries), e.Reason)
}

// A Destination is one place that entries go to. Exactly one of Sender,
// Segments and Days is set.
type Destination struct {
	Name string // lower-case letters, digits and hyphens; names the cursor's file
	Kind string // for people: "syslog", "elastic", …
	// Sender takes entries.
	Sender Sender
	// Segments takes whole sealed segments instead.
	Segments SegmentSender
	// Days are kept as files instead.
	Days *Days
	// Changed reports whether what the destination is made from, such as its
	// secrets, is another than at the start or at the last call of Renew, which
	// returns it made anew. One that fails leaves the one before in use until
	// Changed reports true again. Default: nothing changes.
	Changed func() bool
	Renew   func() (Destination, error)
	// Newest begins a destination without a cursor at the log's end. Default:
	// at its first entry.
	Newest bool
	// Types are those of the entries that it gets. Default all. With others left
	// out, a gap in the indexes no longer shows a loss. With Sender alone.
	Types []string
	// Batch is the most entries in one batch. Default 1000.
	Batch int
	// BatchBytes ends a batch whose payloads have as many bytes. Default 1 MiB.
	BatchBytes int
	// Linger is how long a batch that is not full waits for more. Default 1 s.
	Linger time.Duration
}

// Config says what a [Service] delivers. Source, Origin and Dir are required.
type Config struct {
	Source Source
	Origin string // the log's
	// Dir holds the cursors. It is made if it is missing.
	Dir string
	// LogDir is the log's folder, for destinations that take segments.
	LogDir       string
	Destinations []Destination
	Now          func() time.Time // default time.Now
	Logger       *slog.Logger

	pause func(context.Context, time.Duration) error // for tests
	look  time.Duration                              // for tests; default lookForOrders
}

// Bounds.
const (
	defaultBatch  = 1000
	defaultBytes  = 1 << 20
	defaultLinger = time.Second
	sendTimeout   = time.Minute
	firstPause    = time.Second
	longestPause  = 5 * time.Minute
	longestAsked  = time.Hour // of pauses that a destination asks for
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// A Service delivers to all destinations. It is safe for concurrent use.
type Service struct {
	cfg     Config
	workers []*worker
}

// New reads the cursors and connects to nothing. A cursor that cannot be read
// is an error; one that does not fit the log stops its own destination only.
func New(c Config) (*Service, error) {
	if c.Source == nil || c.Origin == "" || c.Dir == "" {
		return nil, errors.New("configuring delivery: source, origin and folder are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.pause == nil {
		c.pause = pause
	}
	c.look = cmp.Or(c.look, lookForOrders)
	s := &Service{cfg: c}
	if len(c.Destinations) == 0 {
		return s, nil
	}
	if err := durable.Mkdir(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("configuring delivery: %w", err)
	}
	for _, d := range c.Destinations {
		if !nameForm.MatchString(d.Name) || slices.ContainsFunc(s.workers, func(w *worker) bool { return w.d.Name == d.Name }) {
			return nil, fmt.Errorf("configuring delivery: %q is not a name, or names two destinations", d.Name)
		}
		if !d.oneKind() || d.Sender == nil && c.LogDir == "" {
			return nil, fmt.Errorf("configuring delivery to %s: it takes either entries or files", d.Name)
		}
		if d.Sender == nil && len(d.Types) > 0 {
			return nil, fmt.Errorf("configuring delivery to %s: files hold entries of every type", d.Name)
		}
		d.Batch = cmp.Or(d.Batch, defaultBatch)
		d.BatchBytes = cmp.Or(d.BatchBytes, defaultBytes)
		d.Linger = cmp.Or(d.Linger, defaultLinger)
		w, err := newWorker(&s.cfg, d)
		if err != nil {
			return nil, fmt.Errorf("configuring delivery to %s: %w", d.Name, err)
		}
		s.workers = append(s.workers, w)
	}
	return s, nil
}

func (d *Destination) oneKind() bool {
	n := 0
	for _, is := range []bool{d.Sender != nil, d.Segments != nil, d.Days != nil} {
		if is {
			n++
		}
	}
	return n == 1
}

// Run delivers until ctx ends. Faults are logged, shown and tried again.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, w := range s.workers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	return nil
}

// States returns how each destination fares, in the order of the configuration.
func (s *Service) States() []State {
	out := make([]State, len(s.workers))
	for i, w := range s.workers {
		out[i] = w.State()
	}
	return out
}

// A State is how one destination fares.
type State struct {
	Name, Kind string
	Next       uint64    // the first entry that it does not have
	Lag        uint64    // entries that it does not have
	Oldest     time.Time // of the batch that is being sent; zero: nothing is
	Delivered  uint64    // entries since the start, copies not counted
	Refused    uint64    // entries in the list of refused ones
	// FirstRefused is the lowest of their indexes; of no meaning where Refused is 0.
	FirstRefused uint64
	Failures     uint64    // failed tries since the start
	Fault        string    // of the last try; empty: it went well
	Since        time.Time // of the first of the tries that failed in a row
	Stopped      bool      // the fault needs a person
	// Forgetting is how many erased accounts a [Keeper] has yet to forget;
	// UpkeepFault why it does not let go of them, or of entries that the log
	// removed, since UpkeepSince; empty: it does.
	Forgetting  int
	UpkeepFault string
	UpkeepSince time.Time
}

func (s *State) refusals(list []Refusal) {
	s.Refused, s.FirstRefused = uint64(len(list)), 0
	if len(list) > 0 {
		s.FirstRefused = list[0].Index
	}
}

// Lowest returns the lowest index of an entry that some destination has yet to
// take, refused ones that nobody has settled included. Nothing from it on may
// be removed from the log. Without destinations it is [math.MaxUint64]. A
// destination that was taken out of the configuration does not count.
func (s *Service) Lowest() uint64 {
	low := uint64(math.MaxUint64)
	for _, st := range s.States() {
		low = min(low, st.Next)
		if st.Refused > 0 {
			low = min(low, st.FirstRefused)
		}
	}
	return low
}

func (c *Config) cursorFile(name string) string  { return filepath.Join(c.Dir, name+".cursor") }
func (c *Config) refusedFile(name string) string { return filepath.Join(c.Dir, name+".refused") }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// backOff returns the pause after tries failures in a row. Half of it is by
// chance, so that many gateways do not come back to a receiver all at once.
func backOff(tries int, asked time.Duration) time.Duration {
	d := min(longestPause, firstPause<<min(max(tries-1, 0), 16))
	d = d/2 + Jitter(d/2)
	return max(d, min(asked, longestAsked))
}

// Jitter returns a span by chance, of at most most.
func Jitter(most time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)+1))
	if err != nil {
		return most
	}
	return time.Duration(n.Int64())
}
