package accesslog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A sealed segment is the raw segment's header, blocks of compressed entries
// side by side, an index with a line for each block, and a footer.
const (
	sealedTitle  = "rflogv1\n"
	blockLineLen = 8 + 4 + 4 + 8 + 4 + 4 + 8 + 8
	footerLen    = 8 + 8 + 8 + 8 + 8 + 8 + 4 + 4 + 4 + 4
)

// A block is full with so many entries or bytes. Larger ones compress better,
// since sealed personal fields compress only where they repeat; one entry is
// read by unpacking its whole block.
const (
	blockEntries = 8192
	blockBytes   = 8 << 20
	largestBlock = 1024 * (MaxPayload + 4) // bytes that a reader accepts
)

// A block is one line of the index.
type block struct {
	first  uint64
	count  uint32
	raw    uint32 // length when unpacked
	offset int64
	length uint32
	sum    uint32 // CRC-32C of the compressed bytes
	oldest int64  // entry time, nanoseconds since 1970
	newest int64
}

func (b *block) append(out []byte) []byte {
	out = binary.LittleEndian.AppendUint64(out, b.first)
	out = binary.LittleEndian.AppendUint32(out, b.count)
	out = binary.LittleEndian.AppendUint32(out, b.raw)
	out = binary.LittleEndian.AppendUint64(out, uint64(b.offset))
	out = binary.LittleEndian.AppendUint32(out, b.length)
	out = binary.LittleEndian.AppendUint32(out, b.sum)
	out = binary.LittleEndian.AppendUint64(out, uint64(b.oldest))
	return binary.LittleEndian.AppendUint64(out, uint64(b.newest))
}

func parseBlock(b []byte) block {
	le := binary.LittleEndian
	return block{
		first: le.Uint64(b), count: le.Uint32(b[8:]), raw: le.Uint32(b[12:]), offset: int64(le.Uint64(b[16:])),
		length: le.Uint32(b[24:]), sum: le.Uint32(b[28:]), oldest: int64(le.Uint64(b[32:])), newest: int64(le.Uint64(b[40:])),
	}
}

// A footer ends a sealed segment; it sums up the segment for readers that skip it.
type footer struct {
	first, count   uint64
	oldest, newest int64
	index          int64 // offset of the index
	blocks         uint32
	sum            uint32 // CRC-32C of the index
}

func (f *footer) append(out []byte) []byte {
	at := len(out)
	out = append(out, sealedTitle...)
	out = binary.LittleEndian.AppendUint64(out, f.first)
	out = binary.LittleEndian.AppendUint64(out, f.count)
	out = binary.LittleEndian.AppendUint64(out, uint64(f.oldest))
	out = binary.LittleEndian.AppendUint64(out, uint64(f.newest))
	out = binary.LittleEndian.AppendUint64(out, uint64(f.index))
	out = binary.LittleEndian.AppendUint32(out, f.blocks)
	out = binary.LittleEndian.AppendUint32(out, f.sum)
	out = binary.LittleEndian.AppendUint32(out, 0) // room for flags
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[at:], castagnoli))
}

var (
	errFooter = errors.New("the sealed segment's footer is not one")
	errIndex  = errors.New("the sealed segment's index does not pass its check sum")
	errBlock  = errors.New("a compressed block does not pass its check sum")
)

// readFooter reads the footer of a file of size bytes.
func readFooter(r io.ReaderAt, size int64) (*footer, error) {
	var b [footerLen]byte
	if size < headerLen+footerLen {
		return nil, errFooter
	}
	if _, err := r.ReadAt(b[:], size-footerLen); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	f := &footer{
		first: le.Uint64(b[8:]), count: le.Uint64(b[16:]), oldest: int64(le.Uint64(b[24:])), newest: int64(le.Uint64(b[32:])),
		index: int64(le.Uint64(b[40:])), blocks: le.Uint32(b[48:]), sum: le.Uint32(b[52:]),
	}
	if string(f.append(nil)) != string(b[:]) || f.index != size-footerLen-int64(f.blocks)*blockLineLen {
		return nil, errFooter
	}
	return f, nil
}

// readIndex reads the lines of the index. They must follow one another
// without a gap, in entries and in bytes.
func readIndex(r io.ReaderAt, f *footer) ([]block, error) {
	b := make([]byte, int(f.blocks)*blockLineLen)
	if _, err := r.ReadAt(b, f.index); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != f.sum {
		return nil, errIndex
	}
	out := make([]block, f.blocks)
	index, off := f.first, int64(headerLen)
	for i := range out {
		out[i] = parseBlock(b[i*blockLineLen:])
		if out[i].first != index || out[i].offset != off || out[i].count == 0 {
			return nil, errIndex
		}
		index += uint64(out[i].count)
		off += int64(out[i].length)
	}
	if index != f.first+f.count || off != f.index {
		return nil, errIndex
	}
	return out, nil
}

var (
	unpackers = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(1<<28))
	})
	packers = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	})
)

// load unpacks a block into its payloads.
func (b *block) load(r io.ReaderAt) ([][]byte, error) {
	if b.raw > largestBlock {
		return nil, errIndex
	}
	packed := make([]byte, b.length)
	if _, err := r.ReadAt(packed, b.offset); err != nil {
		return nil, err
	}
	if crc32.Checksum(packed, castagnoli) != b.sum {
		return nil, errBlock
	}
	dec, err := unpackers()
	if err != nil {
		return nil, err
	}
	raw, err := dec.DecodeAll(packed, make([]byte, 0, b.raw))
	if err != nil || len(raw) != int(b.raw) {
		return nil, errBlock
	}
	out := make([][]byte, 0, b.count)
	for len(raw) >= 4 {
		n := int(binary.LittleEndian.Uint32(raw))
		if n > len(raw)-4 {
			return nil, errBlock
		}
		out = append(out, raw[4:4+n:4+n])
		raw = raw[4+n:]
	}
	if len(raw) != 0 || len(out) != int(b.count) {
		return nil, errBlock
	}
	return out, nil
}
