package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// headerLen is the space that a segment's header takes: a page, so that
// writing frames never touches it.
const headerLen = 4096

const headerTitle = "ringfence access log segment v1"

// A header opens a segment and says where it continues the log.
type header struct {
	origin string
	size   int64     // of the file, in bytes
	epoch  uint64    // counts segments, so that no two lives of a file share one
	first  uint64    // index of the first entry
	last   time.Time // of the entry before; zero in the first segment
	root   tlog.Hash // of the tree of all entries before
}

// encode returns the header as text, with a check sum, filled up with zeros.
func (h *header) encode() []byte {
	b := make([]byte, 0, headerLen)
	b = fmt.Appendf(b, "%s\norigin %s\nsize %d\nepoch %d\nfirst %d\ntime %s\nroot %s\n",
		headerTitle, h.origin, h.size, h.epoch, h.first, h.last.UTC().Format(time.RFC3339Nano), h.root)
	b = fmt.Appendf(b, "crc32c %08x\n", frameSum(0, 0, b))
	return b[:headerLen]
}

// parseHeader accepts exactly what encode writes.
func parseHeader(b []byte) (*header, error) {
	bad := errors.New("the segment's header is not one")
	if len(b) < headerLen {
		return nil, bad
	}
	b = b[:headerLen]
	text, _, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return nil, bad
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 9 || lines[0] != headerTitle {
		return nil, bad
	}
	var h header
	var err [5]error
	h.origin = strings.TrimPrefix(lines[1], "origin ")
	h.size, err[0] = strconv.ParseInt(strings.TrimPrefix(lines[2], "size "), 10, 64)
	h.epoch, err[1] = strconv.ParseUint(strings.TrimPrefix(lines[3], "epoch "), 10, 64)
	h.first, err[2] = strconv.ParseUint(strings.TrimPrefix(lines[4], "first "), 10, 63)
	h.last, err[3] = time.Parse(time.RFC3339Nano, strings.TrimPrefix(lines[5], "time "))
	h.root, err[4] = tlog.ParseHash(strings.TrimPrefix(lines[6], "root "))
	if errors.Join(err[:]...) != nil || !validOrigin(h.origin) || !bytes.Equal(h.encode(), b) {
		return nil, bad
	}
	return &h, nil
}

// validOrigin reports whether s can name a log: what a note's key name and a
// header line can hold.
func validOrigin(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '+' {
			return false
		}
	}
	return true
}
