package accesslog

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/policy"
)

// TestPack_Blocks: a block ends with so many bytes or entries, whichever comes
// first, so that reading one entry never unpacks much more than that.
func TestPack_Blocks(t *testing.T) {
	x := newTestLog(t, func(c *Config) { c.SegmentSize = 32 << 20 }).open()
	long := strings.Repeat("long ", 12_000)
	for range 20 {
		var batch []*policy.Record
		for range 8 {
			r := tiny(0)
			r.Path += long
			batch = append(batch, r)
		}
		x.commitBatch(batch...)
	}
	for range 90 {
		var batch []*policy.Record
		for range 100 {
			batch = append(batch, tiny(0))
		}
		x.commitBatch(batch...)
	}
	f, err := x.Log.cfg.disk.open(filepath.Join(x.cfg.Dir, segmentName(0, rawEnding)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		t.Fatal(err)
	}
	out, leaves, err := pack(f, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkPacked(out, leaves); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(out)
	foot, err := readFooter(r, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := readIndex(r, foot)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 3 || foot.count != x.Size() {
		t.Fatalf("%d blocks of %d entries; the log has %d", len(blocks), foot.count, x.Size())
	}
	if b := blocks[0]; b.count > 160 || b.raw < blockBytes || b.raw > blockBytes+MaxPayload+4 {
		t.Errorf("long entries: a block of %d with %d bytes", b.count, b.raw)
	}
	if b := blocks[1]; b.count != blockEntries {
		t.Errorf("short entries: a block of %d", b.count)
	}
}
