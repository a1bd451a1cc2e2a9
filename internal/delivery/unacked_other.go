//go:build !linux

package delivery

import "net"

// unacknowledged is not known here.
func unacknowledged(net.Conn) (int, error) { return 0, nil }
