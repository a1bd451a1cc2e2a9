package accesslog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// ActionDisk is of the entries that say how full the log's disk is, each time
// that this passes one of the marks in [Space.Level].
const ActionDisk = "disk"

// Values of [Space.Level].
const (
	SpaceEnough   = ""         // more than a fifth is free, or nobody knows
	SpaceLow      = "low"      // at most a fifth
	SpaceCritical = "critical" // at most a tenth
)

// spaceEvery is how often the disk's free space is looked at, and spaceSlack
// how much more than a mark must be free, in percent, until it counts as left.
const (
	spaceEvery = 10 * time.Second
	spaceSlack = 2
)

// Space is how much room the disk of the log has, in bytes. The zero Space
// says that it is not known.
type Space struct {
	Free, Total uint64
	Level       string // SpaceEnough, SpaceLow or SpaceCritical
}

// Percent returns how much is free, rounded down; 100 where nobody knows.
func (s Space) Percent() int {
	if s.Total == 0 {
		return 100
	}
	return int(float64(s.Free) / float64(s.Total) * 100)
}

// Space returns the room on the log's disk as of some seconds ago.
func (l *Log) Space() Space {
	if p := l.space.Load(); p != nil {
		return *p
	}
	return Space{}
}

func (l *Log) spaceLoop() {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	for {
		l.lookAtSpace()
		select {
		case <-l.stop:
			return
		case <-l.dead:
			return
		case <-tick.C:
		case <-l.look:
		}
	}
}

// lookAtSpace measures the disk and records when a mark is passed. An entry
// that found no place in the queue is tried again at the next look.
func (l *Log) lookAtSpace() {
	free, total, err := l.cfg.disk.space()
	if err != nil {
		l.cfg.Logger.Warn("measuring the access log's disk", "err", err)
		return
	}
	was := l.Space()
	now := Space{Free: free, Total: total}
	now.Level = levelOf(now.Percent(), was.Level)
	if now.Level != was.Level && !l.saySpace(now) {
		now.Level = was.Level
	}
	l.space.Store(&now)
}

func levelOf(percent int, was string) string {
	low, critical := 20, 10
	if was != SpaceEnough {
		low += spaceSlack
	}
	if was == SpaceCritical {
		critical += spaceSlack
	}
	switch {
	case percent <= critical:
		return SpaceCritical
	case percent <= low:
		return SpaceLow
	}
	return SpaceEnough
}

func (l *Log) saySpace(s Space) bool {
	result := s.Level
	switch s.Level {
	case SpaceEnough:
		result = "ok"
		l.cfg.Logger.Info("the access log's disk has room again", "free_percent", s.Percent(), "free_bytes", s.Free)
	case SpaceLow:
		l.cfg.Logger.Warn("the access log's disk is getting full", "free_percent", s.Percent(), "free_bytes", s.Free)
	default:
		l.cfg.Logger.Error("the access log's disk is almost full; once it is, nothing is served", "free_percent", s.Percent(), "free_bytes", s.Free)
	}
	return l.say(&policy.Record{Type: policy.RecordLog, Action: ActionDisk, Result: result, Detail: map[string]string{
		"free_percent": strconv.Itoa(s.Percent()), "free_bytes": strconv.FormatUint(s.Free, 10), "total_bytes": strconv.FormatUint(s.Total, 10),
	}})
}

// say queues a record of the log's own goroutines, which may not wait for room
// in the queue: the committer may have ended. It reports whether there was any.
func (l *Log) say(r *policy.Record) bool {
	it, err := l.newItem(r, false)
	if err != nil {
		l.cfg.Logger.Error("recording about the access log itself", "action", r.Action, "err", err)
		return true // no second attempt would fare better
	}
	l.sending.RLock()
	defer l.sending.RUnlock()
	if !l.closing.Load() {
		select {
		case l.queue <- it:
			return true
		default:
		}
	}
	release(it)
	return false
}

// String says it in a sentence, for pages and the health report.
func (s Space) String() string {
	return fmt.Sprintf("%d %% of the disk is free (%d MiB)", s.Percent(), s.Free>>20)
}
