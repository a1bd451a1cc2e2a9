package auth

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"sync"
)

//go:generate go run ./blocklist -o blocklist.gz

// blocklistGzip and leakedGzip hold passwords and words that are tried first,
// sorted, one a line, lower case. Folder blocklist says where they come from
// and makes them.
var (
	//go:embed blocklist.gz
	blocklistGzip []byte
	//go:embed leaked.gz
	leakedGzip []byte
)

// A wordList is sorted lines, the last one with its line feed too.
type wordList []byte

// blocklists unpacks the lists when the first password is chosen: a gateway
// that sets none keeps them packed.
var blocklists = sync.OnceValue(func() [2]wordList {
	return [...]wordList{unpack(blocklistGzip), unpack(leakedGzip)}
})

func unpack(packed []byte) wordList {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic("auth: an embedded list of passwords is damaged: " + err.Error())
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic("auth: an embedded list of passwords is damaged: " + err.Error())
	}
	return bytes.Clone(b) // without the room that reading has left
}

// has reports whether s is a line of the list. It searches in the text itself:
// an index of its lines would take more memory than they do.
func (l wordList) has(s string) bool {
	low, high := 0, len(l) // starts of lines, or the end
	for low < high {
		mid := low + (high-low)/2
		start := low + bytes.LastIndexByte(l[low:mid], '\n') + 1
		end := start + bytes.IndexByte(l[start:], '\n')
		switch line := string(l[start:end]); {
		case line == s:
			return true
		case line < s:
			low = end + 1
		default:
			high = start
		}
	}
	return false
}

// listed reports whether s, in lower case, is on one of the lists.
func listed(s string) bool {
	for _, l := range blocklists() {
		if l.has(s) {
			return true
		}
	}
	return false
}
