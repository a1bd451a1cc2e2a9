package policy

// A Refusal is everything that is known when a request on a cluster's host is
// not served, for whoever words the answer.
type Refusal struct {
	Status    int // what a client that is not a browser is told: 400, 401, 403, 413, 421, 429, 502, 503, 504
	RequestID string
	Decision  Decision
	Subject   Subject
	Facts     *Facts // nil when nothing is known
	Cluster   string // empty for an unknown host
	Title     string // the cluster's title
	Owner     Person // of the cluster: who can help
	// RetryAfter, when positive, is how many seconds to wait before trying again.
	RetryAfter int
}
