package accesslog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Config says where a log lives and how it is kept.
type Config struct {
	// Dir is the log's folder. It is made if it is missing.
	Dir string
	// Node is written into each entry. Default: the machine's host name.
	Node string
	// Origin names the log in segments and checkpoints and must be the key's
	// name. Default: the key's name.
	Origin string
	// Key signs checkpoints: skey of [GenerateKey]. While a key takes the place
	// of another, both, one a line, the newer first. Secret.
	Key string
	// SegmentSize is the length in bytes of new segments, a multiple of 4096
	// and at least 64 KiB. Default 64 MiB. Changing it is safe at any start.
	SegmentSize int64
	// Spares is how many empty segments are kept at hand. Default 2.
	Spares int
	// CommitDeadline is how long Record waits before it gives up with
	// [ErrDeadline]. Default 2 s.
	CommitDeadline time.Duration
	// CheckpointEvery is how often a checkpoint is signed while entries
	// arrive. Default 1 s. An idle log signs one every 10 minutes.
	CheckpointEvery time.Duration
	// Queue is how many records may wait for the committer. Further ones
	// block; none is dropped. Default 2048.
	Queue int
	// Vouched is how many entries a checkpoint that is kept elsewhere vouches
	// for. What lies below is never taken for a batch that a crash cut short.
	// Whether it is the same log is for [ProveConsistency] to say.
	Vouched uint64
	// Previous is the newest checkpoint of a log that was given up, which one
	// that begins now takes the place of: its first entry names that one's
	// origin, entries and root. A log that has entries leaves it alone.
	Previous []byte
	// Recent is how many of the newest entries are kept in memory, for tails
	// and the newest page of a search. Default 4096.
	Recent int

	// SealPersonal keeps the personal fields of entries sealed under a key for
	// each account, in [PersonalFolder]. Otherwise they stand in plain text, as
	// they did before there were keys. Changing it is safe at any start.
	SealPersonal bool

	// Mends reports whether a record of type login is of those that it takes to
	// make room when the disk is full, such as an administrator's sign-in that
	// went well: such a record may use all of the reserve. It must be quick and
	// safe for concurrent use. nil: none is.
	Mends func(*policy.Record) bool

	// Conceal, unless it is nil, may put something else into the object and the
	// detail of a record that has either, before it is encoded, such as ids in
	// place of addresses: those fields that are sealed are not there any more. It
	// is given a copy of the record whose maps it must not change. It is called
	// from many goroutines, and never for requests and their outcomes.
	Conceal func(*policy.Record)

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default

	disk disk // for tests; nil is the real one
}

// String names the log and leaves out the key.
func (c Config) String() string { return fmt.Sprintf("access log %s in %s", c.Origin, c.Dir) }

// GoString is as [Config.String], so that no way of printing shows the key.
func (c Config) GoString() string { return c.String() }

// LogValue is as [Config.String].
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	minSegmentSize = 64 << 10
	idleCheckpoint = 10 * time.Minute
	historyEvery   = time.Minute
)

// fill puts defaults in place and refuses what cannot work.
func (c *Config) fill() (*pen, error) {
	var faults []error
	if c.Dir == "" {
		faults = append(faults, errors.New("no folder is given"))
	}
	pen, err := readPen(c.Key)
	if err != nil {
		faults = append(faults, err)
	} else if c.Origin == "" {
		c.Origin = pen.ring.Name()
	}
	if pen != nil && (c.Origin != pen.ring.Name() || !validOrigin(c.Origin)) {
		faults = append(faults, fmt.Errorf("the origin is %q but the key is that of %q", c.Origin, pen.ring.Name()))
	}
	if c.Node == "" {
		if c.Node, err = os.Hostname(); err != nil {
			faults = append(faults, fmt.Errorf("finding a name for this node: %w", err))
		}
	}
	if len(c.Node) > 255 {
		faults = append(faults, errors.New("the node's name is longer than 255 bytes"))
	}
	def(&c.SegmentSize, 64<<20)
	if c.SegmentSize < minSegmentSize || c.SegmentSize%headerLen != 0 || c.SegmentSize > 1<<30 {
		faults = append(faults, errors.New("the segment size is not a multiple of 4096 from 64 KiB to 1 GiB"))
	}
	def(&c.Spares, 2)
	def(&c.CommitDeadline, 2*time.Second)
	def(&c.CheckpointEvery, time.Second)
	def(&c.Queue, 2048)
	def(&c.Recent, 4096)
	if min(int64(c.Spares), int64(c.CommitDeadline), int64(c.CheckpointEvery), int64(c.Queue), int64(c.Recent)) < 0 {
		faults = append(faults, errors.New("a negative number"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.disk == nil {
		c.disk = osDisk{c.Dir}
	}
	return pen, errors.Join(faults...)
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
