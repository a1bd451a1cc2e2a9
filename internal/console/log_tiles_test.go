package console

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// memoryWitnesses are witnesses of whom everything is known.
type memoryWitnesses struct {
	status   witness.Status
	cosigned []byte
}

func (m *memoryWitnesses) Status() witness.Status { return m.status }
func (m *memoryWitnesses) Cosigned() []byte       { return m.cosigned }

// signedLog is a live office whose log has entries under a signed checkpoint.
func signedLog(t *testing.T, entries int) (*office, *accesslog.Log) {
	t.Helper()
	o, log := liveOffice(t)
	for i := range entries {
		if _, err := log.Record(t.Context(), liveRecord(fmt.Sprintf("r%d", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	signedUpTo(t, log, uint64(entries))
	return o, log
}

// signedUpTo waits until a checkpoint covers so many entries.
func signedUpTo(t *testing.T, log *accesslog.Log, entries uint64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, err := accesslog.CheckpointSize(log.Checkpoint()); err == nil && n >= entries {
			return
		}
		if time.Now().After(end) {
			t.Fatal("no checkpoint covers the log")
		}
	}
}

// published returns the entries of an action in the log.
func published(t *testing.T, log *accesslog.Log, action string) (found []*accesslog.Entry) {
	t.Helper()
	if err := log.Query(t.Context(), accesslog.Filter{Action: action, Ascending: true}, func(e *accesslog.Entry) bool { found = append(found, e); return true }); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTiles_Read: whoever may read all of the log reads checkpoint, hashes and
// entries at the gate, exactly as they are, and one entry says so for a session.
func TestTiles_Read(t *testing.T) {
	o, log := signedLog(t, 300)
	o.Console.Witnesses = &memoryWitnesses{cosigned: log.Checkpoint()}
	at := o.get("rae", "/log/checkpoint")
	shows(t, at, http.StatusOK)
	if !bytes.Equal(at.Body.Bytes(), o.Witnesses.Cosigned()) {
		t.Errorf("the checkpoint is shown as\n%s", at.Body)
	}
	if got := at.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s", got)
	}
	if got := published(t, log, "log.publish"); len(got) != 1 || got[0].Actor != "rae" || got[0].Detail["through"] != "gate" || got[0].Session == "" {
		t.Fatalf("recorded: %+v", got)
	}
	var wg sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 20)
	for i := range answers {
		wg.Go(func() { answers[i] = o.get("ada", "/log/tile/entries/000") })
	}
	wg.Wait()
	for _, w := range answers {
		shows(t, w, http.StatusOK)
		rest, n := w.Body.Bytes(), 0
		for ; len(rest) > 0; n++ {
			size := int(binary.BigEndian.Uint16(rest))
			var e struct {
				Index int
				Path  string
			}
			if err := json.Unmarshal(rest[2:2+size], &e); err != nil || e.Index != n {
				t.Fatalf("entry %d of the bundle is %s (%v)", n, rest[2:2+size], err)
			}
			rest = rest[2+size:]
		}
		if n != 256 {
			t.Errorf("the bundle has %d entries", n)
		}
	}
	for path, status := range map[string]int{"tile/0/000": 200, "tile/0/001.p/40": 200, "tile/1/000.p/1": 200, "tile/entries/001.p/40": 200,
		"tile/0/002": 404, "tile/1/000": 404, "tile/entries/000.p/0": 404, "tile/data/000": 404, "tile/": 404, "tile/0/..%2f..%2fkeys": 404, "log.pub": 404, "hashes-0": 404} {
		if w := o.get("ada", "/log/"+path); w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if got := published(t, log, "log.publish"); len(got) != 2 || got[1].Actor != "ada" {
		t.Errorf("%d entries say that two sessions read", len(got))
	}
	if w := o.do("rae", "POST", "/log/checkpoint", "", "Sec-Fetch-Site", "same-origin"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestTiles_Refused: nothing is shown to others, before it is recorded, or
// that the cosigned checkpoint does not cover; and none of that is recorded.
func TestTiles_Refused(t *testing.T) {
	o, log := signedLog(t, 20)
	all := []string{"/log/checkpoint", "/log/tile/0/000.p/20", "/log/tile/entries/000.p/20"}
	refused := func(who string, status int, text string) {
		t.Helper()
		for _, path := range all {
			w := o.get(who, path)
			if w.Code != status || !strings.Contains(w.Body.String(), text) || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
				t.Errorf("%q reads %s: %d\n%s", who, path, w.Code, w.Body)
			}
		}
	}
	refused("", http.StatusUnauthorized, "sign_in_required")
	refused("kim", http.StatusForbidden, "forbidden")
	refused("abe", http.StatusForbidden, "forbidden")
	o.limit("claims")
	refused("rae", http.StatusForbidden, "log_limited")
	o.Console.Log = unwritable{log}
	refused("ada", http.StatusServiceUnavailable, "cannot be written")
	o.Console.Log = log
	w := &memoryWitnesses{}
	o.Console.Witnesses = w
	refused("ada", http.StatusServiceUnavailable, "no_checkpoint")
	folder := o.LogFolder
	o.LogFolder = t.TempDir()
	o.Console.Witnesses = nil
	refused("ada", http.StatusServiceUnavailable, "no_checkpoint")
	o.LogFolder = ""
	refused("ada", http.StatusNotFound, "")
	o.LogFolder = folder
	if got := published(t, log, "log.publish"); got != nil {
		t.Errorf("recorded: %+v", got)
	}
	w.cosigned = log.Checkpoint()
	o.Console.Witnesses = w
	if _, err := log.Record(t.Context(), liveRecord("new", 1)); err != nil {
		t.Fatal(err)
	}
	signedUpTo(t, log, log.Size())
	n, err := accesslog.CheckpointSize(w.cosigned)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, o.get("ada", fmt.Sprintf("/log/tile/0/000.p/%d", n)), http.StatusOK)
	shows(t, o.get("ada", fmt.Sprintf("/log/tile/0/000.p/%d", n+1)), http.StatusNotFound)
}

// unwritable is a log that takes no record.
type unwritable struct{ *accesslog.Log }

func (unwritable) Record(context.Context, *policy.Record) (uint64, error) {
	return 0, accesslog.ErrUnavailable
}

// TestTiles_SlowClients: clients that take nothing keep nobody else from reading.
func TestTiles_SlowClients(t *testing.T) {
	o, _ := signedLog(t, 10)
	var slow sync.WaitGroup
	release := make(chan struct{})
	for range tilesAtOnce {
		w := &stuckWriter{header: http.Header{}, wrote: make(chan struct{}, 1), release: release}
		r := httptest.NewRequest("GET", officeGate+"/log/tile/0/000.p/10", nil)
		r.SetPathValue("path", "0/000.p/10")
		v := o.visitOf(t, "rae")
		slow.Go(func() { _ = o.tile(w, r, v) })
		<-w.wrote
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := httptest.NewRequest("GET", officeGate+"/log/tile/0/000.p/10", nil).WithContext(ctx)
	r.SetPathValue("path", "0/000.p/10")
	w := httptest.NewRecorder()
	if err := o.tile(w, r, o.visitOf(t, "rae")); err != nil || w.Body.Len() != 320 {
		t.Errorf("%v, %d bytes", err, w.Body.Len())
	}
	close(release)
	slow.Wait()
}

// TestTileReads: an hour later it is recorded anew, a failure is tried again,
// and what is over is forgotten.
func TestTileReads(t *testing.T) {
	reads := tileReads{reads: map[string]*tileRead{}}
	var fail error
	n := 0
	record := func() error { n++; return fail }
	for i, tt := range []struct {
		session string
		after   time.Duration
		fail    error
		want    int
	}{
		{"a", 0, errors.New("the disk is full"), 1},
		{"a", 0, nil, 2},
		{"a", time.Hour - time.Second, nil, 2},
		{"b", time.Hour - time.Second, nil, 3},
		{"a", time.Hour, nil, 4},
		{"a", 2*time.Hour - time.Second, nil, 4},
		{"c", 4 * time.Hour, nil, 5},
	} {
		fail = tt.fail
		if err := reads.once(tt.session, sampleNow.Add(tt.after), record); !errors.Is(err, tt.fail) || n != tt.want {
			t.Errorf("step %d: %v, recorded %d times, want %d", i, err, n, tt.want)
		}
	}
	if len(reads.reads) != 1 {
		t.Errorf("%d sessions are remembered", len(reads.reads))
	}
}

// witnessed starts witnesses of the office's log, which have cosigned nothing yet.
func witnessed(t *testing.T, o *office, log *accesslog.Log, names ...string) *witness.Collector {
	t.Helper()
	pub, err := os.ReadFile(filepath.Join(o.LogFolder, "log.pub"))
	if err != nil {
		t.Fatal(err)
	}
	var peers []witness.Peer
	for _, name := range names {
		dir := t.TempDir()
		key, err := witness.Init(dir, name+".example.org/1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := witness.Trust(dir, string(pub)); err != nil {
			t.Fatal(err)
		}
		w, err := witness.Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(w.Handler())
		t.Cleanup(func() { s.Close(); w.Close() })
		peers = append(peers, witness.Peer{Name: name, URL: s.URL, Key: key})
	}
	c, err := witness.New(witness.Config{Source: witness.Source{Key: string(pub), Checkpoint: log.Checkpoint, Older: accesslog.Older(o.LogFolder, "")},
		Peers: peers, Require: len(names), File: filepath.Join(t.TempDir(), "witnessed"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestProof_Cosigned: an entry is proven under the checkpoint that witnesses
// cosigned, with each of their names; what it does not cover yet is proven
// under the log's own; and what does not fit is said.
func TestProof_Cosigned(t *testing.T) {
	o, log := signedLog(t, 20)
	c := witnessed(t, o, log, "audit", "old") // names that pages may show
	o.Console.Witnesses = c
	const none = "No witness of today has cosigned"
	shows(t, o.get("rae", "/console/log/3"), http.StatusOK, ">proved<", none)
	if good, errs := c.Round(t.Context()); good != 2 {
		t.Fatal(errs)
	}
	size, err := accesslog.CheckpointSize(c.Cosigned())
	if err != nil {
		t.Fatal(err)
	}
	page := o.get("rae", "/console/log/3")
	shows(t, page, http.StatusOK, ">proved<", "Cosigned by", ">audit<", ">old<", "— audit.example.org/1 ", "— old.example.org/1 ", "newest cosigned checkpoint", fmt.Sprintf("\n%d\n", size))
	if strings.Contains(page.Body.String(), none) {
		t.Error("cosigned, and said not to be")
	}
	index, err := log.Record(t.Context(), liveRecord("new", 1))
	if err != nil {
		t.Fatal(err)
	}
	signedUpTo(t, log, index+1)
	shows(t, o.get("rae", entryURL(index)), http.StatusOK, ">proved<", none)
	// A cosignature that somebody changed, one of nobody who is known, and a
	// checkpoint that this log does not continue.
	good := &memoryWitnesses{c.Status(), c.Cosigned()}
	o.Console.Witnesses = good
	shows(t, o.get("rae", "/console/log/3"), http.StatusOK, ">proved<", ">audit<")
	line := bytes.Index(good.cosigned, []byte("— old."))
	bad := bytes.Clone(good.cosigned)
	bad[line+len("— old.example.org/1 ")+30] ^= 1
	o.Console.Witnesses = &memoryWitnesses{good.status, bad}
	shows(t, o.get("rae", "/console/log/3"), http.StatusOK, "a cosignature under the checkpoint is not the witness’s")
	o.Console.Witnesses = &memoryWitnesses{witness.Status{}, good.cosigned}
	shows(t, o.get("rae", "/console/log/3"), http.StatusOK, ">proved<", none)
	o.Console.Witnesses = &memoryWitnesses{good.status, []byte(strings.Replace(string(good.cosigned), fmt.Sprintf("\n%d\n", size), fmt.Sprintf("\n%d\n", size+1), 1))}
	shows(t, o.get("rae", "/console/log/3"), http.StatusOK, "does not hold")
}
