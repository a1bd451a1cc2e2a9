// Package synthetic makes access logs that look like those of a busy gateway,
// for measurements and tests. The same number makes the same records. It is
// never part of serving. Start with [Fill].
package synthetic

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// Start is the time of the first record, and Span how far the records reach.
var Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Days and how many of each there are.
const (
	Days      = 90
	Accounts  = 600
	Vendors   = 25
	Clusters  = 40
	secondDay = 24 * time.Hour
)

// End is a moment after the last record.
var End = Start.Add(Days * secondDay)

type person struct {
	id, email, vendor, engagement, agent string
	clusters                             []int
	net                                  uint32
}

type upstream struct {
	name, host, class string
	shapes            []string
}

// A World makes records. It is not safe for concurrent use.
type World struct {
	people    []person
	weights   []float64
	upstreams []upstream
	revisions []string
	documents map[[2]int]*policy.Document // of a person on a cluster
}

var (
	given  = []string{"amara", "bao", "carla", "dmitri", "elif", "farid", "greta", "hana", "ivan", "jorge", "kim", "leila", "marek", "noor", "oscar", "priya"}
	family = []string{"abe", "berg", "chen", "diaz", "eze", "fischer", "gupta", "horvat", "ito", "jansen", "kaya", "lopez", "meyer", "novak", "okoro", "park"}
	nouns  = []string{"claims", "policies", "payments", "members", "tickets", "builds", "volumes", "reports", "queues", "drafts", "models", "orders"}
	shapes = []string{
		"/api/v1/$/#", "/api/v1/$/#/history", "/api/v1/$", "/$/#/documents/#", "/$/search", "/export/$/#.csv", "/repos/$/objects/@",
		"/ui/assets/@.js", "/ui/$/#", "/graphql", "/status", "/admin/$/#/permissions",
	}
	agents = []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"git/2.47.1", "curl/8.11.1", "python-requests/2.32.4",
	}
	refusals = []string{"cluster_not_assigned", "outside_hours", "route_not_allowed", "code_too_old", "engagement_ended", "network_not_allowed"}
	methods  = []string{"GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE"}
)

func rng(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 0x52464c4f47)) }

// low is a number below n; small ones are more frequent.
func low(r *rand.Rand, n int) int {
	x := r.Float64()
	return int(x * x * x * float64(n))
}

// New returns the world that all records come from.
func New() (*World, error) {
	r := rng(1)
	w := &World{documents: map[[2]int]*policy.Document{}}
	for c := range Clusters {
		u := upstream{name: fmt.Sprintf("%s-%02d", nouns[c%len(nouns)], c), class: []string{"internal", "confidential", "restricted"}[c%3]}
		u.host = u.name + ".access.example.com"
		for range 7 {
			u.shapes = append(u.shapes, shapes[r.IntN(len(shapes))])
		}
		w.upstreams = append(w.upstreams, u)
	}
	for range Days / 3 {
		w.revisions = append(w.revisions, hex(r, 32))
	}
	total := 0.0
	for i := range Accounts {
		vendor := "vendor-" + strconv.Itoa(low(r, Vendors))
		p := person{
			id: "acc-" + hex(r, 12), vendor: vendor, agent: agents[low(r, len(agents))], net: r.Uint32(),
			email:      fmt.Sprintf("%s.%s%d@%s.example", given[r.IntN(len(given))], family[r.IntN(len(family))], i, vendor),
			engagement: fmt.Sprintf("%s-%d", vendor, 2025+r.IntN(2)),
		}
		for range 1 + r.IntN(3) {
			p.clusters = append(p.clusters, r.IntN(Clusters))
		}
		w.people = append(w.people, p)
		total += 1 / float64(i+8)
		w.weights = append(w.weights, total)
	}
	for i := range w.weights {
		w.weights[i] /= total
	}
	return w, nil
}

// Account returns the id and email address of the account of a rank, 0 being the busiest, and its vendor.
func (w *World) Account(rank int) (id, email, vendor string) {
	p := &w.people[rank]
	return p.id, p.email, p.vendor
}

// Cluster returns the name of a cluster.
func (w *World) Cluster(n int) string { return w.upstreams[n].name }

func hex(r *rand.Rand, n int) string { return digits(r, n, "0123456789abcdef") }

func digits(r *rand.Rand, n int, of string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

// Exchange makes the records of exchange i of n: what was asked for, with the
// facts document behind it, and, if that was allowed, what became of it.
func (w *World) Exchange(i, n int) []*policy.Record {
	r := rng(uint64(i) + 1000)
	at := when(float64(i) / float64(n))
	who := w.who(r.Float64())
	p := &w.people[who]
	cluster := p.clusters[r.IntN(len(p.clusters))]
	denied := r.IntN(100) < 6
	if denied && r.IntN(2) == 0 {
		cluster = r.IntN(Clusters)
	}
	u := &w.upstreams[cluster]
	shape := low(r, len(u.shapes))
	day := int(at.Sub(Start) / secondDay)
	device := rng(uint64(p.net)<<32 | uint64(day)<<4 | uint64(r.IntN(3)))
	age := int64(r.IntN(28800))
	doc, err := w.factsOf(who, cluster)
	if err != nil {
		panic(err) // text and numbers always have a JSON form
	}
	req := &policy.Record{
		Type: policy.RecordRequest, Time: at, RequestID: requestID(r, at),
		Account: p.id, Email: p.email, Vendor: p.vendor, Engagement: p.engagement, Session: "s-" + hex(device, 20),
		Credential: policy.CredentialSession, Factors: map[string]int64{"totp": at.Add(-time.Duration(age) * time.Second).Unix()}, CodeAge: &age,
		Cluster: u.name, Classification: u.class, Route: "r" + strconv.Itoa(shape), Protocol: "HTTP/2.0",
		Method: methods[r.IntN(len(methods))], Host: u.host, Path: path(r, u.shapes[shape]),
		SourceIP: address(p.net, low(device, 6)), UserAgent: p.agent, Effect: "allow", Reasons: []string{"assigned"},
		Revision: w.revisions[min(day*len(w.revisions)/Days, len(w.revisions)-1)], Facts: doc.Hash(), Document: doc, Agreements: []string{"confidentiality"},
		Input: &policy.RecordedInput{Version: policy.ContractVersion, Headers: map[string]string{"accept": "*/*", "accept-language": "en"},
			TLS: &policy.TLS{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256"}},
	}
	if r.IntN(4) == 0 {
		req.QueryNames = []string{"page", "q"}
	}
	if denied {
		req.Effect, req.Reasons = "deny", []string{refusals[low(r, len(refusals))]}
		return []*policy.Record{req}
	}
	return []*policy.Record{req, outcome(r, req)}
}

func outcome(r *rand.Rand, req *policy.Record) *policy.Record {
	status := 200
	if r.IntN(20) == 0 {
		status = []int{201, 204, 304, 401, 404, 500, 502}[r.IntN(7)]
	}
	first := int64(2 + low(r, 700))
	return &policy.Record{
		Type: policy.RecordOutcome, Time: req.Time, RequestID: req.RequestID, Account: req.Account, Email: req.Email,
		Vendor: req.Vendor, Engagement: req.Engagement, Session: req.Session, Cluster: req.Cluster, Classification: req.Classification,
		Route: req.Route, Protocol: req.Protocol, Method: req.Method, Host: req.Host, Path: req.Path, SourceIP: req.SourceIP,
		Status: status, BytesIn: policy.Int64(int64(low(r, 4000))), BytesOut: policy.Int64(int64(200 + low(r, 200_000))),
		FirstByte: policy.Int64(first), Duration: policy.Int64(first + int64(low(r, 900))), Upstream: "https://" + req.Cluster + ".internal:8443",
	}
}

// when spreads the records: most of a day's are from its working hours.
func when(x float64) time.Time {
	day := int(x * Days)
	rest := x*Days - float64(day)
	var hour float64
	switch {
	case rest < 0.1:
		hour = rest / 0.1 * 7
	case rest < 0.9:
		hour = 7 + (rest-0.1)/0.8*11
	default:
		hour = 18 + (rest-0.9)/0.1*6
	}
	return Start.Add(time.Duration(day)*secondDay + time.Duration(hour*float64(time.Hour))).Truncate(time.Microsecond)
}

func (w *World) who(x float64) int {
	a, b := 0, len(w.weights)-1
	for a < b {
		m := (a + b) / 2
		if w.weights[m] < x {
			a = m + 1
		} else {
			b = m
		}
	}
	return a
}

func requestID(r *rand.Rand, at time.Time) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuv"
	b := make([]byte, 10, 26)
	ms := uint64(at.UnixMilli())
	for i := 9; i >= 0; i-- {
		b[i] = alphabet[ms&31]
		ms >>= 5
	}
	return string(b) + digits(r, 16, alphabet)
}

func address(net uint32, n int) string {
	net += uint32(n) * 977
	return fmt.Sprintf("%d.%d.%d.%d", 20+net>>24%180, net>>16&255, net>>8&255, net&255)
}

func path(r *rand.Rand, shape string) string {
	b := make([]byte, 0, 64)
	for i := range len(shape) {
		switch c := shape[i]; c {
		case '$':
			b = append(b, nouns[low(r, len(nouns))]...)
		case '#':
			b = strconv.AppendInt(b, int64(1000+low(r, 400_000)), 10)
		case '@':
			b = append(b, hex(r, 12)...)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
