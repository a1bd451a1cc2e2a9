package main

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/config"
	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/internal/drift"
)

func newClock(cfg *config.Config, logger *slog.Logger) *drift.Monitor {
	return drift.New(drift.Config{Servers: cfg.Clock.Servers, Logger: logger})
}

// clockWarnings returns what is wrong with the clock: what was found of it,
// and what people's codes say.
func clockWarnings(s drift.Status, codes auth.CodeOffsets) []drift.Warning {
	out := s.Warnings()
	if codes.Suspicious() {
		// Codes that are behind mean that the gate is ahead.
		out = append(out, drift.Warning{Kind: drift.OffCodes, Drift: time.Duration(-codes.Offset) * 30 * time.Second, Same: codes.Same, Of: codes.Accounts})
	}
	return out
}

// clockWarnings is what the overview and readiness show.
func (g *gateway) clockWarnings(ctx context.Context) []drift.Warning {
	codes, err := g.auth.CodeOffsets(ctx)
	if err != nil {
		g.logger.WarnContext(ctx, "reading how far codes are off", "err", err)
	}
	return clockWarnings(g.clock.Status(), codes)
}

func clockSentences(warnings []drift.Warning) []string {
	out := make([]string, len(warnings))
	for i, w := range warnings {
		out[i] = console.ClockWords(w).String()
	}
	return out
}

// codeMetrics count one-time codes.
type codeMetrics struct {
	right *prometheus.CounterVec
	wrong prometheus.Counter
}

func newCodeMetrics(r *prometheus.Registry) *codeMetrics {
	m := &codeMetrics{
		right: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ringfence_codes_right_total", Help: "Right codes of authenticator apps by their offset from this machine's clock in steps of 30 seconds."}, []string{"offset"}),
		wrong: prometheus.NewCounter(prometheus.CounterOpts{Name: "ringfence_codes_wrong_total", Help: "Wrong codes at sign-in, recovery codes included."}),
	}
	r.MustRegister(m.right, m.wrong)
	for _, offset := range codeOffsets { // so that a rate is known before the first
		m.right.WithLabelValues(offset)
	}
	return m
}

var codeOffsets = map[int]string{-2: "-2", -1: "-1", 0: "0", 1: "1", 2: "2"}

// seam gives the counters to package auth.
func (m *codeMetrics) seam(c *auth.Config) {
	c.CodeMatched = func(offset int) { m.right.WithLabelValues(codeOffsets[offset]).Inc() }
	c.CodeFailed = m.wrong.Inc
}

// observeClock adds what is read off the clock at each scrape.
func (m *metrics) observeClock(g *gateway) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ringfence_clock_drift_seconds", Help: "How far this machine's clock is ahead of the time servers; NaN while unknown."}, func() float64 {
			if s := g.clock.Status(); s.Answered > 0 {
				return s.Drift.Seconds()
			}
			return math.NaN()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ringfence_clock_warnings", Help: "How many reasons there are to look at this machine's clock."}, func() float64 {
			return float64(len(g.clockWarnings(context.Background())))
		}),
	)
}
