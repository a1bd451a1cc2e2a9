package accesslog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Types of frames. An entry's type byte and payload together are the bytes
// that RFC 6962 hashes for a leaf: 0x00, then the record.
const (
	frameEntry = 0 // payload: one entry
	frameMark  = 1 // first frame of a batch: everything before it was synced
	frameCarry = 2 // after a segment's first mark: indexes of requests still open
)

const (
	frameHead = 4 + 4 + 1 // length, check sum, type
	markLen   = 8 + 8 + 8 // own offset, sequence, index of the next entry

	// MaxPayload is the longest payload in bytes, the most that a C2SP entry bundle can hold.
	MaxPayload = 1<<16 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSum covers the segment's epoch and the frame's sequence, so that a
// frame left over from the file's earlier use, or moved, never passes.
func frameSum(epoch, seq uint64, typed []byte) uint32 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], epoch)
	binary.LittleEndian.PutUint64(b[8:], seq)
	return crc32.Update(crc32.Checksum(b[:], castagnoli), castagnoli, typed)
}

// openFrame starts a frame at the end of b; the caller appends the payload and
// calls closeFrame with the length of b before.
func openFrame(b []byte, typ byte) []byte {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0, typ)
}

func closeFrame(b []byte, at int, epoch, seq uint64) {
	f := b[at:]
	binary.LittleEndian.PutUint32(f, uint32(len(f)-frameHead))
	binary.LittleEndian.PutUint32(f[4:], frameSum(epoch, seq, f[8:]))
}

func appendMark(b []byte, offset int64, epoch, seq, index uint64) []byte {
	at := len(b)
	b = openFrame(b, frameMark)
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, index)
	closeFrame(b, at, epoch, seq)
	return b
}

// What ends a scan.
var (
	errEnd = errors.New("no further frame") // zeros, or no room for a frame
	errBad = errors.New("a frame that does not pass its check sum")
)

// A scanner reads the frames of a raw segment in order. After next returns an
// error it stands at the frame that it could not read.
type scanner struct {
	r     io.ReaderAt
	size  int64
	epoch uint64
	off   int64  // of the next frame
	seq   uint64 // of the next frame
	index uint64 // of the next entry

	typ     byte   // of the frame just read
	payload []byte // likewise; good until the next call
	buf     []byte // bytes from base on
	base    int64
}

func newScanner(r io.ReaderAt, size int64, h *header) *scanner {
	return &scanner{r: r, size: size, epoch: h.epoch, off: headerLen, index: h.first}
}

// window returns n bytes at off, from memory where they are there.
func (s *scanner) window(off int64, n int) ([]byte, error) {
	if off < s.base || off+int64(n) > s.base+int64(len(s.buf)) {
		if cap(s.buf) == 0 {
			s.buf = make([]byte, 0, 256<<10)
		}
		want := min(int64(max(cap(s.buf), n)), s.size-off)
		if want > int64(cap(s.buf)) {
			s.buf = make([]byte, want)
		}
		s.buf, s.base = s.buf[:want], off
		if got, err := s.r.ReadAt(s.buf, off); got < int(want) {
			s.buf = s.buf[:0]
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return s.buf[off-s.base:][:n], nil
}

// forget drops what is in memory, so that the next call reads the file anew.
func (s *scanner) forget() { s.buf, s.base = s.buf[:0], 0 }

// next reads one frame into typ and payload. It returns errEnd, errBad or an
// error of reading.
func (s *scanner) next() error {
	if s.size-s.off < frameHead+1 {
		return errEnd
	}
	head, err := s.window(s.off, frameHead)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head)
	switch {
	case n == 0:
		return errEnd
	case n > MaxPayload || s.off+frameHead+int64(n) > s.size:
		return errBad
	}
	f, err := s.window(s.off, frameHead+int(n))
	if err != nil {
		return err
	}
	if frameSum(s.epoch, s.seq, f[8:]) != binary.LittleEndian.Uint32(f[4:]) {
		return errBad
	}
	typ, payload := f[8], f[frameHead:]
	switch {
	case typ > frameCarry:
		return errBad
	case typ == frameMark && !s.fits(payload):
		return errBad
	}
	s.typ, s.payload = typ, payload
	s.off += frameHead + int64(n)
	s.seq++
	if typ == frameEntry {
		s.index++
	}
	return nil
}

// fits reports whether a mark says of itself what is so.
func (s *scanner) fits(mark []byte) bool {
	return len(mark) == markLen &&
		binary.LittleEndian.Uint64(mark) == uint64(s.off) &&
		binary.LittleEndian.Uint64(mark[8:]) == s.seq &&
		binary.LittleEndian.Uint64(mark[16:]) == s.index
}

// entry skips to the next entry and returns its payload.
func (s *scanner) entry() ([]byte, error) {
	for {
		if err := s.next(); err != nil {
			return nil, err
		}
		if s.typ == frameEntry {
			return s.payload, nil
		}
	}
}

// nonZero returns the offset of the first byte from off on that is not zero,
// or -1, and of the last one.
func (s *scanner) nonZero(off int64) (first, last int64, err error) {
	first, last = -1, -1
	buf := make([]byte, 256<<10)
	for off < s.size {
		n, err := s.r.ReadAt(buf[:min(int64(len(buf)), s.size-off)], off)
		if n == 0 && err != nil {
			return 0, 0, err
		}
		if !allZero(buf[:n]) {
			for i, c := range buf[:n] {
				if c != 0 {
					if first < 0 {
						first = off + int64(i)
					}
					last = off + int64(i)
				}
			}
		}
		off += int64(n)
	}
	return first, last, nil
}

var zeros [64 << 10]byte

func allZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// laterMark looks behind off for a mark of this segment that passes its check
// sum. A batch is written only after the one before it was synced, so such a
// mark vouches for every byte before it. It returns the mark's offset, or -1.
func (s *scanner) laterMark(off int64) (int64, error) {
	pattern := []byte{markLen, 0, 0, 0}
	const whole = frameHead + markLen
	buf := make([]byte, 1<<20)
	for off < s.size {
		n, err := s.r.ReadAt(buf[:min(int64(len(buf)), s.size-off)], off)
		if n == 0 && err != nil {
			return 0, err
		}
		b := buf[:n]
		for at := 0; ; {
			i := bytes.Index(b[at:], pattern)
			if i < 0 || at+i+whole > n {
				break
			}
			at += i
			if s.isMark(b[at:at+whole], off+int64(at)) {
				return off + int64(at), nil
			}
			at++
		}
		if off+int64(n) >= s.size {
			break
		}
		off += int64(n - whole + 1)
	}
	return -1, nil
}

func (s *scanner) isMark(f []byte, off int64) bool {
	p := f[frameHead:]
	return f[8] == frameMark && binary.LittleEndian.Uint64(p) == uint64(off) &&
		frameSum(s.epoch, binary.LittleEndian.Uint64(p[8:]), f[8:]) == binary.LittleEndian.Uint32(f[4:])
}
