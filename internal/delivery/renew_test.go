package delivery

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A destination whose secret is another takes the new one while it runs: at
// once where it fails with the old one, and without a gap where it works. One
// that cannot be read leaves the old one.
func TestRenew(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 5)
	var valid, secret atomic.Int64 // what the destination takes, and what the file says
	var renewals atomic.Int64
	sink := newSink()
	var used atomic.Int64
	made := func() Destination {
		s := &keyed{sink: sink, secret: secret.Load(), valid: &valid}
		used.Store(s.secret)
		return Destination{Sender: s}
	}
	d := made()
	d.Name = "siem"
	d.Changed = func() bool { return secret.Load() != used.Load() }
	d.Renew = func() (Destination, error) {
		renewals.Add(1)
		if n := secret.Load(); n < 0 {
			used.Store(n)
			return Destination{}, errors.New("half written")
		}
		return made(), nil
	}
	c := testConfig(l, filepath.Join(dir, "delivery"), d)
	s, _ := start(t, c)
	until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
	secret.Store(-1)
	until(t, "it was looked at", func() bool { return renewals.Load() == 1 })
	fill(t, l, 5)
	until(t, "the old one goes on", func() bool { return s.States()[0].Lag == 0 })
	valid.Store(7)
	fill(t, l, 5)
	until(t, "it fails", func() bool { return s.States()[0].Fault != "" })
	secret.Store(7)
	until(t, "all is delivered with the new one", func() bool { return s.States()[0].Lag == 0 && s.States()[0].Fault == "" })
	dense(t, sink.indexes(), l.Size())
}

// keyed takes entries where it was made with the secret that is valid.
type keyed struct {
	*sink
	secret int64
	valid  *atomic.Int64
}

func (k *keyed) Send(ctx context.Context, batch []*accesslog.Entry) error {
	if k.secret != k.valid.Load() {
		return errors.New("401")
	}
	return k.sink.Send(ctx, batch)
}
