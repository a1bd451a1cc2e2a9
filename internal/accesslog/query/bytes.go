package query

import "unsafe"

// view looks at bytes as text for the time of a call; neither is changed or kept.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (p Pattern) matchBytes(b []byte) bool { return p.Match(view(b)) }

func (f Finder) inBytes(b []byte) bool { return f.In(view(b)) }
