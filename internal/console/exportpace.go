package console

import (
	"context"
	"errors"
	"hash"
	"net/http"
	"time"
)

const (
	// exportPatience is how long an export waits in all for a client that takes
	// nothing. What the client takes refills it at exportRate, so that nobody
	// holds one of the few places for long by reading a byte now and then.
	exportPatience = 30 * time.Second
	exportRate     = 128 << 10 // bytes a second
	exportChunk    = 64 << 10
)

// errExportSlow: the client takes too little.
var errExportSlow = errors.New("whoever exports takes the file too slowly")

// exportStream counts and hashes what goes to the client, and gives up on one
// that does not take it.
type exportStream struct {
	ctx     context.Context // of the export; its cause ends a write too
	to      http.ResponseWriter
	control *http.ResponseController
	sum     hash.Hash
	job     *exportJob
	// left is how long the client may still be waited for, most how much that can be.
	left, most time.Duration
}

// Write implements [io.Writer].
func (s *exportStream) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var m int
		m, err = s.timed(func() (int, error) { return s.to.Write(b[:min(len(b), exportChunk)]) })
		s.sum.Write(b[:m])
		n, b = n+m, b[m:]
		s.job.mu.Lock()
		s.job.bytes += uint64(m)
		s.job.mu.Unlock()
	}
	return n, err
}

// flush sends what is on its way.
func (s *exportStream) flush() error {
	_, err := s.timed(func() (int, error) {
		err := s.control.Flush()
		if errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
		return 0, err
	})
	return err
}

// timed takes how long write waits for the client off what is left. Between
// writes there is no deadline: reading the log is not the client's fault.
func (s *exportStream) timed(write func() (int, error)) (int, error) {
	start := time.Now()
	_ = s.control.SetWriteDeadline(start.Add(s.left)) // where there is none, the server's own limits hold
	defer s.control.SetWriteDeadline(time.Time{})
	if err := context.Cause(s.ctx); err != nil {
		return 0, err
	}
	n, err := write()
	waited := time.Since(start)
	late := err != nil && waited >= s.left
	s.left = min(s.most, s.left-waited+time.Duration(n)*time.Second/exportRate)
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, errExportStopped) || errors.Is(cause, errExportCut):
		return n, cause // the write failed for that
	case late || s.left <= 0:
		return n, errExportSlow
	}
	return n, err
}
