package drift

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"
)

// timeServer answers NTP on loopback with a clock that is off by so much; with
// stratum 16 it says itself that it is not to be believed.
func timeServer(t *testing.T, off time.Duration, stratum byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			out := make([]byte, 48)
			out[0], out[1], out[2], out[3] = 4<<3|4, stratum, 6, 0xec // RFC 5905: version 4, server
			now := stamp(time.Now().Add(off))
			binary.BigEndian.PutUint64(out[16:], now) // reference
			copy(out[24:], b[40:48])                  // origin: what the client sent
			binary.BigEndian.PutUint64(out[32:], now) // received
			binary.BigEndian.PutUint64(out[40:], now) // sent
			if _, err := conn.WriteTo(out, from); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().String()
}

// stamp returns t as seconds since 1900 and their fraction (RFC 5905 section 6).
func stamp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// closedPort is an address at which nothing answers.
func closedPort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

func monitor(kernel Sync, servers ...string) *Monitor {
	return New(Config{Servers: servers, Kernel: func() Sync { return kernel }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func TestMonitor_Warnings(t *testing.T) {
	right, ahead, behind, liar := timeServer(t, 0, 2), timeServer(t, 10*time.Second, 2), timeServer(t, -10*time.Second, 2), timeServer(t, time.Hour, 2)
	unsure := timeServer(t, 5*time.Second, 16)
	for _, c := range []struct {
		name    string
		kernel  Sync
		servers []string
		want    []Kind
		drift   time.Duration
	}{
		{"nothing known", Unknown, nil, nil, 0},
		{"kept", Synchronised, nil, nil, 0},
		{"not kept", Unsynchronised, nil, []Kind{Unkept}, 0},
		{"measured right, whatever keeps it", Unsynchronised, []string{right}, nil, 0},
		{"slow", Synchronised, []string{ahead}, []Kind{Drifted}, -10 * time.Second},
		{"fast", Synchronised, []string{behind}, []Kind{Drifted}, 10 * time.Second},
		{"one of three lies", Unknown, []string{right, liar, right}, nil, 0},
		{"no answer", Synchronised, []string{closedPort(t)}, []Kind{Silent}, 0},
		{"no answer, and not kept", Unsynchronised, []string{closedPort(t), unsure}, []Kind{Silent, Unkept}, 0},
		{"one answers", Unsynchronised, []string{closedPort(t), right}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := monitor(c.kernel, c.servers...)
			if before := m.Status(); !before.At.IsZero() || before.Warnings() != nil {
				t.Errorf("before it has looked: %+v", before)
			}
			s := m.Check(t.Context())
			var kinds []Kind
			for _, w := range s.Warnings() {
				kinds = append(kinds, w.Kind)
				if w.Kind == Drifted && (w.Drift-c.drift).Abs() > time.Second {
					t.Errorf("drift %s, want about %s", w.Drift, c.drift)
				}
				if w.Kind == Drifted && !slices.Contains(c.servers, w.Server) {
					t.Errorf("says %q", w.Server)
				}
			}
			if !slices.Equal(kinds, c.want) {
				t.Errorf("warnings %v, want %v; status %+v", kinds, c.want, s)
			}
			if m.Status() != s {
				t.Error("the status is not what was found")
			}
		})
	}
}

func TestMonitor_RunLooksAtOnceAndAgain(t *testing.T) {
	looks := make(chan struct{})
	m := New(Config{Every: time.Millisecond, Kernel: func() Sync { looks <- struct{}{}; return Unsynchronised }, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	for range 3 {
		<-looks
	}
	cancel()
	for {
		select {
		case <-looks:
		case err := <-done:
			if err != context.Canceled {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
}

// What the kernel says is one of the three, whatever it runs in.
func TestKernel(t *testing.T) {
	if s := kernel(); s < Unknown || s > Unsynchronised {
		t.Errorf("kernel says %d", s)
	}
}
