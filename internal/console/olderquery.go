package console

import (
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// olderFields are the fields of a search as entries name them that were
// recorded before searches were queries.
var olderFields = map[string]string{
	searchType: "type", searchAccount: "account", searchVendor: "vendor", searchCluster: "cluster", searchEffect: "effect",
	searchRequestID: "request_id", searchSession: "session", searchAction: "action",
}

// olderQuery returns the query that a search by fields stood for; false where
// one of the fields is not known. Fields that only page through a result are
// passed over.
func olderQuery(fields map[string]string) (query.Node, bool) {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	var terms []string
	for name, value := range fields {
		if field, ok := olderFields[name]; ok {
			terms = append(terms, field+":"+quote(value))
			continue
		}
		switch name {
		case searchText:
			terms = append(terms, quote(value))
		case searchStatus:
			terms = append(terms, "status:"+strings.ToLower(value))
		case searchPath:
			parts := strings.Split(value, "*")
			if len(parts) == 1 { // a path alone was the beginning of one
				parts = append(parts, "")
			}
			for i, p := range parts {
				if p != "" {
					parts[i] = quote(p)
				}
			}
			terms = append(terms, "path:"+strings.Join(parts, "*"))
		case searchSince, searchUntil:
			if t, err := parseMoment(value, time.Time{}.AddDate(2025, 0, 0), false); err == nil && !isSpan(value) && len(value) != len(time.DateOnly) {
				value = t.UTC().Format(time.RFC3339Nano)
			}
			terms = append(terms, name+":"+value)
		case searchBefore, searchAfter, searchLimit, "via", scopeKey:
		default:
			return nil, false
		}
	}
	n, err := query.Parse(strings.Join(terms, " "))
	return n, err == nil
}

func isSpan(s string) bool {
	_, err := parseAgo(s)
	return err == nil
}
