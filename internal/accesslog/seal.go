package accesslog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// seal compresses a full raw segment, checks what it wrote by reading it back,
// and recycles the raw file. It does nothing by halves: until the sealed file
// has its name, the raw one is the segment.
func (l *Log) seal(name string) error {
	f, err := l.cfg.disk.open(filepath.Join(l.cfg.Dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		return err
	}
	out, leaves, err := pack(f, size)
	if err != nil {
		return err
	}
	if err := checkPacked(out, leaves); err != nil {
		return err
	}
	// The hashes can only be made again from what is being replaced; they go first.
	if err := l.syncTiles(); err != nil {
		return err
	}
	sealed := name[:len(name)-len(rawEnding)] + sealedEnding
	if err := l.cfg.disk.write(filepath.Join(l.cfg.Dir, sealed), out); err != nil {
		return err
	}
	return l.recycle(name)
}

// pack compresses the entries of a raw segment.
func pack(f file, size int64) (out []byte, leaves []tlog.Hash, err error) {
	head := make([]byte, headerLen)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, nil, err
	}
	h, err := parseHeader(head)
	if err != nil {
		return nil, nil, err
	}
	enc, err := packers()
	if err != nil {
		return nil, nil, err
	}
	out = head
	foot := footer{first: h.first}
	var lines, raw []byte
	b := block{first: h.first}
	finish := func() {
		if b.count == 0 {
			return
		}
		b.offset, b.raw = int64(len(out)), uint32(len(raw))
		out = enc.EncodeAll(raw, out)
		b.length = uint32(int64(len(out)) - b.offset)
		b.sum = crc32.Checksum(out[b.offset:], castagnoli)
		lines = b.append(lines)
		foot.blocks++
		b = block{first: b.first + uint64(b.count)}
		raw = raw[:0]
	}
	s := newScanner(f, size, h)
	for {
		p, err := s.entry()
		if err == errEnd {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading entry %d: %w", s.index, err)
		}
		at, err := payloadTime(p)
		if err != nil {
			return nil, nil, err
		}
		if b.count == 0 {
			b.oldest = at
		}
		if foot.count == 0 {
			foot.oldest = at
		}
		b.newest, foot.newest = at, at // times never fall
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(p)))
		raw = append(raw, p...)
		leaves = append(leaves, tlog.RecordHash(p))
		b.count++
		foot.count++
		if b.count == blockEntries || len(raw) >= blockBytes {
			finish()
		}
	}
	finish()
	foot.index, foot.sum = int64(len(out)), crc32.Checksum(lines, castagnoli)
	return foot.append(append(out, lines...)), leaves, nil
}

// checkPacked reads a sealed segment back before the raw one goes.
func checkPacked(b []byte, leaves []tlog.Hash) error {
	r := bytes.NewReader(b)
	foot, err := readFooter(r, int64(len(b)))
	if err != nil {
		return err
	}
	blocks, err := readIndex(r, foot)
	if err != nil {
		return err
	}
	for _, bl := range blocks {
		payloads, err := bl.load(r)
		if err != nil {
			return err
		}
		for i, p := range payloads {
			if at := bl.first - foot.first + uint64(i); at >= uint64(len(leaves)) || tlog.RecordHash(p) != leaves[at] {
				return errors.New("a compressed entry does not read back")
			}
		}
	}
	if foot.count != uint64(len(leaves)) {
		return errors.New("compressed entries are missing")
	}
	return nil
}
