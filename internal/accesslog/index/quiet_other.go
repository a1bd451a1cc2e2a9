//go:build !linux

package index

// yieldToOthers does nothing here: threads have no priority of their own.
func yieldToOthers() {}
