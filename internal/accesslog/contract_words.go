// Package accesslog: the words that the console needs, until the package is joined.
package accesslog

type Filter struct{}
type Entry struct{}
