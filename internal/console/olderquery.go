package console

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog/query"
)

// olderQuery returns the query that a search by fields stood for, as entries
// name it that were recorded before searches were queries; false where one of
// the fields is not known. Fields that only page through a result are passed over.
func olderQuery(fields map[string]string) (query.Node, bool) {
	values := url.Values{}
	for name, value := range fields {
		switch {
		case name == "via" || name == scopeKey:
		case slices.Contains(searchFields, name):
			values.Set(name, value)
		default:
			return nil, false
		}
	}
	n, err := query.Parse(strings.Join(olderTerms(values, time.Time{}), " "))
	return n, err == nil
}
