package index

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// countedChunk counts which columns are asked for, and ends the search at the third.
type countedChunk struct {
	chunk
	asked *int
	stop  context.CancelFunc
}

func (c countedChunk) dict(column string) ([]string, bool, error) {
	if *c.asked++; *c.asked == 3 {
		c.stop()
	}
	return c.chunk.dict(column)
}

// TestEval_Stops: a query of hundreds of conditions ends within one of them.
func TestEval_Stops(t *testing.T) {
	m := newMemory(0)
	var many []query.Node
	for i := range 400 {
		many = append(many, query.Anywhere{Text: fmt.Sprintf("x%d", i)})
	}
	for what, n := range map[string]query.Node{"or": query.Any(many...), "and": query.Negate(query.Any(many...)), "one": many[0]} {
		ctx, stop := context.WithCancel(t.Context())
		asked := 0
		_, err := eval(ctx, countedChunk{m, &asked, stop}, n, time.Now(), newSelection(0))
		if !errors.Is(err, context.Canceled) || asked != 3 {
			t.Errorf("%s: %v after %d columns", what, err, asked)
		}
		stop()
	}
}
