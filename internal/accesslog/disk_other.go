//go:build !linux

package accesslog

import "os"

func datasync(f *os.File) error { return f.Sync() }

func reserve(*os.File, int64) error { return nil }

// freeSpace is not known here: nothing is said of a disk that fills up.
func freeSpace(string) (free, total uint64, err error) { return 0, 0, nil }
