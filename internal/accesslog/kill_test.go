package accesslog

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/durable/durabletest"
	"github.com/ringfence/ringfence/policy"
)

// The environment that makes the test binary a writer to be killed.
const (
	killDir = "ACCESSLOG_KILL_DIR"
	killKey = "ACCESSLOG_KILL_KEY"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		if err := writeUntilKilled(dir, os.Getenv(killKey)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(durabletest.InMemory(m.Run))
}

// writeUntilKilled records as fast as it can and prints each acknowledged
// index with its request, unbuffered, so that the parent knows what was promised.
func writeUntilKilled(dir, key string) error {
	l, err := Open(context.Background(), Config{Dir: dir, Node: "n", Key: key, SegmentSize: minSegmentSize,
		CheckpointEvery: 5 * time.Millisecond, CommitDeadline: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	go l.Run(context.Background())
	start := l.Size()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				r := request(0)
				r.RequestID = fmt.Sprintf("%d-%d-%d", start, w, n)
				if n%2 == 1 { // goes ahead of the disk, and promises nothing
					r.Mode = policy.ModeRelaxed
				}
				i, err := l.Record(context.Background(), r)
				if err != nil {
					return
				}
				if r.Mode == "" {
					os.Stdout.WriteString(strconv.FormatUint(i, 10) + " " + r.RequestID + "\n")
				}
				o := outcome(0)
				o.RequestID = r.RequestID
				l.Append(o)
			}
		})
	}
	wg.Wait()
	return l.Healthy()
}

// TestLogLoss_KillUnderLoad kills the writer again and again in the middle of
// its work. Every index that it acknowledged must hold that request, every
// allowed request must end up with an outcome, and the log must verify.
func TestLogLoss_KillUnderLoad(t *testing.T) {
	rounds := 7
	if testing.Short() || raceEnabled {
		rounds = 4
	}
	x := newTestLog(t, nil)
	acked := map[uint64]string{}
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), killDir+"="+x.cfg.Dir, killKey+"="+x.cfg.Key)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			index, id, ok := strings.Cut(lines.Text(), " ")
			i, err := strconv.ParseUint(index, 10, 64)
			if !ok || err != nil {
				break // cut by the kill
			}
			acked[i] = id
			if n == 100+250*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		if cmd.ProcessState.Success() {
			t.Fatal("the writer ended by itself")
		}
		x.open()
		x.close()
		x.verify()
	}
	open := map[string]bool{}
	for _, e := range x.all(Filter{Ascending: true}) {
		if id, ok := acked[e.Index]; ok {
			if id != e.RequestID {
				t.Errorf("entry %d is %q, acknowledged as %q", e.Index, e.RequestID, id)
			}
			delete(acked, e.Index)
		}
		switch {
		case e.Type == "request":
			open[e.RequestID] = true
		case e.Type == "outcome":
			if !open[e.RequestID] {
				t.Errorf("entry %d is the outcome of a request that is not there", e.Index)
			}
			delete(open, e.RequestID)
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone: %v", len(acked), acked)
	}
	if len(open) > 0 {
		t.Errorf("%d requests have no outcome", len(open))
	}
}
