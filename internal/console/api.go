package console

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

//go:embed openapi.json
var openAPI []byte

const apiPrefix = "/api/v1"

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
