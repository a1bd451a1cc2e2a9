// Package directory: the words that the console needs, until the package is joined.
package directory

type Actor struct{ Account, Email, RequestID, IP string }
type Directory struct{}
type Change struct{}
type Acceptance struct{}
type Snapshot struct{}
