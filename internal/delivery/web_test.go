package delivery

import (
	"compress/gzip"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver is a strict fake of one kind: what it does not understand it
// refuses as the real one does. It keeps entries by key.
type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	keys   map[string]int // how often each came
	order  []uint64       // indexes as they came
	first  []answerOf     // given to the first requests instead of taking them
	poison string         // an entry whose text has it is refused
	acked  int            // how many acknowledgements were asked for
	secret string
}

type answerOf struct {
	status int
	header map[string]string
}

func (r *receiver) take(key string) {
	r.keys[key]++
	_, n, _ := strings.Cut(key, "#")
	i, err := strconv.ParseUint(n, 10, 64)
	if err != nil || !strings.HasPrefix(key, testOrigin+"#") {
		r.t.Errorf("key %q", key)
	}
	r.order = append(r.order, i)
}

// wrong answers 400 and fails the test: a request that no receiver understands.
func (r *receiver) wrong(w http.ResponseWriter, format string, args ...any) {
	r.t.Errorf(format, args...)
	http.Error(w, "malformed", http.StatusBadRequest)
}

func (r *receiver) serve(handle func(w http.ResponseWriter, q *http.Request, body []byte)) http.Handler {
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
		if len(r.first) > 0 {
			a := r.first[0]
			r.first = r.first[1:]
			for k, v := range a.header {
				w.Header().Set(k, v)
			}
			http.Error(w, "not\x1b now", a.status)
			return
		}
		handle(w, q, body)
	})
}

func (r *receiver) elastic(w http.ResponseWriter, q *http.Request, body []byte) {
	lines := strings.Split(string(body), "\n")
	if q.URL.Path != "/_bulk" || q.Header.Get("Content-Type") != "application/x-ndjson" || len(lines)%2 != 1 || lines[len(lines)-1] != "" {
		r.wrong(w, "%s %s, %d lines", q.URL, q.Header.Get("Content-Type"), len(lines))
		return
	}
	var items []map[string]any
	for i := 0; i+1 < len(lines); i += 2 {
		var head map[string]map[string]string
		var doc map[string]any
		if json.Unmarshal([]byte(lines[i]), &head) != nil || json.Unmarshal([]byte(lines[i+1]), &doc) != nil || doc["@timestamp"] == nil || head["create"]["_index"] != "logs-ringfence" {
			r.wrong(w, "%q %q", lines[i], lines[i+1])
			return
		}
		item := map[string]any{"status": 201}
		switch id := head["create"]["_id"]; {
		case r.poison != "" && strings.Contains(lines[i+1], r.poison):
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

func (r *receiver) splunk(w http.ResponseWriter, q *http.Request, body []byte) {
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
		if err := d.Decode(&e); err != nil || e.Time < 1e9 || e.Host != "node-1" || e.Source != testOrigin || e.Index != "audit" {
			r.wrong(w, "%v %+v", err, e)
			return
		}
		if r.poison != "" && strings.Contains(string(e.Event), r.poison) {
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

func (r *receiver) loki(w http.ResponseWriter, q *http.Request, body []byte) {
	var push struct {
		Streams []struct {
			Stream map[string]string
			Values [][2]string
		}
	}
	if err := json.Unmarshal(body, &push); err != nil || q.URL.Path != "/loki/api/v1/push" || q.Header.Get("X-Scope-OrgID") != "audit" || len(push.Streams) == 0 {
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
			if r.poison != "" && strings.Contains(v[1], r.poison) {
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

func (r *receiver) victoria(w http.ResponseWriter, q *http.Request, body []byte) {
	if v := q.URL.Query(); q.URL.Path != "/insert/jsonline" || v.Get("_time_field") != "@timestamp" || v.Get("_stream_fields") != "origin,node,type" {
		r.wrong(w, "%s", q.URL)
		return
	}
	for line := range strings.Lines(string(body)) {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) != nil || e["_msg"] == "" || e["@timestamp"] == nil || e["origin"] == nil || e["node"] != "node-1" || e["type"] == nil {
			r.wrong(w, "%s", line)
			return
		}
		r.take(fmt.Sprintf("%v#%.0f", e["origin"], e["index"]))
	}
}

func (r *receiver) otlp(w http.ResponseWriter, q *http.Request, body []byte) {
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
				if r.poison != "" && strings.Contains(rec.Body.GetStringValue(), r.poison) {
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
		r.t.Error(err)
	}
	_, _ = w.Write(b)
}

// TestWeb: every shape over HTTPS, with a receiver that is down at first, that
// is busy, that refuses one entry.
func TestWeb(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 120)
	shape := &Shape{Format: Ringfence, Origin: testOrigin, Version: "1.0.0"}
	poison := `"path":"/claims/77"`
	for name, k := range map[string]struct {
		handle func(r *receiver) func(http.ResponseWriter, *http.Request, []byte)
		sender func(Web) (Sender, error)
		poison string
	}{
		"elastic": {func(r *receiver) func(http.ResponseWriter, *http.Request, []byte) { return r.elastic },
			func(w Web) (Sender, error) { return NewElastic(w, "logs-ringfence", shape) }, poison},
		"splunk": {func(r *receiver) func(http.ResponseWriter, *http.Request, []byte) { return r.splunk },
			func(w Web) (Sender, error) {
				s, err := NewSplunk(w, "audit", shape)
				if err == nil {
					s.every = 1
				}
				return s, err
			}, poison},
		"loki": {func(r *receiver) func(http.ResponseWriter, *http.Request, []byte) { return r.loki },
			func(w Web) (Sender, error) { return NewLoki(w, "audit", shape) }, poison},
		"victorialogs": {func(r *receiver) func(http.ResponseWriter, *http.Request, []byte) { return r.victoria },
			func(w Web) (Sender, error) { return NewVictoriaLogs(w, shape) }, ""},
		"otlp": {func(r *receiver) func(http.ResponseWriter, *http.Request, []byte) { return r.otlp },
			func(w Web) (Sender, error) { w.URL += "/v1/logs"; return NewOTLP(w, shape) }, poison},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{t: t, keys: map[string]int{}, secret: "Token hush", poison: k.poison,
				first: []answerOf{{503, nil}, {429, map[string]string{"Retry-After": "1"}}, {302, map[string]string{"Location": "http://127.0.0.1:1/"}}, {404, nil}}}
			srv := httptest.NewTLSServer(r.serve(k.handle(r)))
			defer srv.Close()
			web := Web{URL: srv.URL, TLS: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}, Gzip: true, Authorization: "Token hush"}
			if s := fmt.Sprintf("%v %+v %#v", web, web, web); strings.Contains(s, "hush") {
				t.Errorf("printed: %s", s)
			}
			sender, err := k.sender(web)
			if err != nil {
				t.Fatal(err)
			}
			s, stop := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: name, Sender: sender, Batch: 32}))
			until(t, "all is delivered", func() bool { return s.States()[0].Lag == 0 })
			stop()
			want := l.Size()
			st := s.States()[0]
			if k.poison != "" {
				want--
			}
			if uint64(len(r.keys)) != want || st.Refused != l.Size()-want || st.Failures != 4 {
				t.Errorf("%d of %d entries came, %+v", len(r.keys), want, st)
			}
		})
	}
}

// A wrong secret loses nothing and is not shown.
func TestWeb_WrongSecret(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, filepath.Join(dir, "log"))
	fill(t, l, 3)
	r := &receiver{t: t, keys: map[string]int{}, secret: "Token hush"}
	srv := httptest.NewServer(r.serve(r.otlp))
	defer srv.Close()
	sender, err := NewOTLP(Web{URL: srv.URL + "/v1/logs", Authorization: "Token wrong-secret"}, &Shape{Format: Ringfence, Origin: testOrigin})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, testConfig(l, filepath.Join(dir, "delivery"), Destination{Name: "otlp", Sender: sender}))
	until(t, "it has failed", func() bool { return s.States()[0].Failures > 0 })
	if st := s.States()[0]; st.Next != 0 || !strings.Contains(st.Fault, "401") || strings.Contains(st.Fault, "wrong-secret") {
		t.Errorf("%+v", st)
	}
}
