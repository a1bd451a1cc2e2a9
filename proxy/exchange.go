package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Values of [policy.Request.Protocol].
const (
	protocolHTTP      = "http"
	protocolWebSocket = "websocket"
	protocolGRPC      = "grpc"
)

// An exchange is one request and what becomes of it. It is its own context, so
// that the parts of the reverse proxy, which are shared, find it.
type exchange struct {
	context.Context
	cancel context.CancelCauseFunc

	// Settled before forwarding, by the goroutine that serves the request.
	h                             *Handler
	w                             http.ResponseWriter // the server's own
	r                             *http.Request       // cleaned
	id                            string
	now                           time.Time // by Config.Now, UTC
	start                         time.Time // monotonic
	host, port, scheme, authority string
	source                        netip.Addr
	arrival                       policy.Arrival
	sourceText                    string
	cluster                       *cluster
	route                         *route
	target                        target
	protocol                      string
	tls                           policy.TLS
	input                         policy.Input
	decision                      policy.Decision
	obligations                   policy.Obligations // as recorded
	entry                         string             // origin#index, once recorded
	index                         uint64
	kept                          policy.RecordedInput // of the input, once decided
	request                       policy.Record

	// Written while forwarding, read when it is over.
	out        responseWriter
	body       requestBody
	events     atomic.Bool  // the response is an event stream
	heard      atomic.Int64 // of body, when the stream was last decided anew
	answer     responseBody
	headers    setter // of the request upstream
	answers    setter // of the response
	upstream   *pool
	held       *pool // its count of requests in flight holds this one
	tried      []*pool
	triedFirst [4]*pool
	failure    *denial // why it was refused although it was allowed
	outcome    policy.Record
	counts     [4]int64
	codeAge    int64
	hijacked   atomic.Bool
	waits      bool         // for a body
	limit      atomic.Int64 // response bytes, 0: none; narrowed when decided anew
	budget     atomic.Int64 // bytes a day for the meter, 0: none; set anew when decided anew
	unmaskable atomic.Bool  // the response turned out not to be JSON
	masked     []string     // fields to blank, as by foldName; settled before forwarding

	// Of the registry, under its shard's lock.
	next, prev *exchange
	shard      *shard
	meter      *meter // nil until it is allowed
	open       bool   // forwarding has begun

	mu    sync.Mutex // guards what a cut from outside touches
	done  bool
	ended string // why it was cut
}

type exchangeKey struct{}

// Value returns the exchange itself under its key, and what the request's context holds.
func (x *exchange) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return x
	}
	return x.Context.Value(key)
}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *exchange {
	now := h.Now().UTC()
	x := &exchange{h: h, w: w, r: r, now: now, start: time.Now(), id: newRequestID(now), protocol: protocolHTTP}
	x.Context = r.Context()
	x.out.x, x.body.x, x.answer.x = x, x, x
	if x.source = ClientIP(r, h.TrustedProxies); x.source.IsValid() {
		x.sourceText = x.source.String()
	}
	return x
}

// readProtocol tells WebSocket and gRPC from plain requests. Other upgrades are
// not offered, so their headers are taken off and the request goes on as it is.
func (x *exchange) readProtocol() {
	h := x.r.Header
	upgrade := h["Upgrade"]
	if len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket") && hasToken(h["Connection"], "upgrade") &&
		x.r.Method == http.MethodGet && x.r.ContentLength == 0 {
		x.protocol = protocolWebSocket
		return
	}
	if len(upgrade) > 0 {
		delete(h, "Upgrade")
		delete(h, "Http2-Settings")
		delete(h, "Connection")
	}
	if ct := h["Content-Type"]; x.r.ProtoMajor == 2 && len(ct) == 1 && isGRPC(ct[0]) {
		x.protocol = protocolGRPC
	}
}

func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(t, " \t"), token) {
				return true
			}
		}
	}
	return false
}
