package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Splunk sends to an HTTP event collector, and waits for its acknowledgement
// where the token has that switched on.
type Splunk struct {
	*poster
	acks    *poster
	shape   *Shape
	index   string
	channel string
	every   time.Duration // between questions for an acknowledgement
}

// NewSplunk returns a sender to an index, or the token's own where it is empty.
func NewSplunk(w Web, index string, shape *Shape) (*Splunk, error) {
	channel := uuid.NewString()
	p, err := newPoster(w, "services/collector/event", nil)
	if err != nil {
		return nil, wrap("configuring Splunk", err)
	}
	w.Gzip = false
	acks, err := newPoster(w, "services/collector/ack", url.Values{"channel": {channel}})
	if err != nil {
		return nil, wrap("configuring Splunk", err)
	}
	return &Splunk{poster: p, acks: acks, shape: shape, index: index, channel: channel, every: 500 * time.Millisecond}, nil
}

// Close implements [Sender].
func (s *Splunk) Close() error { return errors.Join(s.poster.Close(), s.acks.Close()) }

type splunkEvent struct {
	Time       json.Number       `json:"time"`
	Host       string            `json:"host,omitempty"`
	Source     string            `json:"source"`
	Sourcetype string            `json:"sourcetype"`
	Index      string            `json:"index,omitempty"`
	Event      any               `json:"event"`
	Fields     map[string]string `json:"fields"`
}

// Answers of a collector that are about what was sent: no data, a format that
// is none, an event that is missing or blank, fields of an event.
var splunkContent = map[int]bool{5: true, 6: true, 12: true, 13: true, 15: true}

// Send implements [Sender].
func (s *Splunk) Send(ctx context.Context, batch []*accesslog.Entry) error {
	var body []byte
	for _, e := range batch {
		event, err := s.shape.value(e)
		if err != nil {
			return err
		}
		b, err := json.Marshal(splunkEvent{Time: epoch(e.Time), Host: e.Node, Source: s.shape.Origin, Sourcetype: "ringfence:" + string(s.shape.Format),
			Index: s.index, Event: event, Fields: map[string]string{"entry": s.shape.key(e)}})
		if err != nil {
			return wrap("encoding a batch", err)
		}
		body = append(append(body, b...), '\n')
	}
	a, err := s.post(ctx, "application/json", body, map[string]string{"X-Splunk-Request-Channel": s.channel})
	if err != nil {
		return err
	}
	var r struct {
		Code *int   `json:"code"`
		Ack  *int64 `json:"ackId"`
	}
	if a.status == http.StatusRequestEntityTooLarge {
		return a.refused()
	}
	if err := json.Unmarshal(a.body, &r); err != nil || r.Code == nil {
		return a.err()
	}
	switch {
	case a.status == http.StatusBadRequest && splunkContent[*r.Code]:
		return a.refused()
	case a.status != http.StatusOK || *r.Code != 0:
		return a.err()
	case r.Ack == nil:
		return nil
	}
	return s.await(ctx, *r.Ack)
}

// await asks until the batch is indexed. A collector that never says so gets
// the batch again.
func (s *Splunk) await(ctx context.Context, id int64) error {
	ask := fmt.Appendf(nil, `{"acks":[%d]}`, id)
	for {
		a, err := s.acks.post(ctx, "application/json", ask, nil)
		if err != nil {
			return err
		}
		var r struct {
			Acks map[string]bool `json:"acks"`
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &r) != nil {
			return a.err()
		}
		if r.Acks[strconv.FormatInt(id, 10)] {
			return nil
		}
		if err := pause(ctx, s.every); err != nil {
			return fmt.Errorf("waiting until the batch is indexed: %w", err)
		}
	}
}

// epoch writes seconds since 1970 with nanoseconds, exactly.
func epoch(t time.Time) json.Number {
	return json.Number(fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()))
}
