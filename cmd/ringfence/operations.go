package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ringfence/ringfence/internal/console"
	"github.com/ringfence/ringfence/policy"
)

// metrics are what operators scrape. It implements what the proxy reports to.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	duration  prometheus.Histogram
	decision  prometheus.Histogram
	durable   prometheus.Histogram
	bytes     *prometheus.CounterVec
	cut       *prometheus.CounterVec
	upstreams *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ringfence_requests_total", Help: "Decided requests by cluster and effect."}, []string{"cluster", "effect"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ringfence_responses_total", Help: "Finished requests by cluster and class of status."}, []string{"cluster", "class"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ringfence_request_seconds", Help: "Time from a request's arrival to its end, streams included.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}),
		decision: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ringfence_decision_seconds", Help: "Time that a decision takes.", Buckets: prometheus.ExponentialBuckets(0.00001, 2.5, 12)}),
		durable:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ringfence_record_seconds", Help: "Time until a request's record is durable.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12)}),
	}
	m.bytes = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ringfence_bytes_total", Help: "Body bytes by cluster and direction."}, []string{"cluster", "direction"})
	m.cut = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ringfence_cut_total", Help: "Requests that were cut short, by cluster and cause."}, []string{"cluster", "cause"})
	m.upstreams = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ringfence_upstream_healthy", Help: "1 while an upstream answers."}, []string{"cluster", "route", "upstream"})
	m.registry.MustRegister(m.bytes, m.cut, m.upstreams, m.requests, m.outcomes, m.duration, m.decision, m.durable, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Decided counts one decision.
func (m *metrics) Decided(cluster string, effect policy.Effect, deciding, recording time.Duration) {
	m.requests.WithLabelValues(cluster, effect.String()).Inc()
	m.decision.Observe(deciding.Seconds())
	m.durable.Observe(recording.Seconds())
}

var statusClasses = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Finished counts one finished request.
func (m *metrics) Finished(cluster, _ string, status int, in, out int64, took time.Duration, ended string) {
	class := status / 100
	if class < 0 || class >= len(statusClasses) {
		class = 0
	}
	m.outcomes.WithLabelValues(cluster, statusClasses[class]).Inc()
	m.duration.Observe(took.Seconds())
	m.bytes.WithLabelValues(cluster, "in").Add(float64(in))
	m.bytes.WithLabelValues(cluster, "out").Add(float64(out))
	if ended != "" {
		m.cut.WithLabelValues(cluster, ended).Inc()
	}
}

// Upstream notes an upstream's health.
func (m *metrics) Upstream(cluster, route, upstream string, healthy bool) {
	m.upstreams.WithLabelValues(cluster, route, upstream).Set(yes(healthy))
}

// observe adds what is read off the parts at each scrape.
func (m *metrics) observe(g *gateway) {
	gauge := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("ringfence_log_entries", "Entries in the access log.", func() float64 { return float64(g.log.Size()) })
	gauge("ringfence_retention_failed", "1 while entries whose time is over could not be removed when it was last tried.", func() float64 { return yes(g.retain.State().Fault != "") })
	gauge("ringfence_log_first_entry", "Number of the oldest entry that the access log has: those before went by age.", g.firstEntry)
	gauge("ringfence_log_healthy", "1 while the access log can be written.", func() float64 { return yes(g.log.Healthy() == nil) })
	gauge("ringfence_mail_waiting", "Mails that wait to be sent.", func() float64 { return float64(g.mailState().Waiting) })
	gauge("ringfence_mail_oldest_seconds", "Age of the mail that waits longest, 0 when none does.", func() float64 {
		if at := g.mailState().Oldest; !at.IsZero() {
			return time.Since(at).Seconds()
		}
		return 0
	})
	gauge("ringfence_mail_given_up", "Mails of the last two weeks that could not be sent, at most 20.", func() float64 { return float64(len(g.mailState().GivenUp)) })
	gauge("ringfence_open_streams", "Requests in flight, long streams included.", func() float64 { return float64(g.proxy.OpenStreams()) })
	gauge("ringfence_policies_current", "1 while the newest policies are in force, 0 when they were refused.", func() float64 { return yes(g.policyFault.Load() == nil) })
	gauge("ringfence_configuration_current", "1 while the newest configuration is in force, 0 when it was refused or needs a restart.", func() float64 { return yes(g.configFault.Load() == nil) })
}

// mailState is how sending mails fares; zero without a mail server.
func (g *gateway) mailState() console.MailState {
	if g.post == nil {
		return console.MailState{}
	}
	return g.post.State()
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// operations is the handler of the operations listener, which is never public.
func (g *gateway) operations() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, body := g.readiness()
		if w := g.clockWarnings(r.Context()); len(w) > 0 { // told, and no reason to serve nothing
			body["clock"] = clockSentences(w)
		}
		writeStatus(w, status, body)
	})
	scrape := promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		for _, u := range g.proxy.Upstreams() { // also those whose state never changed
			g.metrics.Upstream(u.Cluster, u.Route, u.Upstream, u.Healthy)
		}
		scrape.ServeHTTP(w, r)
	})
	return mux
}

// readiness says whether requests are served and what is wrong. Refused
// policies and a refused configuration are reported but leave the gateway ready: the old ones are in force.
func (g *gateway) readiness() (int, map[string]any) {
	body := map[string]any{"status": "ready", "log_entries": g.log.Size(), "revision": g.engine.Revision()}
	if f := g.policyFault.Load(); f != nil {
		body["policies"] = *f
	}
	if f := g.configFault.Load(); f != nil {
		body["configuration"] = *f
	}
	if w := deliveryFaults(g.deliver.States(), time.Now()); len(w) > 0 { // told, and no reason to serve nothing
		body["delivery"] = w
	}
	if f := g.alarms.watch.Status().Fault; f != "" { // likewise
		body["alarms"] = f
	}
	if f := g.retain.State().Fault; f != "" { // likewise
		body["retention"] = f
	}
	logState(g.log, body)
	if err := g.log.Healthy(); err != nil {
		body["status"], body["access_log"] = "unavailable", err.Error()
		return http.StatusServiceUnavailable, body
	}
	if g.witness != nil {
		s := g.witness.Status()
		body["witnesses"] = witnessStatus(s)
		if s.Stopped != nil {
			body["status"] = "unavailable"
			return http.StatusServiceUnavailable, body
		}
	}
	if g.stopping.Load() {
		body["status"] = "stopping"
		return http.StatusServiceUnavailable, body
	}
	return http.StatusOK, body
}

func writeStatus(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that left needs no answer
}
