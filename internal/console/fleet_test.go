package console

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// Searches of every gateway take their turn among those of this one's log.
func TestFleet_InTurn(t *testing.T) {
	o := newOffice(t, plainText)
	o.Console.Search = query.InTurn(o.Console.Search, 1, 1)
	leave, err := query.Turn(t.Context(), o.Console.Search)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := o.fillFleet(ctx, &visit{}, &asked{}, query.Request{}, &fleetPage{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while somebody else asks: %v", err)
	}
	leave()
	shows(t, o.get("rae", fleetPath), http.StatusOK, "gate.test/gw2")
}
