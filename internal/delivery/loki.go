package delivery

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Loki pushes lines with three labels: origin, node and type. More would be
// too many streams.
type Loki struct {
	*poster
	shape  *Shape
	tenant string
}

// NewLoki returns a sender for a tenant; empty where there is only one.
func NewLoki(w Web, tenant string, shape *Shape) (*Loki, error) {
	p, err := newPoster(w, "loki/api/v1/push", nil)
	if err != nil {
		return nil, wrap("configuring Loki", err)
	}
	return &Loki{p, shape, tenant}, nil
}

type lokiStream struct {
	Stream map[string]string `json:"stream"`
	Values [][2]string       `json:"values"`
}

// Send implements [Sender].
func (s *Loki) Send(ctx context.Context, batch []*accesslog.Entry) error {
	var streams []*lokiStream
	at := map[[2]string]*lokiStream{}
	for _, e := range batch {
		key := [2]string{e.Node, string(e.Type)}
		if at[key] == nil {
			at[key] = &lokiStream{Stream: map[string]string{"service_name": "ringfence", "origin": s.shape.Origin, "node": e.Node, "type": string(e.Type)}}
			streams = append(streams, at[key])
		}
		line, err := s.shape.line(e)
		if err != nil {
			return err
		}
		at[key].Values = append(at[key].Values, [2]string{strconv.FormatInt(e.Time.UnixNano(), 10), string(line)})
	}
	body, err := json.Marshal(map[string]any{"streams": streams})
	if err != nil {
		return wrap("encoding a batch", err)
	}
	var headers map[string]string
	if s.tenant != "" {
		headers = map[string]string{"X-Scope-OrgID": s.tenant}
	}
	a, err := s.post(ctx, "application/json", body, headers)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusNoContent || a.status == http.StatusOK:
		return nil
	case a.content():
		return a.refused()
	}
	return a.err()
}

// A VictoriaLogs sends lines of JSON. The receiver drops entries that are
// older than its own retention without a word; set that to at least the log's.
type VictoriaLogs struct {
	*poster
	shape *Shape
}

// NewVictoriaLogs returns a sender.
func NewVictoriaLogs(w Web, shape *Shape) (*VictoriaLogs, error) {
	p, err := newPoster(w, "insert/jsonline", url.Values{"_stream_fields": {"origin,node,type"}, "_time_field": {"@timestamp"}, "_msg_field": {"_msg"}})
	if err != nil {
		return nil, wrap("configuring VictoriaLogs", err)
	}
	return &VictoriaLogs{p, shape}, nil
}

// Send implements [Sender].
func (s *VictoriaLogs) Send(ctx context.Context, batch []*accesslog.Entry) error {
	var body []byte
	for _, e := range batch {
		doc, err := s.shape.json(e, stamped|told)
		if err != nil {
			return err
		}
		body = append(append(body, doc...), '\n')
	}
	a, err := s.post(ctx, "application/stream+json", body, nil)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusNoContent || a.status == http.StatusOK:
		return nil
	case a.content():
		return a.refused()
	}
	return a.err()
}
