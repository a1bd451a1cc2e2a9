package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/internal/witness"
)

// Witnesses are those who cosign the log: a [*witness.Collector].
type Witnesses interface {
	Status() witness.Status
	// Cosigned returns the newest checkpoint that enough of them have
	// cosigned, nil when there is none.
	Cosigned() []byte
}

// witnessesPage is the data of the page "witnesses".
type witnessesPage struct {
	Base
	Empty   ui.Empty
	Rows    []witnessRow // empty: the log has no witnesses
	State   ui.Badge
	Gap     ui.Text // how long ago a checkpoint counted
	Covers  ui.Text // how much of the log is vouched for
	Needed  ui.Text // how many must cosign
	Limit   ui.Text // what happens when they do not
	Stopped ui.Text // why there is no service; empty: there is
	Events  string  // URL of what the log says of them
	MayRead bool    // all of the log, and so the checkpoint
}

type witnessRow struct {
	Name  string
	Key   ui.Hash
	State ui.Badge
	Has   ui.Text // up to where it cosigned
	At    time.Time
	Ago   ui.Text
	Fault string // why it did not the last time
}

// witnessKeyShown is how much of a witness's key is shown: its name and number.
const witnessKeyShown = 40

// gapIsLong is when the page warns: six rounds in which nothing counted.
const gapIsLong = time.Minute

func (c *Console) showWitnesses(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := witnessesPage{Base: v.page("Witnesses"), MayRead: v.mayRead() == nil, Empty: ui.Empty{Title: "Nobody witnesses this log",
		Text: "Whoever holds the log’s key and this machine can roll the log back and sign it again. A witness on another machine finds that: see access_log.witnesses in the configuration."}}
	if c.Witnesses == nil {
		return c.show(w, r, http.StatusOK, "witnesses", page)
	}
	s := c.Witnesses.Status()
	size := c.Log.Size()
	page.State, page.Gap = gapState(&s), spanWords(s.Gap)
	page.Covers = ui.Say("{1} of {2} entries", s.Witnessed, size)
	page.Needed = ui.Say("{1} of {2}", max(s.Require, 1), len(s.Peers))
	page.Limit = "Service goes on however long that lasts."
	if s.MaxGap > 0 && s.Require > 0 {
		page.Limit = ui.Say("After {1} without, clusters are not served until a checkpoint counts again.", span(s.MaxGap))
	}
	if s.Stopped != nil {
		page.Stopped = stoppedWords(&s)
	}
	var any []query.Node
	for _, a := range witnessActions {
		any = append(any, is(query.Action, a))
	}
	page.Events = logURL(query.Any(any...))
	for i := range s.Peers {
		page.Rows = append(page.Rows, newWitnessRow(&s.Peers[i], v.Now))
	}
	return c.show(w, r, http.StatusOK, "witnesses", page)
}

// witnessActions are the entries about witnesses.
var witnessActions = []string{"witness.lost", "witness.back", "witness.conflict", "witness.stopped", "witness.resumed"}

func stoppedWords(s *witness.Status) ui.Text {
	if conflict, ok := errors.AsType[*witness.ConflictError](s.Stopped); ok {
		return ui.Say("Clusters are not served: witness {1} shows a checkpoint of {2} entries, signed by this log’s own key, that this log of {3} does not continue. Keep both as they are.", conflict.Witness, conflict.Seen, conflict.Have)
	}
	return ui.Say("Clusters are not served: too few witnesses have cosigned a checkpoint for {1}. Sign-in and console go on.", spanWords(s.Gap))
}

func gapState(s *witness.Status) ui.Badge {
	switch {
	case s.Stopped != nil:
		return ui.Badge{Kind: ui.Bad, Text: "clusters are not served"}
	case s.Gap >= gapIsLong:
		return ui.Badge{Kind: ui.Warn, Text: "the gap grows"}
	case s.Witnessed == 0:
		return ui.Badge{Kind: ui.Warn, Text: "nothing is witnessed yet"}
	}
	return ui.Badge{Kind: ui.Good, Text: "witnessed"}
}

func newWitnessRow(p *witness.PeerState, now time.Time) witnessRow {
	row := witnessRow{Name: p.Name, Key: ui.Hash{Value: p.Key, Short: witnessKeyShown}, At: p.At, Has: "Nothing since the start"}
	if !p.At.IsZero() {
		row.Has, row.Ago = ui.Count(int(p.Size), "{1} entry", "{1} entries"), ago(now, p.At)
	}
	conflict, _ := errors.AsType[*witness.ConflictError](p.Err)
	switch {
	case conflict != nil && conflict.Proof != nil:
		row.State = ui.Badge{Kind: ui.Bad, Text: "proves another log"}
	case conflict != nil:
		row.State = ui.Badge{Kind: ui.Bad, Text: "says there was another log"}
	case p.Err != nil:
		row.State = ui.Badge{Kind: ui.Warn, Text: "does not cosign"}
	case p.At.IsZero():
		row.State = ui.Badge{Kind: ui.Neutral, Text: "not asked yet"}
	default:
		row.State = ui.Badge{Kind: ui.Good, Text: "cosigns"}
	}
	if p.Err != nil {
		row.Fault = p.Err.Error()
	}
	return row
}
