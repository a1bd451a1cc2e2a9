package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smallLog returns the folder of a closed log with sealed segments, a raw one,
// kept hashes on two levels, spares and checkpoints.
func smallLog(t *testing.T) (*testLog, image) { return logOf(t, 500) }

func logOf(t *testing.T, requests int) (*testLog, image) {
	x := newTestLog(t, func(c *Config) { c.Spares = 1 })
	newShim(&x.cfg)
	x.run()
	for i := range requests {
		r := request(i)
		r.Document = document(t, "office")
		x.record(r)
		if err := x.Append(outcome(i)); err != nil {
			t.Fatal(err)
		}
	}
	if requests > 200 {
		sealedSome(x)
	}
	waitFor(t, "spares", func() bool { return x.Stats().Spares > 0 })
	x.close()
	return x, takeImage(t, x.cfg.Dir)
}

// TestLogTampering_OneByte changes one byte at a time, in every file, and each
// time verification must fail and name the file. Where a file is nothing but
// zeros, one byte of each 509 is tried. A log of one segment is gone through
// byte by byte, one with sealed segments in strides.
func TestLogTampering_OneByte(t *testing.T) {
	every, some := 1, 47
	if testing.Short() || raceEnabled {
		every, some = 41, 211
	}
	x, im := logOf(t, 6)
	flipEach(t, x, im, every)
	x, im = logOf(t, 350)
	if rep := x.verify(); rep.Segments < 3 {
		t.Fatalf("only %d segments", rep.Segments)
	}
	flipEach(t, x, im, some)
}

func flipEach(t *testing.T, x *testLog, im image, stride int) {
	tried := 0
	for name, good := range im {
		if name == lockName {
			continue
		}
		path := filepath.Join(x.cfg.Dir, name)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for off := 0; off < len(good); off += stride {
			if good[off] == 0 && off%509 != 0 && allZero(good[off:min(len(good), off+64)]) {
				continue
			}
			tried++
			f.WriteAt([]byte{good[off] ^ 1<<(off%8)}, int64(off))
			_, err := Verify(context.Background(), x.cfg.Dir, x.vkey, nil)
			f.WriteAt(good[off:off+1], int64(off))
			te, ok := errors.AsType[*TamperedError](err)
			if !ok {
				t.Fatalf("%s, byte %d changed: %v", name, off, err)
			}
			if te.Segment != name && filepath.Ext(name) != "" {
				t.Fatalf("%s, byte %d changed: named %s (%v)", name, off, te.Segment, err)
			}
		}
		f.Close()
	}
	x.verify()
	t.Logf("%d bytes of %d files", tried, len(im))
}

// rewriteRaw replaces the payloads of a raw segment by what edit returns, with
// right lengths, sequences and check sums: what somebody with the disk, a copy
// of this program and no key can do.
func rewriteRaw(t *testing.T, raw []byte, edit func(index uint64, p []byte) [][]byte) []byte {
	t.Helper()
	h, err := parseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	s := newScanner(bytes.NewReader(raw), int64(len(raw)), h)
	out := bytes.Clone(raw[:headerLen])
	seq := uint64(0)
	out = appendMark(out, headerLen, h.epoch, seq, h.first)
	for seq++; ; {
		index := s.index
		p, err := s.entry()
		if err != nil {
			break
		}
		for _, p := range edit(index, bytes.Clone(p)) {
			at := len(out)
			out = append(openFrame(out, frameEntry), p...)
			closeFrame(out, at, h.epoch, seq)
			seq++
		}
	}
	return append(out, make([]byte, len(raw)-len(out))...)
}

// TestLogTampering_WithoutTheKey edits entries and mends every check sum.
func TestLogTampering_WithoutTheKey(t *testing.T) {
	x, im := smallLog(t)
	name := im.newest()
	h, _ := parseHeader(im[name])
	victim := h.first + 9
	var held []byte
	renumber := func(p []byte, from, to uint64) []byte {
		return bytes.Replace(p, []byte(jsonIndex(from)), []byte(jsonIndex(to)), 1)
	}
	for what, c := range map[string]struct {
		want uint64
		edit func(i uint64, p []byte) [][]byte
	}{
		"edited": {victim, func(i uint64, p []byte) [][]byte {
			if i == victim {
				p = bytes.Replace(p, []byte("claims"), []byte("cla1ms"), 1)
			}
			return [][]byte{p}
		}},
		"dropped": {victim, func(i uint64, p []byte) [][]byte {
			if i == victim {
				return nil
			}
			return [][]byte{p}
		}},
		"dropped and renumbered": {victim, func(i uint64, p []byte) [][]byte {
			if i == victim {
				return nil
			}
			if i > victim {
				p = renumber(p, i, i-1)
			}
			return [][]byte{p}
		}},
		"swapped": {victim, func(i uint64, p []byte) [][]byte {
			if i == victim {
				held = p
				return nil
			}
			if i == victim+1 {
				return [][]byte{p, held}
			}
			return [][]byte{p}
		}},
		"swapped and renumbered": {victim, func(i uint64, p []byte) [][]byte {
			if i == victim {
				held = renumber(p, victim, victim+1)
				return nil
			}
			if i == victim+1 {
				return [][]byte{renumber(p, victim+1, victim), held}
			}
			return [][]byte{p}
		}},
		"added": {victim + 1, func(i uint64, p []byte) [][]byte {
			if i == victim {
				return [][]byte{p, p}
			}
			return [][]byte{p}
		}},
		"truncated": {victim, func(i uint64, p []byte) [][]byte {
			if i >= victim {
				return nil
			}
			return [][]byte{p}
		}},
	} {
		bad := im.clone()
		bad[name] = rewriteRaw(t, im[name], c.edit)
		bad.put(t, x.cfg.Dir)
		_, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil)
		te, ok := errors.AsType[*TamperedError](err)
		if !ok || te.Index != c.want {
			t.Errorf("%s at %d: %v", what, victim, err)
		}
		if _, err := Open(t.Context(), x.cfg); !isTampered(err) {
			t.Errorf("%s: opened: %v", what, err)
		}
	}
	im.put(t, x.cfg.Dir)
	x.verify()
}

func jsonIndex(i uint64) string {
	return string(appendHead(nil, i, "", time.Time{}, time.Time{})[:len(jsonNumber(i))])
}

func jsonNumber(i uint64) string {
	b, _ := json.Marshal(i)
	return `{"index":` + string(b)
}

// TestLogTampering_RemovedAndRolledBack takes away whole files.
func TestLogTampering_RemovedAndRolledBack(t *testing.T) {
	x, im := smallLog(t)
	list, err := listFolder(x.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.segments {
		bad := im.clone()
		delete(bad, s.name)
		bad.put(t, x.cfg.Dir)
		if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
			t.Errorf("without %s: %v", s.name, err)
		}
		if l, err := Open(t.Context(), x.cfg); !isTampered(err) {
			t.Errorf("without %s: opened: %v", s.name, err)
			if l != nil {
				l.Close()
			}
		}
	}
	im.put(t, x.cfg.Dir)
	kept := im[checkpointName]
	// Everything put back to an older state, checkpoints too: consistent in
	// itself, and found only by whoever kept a newer checkpoint.
	x.run()
	for i := range 20 {
		x.record(denied(i))
	}
	x.close()
	newer := takeImage(t, x.cfg.Dir)[checkpointName]
	if _, err := ProveConsistency(t.Context(), x.cfg.Dir, kept); err != nil {
		t.Errorf("the log continues what was kept: %v", err)
	}
	im.put(t, x.cfg.Dir)
	x.verify()
	if _, err := ProveConsistency(t.Context(), x.cfg.Dir, newer); !isTampered(err) {
		t.Errorf("rolled back: %v", err)
	}
	_, other, _ := GenerateKey(testOrigin)
	if _, err := Verify(t.Context(), x.cfg.Dir, other, nil); err == nil {
		t.Error("verified with another key")
	}
}

func TestVerify_ReportsProgress(t *testing.T) {
	x, _ := smallLog(t)
	var done, total []uint64
	rep, err := Verify(t.Context(), x.cfg.Dir, x.vkey+"\n", func(d, n uint64) { done, total = append(done, d), append(total, n) })
	if err != nil {
		t.Fatal(err)
	}
	last := len(done) - 1
	if last < 1 || done[last] != rep.Entries || total[0] != rep.Entries || rep.Signed != rep.Entries {
		t.Errorf("progress %v of %v, report %+v", done, total, rep)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, x.cfg.Dir, x.vkey, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestProve(t *testing.T) {
	x, _ := smallLog(t)
	rep := x.verify()
	for i := uint64(0); i < rep.Entries; i += 97 {
		p, err := Prove(t.Context(), x.cfg.Dir, i)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(p)
		var q Proof
		if err := json.Unmarshal(b, &q); err != nil {
			t.Fatal(err)
		}
		if err := q.Check(x.vkey); err != nil {
			t.Fatal(err)
		}
		for what, spoil := range map[string]func(p *Proof){
			"payload":    func(p *Proof) { p.Payload = strings.Replace(p.Payload, "node-1", "node-2", 1) },
			"index":      func(p *Proof) { p.Index++ },
			"hash":       func(p *Proof) { p.Hashes[0], p.Hashes[1] = p.Hashes[1], p.Hashes[0] },
			"checkpoint": func(p *Proof) { p.Checkpoint = strings.Replace(p.Checkpoint, "\n1", "\n2", 1) },
		} {
			bad := q
			bad.Hashes = append([]string(nil), q.Hashes...)
			spoil(&bad)
			if bad.Check(x.vkey) == nil {
				t.Errorf("entry %d: a proof with another %s holds", i, what)
			}
		}
	}
	if _, err := Prove(t.Context(), x.cfg.Dir, rep.Entries); !errors.Is(err, ErrNotFound) {
		t.Errorf("beyond the end: %v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	skey, vkey, err := GenerateKey(testOrigin)
	if err != nil {
		f.Fatal(err)
	}
	v, good := testCheckpoint(f, skey, vkey)
	f.Add(good)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if p, err := parseCheckpoint(msg, v); err == nil && !bytes.Equal(msg, good) {
			t.Fatalf("accepted %q as %v", msg, p)
		}
	})
}
