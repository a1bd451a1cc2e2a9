package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/index"
	"github.com/ringfence/ringfence/internal/delivery/deliverytest"
)

// A counted store counts what is put, and fails once before and once after.
type counted struct {
	FileStore
	puts atomic.Int64
}

func (c *counted) PutFile(ctx context.Context, name string, content io.ReadSeeker, size int64, sum [sha256.Size]byte) error {
	switch c.puts.Add(1) {
	case 1:
		return errors.New("the store is away")
	case 2:
		return errors.Join(c.FileStore.PutFile(ctx, name, content, size, sum), errors.New("the answer was lost"))
	}
	return c.FileStore.PutFile(ctx, name, content, size, sum)
}

// A week is a log over days, with its index.
type week struct {
	t          *testing.T
	dir        string
	log        *accesslog.Log
	clock      atomic.Int64
	logDir, to string
}

func newWeek(t *testing.T) *week {
	w := &week{t: t, dir: t.TempDir()}
	w.logDir, w.to = filepath.Join(w.dir, "log"), filepath.Join(w.dir, "index")
	w.clock.Store(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC).UnixNano())
	w.log = newLog(t, w.logDir, sealed, func(c *accesslog.Config) {
		c.Now = func() time.Time { return time.Unix(0, w.clock.Load()).UTC() }
		c.CheckpointEvery = 10 * time.Millisecond
	})
	return w
}

// day records a day's entries and goes on to the next.
func (w *week) day() {
	fillPeople(w.t, w.log, 400)
	w.clock.Add(int64(24 * time.Hour))
}

func (w *week) list() ([]DayFile, error) {
	days, err := index.Days(w.logDir, w.to)
	var out []DayFile
	for _, d := range days {
		out = append(out, DayFile(d))
	}
	return out, err
}

// indexed waits until so many days are over for the index.
func (w *week) indexed(n int) []DayFile {
	w.t.Helper()
	var out []DayFile
	until(w.t, "days are indexed", func() bool {
		err := index.Update(w.t.Context(), w.logDir, w.to, nil)
		if err == nil {
			out, err = w.list()
		}
		return err == nil && len(out) == n
	})
	return out
}

// TestDays_Versitygw: a real store has each day that is over under its own name,
// over faults and restarts, as the log has it now: without an account that was
// erased, and without what age removed.
func TestDays_Versitygw(t *testing.T) {
	addr, objects := deliverytest.S3(t)
	w := newWeek(t)
	for range 4 {
		w.day()
	}
	days := w.indexed(3)
	if days[0].First != 0 || days[1].First != days[0].Next || days[2].Date != "2026-03-04" {
		t.Fatalf("%+v", days)
	}
	store, err := NewS3(S3Config{URL: "http://" + addr, Bucket: deliverytest.Bucket, Prefix: "prod", Origin: testOrigin, AccessKey: deliverytest.AccessKey, SecretKey: deliverytest.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{FileStore: store}
	cfg := testConfig(w.log, filepath.Join(w.dir, "delivery"), Destination{Name: "lake", Kind: "parquet", Days: &Days{List: w.list, Store: c}})
	cfg.LogDir = w.logDir
	same := func(days []DayFile) bool {
		got := objects()
		for _, d := range days {
			b, err := os.ReadFile(d.Path)
			if err != nil || !bytes.Equal(b, got[testPrefix+DayName(d.Date)]) {
				return false
			}
		}
		return len(got) == len(days)
	}
	s, stop := start(t, cfg)
	until(t, "each day is there", func() bool { return s.States()[0].Next == days[2].Next && same(days) })
	if st := s.States()[0]; st.Failures != 2 || st.Delivered != days[2].Next || st.Lag != w.log.Size()-st.Next || c.puts.Load() != 5 {
		t.Errorf("%+v, %d puts", st, c.puts.Load())
	}
	stop()

	old, err := os.ReadFile(days[1].Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(accesslog.ErasePersonal(w.logDir, "kim"), index.Forget(t.Context(), w.logDir, w.to, "kim", nil)); err != nil {
		t.Fatal(err)
	}
	s, stop = start(t, cfg)
	until(t, "they are there without the account", func() bool { return same(days) })
	if bytes.Equal(old, objects()[testPrefix+DayName(days[1].Date)]) || c.puts.Load() != 8 {
		t.Errorf("%d puts; the second day is unchanged", c.puts.Load())
	}
	if err := s.Give("lake", Order{Act: Reset, To: days[0].Next}); err != nil {
		t.Fatal(err)
	}
	until(t, "the later days were sent again", func() bool { return c.puts.Load() == 10 && s.States()[0].Next == days[2].Next })
	stop()

	w.prune(days[1].First)
	days = w.indexed(3) // of the first, some is left, for segments reach over midnight
	if days[0].First == 0 || days[0].Next != days[1].First {
		t.Fatalf("%+v", days)
	}
	s, stop = start(t, cfg)
	until(t, "the first day is there as it is now", func() bool { return same(days) })
	stop()
	w.prune(days[2].First)
	days = w.indexed(2)
	_, stop = start(t, cfg)
	until(t, "the first day is gone", func() bool { return same(days) })
	stop()
}

// prune removes the segments that end before an entry.
func (w *week) prune(before uint64) {
	w.t.Helper()
	list, err := accesslog.Sealed(w.logDir, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(s accesslog.SealedSegment) bool { return s.First+s.Entries > before })
	until(w.t, "a checkpoint covers it", func() bool { n, err := w.log.Removable(); return err == nil && n >= list[i].First })
	if err := w.log.Prune(w.t.Context(), accesslog.Removal{Before: list[i].First, Rule: "test", Actor: "operator"}); err != nil {
		w.t.Fatal(err)
	}
	if err := index.Prune(w.t.Context(), w.logDir, w.to, list[i].First); err != nil {
		w.t.Fatal(err)
	}
}
