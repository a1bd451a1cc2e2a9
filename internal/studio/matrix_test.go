package studio

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
	"github.com/ringfence/ringfence/rego"
)

var matrixNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func matrixSnapshot(t *testing.T) *directory.Snapshot {
	t.Helper()
	starts, ends := matrixNow.Add(-time.Hour), matrixNow.Add(time.Hour)
	owner := policy.Person{Name: "Ines", Email: "ines@example.com"}
	account := func(id, vendor string, role policy.Role) directory.Account {
		return directory.Account{ID: id, Email: id + "@example.com", Name: id, Vendor: vendor, Roles: []policy.Role{role}, Status: policy.StatusActive}
	}
	routes := []directory.Route{{Name: "web", Path: "/"}, {Name: "api", Path: "/api"}}
	s, err := directory.NewSnapshot(&directory.Directory{
		Vendors:     []directory.Vendor{{Name: "acme", Title: "Acme", Owner: owner}},
		Engagements: []directory.Engagement{{Name: "e", Vendor: "acme", Starts: starts, Ends: ends, Clusters: []string{"claims", "maps"}}},
		Clusters: []directory.Cluster{{Name: "claims", Classification: "internal", Hosts: []string{"claims.test"}, Routes: routes},
			{Name: "maps", Classification: "internal", Hosts: []string{"maps.test"}, Routes: routes[:1]}},
		Accounts: []directory.Account{account("kim", "acme", policy.Contractor), account("lee", "acme", policy.Contractor), account("ada", "", policy.Administrator)},
		Assignments: []directory.Assignment{
			{Account: "kim@example.com", Cluster: "claims", Engagement: "e", Starts: starts, Ends: ends, Access: policy.AccessWrite},
			{Account: "lee@example.com", Cluster: "claims", Engagement: "e", Starts: starts, Ends: ends, Access: policy.AccessRead, Paths: []string{"/reports"}},
		},
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const matrixHead = "package ringfence.all\n\nimport rego.v2\n\n"

func denyWhen(condition string) map[string]string {
	return map[string]string{"all/x.rego": matrixHead + `deny contains {"code": "x", "message": "This is not allowed.", "help": "Ask."} if ` + condition + "\n"}
}

// answerOf finds what was answered about one request.
func answerOf(t *testing.T, r MatrixResult, email, route, method, path string) MatrixAnswer {
	t.Helper()
	for _, row := range r.Rows {
		if row.Email != email+"@example.com" || row.Route != route {
			continue
		}
		for _, a := range row.Answers {
			if a.Method == method && a.Path == path {
				return a
			}
		}
	}
	t.Fatalf("nothing was asked about %s %s %s %s in %d rows", email, route, method, path, len(r.Rows))
	return MatrixAnswer{}
}

// TestMatrix_Differences: what a draft opens and closes is found, at the paths
// and methods that it names too, and nothing else moves.
func TestMatrix_Differences(t *testing.T) {
	s := matrixSnapshot(t)
	for name, c := range map[string]struct {
		old, new      map[string]string
		moved, opened int
		who, route    string
		method, path  string
		turn          rego.Turn
	}{
		"closed":            {nil, denyWhen(`input.request.method == "POST"`), 2, 0, "kim", "web", "POST", "/", rego.Narrowed},
		"opened":            {denyWhen(`input.request.method == "POST"`), nil, 2, 2, "kim", "api", "POST", "/api", rego.Widened},
		"a method it names": {nil, denyWhen(`input.request.method == "PATCH"`), 2, 0, "kim", "web", "PATCH", "/", rego.Narrowed},
		"a path it names":   {nil, denyWhen(`input.request.path[0] == "admin"`), 1, 0, "kim", "web", "GET", "/admin", rego.Narrowed},
		"below a route":     {nil, denyWhen(`startswith(input.request.raw_path, "/api/users")`), 1, 0, "kim", "api", "GET", "/api/users", rego.Narrowed},
		"an array":          {nil, denyWhen(`array.slice(input.request.path, 0, 2) == ["reports", "secret"]`), 2, 0, "lee", "web", "GET", "/reports/secret", rego.Narrowed},
		"nothing":           {denyWhen(`input.request.method == "POST"`), denyWhen(`"POST" == input.request.method`), 0, 0, "lee", "web", "GET", "/reports", ""},
		"reworded": {nil, map[string]string{"all/x.rego": matrixHead + "obligations contains {\"max_response_bytes\": 10}\n"},
			3, 0, "lee", "web", "GET", "/reports", rego.Reworded},
		"refused both times": {nil, denyWhen(`{ input.subject.email == "lee@example.com"; input.request.method == "POST" }`), 0, 0, "lee", "web", "POST", "/reports", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, without := Ask(s, c.old, c.new, matrixNow, netip.MustParseAddr("198.51.100.7"))
			a.One = false
			if len(a.Cells) != 4 || without != 2 {
				t.Fatalf("%d cells, %d without", len(a.Cells), without)
			}
			var last Progress
			r, err := New(Config{}).Matrix(t.Context(), a, func(p Progress) { last = p })
			if err != nil {
				t.Fatal(err)
			}
			if r.Moved != c.moved || r.Widened != c.opened || r.Cells != 4 || last.Done > 4 {
				t.Errorf("%d moved, %d opened", r.Moved, r.Widened)
			}
			if got := answerOf(t, r, c.who, c.route, c.method, c.path); got.Turn != c.turn {
				t.Errorf("%+v", got)
			}
			if !slices.IsSortedFunc(r.Rows, func(a, b MatrixRow) int { return a.rank() - b.rank() }) {
				t.Error("what is opened does not come first")
			}
		})
	}
}

// TestMatrix_Today: the assignments alone, without a draft.
func TestMatrix_Today(t *testing.T) {
	a, _ := Ask(matrixSnapshot(t), nil, nil, matrixNow, netip.MustParseAddr("198.51.100.7"))
	r, err := New(Config{}).Matrix(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, route, method, path string
		want                     policy.Effect
	}{
		{"kim", "web", "DELETE", "/", policy.Allow}, {"lee", "web", "GET", "/reports", policy.Allow},
		{"lee", "web", "POST", "/reports", policy.Deny}, {"lee", "web", "GET", "/", policy.Deny}, {"lee", "api", "GET", "/api", policy.Deny},
	} {
		if got := answerOf(t, r, c.who, c.route, c.method, c.path); got.Old.Effect != c.want {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	if r.Moved != 0 || r.Old != r.New {
		t.Errorf("%+v", r)
	}
}

// TestMatrix_Faults: a draft that does not compile is said, and a job that is
// stopped has no result.
func TestMatrix_Faults(t *testing.T) {
	s := matrixSnapshot(t)
	a, _ := Ask(s, nil, denyWhen(`input.request.methd == "POST"`), matrixNow, netip.MustParseAddr("198.51.100.7"))
	if r, err := New(Config{}).Matrix(t.Context(), a, nil); err == nil {
		t.Errorf("got %+v", r)
	}
}

var noAddress = netip.MustParseAddr("198.51.100.7")
