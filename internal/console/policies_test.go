package console

import (
	"github.com/ringfence/ringfence/internal/change/changetest"
)

// Tests of pages use the keeper that obeys the rules in memory.
var (
	_ Changes            = (*changetest.Memory)(nil)
	_ changetest.Changes = Changes(nil)
)
