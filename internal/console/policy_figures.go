package console

import (
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/ui"
)

// figuresView is what trials of a set found, as pages show it.
type figuresView struct {
	At     time.Time
	Tests  int
	Cover  string
	Holes  int
	Tested bool // tests, coverage and holes are known

	Replay                      bool // the replay's figures are known
	Since, Until                time.Time
	Replayed, Unfit             int
	Widened, Narrowed, Reworded int
	Same                        int // decided as before
	Matrix                      bool
	Cells, CellsMoved           int
}

// showFigures shows f where it is about the modules with hash; what was found
// about another text is worth nothing for this one.
func showFigures(f *change.Figures, hash string) figuresView {
	if f.Of != hash || f.Of == "" {
		return figuresView{}
	}
	v := figuresView{At: f.At, Tests: f.Tests, Cover: percent(f.Coverage), Holes: f.Holes, Tested: f.Tests > 0,
		Since: f.Since, Until: f.Until, Replayed: f.Replayed, Unfit: f.Unfit, Widened: f.Widened, Narrowed: f.Narrowed, Reworded: f.Reworded,
		Cells: f.Cells, CellsMoved: f.CellsMoved, Matrix: f.Cells > 0}
	v.Replay = !f.Since.IsZero() || f.Replayed > 0 || f.Unfit > 0
	v.Same = max(0, f.Replayed-f.Widened-f.Narrowed-f.Reworded)
	return v
}

// Flipped returns how many recorded requests would end otherwise.
func (f figuresView) Flipped() int { return f.Widened + f.Narrowed }

// Words sums the replay up in a line of a list; empty without one.
func (f figuresView) Words() ui.Text {
	if !f.Replay {
		return ""
	}
	return ui.Say("+{1} −{2} of {3}", f.Widened, f.Narrowed, f.Replayed)
}

// effectView is what a revision has decided since it is in force.
type effectView struct {
	Allowed, Challenged, Denied int64
	First, Last                 time.Time
	Parts                       []part // of its bar
}

// Sum returns how many decisions were counted.
func (e effectView) Sum() int64 { return e.Allowed + e.Challenged + e.Denied }

// Share returns the share of n among all, in percent.
func (e effectView) Share(n int64) string {
	if e.Sum() == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", float64(n)*100/float64(e.Sum()))
}

func showEffect(e change.Effect) effectView {
	t := tally{Allow: int(e.Allowed), Challenge: int(e.Challenged), Deny: int(e.Denied)}
	return effectView{Allowed: e.Allowed, Challenged: e.Challenged, Denied: e.Denied, First: e.First, Last: e.Last, Parts: t.bar()}
}
