package proxy

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// An Identifier says who a request comes from. Its methods are called for many
// requests at once.
type Identifier interface {
	// IdentifyAt returns who the request that arrived at at comes from; no valid
	// session is [policy.Anonymous], not an error. An error means that it cannot
	// be told now, and the request is answered with 503. It must not keep at.
	IdentifyAt(r *http.Request, at *policy.Arrival) (policy.Subject, error)
	// Refresh re-reads the subject of an open stream: the ages of its factors
	// as of now, and false once its session or token has ended.
	Refresh(policy.Subject) (policy.Subject, bool)
}

// A Toucher is an [Identifier] that wants to know when somebody is at work on
// an open stream, so that the session does not go idle meanwhile.
type Toucher interface {
	// Touch is told, at most once a second for each stream, that the client has
	// sent something on it. It must return at once.
	Touch(policy.Subject)
}

// A Decider decides. Its own faults must come back as a denial with a reason.
// It must not change the input nor keep it.
type Decider interface {
	Decide(context.Context, *policy.Input) policy.Decision
}

// A Recorder writes the access log. It must not change a record, and may keep it.
type Recorder interface {
	// Record returns the entry's index once it is durable. On an error nothing
	// is forwarded.
	Record(context.Context, *policy.Record) (uint64, error)
	// Append adds a record without waiting until it is durable.
	Append(*policy.Record) error
}

// A Knower looks up facts in memory; nil means that nothing is known.
type Knower interface {
	Facts(account, cluster string, source netip.Addr) *policy.Document
}

// A Watcher is told of decisions once they are recorded.
type Watcher interface {
	// Watch is told what was decided about in, by the engine, and the index of
	// its entry. It must return at once and must not change in; it may keep what
	// in points to, which nobody changes any more.
	Watch(in *policy.Input, made policy.Decision, entry uint64)
}

// A Refuser words the answer to a request that is not served: a page, a
// redirect to the gate, or JSON. Status and [HeaderRequestID] are its input and
// it must write a whole response.
type Refuser interface {
	Refuse(w http.ResponseWriter, r *http.Request, f policy.Refusal)
}

// An Asserter makes the signed token by which an upstream can verify who asks.
// The result may be kept and given again for a few seconds.
type Asserter interface {
	Assert(s policy.Subject, cluster, host, requestID string) (string, error)
}

// Metrics counts what the handler does. Every method must return at once.
type Metrics interface {
	// Decided is called for each decision, with the time that deciding and
	// recording took. Cluster is empty for an unknown host.
	Decided(cluster string, effect policy.Effect, deciding, recording time.Duration)
	// Finished is called for each request that was allowed, at its end. Status is 0
	// when no response was begun; ended is empty unless it was cut short.
	Finished(cluster, route string, status int, in, out int64, duration time.Duration, ended string)
	// Upstream is called when an upstream is found healthy or unhealthy.
	Upstream(cluster, route, upstream string, healthy bool)
}

// A Cluster is a set of upstream systems behind hosts of its own.
type Cluster struct {
	Name, Title, Classification string
	Hosts                       []string // at least one, any spelling
	Owner                       policy.Person
	Routes                      []Route
	// LogMode is recorded in each entry and tells the [Recorder] how long the
	// cluster's requests wait: policy.ModeRelaxed, or empty for policy.ModeStrict.
	LogMode string
}

// A Route leads the requests below one path prefix to its upstreams.
type Route struct {
	Name string
	// Path is the prefix in whole segments: "/api" covers /api and /api/x, not
	// /apix. Empty is "/". The longest prefix wins.
	Path string
	// Upstreams are http://, https:// or h2c:// URLs without a path. h2c is
	// HTTP/2 without TLS, as gRPC servers speak it.
	Upstreams []string
	// HealthPath, when set, is fetched from each upstream every few seconds;
	// anything but 2xx or 3xx takes the upstream out of use. When empty, an
	// upstream is avoided for a while after a failed connection.
	HealthPath string
	// EncodedSlashes admits %2F inside a path segment. A policy then sees the
	// slash inside a segment, and the escaped form as raw_path.
	EncodedSlashes bool
	Timeout        time.Duration // from the request's last byte to the response's first; 0: 30 s
	UpstreamCA     string        // PEM of the authorities for https upstreams; empty: the system's
	// PreserveHost sends the client's host instead of the upstream's own. Upstreams
	// that compare a request's Origin with its host need it, as for WebSockets.
	PreserveHost bool
}

// An UpstreamStatus is the state of one upstream, for pages and metrics.
type UpstreamStatus struct {
	Cluster, Route, Upstream string
	Healthy                  bool
	Since                    time.Time // of the present state; zero before the first contact
	Error                    string    // why it is not healthy
	InFlight                 int
}

// Headers that the proxy sets upstream or on responses.
const (
	HeaderRequestID = "X-Ringfence-Request-Id" // both ways
	HeaderEntry     = "X-Ringfence-Entry"      // both ways: origin of the log, "#", index of the entry
	HeaderAccount   = "X-Ringfence-Account"
	HeaderEmail     = "X-Ringfence-Email"
	HeaderVendor    = "X-Ringfence-Vendor"
	HeaderRoles     = "X-Ringfence-Roles" // separated by commas
	HeaderCluster   = "X-Ringfence-Cluster"
	HeaderAssertion = "X-Ringfence-Assertion"
)

// ReservedPrefix is the path on every cluster's host that is Ringfence's own.
const ReservedPrefix = "/.ringfence/"

const (
	cookiePrefix = "__host-ringfence" // of every cookie that is ours, in lower case
	proofHeader  = "Dpop"             // beside a token of ours: a proof of its key
)

// tokenPrefixes are of every token that is ours: of at most an hour, personal,
// and of a machine at the gate.
var tokenPrefixes = [...]string{"rft_", "rfp_", "rfm_"}
