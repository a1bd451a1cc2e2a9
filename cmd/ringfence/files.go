package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// fingerprintDepth bounds how deep folders are looked into: links may lead in circles.
const fingerprintDepth = 8

// fingerprint changes when one of the files, or a file inside one of the
// folders, is written, added or removed. Links are followed: mounted
// configuration maps and releases are swapped by link. What cannot be read
// counts as absent.
func fingerprint(names ...string) [32]byte {
	h := sha256.New()
	for _, name := range names {
		if name != "" {
			fingerprintInto(h, name, 0)
		}
	}
	return [32]byte(h.Sum(nil))
}

func fingerprintInto(h io.Writer, name string, depth int) {
	info, err := os.Stat(name)
	if err != nil {
		fmt.Fprintf(h, "%s\x00absent\x00", name)
		return
	}
	fmt.Fprintf(h, "%s\x00%d\x00%d\x00", name, info.Size(), info.ModTime().UnixNano())
	if !info.IsDir() || depth > fingerprintDepth {
		return
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		fmt.Fprintf(h, "%s\x00absent\x00", name)
	}
	for _, e := range entries {
		fingerprintInto(h, filepath.Join(name, e.Name()), depth+1)
	}
}
