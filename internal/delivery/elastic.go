package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// An Elastic sends to the bulk interface of Elasticsearch or OpenSearch. Each
// entry is created under origin#index, so a copy is not stored twice.
type Elastic struct {
	*poster
	shape *Shape
	index string
}

// NewElastic returns a sender to index, which may be a data stream.
func NewElastic(w Web, index string, shape *Shape) (*Elastic, error) {
	p, err := newPoster(w, "_bulk", nil)
	if err != nil {
		return nil, wrap("configuring Elastic", err)
	}
	return &Elastic{p, shape, index}, nil
}

type bulkAnswer struct {
	Items []map[string]struct {
		Status int             `json:"status"`
		Error  json.RawMessage `json:"error"`
	} `json:"items"`
}

// Send implements [Sender].
func (s *Elastic) Send(ctx context.Context, batch []*accesslog.Entry) error {
	var body []byte
	for _, e := range batch {
		head, err := json.Marshal(map[string]any{"create": map[string]string{"_index": s.index, "_id": s.shape.key(e)}})
		if err != nil {
			return wrap("encoding a batch", err)
		}
		doc, err := s.shape.json(e, stamped)
		if err != nil {
			return err
		}
		body = append(append(body, head...), '\n')
		body = append(append(body, doc...), '\n')
	}
	a, err := s.post(ctx, "application/x-ndjson", body, nil)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusRequestEntityTooLarge && len(batch) > 1:
		return a.refused()
	case a.status != http.StatusOK:
		return a.err() // of a bulk request as a whole, nothing is about one entry
	}
	var r bulkAnswer
	if err := json.Unmarshal(a.body, &r); err != nil || len(r.Items) != len(batch) {
		return fmt.Errorf("the receiver's answer is not one to a bulk request of %d entries", len(batch))
	}
	return r.judge()
}

func (r *bulkAnswer) judge() error {
	refused := map[int]string{}
	reason := ""
	for i, item := range r.Items {
		it, ok := item["create"]
		switch {
		case ok && (it.Status == http.StatusCreated || it.Status == http.StatusOK || it.Status == http.StatusConflict):
			// A conflict says that it is there already.
		case ok && it.Status == http.StatusBadRequest:
			reason = string(it.Error)
			refused[i] = reason
		default:
			return fmt.Errorf("the receiver answered %d to an entry: %s", it.Status, clip(string(it.Error)))
		}
	}
	if len(refused) > 0 {
		return &RefusedError{Entries: refused, Reason: reason}
	}
	return nil
}
