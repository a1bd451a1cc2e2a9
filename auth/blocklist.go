package auth

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"slices"
	"strings"
	"sync"
)

//go:generate go run ./blocklist -o blocklist.gz

// blocklistGzip holds passwords and words that are tried first, sorted, one a
// line, lower case. Folder blocklist says what is in it and makes it.
//
//go:embed blocklist.gz
var blocklistGzip []byte

// blocklist unpacks the list at first use.
var blocklist = sync.OnceValue(func() []string {
	z, err := gzip.NewReader(bytes.NewReader(blocklistGzip))
	if err != nil {
		panic("auth: the embedded list of passwords is damaged: " + err.Error())
	}
	b, err := io.ReadAll(z)
	if err != nil {
		panic("auth: the embedded list of passwords is damaged: " + err.Error())
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
})

// listed reports whether s, in lower case, is on the list.
func listed(s string) bool {
	_, found := slices.BinarySearch(blocklist(), s)
	return found
}
