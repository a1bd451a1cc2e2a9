package console

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/ui"
)

const (
	// tilesRecordedFor is how long one entry stands for a session's reading of
	// tiles: a checker asks for thousands of them.
	tilesRecordedFor = time.Hour
	// tilesAtOnce bounds how many are read from the log's files at the same time.
	tilesAtOnce = 2
)

// checkpoint shows the checkpoint that all tiles are shown under. It is what
// anybody may keep, and says nothing of what the entries say; that it was read
// is recorded with the rest all the same.
func (c *Console) checkpoint(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := c.published(v)
	if err != nil {
		return err
	}
	msg, err := p.Checkpoint()
	if err != nil {
		return noCheckpoint(err)
	}
	if err := c.recordTiles(r, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(msg) // the client is gone
	return nil
}

// tile shows one tile of hashes or one bundle of entries.
func (c *Console) tile(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := c.published(v)
	if err != nil {
		return err
	}
	if _, err := p.Checkpoint(); err != nil {
		return noCheckpoint(err)
	}
	b, err := c.tiles.read(r, p)
	switch {
	case errors.Is(err, accesslog.ErrNotFound):
		return ui.NotFound()
	case err != nil:
		return err
	}
	if err := c.recordTiles(r, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(b) // the client is gone
	return nil
}

func noCheckpoint(err error) error {
	return &ui.Error{Status: http.StatusServiceUnavailable, Code: "no_checkpoint", Err: err,
		Detail: "There is no checkpoint to show. Where the log has witnesses, it must be one that they have cosigned."}
}

// published is the log as whoever may read all of it sees it.
func (c *Console) published(v *visit) (*accesslog.Publication, error) {
	if err := v.mayReadAll(); err != nil {
		return nil, err
	}
	if c.LogFolder == "" {
		return nil, ui.NotFound()
	}
	var newest func() ([]byte, error)
	if c.Witnesses != nil {
		newest = func() ([]byte, error) {
			if msg := c.Witnesses.Cosigned(); msg != nil {
				return msg, nil
			}
			return nil, errors.New("no checkpoint was cosigned yet")
		}
	}
	return accesslog.Publish(c.LogFolder, "", newest)
}

// recordTiles sees to it that an entry of the last hour says that this session
// reads the whole log, before anything of it is shown.
func (c *Console) recordTiles(r *http.Request, v *visit) error {
	return c.tiles.once(v.Session.ID, v.Now, func() error {
		return c.recordRead(r, v, "log.publish", "log", map[string]string{
			"through": "gate", "until": v.Now.Add(tilesRecordedFor).Format(time.RFC3339), "entries": strconv.FormatUint(c.Log.Size(), 10)})
	})
}

// tileReads remembers whose reading of tiles is recorded, and until when.
type tileReads struct {
	mu    sync.Mutex
	reads map[string]*tileRead
	busy  chan struct{}
}

type tileRead struct {
	mu    sync.Mutex
	until time.Time
}

// read reads a tile once there is a place. A client that takes its time to
// fetch it holds none.
func (t *tileReads) read(r *http.Request, p *accesslog.Publication) ([]byte, error) {
	if err := t.enter(r); err != nil {
		return nil, err
	}
	defer t.leave()
	return p.Read(r.Context(), "tile/"+r.PathValue("path"))
}

// enter waits for one of the places of those who read files.
func (t *tileReads) enter(r *http.Request) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

func (t *tileReads) leave() { <-t.busy }

// once calls record unless that was done for the session within the hour.
// Requests of one session wait for one another, so that one entry is made.
func (t *tileReads) once(session string, now time.Time, record func() error) error {
	x := t.of(session, now)
	x.mu.Lock()
	defer x.mu.Unlock()
	if now.Before(x.until) {
		return nil
	}
	if err := record(); err != nil {
		return err
	}
	x.until = now.Add(tilesRecordedFor)
	return nil
}

// of returns what is remembered of a session, and forgets what is over.
func (t *tileReads) of(session string, now time.Time) *tileRead {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.reads[session]; x != nil {
		return x
	}
	for id, x := range t.reads {
		if x.mu.TryLock() {
			if !now.Before(x.until) {
				delete(t.reads, id)
			}
			x.mu.Unlock()
		}
	}
	x := &tileRead{}
	t.reads[session] = x
	return x
}
