package policy

// ContractVersion is the version of [Input]'s JSON form and of the answers
// that policies give. It changes when a recorded input could be read otherwise.
const ContractVersion = 1

// An Input is everything a decision is made from. Nothing is looked up later,
// so the same Input under the same revision always gives the same [Decision].
type Input struct {
	Version  int       `json:"version"`
	Subject  Subject   `json:"subject"`
	Facts    *Document `json:"facts,omitempty"` // nil for a subject or cluster about which nothing is known
	Request  Request   `json:"request"`
	Resource Resource  `json:"resource"`
}

// A Request is the canonical request: policy judges it and the upstream gets
// the same one.
type Request struct {
	ID       string `json:"id"`
	Time     string `json:"time"`     // RFC 3339, UTC
	TimeNS   int64  `json:"time_ns"`  // the same instant
	Protocol string `json:"protocol"` // http, websocket or grpc
	Method   string `json:"method"`
	Host     string `json:"host"` // lower case, without port or trailing dot
	// Path is the decoded path cut at its slashes: /a/b is ["a","b"], /a/ is
	// ["a",""] and / is [""].
	Path []string `json:"path"`
	// RawPath is the escaped path as it is forwarded.
	RawPath string              `json:"raw_path"`
	Query   map[string][]string `json:"query,omitempty"`
	// Headers holds the chosen request headers ([InputHeaders]) by lower-case
	// name, several values joined with ", ".
	Headers  map[string]string `json:"headers,omitempty"`
	SourceIP string            `json:"source_ip"`
	TLS      *TLS              `json:"tls,omitempty"`
}

// TLS is what is known of the connection's encryption.
type TLS struct {
	Version string `json:"version"` // such as "1.3"
	Cipher  string `json:"cipher"`
}

// InputHeaders are the request headers that policies may read. Cookies and
// credentials are never among them.
var InputHeaders = []string{"accept", "content-type", "content-length", "origin", "referer", "user-agent", "x-purpose", "x-ticket"}

// A Resource is what is asked for. It is chosen once, by host and path prefix,
// before the decision.
type Resource struct {
	Cluster        string `json:"cluster"`
	Classification string `json:"classification"`
	Route          string `json:"route"`
}
