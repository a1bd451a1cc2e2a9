package console

import (
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// A logMeter is a [Log] that tells how its disk and its commits fare.
type logMeter interface {
	Space() accesslog.Space
	Stats() accesslog.Stats
}

// logModeWords says how long a cluster's requests wait for their entry.
func logModeWords(mode string) ui.Text {
	switch mode {
	case "":
		return "Strict: each request is forwarded once its entry is on disk."
	case policy.ModeRelaxed:
		return "Relaxed: requests are forwarded while their entries are being written. If the power or the gateway fails, the entries of the last moment can be missing."
	}
	return ui.Verbatim(mode)
}

// waitedWords says the same of one entry.
func waitedWords(mode string) ui.Text {
	switch mode {
	case policy.ModeStrict:
		return "Strict: forwarded only once this entry was on disk"
	case policy.ModeRelaxed:
		return "Relaxed: forwarded while this entry was being written"
	}
	return ui.Verbatim(mode)
}

// diskLine is what the overview says of the log's disk.
type diskLine struct {
	Badge ui.Badge
	Text  ui.Text
}

func newDiskLine(s accesslog.Space) *diskLine {
	if s.Total == 0 {
		return nil
	}
	const giB = 1 << 30
	line := &diskLine{Badge: ui.Badge{Kind: ui.Good, Text: "enough room"}}
	switch s.Level {
	case accesslog.SpaceLow:
		line.Badge = ui.Badge{Kind: ui.Warn, Text: "getting full"}
	case accesslog.SpaceCritical:
		line.Badge = ui.Badge{Kind: ui.Bad, Text: "almost full"}
	}
	if s.Free < 10*giB {
		line.Text = ui.Say("{1} % of the disk is free, {2} MiB.", s.Percent(), s.Free>>20)
	} else {
		line.Text = ui.Say("{1} % of the disk is free, {2} GiB.", s.Percent(), s.Free>>30)
	}
	return line
}

// commitWords says how long commits take.
func commitWords(s accesslog.Stats) ui.Text {
	ms := func(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
	return ui.Say("The last took {1}, the slowest since the start {2}.", ms(s.LastCommit), ms(s.SlowestCommit))
}

// missedWords says how many requests were refused for slow commits; empty for none.
func missedWords(n uint64) ui.Text {
	if n == 0 {
		return ""
	}
	return ui.Count(int(n), "{1} request was refused because its entry was not on disk in time.", "{1} requests were refused because their entries were not on disk in time.")
}

// diskAttention is what the overview says at its head while the log's disk
// fills up; nil while there is room.
func diskAttention(s accesslog.Space) *attention {
	if s.Level == accesslog.SpaceEnough {
		return nil
	}
	a := &attention{Kind: ui.Badge{Kind: ui.Warn, Text: "soon"}, About: ui.Link{Label: "The access log's disk"},
		Text: ui.Say("{1} % is free. Once it is full, no request is served; people can still sign in for a while to make room.", s.Percent())}
	if s.Level == accesslog.SpaceCritical {
		a.Kind = ui.Badge{Kind: ui.Bad, Text: "urgent"}
	}
	return a
}
