package proxy

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// idEncoding keeps the order of the bytes it encodes.
var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// newRequestID returns 128 bits as 26 characters: 48 bits of milliseconds, so
// that ids sort by time, then 80 random bits.
func newRequestID(now time.Time) string {
	var b [18]byte // two spare bytes let the time be written as 8
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli()))
	rand.Read(b[8:])
	var out [26]byte
	idEncoding.Encode(out[:], b[2:])
	return string(out[:])
}
