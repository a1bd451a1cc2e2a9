package studio

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

// A MatrixRequest asks who reaches what under one policy set, or under two.
type MatrixRequest struct {
	Old map[string]string `json:"old"` // today's modules
	New map[string]string `json:"new"` // those of a draft
	// One leaves New out: only today is asked for.
	One bool `json:"one,omitempty"`
	// At is the time of every request that is asked about.
	At     time.Time    `json:"at"`
	Source string       `json:"source"` // the address that they come from
	Cells  []MatrixCell `json:"cells"`
}

// A MatrixCell is one account on one route of one cluster.
type MatrixCell struct {
	Account        string           `json:"account"`
	Email          string           `json:"email"`
	Vendor         string           `json:"vendor,omitempty"`
	Roles          []policy.Role    `json:"roles,omitempty"`
	Cluster        string           `json:"cluster"`
	Classification string           `json:"classification,omitempty"`
	Route          string           `json:"route"`
	Host           string           `json:"host"`
	Prefix         []string         `json:"prefix,omitempty"` // of the route, as segments
	Below          [][]string       `json:"below,omitempty"`  // prefixes of other routes within it
	Facts          *policy.Document `json:"facts,omitempty"`
}

// A MatrixRow is a cell with what was decided about each representative request.
type MatrixRow struct {
	Account string         `json:"account"`
	Email   string         `json:"email"`
	Vendor  string         `json:"vendor,omitempty"`
	Cluster string         `json:"cluster"`
	Route   string         `json:"route"`
	Answers []MatrixAnswer `json:"answers"`
}

// Moved reports whether any request of the row is decided differently.
func (r *MatrixRow) Moved() bool {
	return slices.ContainsFunc(r.Answers, func(a MatrixAnswer) bool { return a.Turn != "" })
}

// A MatrixAnswer is one representative request and its decisions.
type MatrixAnswer struct {
	Method string         `json:"method"`
	Path   string         `json:"path"`
	Old    MatrixDecision `json:"old"`
	New    MatrixDecision `json:"new"` // as Old where only today was asked for
	// Turn is empty where a request is refused both times, whatever the reasons:
	// the matrix says who reaches what.
	Turn rego.Turn `json:"turn,omitempty"`
}

// A MatrixDecision is what a matrix keeps of a decision.
type MatrixDecision struct {
	Effect      policy.Effect       `json:"effect"`
	Reasons     []string            `json:"reasons,omitempty"` // codes
	Obligations *policy.Obligations `json:"obligations,omitempty"`
}

func matrixDecision(d policy.Decision) MatrixDecision {
	out := MatrixDecision{Effect: d.Effect}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, r.Code)
	}
	if !d.Obligations.IsZero() {
		out.Obligations = &d.Obligations
	}
	return out
}

// A MatrixResult is the whole matrix, the rows that moved first.
type MatrixResult struct {
	Old     string      `json:"old"` // the engine's revisions
	New     string      `json:"new"`
	Cells   int         `json:"cells"`
	Moved   int         `json:"moved"`
	Widened int         `json:"widened"` // cells in which something is allowed that was not
	Rows    []MatrixRow `json:"rows"`
	// Left counts rows beyond the first 20,000 that are not in Rows.
	Left int `json:"left,omitempty"`
}

const maxMatrixRows = 20_000

// Matrix asks for every cell what becomes of representative requests: reading,
// writing and deleting, at the route's own path, at the paths of the assignment,
// and at every method and path that either set names. The person has just
// proved every factor, so that only what policies and facts say decides.
func (r *Runner) Matrix(ctx context.Context, a MatrixRequest, tell func(Progress)) (MatrixResult, error) {
	return call[MatrixResult](ctx, r, r.long, "matrix", a, tell)
}

func matrix(ctx context.Context, a MatrixRequest, tell func(Progress)) (MatrixResult, error) {
	before, after, err := judges(ctx, a)
	if err != nil {
		return MatrixResult{}, err
	}
	named := rego.Mentions(a.Old)
	if !a.One {
		more := rego.Mentions(a.New)
		named.Methods, named.Paths = append(named.Methods, more.Methods...), append(named.Paths, more.Paths...)
	}
	out := MatrixResult{Old: before.Revision(), New: after.Revision(), Cells: len(a.Cells), Rows: make([]MatrixRow, len(a.Cells))}
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range max(1, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(a.Cells) {
					return
				}
				out.Rows[i] = matrixRow(ctx, before, after, &a, &a.Cells[i], named)
				if n := int(done.Add(1)); n%50 == 0 {
					tell(Progress{Done: n, Total: len(a.Cells)})
				}
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return MatrixResult{}, err
	}
	out.sum()
	return out, nil
}

// judges returns the judges of both sets, the same one twice where only one
// was given.
func judges(ctx context.Context, a MatrixRequest) (before, after *rego.Judge, err error) {
	if before, err = rego.NewJudge(ctx, a.Old); err != nil {
		return nil, nil, fmt.Errorf("the policies in force: %w", err)
	}
	if a.One || maps.Equal(a.Old, a.New) {
		return before, before, nil
	}
	if after, err = rego.NewJudge(ctx, a.New); err != nil {
		return nil, nil, fmt.Errorf("the policies of the draft: %w", err)
	}
	return before, after, nil
}

func (m *MatrixResult) sum() {
	for i := range m.Rows {
		if m.Rows[i].Moved() {
			m.Moved++
		}
		if m.Rows[i].widened() {
			m.Widened++
		}
	}
	slices.SortStableFunc(m.Rows, func(a, b MatrixRow) int {
		return cmp.Or(a.rank()-b.rank(), cmp.Compare(a.Email, b.Email), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Route, b.Route))
	})
	if n := len(m.Rows); n > maxMatrixRows {
		m.Rows, m.Left = m.Rows[:maxMatrixRows], n-maxMatrixRows
	}
}

func (r *MatrixRow) widened() bool {
	return slices.ContainsFunc(r.Answers, func(a MatrixAnswer) bool { return a.Turn == rego.Widened })
}

// rank puts what is allowed now and was not before first.
func (r *MatrixRow) rank() int {
	switch {
	case r.widened():
		return 0
	case r.Moved():
		return 1
	}
	return 2
}

func matrixRow(ctx context.Context, before, after *rego.Judge, a *MatrixRequest, c *MatrixCell, named rego.Mentioned) MatrixRow {
	row := MatrixRow{Account: c.Account, Email: c.Email, Vendor: c.Vendor, Cluster: c.Cluster, Route: c.Route}
	for _, q := range questions(c, named) {
		in := matrixInput(a, c, q)
		old := before.Decide(ctx, in)
		x := MatrixAnswer{Method: q.method, Path: in.Request.RawPath, Old: matrixDecision(old)}
		if x.New = x.Old; after != before {
			is := after.Decide(ctx, in)
			x.New = matrixDecision(is)
			if old.Effect != is.Effect || is.Effect == policy.Allow {
				x.Turn = rego.TurnOf(old, is)
			}
		}
		row.Answers = append(row.Answers, x)
	}
	return row
}

// A question is one representative request of a cell.
type question struct {
	method string
	path   []string
}

// usual are the methods that are always asked about: reading, writing, deleting.
var usual = []string{"GET", "POST", "DELETE"}

// questions returns what to ask about a cell.
func questions(c *MatrixCell, named rego.Mentioned) []question {
	paths := [][]string{}
	seen := map[string]bool{}
	add := func(p []string) {
		elsewhere := slices.ContainsFunc(c.Below, func(other []string) bool { return covers(other, p) })
		if key := strings.Join(p, "/"); covers(c.Prefix, p) && !elsewhere && !seen[key] {
			seen[key] = true
			paths = append(paths, p)
		}
	}
	f := c.Facts.Facts()
	if f != nil && f.Assignment != nil {
		for _, p := range f.Assignment.Paths {
			if covers(p, c.Prefix) { // the assignment gives the whole route
				p = c.Prefix
			}
			add(p)
		}
	}
	add(c.Prefix)
	for _, p := range named.Paths {
		add(p)
		add(slices.Concat(c.Prefix, p)) // where a policy looks at what is below a route
	}
	methods := slices.Clone(usual)
	for _, m := range named.Methods {
		if !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	var out []question
	for _, p := range paths {
		for _, m := range methods {
			out = append(out, question{m, p})
		}
	}
	return out
}

// covers reports whether path is at or below prefix.
func covers(prefix, path []string) bool {
	return len(path) >= len(prefix) && slices.Equal(prefix, path[:len(prefix)])
}

// matrixInput is the input of one request: made by the person in a browser, just
// after proving every factor there is.
func matrixInput(a *MatrixRequest, c *MatrixCell, q question) *policy.Input {
	segments := q.path
	if len(segments) == 0 {
		segments = []string{""}
	}
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	at := a.At.UTC()
	return &policy.Input{
		Version: policy.ContractVersion,
		Subject: policy.Subject{Account: c.Account, Email: c.Email, Vendor: c.Vendor, Roles: c.Roles, Session: "matrix", Credential: policy.CredentialSession,
			Factors: map[string]int64{policy.FactorPassword: 0, policy.FactorTOTP: 0, policy.FactorWebAuthn: 0}},
		Facts: c.Facts,
		Request: policy.Request{ID: "matrix", Time: at.Format(time.RFC3339Nano), TimeNS: at.UnixNano(), Protocol: "http", Method: q.method,
			Host: c.Host, Path: segments, RawPath: "/" + strings.Join(escaped, "/"), SourceIP: a.Source,
			TLS: &policy.TLS{Version: "1.3", Cipher: "TLS_AES_128_GCM_SHA256"}},
		Resource: policy.Resource{Cluster: c.Cluster, Classification: c.Classification, Route: c.Route},
	}
}
