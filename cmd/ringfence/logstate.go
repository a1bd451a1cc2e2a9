package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// logState tells readiness what is getting worse with the access log and does
// not stop service yet.
func logState(l *accesslog.Log, body map[string]any) {
	if s := l.Space(); s.Level != accesslog.SpaceEnough {
		body["access_log_disk"] = fmt.Sprintf("%s: %s", s.Level, s)
	}
	if n := l.Stats().Missed; n > 0 {
		body["access_log_deadlines_missed"] = n
	}
}

// logMetrics reports how the access log's commits and its disk fare.
type logMetrics struct{ log *accesslog.Log }

func logMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("ringfence_log_"+name, help, nil, nil)
}

var (
	logMissed   = logMetric("deadlines_missed_total", "Records that were not durable within the commit deadline.")
	logRefused  = logMetric("refused_total", "Records refused for want of room or after a fault.")
	logCommits  = logMetric("commits_total", "Syncs of batches of entries.")
	logEarly    = logMetric("relaxed_total", "Requests of relaxed clusters that were forwarded before their entry was durable.")
	logLast     = logMetric("last_commit_seconds", "Time that the newest commit took.")
	logSlowest  = logMetric("slowest_commit_seconds", "Time that the slowest commit since the start took.")
	logQueued   = logMetric("queued", "Records that wait for the next commit.")
	logSpares   = logMetric("spare_segments", "Empty segments at hand, without the reserved one.")
	logReserved = logMetric("reserved_segment", "1 while the segment for administrators' sign-ins and changes is at hand.")
	logFree     = logMetric("disk_free_bytes", "Free bytes on the access log's disk.")
	logTotal    = logMetric("disk_bytes", "Size of the access log's disk.")
	logUnsigned = logMetric("unsigned_seconds", "How long an entry has waited for a checkpoint that covers it.")
)

// Describe implements [prometheus.Collector].
func (m logMetrics) Describe(c chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, c) }

// Collect implements [prometheus.Collector].
func (m logMetrics) Collect(c chan<- prometheus.Metric) {
	s, disk := m.log.Stats(), m.log.Space()
	count := func(d *prometheus.Desc, n uint64) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	gauge := func(d *prometheus.Desc, v float64) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	count(logMissed, s.Missed)
	count(logRefused, s.Refused)
	count(logCommits, s.Commits)
	count(logEarly, s.Early)
	gauge(logLast, s.LastCommit.Seconds())
	gauge(logSlowest, s.SlowestCommit.Seconds())
	gauge(logQueued, float64(s.Queued))
	gauge(logSpares, float64(s.Spares))
	gauge(logReserved, yes(s.Reserved))
	gauge(logUnsigned, s.OldestUnsigned.Seconds())
	if disk.Total > 0 {
		gauge(logFree, float64(disk.Free))
		gauge(logTotal, float64(disk.Total))
	}
}
