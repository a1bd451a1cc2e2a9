package console

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// tokensPage is the data of the page "tokens".
type tokensPage struct {
	Base
	Tokens                 []tokenRow
	Machines               []grantRow
	Access                 []grantRow // personal access tokens
	AccessPossible         bool
	Gate                   string
	Cluster, Name, Minutes ui.Field
	Possible               bool // there is a cluster to make a token for
	Made                   *madeToken
	Ask                    *policy.Person
}

type tokenRow struct {
	ID, Name, Cluster string
	Left              ui.Text
	Bound             string // "key", "network" or empty
	Used              time.Time
	UsedIP            string
	Created, Expires  time.Time
}

// A madeToken is a new token with its secret, shown this once.
type madeToken struct {
	Name, Cluster, Secret string
	Expires               time.Time
	Export, Curl, Git     string
	Authority             bool // the commands name the local authority's certificate
}

const tokenNameLimit = 64 // bytes

var tokenMinutes = []int{15, 30, 60}

func (c *Console) showTokens(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	page, err := c.tokensForm(r, v, q.Get("cluster"), q.Get("name"), q.Get("minutes"))
	if err != nil {
		return err
	}
	if q.Get("note") == "machine" {
		page.Flash = &ui.Flash{Kind: ui.Good, Text: "Signed out. Its tokens have ended with it."}
	}
	if q.Get("note") == "revoked" {
		page.Flash = &ui.Flash{Kind: ui.Good, Text: "Revoked. Nothing can use that token any more."}
	}
	c.UI.Page(w, r, http.StatusOK, "tokens", page)
	return nil
}

func (c *Console) tokensForm(r *http.Request, v *visit, cluster, name, minutes string) (*tokensPage, error) {
	list, err := c.Auth.Tokens(r.Context(), v.Session.Account)
	if err != nil {
		return nil, authError(err, "listing tokens")
	}
	page := &tokensPage{Base: v.Titled("My tokens"),
		Cluster: ui.Field{Name: "cluster", Label: "Cluster", Required: true},
		Name: ui.Field{Name: "name", Label: "What is it for?", Value: name, Required: true, MaxLength: tokenNameLimit,
			Placeholder: "March import", Autocomplete: "off"},
		Minutes: ui.Field{Name: "minutes", Label: "Good for", Required: true},
	}
	for _, a := range v.Snapshot.ClustersOf(v.Session.Account, v.Now) {
		page.Possible = true
		page.Cluster.Options = append(page.Cluster.Options, ui.Option{Value: a.Cluster.Name, Label: ui.Verbatim(orElse(a.Cluster.Title, a.Cluster.Name)), Selected: a.Cluster.Name == cluster})
	}
	for _, m := range tokenMinutes {
		o := ui.Option{Value: itoa(m), Label: ui.Count(m, "{1} minute", "{1} minutes"), Selected: itoa(m) == orElse(minutes, "60")}
		page.Minutes.Options = append(page.Minutes.Options, o)
	}
	if owner, title := vendorOf(v.Snapshot, v.Session.Vendor); title != "" {
		page.Ask = &owner
	}
	machines, err := c.Auth.MachinesOf(r.Context(), v.Session.Account)
	if err != nil {
		return nil, authError(err, "listing machines")
	}
	for i := range machines {
		page.Machines = append(page.Machines, machineRow(&machines[i]))
	}
	page.AccessPossible, page.Gate = len(accessClusters(v)) > 0, strings.TrimSuffix(c.GateURL, "/")
	for _, t := range list {
		if t.Kind == auth.TokenAccess {
			page.Access = append(page.Access, grantRowOf(v.Snapshot, &t))
			continue
		}
		title := t.Cluster
		if k, ok := v.Snapshot.Cluster(t.Cluster); ok {
			title = orElse(k.Title, k.Name)
		}
		page.Tokens = append(page.Tokens, tokenRow{ID: t.ID, Name: t.Name, Cluster: title, Created: t.Created, Expires: t.Expires, Left: tokenLeft(t.Expires.Sub(v.Now)),
			Bound: grantRowOf(v.Snapshot, &t).Bound, Used: t.LastUsed, UsedIP: t.LastIP})
	}
	slices.SortFunc(page.Tokens, func(a, b tokenRow) int { return b.Created.Compare(a.Created) })
	return page, nil
}

// tokenLeft says how long a token still lasts, in minutes.
func tokenLeft(d time.Duration) ui.Text {
	switch {
	case d <= 0:
		return "expired"
	}
	return ui.Count(max(1, int(d.Minutes())), "{1} minute left", "{1} minutes left")
}

func (c *Console) createToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	cluster, name, minutes := r.PostForm.Get("cluster"), strings.TrimSpace(r.PostForm.Get("name")), r.PostForm.Get("minutes")
	page, err := c.tokensForm(r, v, cluster, name, minutes)
	if err != nil {
		return err
	}
	access, ttl := c.checkToken(v, page, cluster, name, minutes)
	if access == nil {
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "tokens", page)
		return nil
	}
	secret, token, err := c.Auth.CreateToken(r.Context(), v.Origin, v.Session, cluster, name, ttl)
	if errors.Is(err, auth.ErrInvalid) {
		page.Name.Error = "This cannot be the name of a token. Use a few plain words."
		c.UI.Page(w, r, http.StatusUnprocessableEntity, "tokens", page)
		return nil
	}
	if err != nil {
		return authError(err, "creating a token")
	}
	if page, err = c.tokensForm(r, v, "", "", ""); err != nil {
		return err
	}
	page.Made = c.made(access, secret, token)
	c.UI.Page(w, r, http.StatusOK, "tokens", page)
	return nil
}

// checkToken checks the form and marks what is wrong with it. It returns nil
// when something is.
func (c *Console) checkToken(v *visit, page *tokensPage, cluster, name, minutes string) (*directory.Access, time.Duration) {
	open := v.Snapshot.ClustersOf(v.Session.Account, v.Now)
	i := slices.IndexFunc(open, func(a directory.Access) bool { return a.Cluster.Name == cluster })
	if i < 0 {
		page.Cluster.Error = "Choose one of the clusters that are open to you."
	}
	if name == "" {
		page.Name.Error = "Give it a name, so that you recognise it in the list."
	} else if len(name) > tokenNameLimit {
		page.Name.Error = "That is too long. A few words are enough."
	}
	m, err := strconv.Atoi(minutes)
	if err != nil || m < 1 || m > 60 {
		page.Minutes.Error = "A token lasts from one minute to an hour."
	}
	if page.Cluster.Error != "" || page.Name.Error != "" || page.Minutes.Error != "" {
		return nil, 0
	}
	return &open[i], time.Duration(m) * time.Minute
}

// made prepares the page that shows a new token, with commands to paste. The
// secret goes through a variable, so that it stays out of the list of
// processes.
func (c *Console) made(a *directory.Access, secret string, t auth.Token) *madeToken {
	m := &madeToken{Name: t.Name, Cluster: orElse(a.Cluster.Title, a.Cluster.Name), Secret: secret, Expires: t.Expires, Authority: len(c.CAPEM) > 0,
		Export: "export RINGFENCE_TOKEN=" + secret}
	if len(a.Cluster.Hosts) == 0 {
		return m
	}
	base := c.hostURL(a.Cluster.Hosts[0]) + "/"
	curl, git := "curl", "git"
	if m.Authority {
		curl, git = "curl --cacert ca.pem", "git -c http.sslCAInfo=ca.pem"
	}
	m.Curl = curl + ` -H "Authorization: Bearer $RINGFENCE_TOKEN" ` + base
	m.Git = git + ` -c http.extraHeader="Authorization: Bearer $RINGFENCE_TOKEN" clone ` + base + "PATH/OF/REPOSITORY.git"
	return m
}

func (c *Console) revokeToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.Tokens(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing tokens")
	}
	id := r.PostForm.Get("id")
	// Only what is in one's own list can be revoked, whatever id is sent.
	if !slices.ContainsFunc(list, func(t auth.Token) bool { return t.ID == id }) {
		return &ui.Error{Status: http.StatusNotFound, Title: "That token is gone", Detail: "It has expired or was revoked already, or it is not yours."}
	}
	if err := c.Auth.RevokeToken(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "revoking a token")
	}
	http.Redirect(w, r, "/tokens?note=revoked", http.StatusSeeOther)
	return nil
}
