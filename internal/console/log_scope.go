package console

import (
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// mayRead returns what the visitor may see of the access log; nil: all of it.
// Every search is joined with it.
func (v *visit) mayRead() query.Node { return nil }

// maySee reports whether the visitor may see the entry.
func (v *visit) maySee(e *accesslog.Entry) bool {
	n := v.mayRead()
	return n == nil || query.Compile(n, v.Now).Match(e)
}
