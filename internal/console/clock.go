package console

import (
	"context"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/drift"
	"github.com/ringfence/ringfence/internal/ui"
)

// ClockWords words a warning about the gateway's clock, for pages and
// commands alike.
func ClockWords(w drift.Warning) ui.Text {
	switch w.Kind {
	case drift.Drifted:
		if w.Drift > 0 {
			return ui.Say("This machine's clock is {1} fast, says {2}. Codes of authenticator apps are refused when it gets worse, and the access log's times are wrong. Let a time service keep it.", spanWords(w.Drift), w.Server)
		}
		return ui.Say("This machine's clock is {1} slow, says {2}. Codes of authenticator apps are refused when it gets worse, and the access log's times are wrong. Let a time service keep it.", spanWords(w.Drift), w.Server)
	case drift.Unkept:
		return "Nothing keeps this machine's clock right. It will be off sooner or later, and codes of authenticator apps are refused then. Run a time service such as chrony, or name time servers under clock.servers to have it measured."
	case drift.Silent:
		return ui.Say("None of the time servers under clock.servers answers ({1} asked), so nobody knows how far this machine's clock is off.", w.Asked)
	case drift.OffCodes:
		if w.Drift > 0 {
			return ui.Say("Of {1} people who signed in within a day, the codes of {2} were {3} behind this machine's clock: it is probably fast.", w.Of, w.Same, spanWords(w.Drift))
		}
		return ui.Say("Of {1} people who signed in within a day, the codes of {2} were {3} ahead of this machine's clock: it is probably slow.", w.Of, w.Same, spanWords(w.Drift))
	}
	return ""
}

// spanWords says a duration without its sign, to a tenth where that matters.
func spanWords(d time.Duration) ui.Text {
	d = d.Abs()
	if d < 10*time.Second {
		return ui.Say("{1} seconds", fmt.Sprintf("%.1f", d.Seconds()))
	}
	if d < 2*time.Minute {
		return ui.Say("{1} seconds", fmt.Sprintf("%.0f", d.Seconds()))
	}
	return ui.Verbatim(d.Round(time.Second).String())
}

// clockAttentions lists what is wrong with the clock, for administrators: only
// they can see to it.
func (c *Console) clockAttentions(ctx context.Context, v *visit) []attention {
	if c.Clock == nil || !v.mayChange() {
		return nil
	}
	var out []attention
	for _, w := range c.Clock(ctx) {
		out = append(out, attention{ui.Badge{Kind: ui.Warn, Text: "clock"}, ui.Link{}, ClockWords(w)})
	}
	return out
}
