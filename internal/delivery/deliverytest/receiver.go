// Package deliverytest has what entries are delivered to in tests: strict fakes
// of systems that no registry offers, and real ones of this machine. It is for
// tests alone. Start with [Receiver] and [Rsyslog].
package deliverytest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// A Receiver is a strict fake of one kind of system: what it does not understand
// it refuses as the real one does, and fails the test. It keeps entries by key.
// Set Origin before the first request.
type Receiver struct {
	T      testing.TB
	Origin string // of the log whose entries come
	Node   string // that they are of; "": any
	Index  string // of Elastic, or of Splunk
	Tenant string // of Loki
	// Poison is a text: entries with it are refused. Default: none are.
	Poison string
	// First are given to the first requests instead of taking them.
	First []Answer

	mu     sync.Mutex
	secret string // what Authorization must be
	keys   map[string]int
	acked  int // how many acknowledgements were asked for
}

// An Answer is a status with headers.
type Answer struct {
	Status int
	Header map[string]string
}

// Secret says what the header Authorization must be from now on.
func (r *Receiver) Secret(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = s
}

// Indexes returns the indexes of the entries that came, in order, each once.
func (r *Receiver) Indexes() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []uint64
	for k := range r.keys {
		_, n, _ := strings.Cut(k, "#")
		i, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			r.T.Errorf("key %q", k)
		}
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

func (r *Receiver) take(key string) {
	if r.keys == nil {
		r.keys = map[string]int{}
	}
	r.keys[key]++
	if !strings.HasPrefix(key, r.Origin+"#") {
		r.T.Errorf("key %q", key)
	}
}

// wrong answers 400 and fails the test: a request that no receiver understands.
func (r *Receiver) wrong(w http.ResponseWriter, format string, args ...any) {
	r.T.Errorf(format, args...)
	http.Error(w, "malformed", http.StatusBadRequest)
}

// serve answers requests with handle, one after the other.
func (r *Receiver) serve(handle func(w http.ResponseWriter, q *http.Request, body []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if got := q.Header.Get("Authorization"); got != r.secret {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		in := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(in)
			if err != nil {
				r.wrong(w, "gzip: %v", err)
				return
			}
			in = z
		}
		body, err := io.ReadAll(in)
		if err != nil || q.Method != http.MethodPost {
			r.wrong(w, "%s: %v", q.Method, err)
			return
		}
		if len(r.First) > 0 {
			a := r.First[0]
			r.First = r.First[1:]
			for k, v := range a.Header {
				w.Header().Set(k, v)
			}
			http.Error(w, "not\x1b now", a.Status)
			return
		}
		handle(w, q, body)
	})
}

// Elastic is a bulk interface as Elasticsearch and OpenSearch have it.
func (r *Receiver) Elastic() http.Handler { return r.serve(r.elastic) }

func (r *Receiver) elastic(w http.ResponseWriter, q *http.Request, body []byte) {
	lines := strings.Split(string(body), "\n")
	if q.URL.Path != "/_bulk" || q.Header.Get("Content-Type") != "application/x-ndjson" || len(lines)%2 != 1 || lines[len(lines)-1] != "" {
		r.wrong(w, "%s %s, %d lines", q.URL, q.Header.Get("Content-Type"), len(lines))
		return
	}
	var items []map[string]any
	for i := 0; i+1 < len(lines); i += 2 {
		var head map[string]map[string]string
		var doc map[string]any
		if json.Unmarshal([]byte(lines[i]), &head) != nil || json.Unmarshal([]byte(lines[i+1]), &doc) != nil || doc["@timestamp"] == nil || head["create"]["_index"] != r.Index {
			r.wrong(w, "%q %q", lines[i], lines[i+1])
			return
		}
		item := map[string]any{"status": 201}
		switch id := head["create"]["_id"]; {
		case r.Poison != "" && strings.Contains(lines[i+1], r.Poison):
			item = map[string]any{"status": 400, "error": map[string]string{"type": "document_parsing_exception"}}
		case r.keys[id] > 0:
			item["status"] = 409
		default:
			r.take(id)
		}
		items = append(items, map[string]any{"create": item})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": true, "items": items})
}

// Splunk is an HTTP event collector that acknowledges.
func (r *Receiver) Splunk() http.Handler { return r.serve(r.splunk) }

func (r *Receiver) splunk(w http.ResponseWriter, q *http.Request, body []byte) {
	channel := q.Header.Get("X-Splunk-Request-Channel")
	switch q.URL.Path {
	case "/services/collector/ack":
		r.acked++
		fmt.Fprintf(w, `{"acks":{"7":%t}}`, r.acked%2 == 0) // the first time it is not indexed yet
		return
	case "/services/collector/event":
	default:
		r.wrong(w, "%s", q.URL)
		return
	}
	if len(channel) != 36 {
		r.wrong(w, "channel %q", channel)
		return
	}
	var keys []string
	for d := json.NewDecoder(strings.NewReader(string(body))); d.More(); {
		var e struct {
			Time       float64
			Host       string
			Source     string
			Sourcetype string
			Index      string
			Event      json.RawMessage
			Fields     map[string]string
		}
		if err := d.Decode(&e); err != nil || e.Time < 1e9 || r.Node != "" && e.Host != r.Node || e.Source != r.Origin || e.Index != r.Index {
			r.wrong(w, "%v %+v", err, e)
			return
		}
		if r.Poison != "" && strings.Contains(string(e.Event), r.Poison) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, len(keys))
			return
		}
		keys = append(keys, e.Fields["entry"])
	}
	for _, k := range keys {
		r.take(k)
	}
	fmt.Fprint(w, `{"text":"Success","code":0,"ackId":7}`)
}

// Loki takes pushes of streams.
func (r *Receiver) Loki() http.Handler { return r.serve(r.loki) }

func (r *Receiver) loki(w http.ResponseWriter, q *http.Request, body []byte) {
	var push struct {
		Streams []struct {
			Stream map[string]string
			Values [][2]string
		}
	}
	if err := json.Unmarshal(body, &push); err != nil || q.URL.Path != "/loki/api/v1/push" || q.Header.Get("X-Scope-OrgID") != r.Tenant || len(push.Streams) == 0 {
		r.wrong(w, "%s: %v", q.URL, err)
		return
	}
	var keys []string
	for _, s := range push.Streams {
		for _, v := range s.Values {
			var e struct {
				Origin, Node, Type string
				Index              uint64
			}
			ns, err := strconv.ParseInt(v[0], 10, 64)
			if err != nil || ns < 1e18 || json.Unmarshal([]byte(v[1]), &e) != nil || e.Node != s.Stream["node"] || e.Type != s.Stream["type"] {
				r.wrong(w, "%v in %v", v, s.Stream)
				return
			}
			if r.Poison != "" && strings.Contains(v[1], r.Poison) {
				http.Error(w, "entry too far behind", http.StatusBadRequest)
				return
			}
			keys = append(keys, fmt.Sprintf("%s#%d", e.Origin, e.Index))
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return len(a) - len(b) }) // streams are side by side
	for _, k := range keys {
		r.take(k)
	}
	w.WriteHeader(http.StatusNoContent)
}

// Victoria is VictoriaLogs' interface for lines of JSON.
func (r *Receiver) Victoria() http.Handler { return r.serve(r.victoria) }

func (r *Receiver) victoria(w http.ResponseWriter, q *http.Request, body []byte) {
	if v := q.URL.Query(); q.URL.Path != "/insert/jsonline" || v.Get("_time_field") != "@timestamp" || v.Get("_stream_fields") != "origin,node,type" {
		r.wrong(w, "%s", q.URL)
		return
	}
	for line := range strings.Lines(string(body)) {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) != nil || e["_msg"] == "" || e["@timestamp"] == nil || e["origin"] == nil || r.Node != "" && e["node"] != r.Node || e["type"] == nil {
			r.wrong(w, "%s", line)
			return
		}
		r.take(fmt.Sprintf("%v#%.0f", e["origin"], e["index"]))
	}
}

// OTLP takes logs as protobuf, read by the protocol's own code.
func (r *Receiver) OTLP() http.Handler { return r.serve(r.otlp) }

func (r *Receiver) otlp(w http.ResponseWriter, q *http.Request, body []byte) {
	var req collector.ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil || q.URL.Path != "/v1/logs" || q.Header.Get("Content-Type") != "application/x-protobuf" {
		r.wrong(w, "%s: %v", q.URL, err)
		return
	}
	var keys []string
	var rejected int64
	for _, rl := range req.ResourceLogs {
		for _, sl := range rl.ScopeLogs {
			for _, rec := range sl.LogRecords {
				uid := rec.Attributes[0]
				if uid.Key != "log.record.uid" || rec.TimeUnixNano < 1e18 || rec.SeverityNumber == 0 {
					r.wrong(w, "%v", rec)
					return
				}
				if r.Poison != "" && strings.Contains(rec.Body.GetStringValue(), r.Poison) {
					rejected++
					continue
				}
				keys = append(keys, uid.Value.GetStringValue())
			}
		}
	}
	for _, k := range keys {
		r.take(k)
	}
	resp := &collector.ExportLogsServiceResponse{}
	if rejected > 0 {
		resp.PartialSuccess = &collector.ExportLogsPartialSuccess{RejectedLogRecords: rejected, ErrorMessage: "no"}
	}
	b, err := proto.Marshal(resp)
	if err != nil {
		r.T.Error(err)
	}
	_, _ = w.Write(b)
}
