package console

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/auth"
	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/ui"
	"github.com/ringfence/ringfence/policy"
)

// tokenRoutes is the table of machines and personal access tokens: the owner's pages.
// Those for administrators are in consoleRoutes.
func (c *Console) tokenRoutes() []route {
	return []route{
		{pattern: "GET /tokens/access", need: signedIn, handle: c.newAccessForm, fresh: true},
		{pattern: "POST /tokens/access", need: signedIn, handle: c.newAccess, fresh: true, act: "Make the personal token"},
		{pattern: "POST /tokens/machines/end", need: signedIn, handle: c.endOwnMachine},
	}
}

// accessClusters returns the clusters for which the visitor may make personal
// access tokens.
func accessClusters(v *visit) []directory.Access {
	return slices.DeleteFunc(v.Snapshot.ClustersOf(v.Session.Account, v.Now), func(a directory.Access) bool { return !a.Engagement.AccessTokens })
}

func (c *Console) newAccessForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := newForm(url.Values{"access": {policy.AccessRead}, "networks": {v.Origin.IP.String()}, "ends": {v.Now.Add(30 * 24 * time.Hour).Format(time.DateOnly)}})
	return c.showNewAccess(w, r, v, f)
}

func (c *Console) showNewAccess(w http.ResponseWriter, r *http.Request, v *visit, f *form) error {
	var clusters []ui.Option
	for _, a := range accessClusters(v) {
		clusters = append(clusters, ui.Option{Value: a.Cluster.Name, Label: ui.Verbatim(orElse(a.Cluster.Title, a.Cluster.Name))})
	}
	if clusters == nil {
		return &ui.Error{Status: http.StatusConflict, Code: "not_admitted", Title: "Not admitted",
			Detail: "None of your engagements admits personal access tokens. The owner of your vendor can have them admitted."}
	}
	access := f.boxes("access", "What may it do?", []choice{
		{Value: policy.AccessRead, Label: "Read", Hint: "GET, HEAD and OPTIONS"}, {Value: policy.AccessWrite, Label: "Read and change", Hint: "as far as you may"}})
	access.One = true
	methods := f.boxes("methods", "Only these methods", choicesOf(methodChoices))
	methods.Short, methods.Hint = true, "None ticked: every method that the choice above allows."
	days := int(c.Auth.AccessTokenLife().Hours() / 24)
	return c.showEdit(w, r, f, editPage{Base: v.Titled("Make a personal access token"), About: ui.Link{Label: "My tokens", URL: "/tokens"},
		Lede: "For a machine on which nobody can sign in, such as a build server. Whoever has it, on its networks, acts in your name: prefer 'ringfence login' wherever a person sits.",
		Groups: []group{
			{Title: "What for", Controls: controls(
				with(f.text("name", "What is it for?"), func(u *ui.Field) { u.Required, u.MaxLength, u.Placeholder = true, tokenNameLimit, "Nightly export" }),
				with(f.choice("cluster", "Cluster", "Choose a cluster", clusters), func(u *ui.Field) { u.Required = true }))},
			{Title: "Scope", Hint: "Within what your assignment allows, never beyond it.", Controls: controls(access, methods,
				with(f.area("paths", "Only these paths", 3), func(u *ui.Field) { u.Hint, u.Mono = "One a line, such as /reports. Empty: every path.", true }))},
			{Title: "Bounds", Controls: controls(
				with(f.area("networks", "Networks that it may be used from", 3), func(u *ui.Field) {
					u.Required, u.Hint, u.Mono = true, "One a line: an address, or a network such as 192.0.2.0/24. Where you are now is filled in.", true
				}),
				with(f.day("ends", "Last day"), func(u *ui.Field) { u.Required, u.Hint = true, ui.Say("At most {1} days from now.", days) }))},
		},
		Submit: "Make token", URL: "/tokens/access", Back: "/tokens"})
}

func (c *Console) newAccess(w http.ResponseWriter, r *http.Request, v *visit) error {
	f := posted(r)
	q := auth.AccessRequest{Name: f.line("name", "a name", tokenNameLimit, true), Scope: policy.TokenScope{Access: f.oneOf("access", "what access", []string{policy.AccessRead, policy.AccessWrite})}}
	open := accessClusters(v)
	q.Cluster = f.oneOf("cluster", "a cluster", clusterNames(open))
	q.Scope.Methods = f.someOf("methods", methodChoices)
	q.Scope.Paths = f.scopePaths("paths")
	q.Networks = f.networks("networks")
	if q.Ends = f.ends("ends", true); !q.Ends.IsZero() {
		latest := v.Now.Add(c.Auth.AccessTokenLife())
		if e := v.Session; !e.AbsoluteEnds.IsZero() && !q.Ends.After(v.Now) {
			f.fault("ends", "This day is over.")
		}
		if q.Ends.After(latest) && dateValue(q.Ends) == dateValue(latest) {
			q.Ends = latest // the last day that can be named ends with the longest life
		}
		if q.Ends.After(latest) {
			f.fault("ends", "At most {1} days from now.", int(c.Auth.AccessTokenLife().Hours()/24))
		}
	}
	if !f.OK() {
		return c.showNewAccess(w, r, v, f)
	}
	secret, t, err := c.Auth.CreateAccessToken(r.Context(), v.Origin, v.Session, q)
	if errors.Is(err, auth.ErrInvalid) {
		f.note("This token cannot be made: it would outlive your account, or you have too many.")
		return c.showNewAccess(w, r, v, f)
	}
	if err != nil {
		return authError(err, "creating a personal access token")
	}
	page, err := c.tokensForm(r, v, "", "", "")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(open, func(a directory.Access) bool { return a.Cluster.Name == q.Cluster })
	page.Made = c.made(&open[i], secret, t)
	return c.show(w, r, http.StatusOK, "tokens", page)
}

func clusterNames(open []directory.Access) (out []string) {
	for _, a := range open {
		out = append(out, a.Cluster.Name)
	}
	return out
}

// scopePaths reads path prefixes as policies have them; none is everything.
func (f *form) scopePaths(name string) [][]string {
	out := [][]string{}
	for _, p := range f.lines(name) {
		if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "%?#\\;") || strings.Contains(p, "//") || len(p) > 500 {
			f.fault(name, "“{1}” is no path such as /reports.", clip(p, 80))
			continue
		}
		segments := []string{}
		if p = strings.Trim(p, "/"); p != "" {
			segments = strings.Split(p, "/")
		}
		if slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			f.fault(name, "A path here has no dots as segments.")
		}
		out = append(out, segments)
	}
	if len(out) == 0 {
		out = append(out, []string{})
	}
	if len(out) > 20 {
		f.fault(name, "At most 20 paths.")
	}
	return out
}

// networks reads networks and single addresses that a token may be bound to.
func (f *form) networks(name string) (out []netip.Prefix) {
	for _, line := range f.lines(name) {
		p, err := netip.ParsePrefix(line)
		if a, aerr := netip.ParseAddr(line); aerr == nil && a.Zone() == "" {
			a = a.Unmap()
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			f.fault(name, "“{1}” is no network: write 192.0.2.0/24, 2001:db8::/48 or one address.", clip(line, 80))
			continue
		}
		if p = p.Masked(); !auth.ValidNetwork(p) {
			f.fault(name, "{1} is too wide: at most a /16, or a /32 of IPv6.", p)
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		f.fault(name, "Name at least one network.")
	}
	if len(out) > 20 {
		f.fault(name, "At most 20 networks.")
	}
	return out
}

func (c *Console) endOwnMachine(w http.ResponseWriter, r *http.Request, v *visit) error {
	list, err := c.Auth.MachinesOf(r.Context(), v.Session.Account)
	if err != nil {
		return authError(err, "listing machines")
	}
	id := r.PostForm.Get("id")
	// Only what is in one's own list can be ended, whatever id is sent.
	if !slices.ContainsFunc(list, func(m auth.Machine) bool { return m.ID == id }) {
		return &ui.Error{Status: http.StatusNotFound, Title: "That machine is gone", Detail: "It was signed out already, or it is not yours."}
	}
	if err := c.Auth.EndMachine(r.Context(), v.AuthActor(), id); err != nil {
		return authError(err, "ending a machine")
	}
	http.Redirect(w, r, "/tokens?note=machine", http.StatusSeeOther)
	return nil
}
