//go:build !linux

package drift

// kernel knows nothing on this system.
func kernel() Sync { return Unknown }
