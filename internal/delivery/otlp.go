package delivery

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// An OTLP sends log records to an OpenTelemetry receiver, as protobuf over
// HTTP. Attributes have the names of the semantic conventions where there are
// some, and begin with "ringfence." otherwise; the body is the entry.
type OTLP struct {
	*poster
	shape *Shape
}

// NewOTLP returns a sender; the URL is the whole one, which usually ends in /v1/logs.
func NewOTLP(w Web, shape *Shape) (*OTLP, error) {
	p, err := newPoster(w, "", nil)
	if err != nil {
		return nil, wrap("configuring OTLP", err)
	}
	return &OTLP{p, shape}, nil
}

// Send implements [Sender].
func (s *OTLP) Send(ctx context.Context, batch []*accesslog.Entry) error {
	req, err := s.request(batch)
	if err != nil {
		return err
	}
	body, err := proto.Marshal(req)
	if err != nil {
		return wrap("encoding a batch", err)
	}
	a, err := s.post(ctx, "application/x-protobuf", body, nil)
	switch {
	case err != nil:
		return err
	case a.content():
		return a.refused()
	case a.status != http.StatusOK:
		return a.err()
	}
	var r collector.ExportLogsServiceResponse
	if err := proto.Unmarshal(a.body, &r); err != nil {
		return fmt.Errorf("reading the receiver's answer: %w", err)
	}
	if n := r.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
		return &RefusedError{Reason: fmt.Sprintf("%d of %d records: %s", n, len(batch), clip(r.GetPartialSuccess().GetErrorMessage()))}
	}
	return nil
}

func (s *OTLP) request(batch []*accesslog.Entry) (*collector.ExportLogsServiceRequest, error) {
	byNode := map[string][]*logs.LogRecord{} // a log that was moved has several
	for _, e := range batch {
		r, err := s.record(e)
		if err != nil {
			return nil, err
		}
		byNode[e.Node] = append(byNode[e.Node], r)
	}
	req := &collector.ExportLogsServiceRequest{}
	for _, node := range slices.Sorted(maps.Keys(byNode)) {
		req.ResourceLogs = append(req.ResourceLogs, &logs.ResourceLogs{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{
				text("service.name", "ringfence"), text("service.version", s.shape.Version),
				text("service.instance.id", node), text("ringfence.log.origin", s.shape.Origin)}},
			ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "github.com/ringfence/ringfence/accesslog"}, LogRecords: byNode[node]}},
		})
	}
	return req, nil
}

func (s *OTLP) record(e *accesslog.Entry) (*logs.LogRecord, error) {
	line, err := s.shape.line(e)
	if err != nil {
		return nil, err
	}
	at := uint64(e.Time.UnixNano())
	r := &logs.LogRecord{TimeUnixNano: at, ObservedTimeUnixNano: at, EventName: "ringfence." + string(e.Type),
		SeverityNumber: logs.SeverityNumber_SEVERITY_NUMBER_INFO, SeverityText: "INFO",
		Body: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: string(line)}}}
	if failed(e) {
		r.SeverityNumber, r.SeverityText = logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	r.Attributes = append(r.Attributes, text("log.record.uid", s.shape.key(e)), number("ringfence.index", int64(e.Index)))
	for _, a := range [][2]string{
		{"user.id", e.Account}, {"user.email", e.Email}, {"session.id", e.Session}, {"client.address", e.SourceIP},
		{"user_agent.original", e.UserAgent}, {"http.request.method", e.Method}, {"server.address", e.Host}, {"url.path", e.Path},
		{"ringfence.request.id", e.RequestID}, {"ringfence.action", e.Action}, {"ringfence.result", e.Result},
		{"ringfence.vendor", e.Vendor}, {"ringfence.engagement", e.Engagement}, {"ringfence.cluster", e.Cluster},
		{"ringfence.route", e.Route}, {"ringfence.effect", e.Effect}, {"ringfence.reasons", strings.Join(e.Reasons, " ")},
		{"ringfence.policy.revision", e.Revision}, {"ringfence.ended", e.Ended}, {"ringfence.actor", e.Actor}, {"ringfence.object", e.Object},
	} {
		if a[1] != "" {
			r.Attributes = append(r.Attributes, text(a[0], a[1]))
		}
	}
	if e.Status != 0 {
		r.Attributes = append(r.Attributes, number("http.response.status_code", int64(e.Status)))
	}
	for name, n := range map[string]*int64{"http.request.body.size": e.BytesIn, "http.response.body.size": e.BytesOut} {
		if n != nil {
			r.Attributes = append(r.Attributes, number(name, *n))
		}
	}
	return r, nil
}

func text(key, v string) *common.KeyValue {
	v = strings.ToValidUTF8(v, "\uFFFD") // protobuf refuses other bytes
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

func number(key string, v int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: v}}}
}
