package query

import "strings"

// Rename returns n with accounts named by their ids: find returns the id of the
// account that a whole text names, by address or by what stands before the @
// of one, and false where there is none. What n selects stays the same, or
// grows by what else is about the account: entries that its id alone names are
// selected as well.
func Rename(n Node, find func(name string) (id string, ok bool)) Node {
	switch n := n.(type) {
	case And:
		return All(renameEach(n, find)...)
	case Or:
		return Any(renameEach(n, find)...)
	case Not:
		return Negate(Rename(n.Of, find))
	case Anywhere:
		if strings.Contains(n.Text, "@") {
			if id, ok := find(n.Text); ok {
				return Match{Account, Exact(id)}
			}
		}
	case Match:
		return n.rename(find)
	}
	return n
}

func renameEach(nodes []Node, find func(string) (string, bool)) []Node {
	out := make([]Node, len(nodes))
	for i := range nodes {
		out[i] = Rename(nodes[i], find)
	}
	return out
}

func (m Match) rename(find func(string) (string, bool)) Node {
	switch m.Field {
	case Account, Email:
		for _, part := range m.Pattern.Parts { // an address with free places around it is one as well
			if whole, ok := m.Pattern.Whole(); part == "" || !ok && !strings.Contains(part, "@") || ok && m.Field == Email && !strings.Contains(whole, "@") {
				continue
			}
			if id, ok := find(part); ok {
				return Match{Account, Exact(id)}
			}
		}
	case Object:
		whole, ok := m.Pattern.Whole()
		if !ok {
			return m
		}
		kind, name, _ := strings.Cut(whole, ":")
		name, cluster, of := strings.Cut(name, "/")
		id, ok := find(name)
		if kind != "account" && kind != "assignment" || !ok || !strings.Contains(name, "@") {
			return m
		}
		about := Node(Match{Account, Exact(id)})
		if of {
			about = All(about, Match{Cluster, Exact(cluster)})
		}
		return about
	}
	return m
}
