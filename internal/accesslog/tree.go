package accesslog

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// leafHash hashes a frame's type byte and payload; the type of an entry is
// zero, which is what RFC 6962 puts before a leaf.
func leafHash(typed []byte) tlog.Hash { return sha256.Sum256(typed) }

func nodeHash(left, right *tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// A tree is the right edge of a Merkle tree: for each set bit of n the hash of
// one full subtree, which is all that growing it and finding its root need.
type tree struct {
	n    uint64
	edge [64]tlog.Hash // edge[i] is meaningful where bit i of n is set
}

// add appends a leaf. full, when not nil, is told of each subtree of a whole
// tile's height that this leaf completes.
func (t *tree) add(h tlog.Hash, full func(level int, h tlog.Hash)) {
	level := 0
	for n := t.n; ; n >>= 1 {
		if full != nil && level%tileHeight == 0 {
			full(level/tileHeight, h)
		}
		if n&1 == 0 {
			break
		}
		h = nodeHash(&t.edge[level], &h)
		level++
	}
	t.edge[level] = h
	t.n++
}

// root returns the tree's hash; that of no entries is SHA-256 of nothing.
func (t *tree) root() tlog.Hash {
	if t.n == 0 {
		return sha256.Sum256(nil)
	}
	level := bits.TrailingZeros64(t.n)
	h := t.edge[level]
	for n := t.n >> (level + 1); n > 0; n >>= 1 {
		level++
		if n&1 == 1 {
			h = nodeHash(&t.edge[level], &h)
		}
	}
	return h
}
