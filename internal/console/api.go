package console

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

//go:embed openapi.json
var openAPI []byte

const (
	apiPrefix = "/api/v1"
	// apiEntries is how many entries an answer holds when no limit is given,
	// and apiMostEntries how many it may hold.
	apiEntries, apiMostEntries = 100, 1000
)

// apiRoutes is the table of the API. It takes the gate's session and no
// bearer token: a token is good for one cluster, and the gate is none. Nothing
// here changes the directory.
func (c *Console) apiRoutes() []route {
	routes := []route{
		{pattern: "GET " + apiPrefix + "/openapi.json", need: signedIn, handle: c.apiDescription},
		{pattern: "GET " + apiPrefix + "/me", need: signedIn, handle: c.apiMe},
		{pattern: "GET " + apiPrefix + "/clusters", need: signedIn, handle: c.apiClusters},
		{pattern: "GET " + apiPrefix + "/tokens", need: signedIn, handle: c.apiTokens},
		{pattern: "POST " + apiPrefix + "/tokens", need: signedIn, handle: c.apiCreateToken, maxBody: 4 << 10, fresh: true},
		{pattern: "DELETE " + apiPrefix + "/tokens/{id}", need: signedIn, handle: c.apiRevokeToken, maxBody: 4 << 10},
		{pattern: "GET " + apiPrefix + "/log/entries", need: mayReview, handle: c.apiEntries},
	}
	for i := range routes {
		routes[i].json = true
	}
	return routes
}

func (c *Console) apiDescription(w http.ResponseWriter, r *http.Request, v *visit) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(openAPI)
	return nil
}

// apiFaults answers a request whose fields are wrong, with a reason for each.
func (c *Console) apiFaults(w http.ResponseWriter, v *visit, f *form) error {
	var reasons []policy.Reason
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		reasons = append(reasons, policy.Reason{Code: "invalid_" + name, Message: f.faults[name].String()})
	}
	for _, n := range f.Notes {
		reasons = append(reasons, policy.Reason{Code: "unknown_field", Message: n.String()})
	}
	e := c.jsonError(&ui.Error{Status: http.StatusBadRequest, Code: "bad_request", Detail: "The request cannot be understood as it is."}, v.RequestID)
	e["reasons"] = reasons
	return writeJSON(w, http.StatusBadRequest, map[string]any{"error": e})
}

// noQuery refuses fields in the address of a route that takes none.
func noQuery(r *http.Request) (*form, bool) {
	f := newForm(r.URL.Query())
	f.known()
	return f, f.OK()
}

type apiPerson struct {
	Account string        `json:"account"`
	Email   string        `json:"email"`
	Name    string        `json:"name"`
	Vendor  string        `json:"vendor,omitempty"`
	Roles   []policy.Role `json:"roles"`
	Session apiSession    `json:"session"`
	Factors []apiFactor   `json:"factors"`
}

type apiSession struct {
	ID           string    `json:"id"`
	Created      time.Time `json:"created"`
	IdleEnds     time.Time `json:"idle_ends"`
	AbsoluteEnds time.Time `json:"absolute_ends"`
	CodeAge      *int64    `json:"code_age_s,omitempty"`
}

func (c *Console) apiMe(w http.ResponseWriter, r *http.Request, v *visit) error {
	if f, ok := noQuery(r); !ok {
		return c.apiFaults(w, v, f)
	}
	s := v.Session
	me := apiPerson{Account: s.Account, Email: s.Email, Name: s.Name, Vendor: s.Vendor, Roles: s.Roles,
		Session: apiSession{ID: s.ID, Created: s.Created.UTC(), IdleEnds: s.IdleEnds.UTC(), AbsoluteEnds: s.AbsoluteEnds.UTC()}}
	if age, ok := s.Subject(v.Now).CodeAge(); ok {
		me.Session.CodeAge = &age
	}
	var err error
	if me.Factors, err = c.apiFactors(r.Context(), s.Account); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, me)
}

type apiCluster struct {
	Name           string        `json:"name"`
	Title          string        `json:"title"`
	Classification string        `json:"classification"`
	URLs           []string      `json:"urls"`
	Owner          policy.Person `json:"owner"`
	Engagement     string        `json:"engagement"`
	Access         string        `json:"access"`
	Methods        []string      `json:"methods"` // empty: all that access allows
	Paths          []string      `json:"paths"`   // empty: all
	Starts         time.Time     `json:"starts"`
	Ends           time.Time     `json:"ends"`
}

func (c *Console) apiClusters(w http.ResponseWriter, r *http.Request, v *visit) error {
	if f, ok := noQuery(r); !ok {
		return c.apiFaults(w, v, f)
	}
	clusters := []apiCluster{}
	for _, a := range v.Snapshot.ClustersOf(v.Session.Account, v.Now) {
		clusters = append(clusters, c.apiCluster(a))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"clusters": clusters})
}

func (c *Console) apiCluster(a directory.Access) apiCluster {
	k := apiCluster{Name: a.Cluster.Name, Title: cmp.Or(a.Cluster.Title, a.Cluster.Name), Classification: a.Cluster.Classification, URLs: []string{}, Owner: a.Cluster.Owner,
		Engagement: a.Engagement.Name, Access: a.Assignment.Access, Methods: orNone(a.Assignment.Methods), Paths: orNone(a.Assignment.Paths),
		Starts: a.Assignment.Starts.UTC(), Ends: until(a).UTC()}
	for _, h := range a.Cluster.Hosts {
		k.URLs = append(k.URLs, c.hostURL(h)+"/")
	}
	return k
}

// orNone makes an empty list of none, so that JSON says [] and not null.
func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

type apiToken struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Cluster string    `json:"cluster"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Secret  string    `json:"secret,omitempty"` // only in the answer that makes it
}

func newAPIToken(t auth.Token) apiToken {
	return apiToken{ID: t.ID, Name: t.Name, Cluster: t.Cluster, Created: t.Created.UTC(), Expires: t.Expires.UTC()}
}

func (c *Console) apiTokens(w http.ResponseWriter, r *http.Request, v *visit) error {
	if f, ok := noQuery(r); !ok {
		return c.apiFaults(w, v, f)
	}
	list, err := c.Auth.Tokens(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing tokens")
	}
	tokens := []apiToken{}
	for _, t := range list {
		tokens = append(tokens, newAPIToken(t))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tokens": tokens})
}

// decodeStrict reads one JSON object with known fields and nothing after it.
func decodeStrict(body io.Reader, to any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading the body: something follows the object")
	}
	return nil
}

func (c *Console) apiCreateToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	var want struct {
		Cluster string `json:"cluster"`
		Name    string `json:"name"`
		Minutes int    `json:"minutes"`
	}
	if err := decodeStrict(r.Body, &want); err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return err
		}
		return &ui.Error{Status: http.StatusBadRequest, Detail: `Send one object with "cluster", "name" and "minutes".`, Err: err}
	}
	f := newForm(nil)
	open := v.Snapshot.ClustersOf(v.Session.Account, v.Now)
	if !slices.ContainsFunc(open, func(a directory.Access) bool { return a.Cluster.Name == want.Cluster }) {
		f.fault("cluster", "Name one of the clusters that are open to you.")
	}
	if want.Name = strings.TrimSpace(want.Name); want.Name == "" || len(want.Name) > tokenNameLimit {
		f.fault("name", "Give a name of at most {1} characters.", tokenNameLimit)
	}
	if want.Minutes < 1 || want.Minutes > 60 {
		f.fault("minutes", "A token lasts from 1 to 60 minutes.")
	}
	if !f.OK() {
		return c.apiFaults(w, v, f)
	}
	secret, t, err := c.Auth.CreateToken(r.Context(), v.Origin, v.Session, want.Cluster, want.Name, time.Duration(want.Minutes)*time.Minute)
	if err != nil {
		return authError(err, "creating a token")
	}
	made := newAPIToken(t)
	made.Secret = secret
	return writeJSON(w, http.StatusCreated, made)
}

func (c *Console) apiRevokeToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.Tokens(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing tokens")
	}
	id := r.PathValue("id")
	// Only what is in one's own list can be revoked, whatever id is sent.
	if !slices.ContainsFunc(list, func(t auth.Token) bool { return t.ID == id }) {
		return ui.NotFound()
	}
	if err := c.Auth.RevokeToken(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "revoking a token")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// inTurn reads the log itself when it is the account's turn among those who search.
func (c *Console) inTurn(ctx context.Context, f accesslog.Filter, fn func(*accesslog.Entry) bool) error {
	leave, err := query.Turn(ctx, c.Search)
	if err != nil {
		return err
	}
	defer leave()
	return c.Log.Query(ctx, f, fn)
}

// apiEntries answers a search of the access log as one JSON object a line.
// The answer is whole or an error: it is not begun before it is complete.
func (c *Console) apiEntries(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	older := maps.Clone(q)
	delete(older, searchQuery)
	filter, f := parseSearch(older, v.Now, apiMostEntries)
	if q.Has(searchQuery) {
		return c.apiQuery(w, r, v, filter, f)
	}
	if !f.OK() {
		return c.apiFaults(w, v, f)
	}
	filter.Clusters = v.filterScope()
	want := cmp.Or(filter.Limit, apiEntries)
	filter.Limit = want + 1 // one more shows whether there are more
	detail := searchDetail(q)
	detail["via"] = "api"
	if err := c.recordRead(r, v, "log.query", "log", detail); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	var body bytes.Buffer
	n, last, more := 0, uint64(0), false
	err := c.inTurn(ctx, filter, func(e *accesslog.Entry) bool {
		if n == want {
			more = true
			return false
		}
		body.Write(e.Clear())
		body.WriteByte('\n')
		n, last = n+1, e.Index
		return true
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &ui.Error{Status: http.StatusServiceUnavailable, Code: "search_overdue", Detail: "The search took too long. Give since and until, and search less of the log at once.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("searching the access log: %w", err)
	}
	if more {
		next := maps.Clone(q)
		next.Set(searchBefore, strconv.FormatUint(last, 10))
		w.Header().Set("Link", "<"+apiPrefix+"/log/entries?"+url.Values(next).Encode()+`>; rel="next"`)
	}
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.Write(body.Bytes())
	return nil
}

// apiQuery answers a search in the query language, which the fields beside it narrow.
func (c *Console) apiQuery(w http.ResponseWriter, r *http.Request, v *visit, filter accesslog.Filter, f *form) error {
	q := r.URL.Query()
	if len(q[searchQuery]) > 1 {
		f.fault(searchQuery, "Give this once.")
	}
	n, err := query.Parse(q.Get(searchQuery))
	if fault, ok := errors.AsType[*query.Error](err); ok {
		f.fault(searchQuery, "At character {1}: {2}", fault.Column, queryFaultWords(fault))
	}
	if !f.OK() {
		return c.apiFaults(w, v, f)
	}
	older := maps.Clone(q)
	delete(older, searchQuery)
	narrower, err := query.Parse(strings.Join(olderTerms(older, v.Now), " "))
	if err != nil {
		return fmt.Errorf("reading the fields of a search: %w", err)
	}
	n = query.All(n, narrower)
	if filter.After > 0 || q.Get(searchAfter) != "" {
		n = query.All(n, query.Range{Field: query.Index, Min: int64(filter.After) + 1, Max: math.MaxInt64})
	}
	want := cmp.Or(filter.Limit, apiEntries)
	detail := map[string]string{"query": query.Print(n), searchLimit: strconv.Itoa(want), "via": "api"}
	if filter.Before > 0 {
		detail[searchBefore] = strconv.FormatUint(filter.Before, 10)
	}
	if err := c.recordRead(r, v, "log.query", "log", detail); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), searchTime)
	defer cancel()
	found, err := c.entriesOf(ctx, v.readable(n), v.Now, filter.Before, want+1) // one more shows whether there are more
	if errors.Is(err, context.DeadlineExceeded) {
		return &ui.Error{Status: http.StatusServiceUnavailable, Code: "search_overdue", Detail: "The search took too long. Give since and until, and search less of the log at once.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("searching the access log: %w", err)
	}
	if len(found) > want {
		found = found[:want]
		next := maps.Clone(q)
		next.Set(searchBefore, strconv.FormatUint(found[want-1].Index, 10))
		w.Header().Set("Link", "<"+apiPrefix+"/log/entries?"+next.Encode()+`>; rel="next"`)
	}
	var body bytes.Buffer
	for _, e := range found {
		body.Write(e.Clear())
		body.WriteByte('\n')
	}
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.Write(body.Bytes())
	return nil
}
