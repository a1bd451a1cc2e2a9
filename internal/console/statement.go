package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// A Stated says which acceptances a statement is about. Empty fields select all.
type Stated struct {
	Agreement, Account string
	Version            int
}

// Agreements is what is kept of agreements beside the directory.
type Agreements interface {
	// Versions must return every version that was ever in force, the newest first.
	Versions(ctx context.Context, agreement string) ([]directory.AgreementVersion, error)
	// Acceptances must return what is kept of acceptances, the newest first;
	// an empty agreement or account selects all.
	Acceptances(ctx context.Context, agreement, account string) ([]directory.Evidence, error)
	// Statement must record that actor asks and then return the signed
	// statement; it must be [ErrNothingStated] when nothing was accepted.
	Statement(ctx context.Context, actor directory.Actor, about Stated) ([]byte, error)
}

// ErrNothingStated reports a statement about nothing.
var ErrNothingStated = errors.New("nothing of this kind has been accepted")

// sendStatement answers with a signed statement, as a file.
func (c *Console) sendStatement(w http.ResponseWriter, r *http.Request, v *visit, about Stated) error {
	b, err := c.Agreements.Statement(r.Context(), v.Actor(), about)
	if errors.Is(err, ErrNothingStated) {
		return &ui.Error{Status: http.StatusNotFound, Title: "Nothing to state", Detail: "Nobody has accepted this yet.", Err: err}
	}
	if err != nil {
		return &ui.Error{Status: http.StatusServiceUnavailable, RetryAfter: 5 * time.Second, Err: fmt.Errorf("making a statement: %w", err),
			Detail: "The statement could not be made. That it is given out is itself recorded; please try again in a moment."}
	}
	name := "statement"
	for _, part := range []string{about.Agreement, about.Account} {
		if part != "" {
			name += "-" + part
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.txt"`)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(b) // the client may be gone; there is nobody to tell
	return nil
}
