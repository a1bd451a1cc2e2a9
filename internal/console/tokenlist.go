package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
)

// A grantRow is a machine that is signed in, or a token, in a list.
type grantRow struct {
	ID       string
	Name     ui.Text
	Machine  bool
	Access   bool   // a personal access token
	Bound    string // "key", "network" or empty
	Owner    ui.Link
	Cluster  string
	Program  string
	Networks string
	Scope    ui.Text
	Made     time.Time
	Ends     time.Time
	Used     time.Time // zero: never
	UsedIP   string
	From     string // where a machine asked from
	Revoke   string // address of the form that ends it; empty when it may not be used
	Back     string
}

func machineRow(m *auth.Machine) grantRow {
	return grantRow{ID: m.ID, Name: cmp.Or(ui.Verbatim(m.Name), "a machine without a name"), Machine: true, Bound: "key", Program: clip(m.Program, 80), Made: m.Created, Ends: m.Ends,
		Used: m.LastUsed, UsedIP: m.LastIP, From: m.IP, Revoke: "/tokens/machines/end"}
}

func grantRowOf(s *directory.Snapshot, t *auth.Token) grantRow {
	row := grantRow{ID: t.ID, Name: ui.Verbatim(orElse(t.Name, t.ID)), Access: t.Kind == auth.TokenAccess, Cluster: t.Cluster, Made: t.Created, Ends: t.Expires,
		Used: t.LastUsed, UsedIP: t.LastIP, Networks: networkWords(t.Networks), Revoke: "/tokens/revoke"}
	if k, ok := s.Cluster(t.Cluster); ok {
		row.Cluster = orElse(k.Title, k.Name)
	}
	switch {
	case t.Key != "":
		row.Bound = "key"
	case t.Networks != nil:
		row.Bound = "network"
	}
	if t.Scope != nil {
		var paths []string
		for _, p := range t.Scope.Paths {
			paths = append(paths, "/"+strings.Join(p, "/"))
		}
		row.Scope = accessInWords(t.Scope.Access, t.Scope.Methods, paths)
	}
	return row
}

func networkWords(all []netip.Prefix) string {
	var words []string
	for _, p := range all {
		if p.IsSingleIP() {
			words = append(words, p.Addr().String())
		} else {
			words = append(words, p.String())
		}
	}
	return strings.Join(words, ", ")
}

// everyTokenPage lists the machines and tokens of all accounts.
type everyTokenPage struct {
	Base
	Search []ui.Field
	Faults []ui.Text
	Rows   []grantRow
	Pager  ui.Pager
	Empty  ui.Empty
}

var grantKinds = []ui.Option{{Value: "machine", Label: "Signed-in machines"}, {Value: "access", Label: "Personal access tokens"}, {Value: "token", Label: "Tokens of at most an hour"}}

func (c *Console) everyToken(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := newForm(q)
	f.known("text", "kind", "page")
	text := strings.ToLower(f.line("text", "a text", 200, false))
	kind := f.oneOf("kind", "a kind", []string{"", "machine", "access", "token"})
	number := f.pageNumber("page")
	page := everyTokenPage{Base: v.page("Machines and tokens"), Faults: f.all(),
		Search: []ui.Field{f.search("text", "Owner, name or cluster"), f.choice("kind", "Kind", "All kinds", grantKinds)},
		Empty:  ui.Empty{Title: "None in force", Text: "Nobody is signed in from the command line, and no token is in force that matches."}}
	if f.OK() {
		rows, err := c.grants(r, v, "", "/console/tokens?"+q.Encode())
		if err != nil {
			return err
		}
		var found []grantRow
		for _, row := range rows {
			if (kind == "" || kind == row.kind()) && (text == "" || strings.Contains(strings.ToLower(row.Owner.Label.String()+" "+row.Name.String()+" "+row.Cluster), text)) {
				found = append(found, row)
			}
		}
		page.Rows, page.Pager = paged(found, number, "/console/tokens", q, "token")
	}
	return c.show(w, r, f.status(), "grants", page)
}

func (g *grantRow) kind() string {
	switch {
	case g.Machine:
		return "machine"
	case g.Access:
		return "access"
	}
	return "token"
}

// grants returns what is in force of an account, or with "" of all, as the
// visitor may see and end it.
func (c *Console) grants(r *http.Request, v *visit, account, back string) ([]grantRow, error) {
	machines, tokens, err := c.Auth.EveryCredential(r.Context())
	if err != nil {
		return nil, authError(err, "listing tokens")
	}
	d := v.Snapshot.Directory()
	var rows []grantRow
	put := func(row grantRow, owner string) {
		if account != "" && owner != account {
			return
		}
		row.Owner, row.Back, row.Revoke = ui.Link{Label: ui.Verbatim(owner)}, back, ""
		if a := find(d.Accounts, accountWithID(owner)); a != nil {
			row.Owner = ui.Link{Label: ui.Verbatim(cmp.Or(a.Email, owner)), URL: personURL(a.ID)}
		}
		if v.mayChange() {
			row.Revoke = "/console/tokens/revoke"
		}
		rows = append(rows, row)
	}
	for i := range machines {
		put(machineRow(&machines[i]), machines[i].Account)
	}
	for i := range tokens {
		put(grantRowOf(v.Snapshot, &tokens[i]), tokens[i].Account)
	}
	return rows, nil
}

// revokeAny ends a machine or a token of anybody.
func (c *Console) revokeAny(w http.ResponseWriter, r *http.Request, v *visit) error {
	id, back := r.PostForm.Get("id"), r.PostForm.Get("back")
	// Only pages that show the list are gone back to, whatever was sent.
	if u, err := url.Parse(back); err != nil || u.Host != "" || u.Scheme != "" || u.Path != "/console/tokens" && !strings.HasPrefix(u.Path, "/console/people/") || !localURI(back) {
		back = "/console/tokens"
	}
	var err error
	if strings.HasPrefix(id, "mac_") {
		err = c.Auth.EndMachine(r.Context(), v.AuthActor(), id)
	} else {
		err = c.Auth.RevokeToken(r.Context(), v.AuthActor(), id)
	}
	said := ui.Text("Revoked. Nothing can use it any more.")
	if errors.Is(err, auth.ErrNotFound) {
		err, said = nil, "It had already ended."
	}
	if err != nil {
		return authError(err, "revoking a token")
	}
	return c.seeOther(w, r, v, back, said)
}
