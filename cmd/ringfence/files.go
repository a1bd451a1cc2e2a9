package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fingerprint changes when one of the files, or a file inside one of the
// folders, is written, added or removed. What cannot be read counts as absent.
func fingerprint(names ...string) [32]byte {
	h := sha256.New()
	for _, name := range names {
		if name == "" {
			continue
		}
		_ = filepath.WalkDir(name, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				fmt.Fprintf(h, "%s\x00absent\x00", path)
				return nil
			}
			// Stat follows links: mounted configuration maps are swapped by link.
			if info, err := os.Stat(path); err == nil {
				fmt.Fprintf(h, "%s\x00%d\x00%d\x00", path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return [32]byte(h.Sum(nil))
}
