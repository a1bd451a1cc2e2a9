//go:build !linux

package accesslog

import "errors"

func mountSmall(string, string) error { return errors.ErrUnsupported }

func unmount(string) {}
