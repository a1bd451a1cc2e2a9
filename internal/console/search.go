package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/policy"
)

// The fields of a search of the access log, as the page's form and the API
// name them.
const (
	searchType      = "type"
	searchAccount   = "account"
	searchVendor    = "vendor"
	searchCluster   = "cluster"
	searchEffect    = "effect"
	searchStatus    = "status"
	searchPath      = "path"
	searchRequestID = "request_id"
	searchSession   = "session"
	searchAction    = "action"
	searchText      = "text"
	searchSince     = "since"
	searchUntil     = "until"
	searchBefore    = "before"
	searchAfter     = "after"
	searchLimit     = "limit"
)

// searchFields lists every field that a search may have.
var searchFields = []string{
	searchType, searchAccount, searchVendor, searchCluster, searchEffect, searchStatus, searchPath, searchRequestID,
	searchSession, searchAction, searchText, searchSince, searchUntil, searchBefore, searchAfter, searchLimit,
}

// recordTypes lists the types of entries with the words for them.
var recordTypes = []policy.RecordType{
	policy.RecordRequest, policy.RecordOutcome, policy.RecordLogin, policy.RecordAdmin, policy.RecordPolicy, policy.RecordLog,
}

// effects lists the effects by name.
var effects = []string{policy.Allow.String(), policy.Challenge.String(), policy.Deny.String()}

// parseSearch reads a search strictly: an unknown field, one given twice, or a
// value that cannot be what its field means is a fault, never a default. The
// filter is of use only when the form is OK.
func parseSearch(values url.Values, now time.Time, maxLimit int) (accesslog.Filter, *form) {
	f := newForm(values)
	for name, v := range values {
		switch {
		case !slices.Contains(searchFields, name):
			f.note("There is no field “{1}” to search by.", clip(name, 40))
		case len(v) > 1:
			f.fault(name, "Give this once.")
		}
	}
	filter := accesslog.Filter{
		Account:   f.word(searchAccount, 254),
		Vendor:    f.word(searchVendor, 63),
		Cluster:   f.word(searchCluster, 63),
		RequestID: f.word(searchRequestID, 128),
		Session:   f.word(searchSession, 128),
		Action:    f.word(searchAction, 64),
		Text:      f.line(searchText, "a text", 200, false),
		Path:      f.path(searchPath),
		Status:    f.statusOrClass(searchStatus),
		Before:    f.index(searchBefore),
		After:     f.index(searchAfter),
		Limit:     f.limit(searchLimit, maxLimit),
		Since:     f.moment(searchSince, now, false),
		Until:     f.moment(searchUntil, now, true),
	}
	if t := f.Value(searchType); t != "" {
		if !slices.Contains(recordTypes, policy.RecordType(t)) {
			f.fault(searchType, "“{1}” is no type of entry.", clip(t, 40))
		}
		filter.Type = t
	}
	if e := f.Value(searchEffect); e != "" {
		if !slices.Contains(effects, e) {
			f.fault(searchEffect, "“{1}” is none of allow, challenge, deny.", clip(e, 40))
		}
		filter.Effect = e
	}
	if !filter.Since.IsZero() && !filter.Until.IsZero() && !filter.Since.Before(filter.Until) {
		f.fault(searchUntil, "This is not after the beginning, {1}.", clock(filter.Since))
	}
	return filter, f
}

// word returns a field of one word: no space inside, no control characters.
func (f *form) word(name string, limit int) string {
	s := f.line(name, "a word", limit, false)
	if strings.ContainsFunc(s, unicode.IsSpace) {
		f.fault(name, "This holds a space.")
	}
	return s
}

func (f *form) path(name string) string {
	s := f.line(name, "a path", mostTyped, false)
	if s != "" && !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "*") {
		f.fault(name, "A path begins with / (or with * for anything).")
	}
	return s
}

// statusOrClass reads a status or a class of statuses: 403, or 4xx.
func (f *form) statusOrClass(name string) int {
	s := strings.ToLower(strings.TrimSpace(f.Value(name)))
	if s == "" {
		return 0
	}
	if len(s) == 3 && s[1:] == "xx" && s[0] >= '1' && s[0] <= '5' {
		return int(s[0] - '0')
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 || len(s) != 3 {
		f.fault(name, "Give a status such as 403, or a class such as 4xx.")
		return 0
	}
	return n
}

func (f *form) index(name string) uint64 {
	s := strings.TrimSpace(f.Value(name))
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		f.fault(name, "Give the number of an entry.")
	}
	return n
}

func (f *form) limit(name string, most int) int {
	s := strings.TrimSpace(f.Value(name))
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		f.fault(name, "Give a number from 1 to {1}.", most)
		return 0
	}
	return n
}

// moment reads a point in time in one of the ways that people write one: a
// date, a date and time (UTC), RFC 3339, or how long ago. A date alone means
// its beginning, or its end when end is set.
func (f *form) moment(name string, now time.Time, end bool) time.Time {
	s := strings.TrimSpace(f.Value(name))
	if s == "" {
		return time.Time{}
	}
	t, err := parseMoment(s, now, end)
	if err != nil {
		f.fault(name, "Give a date (2026-01-31), a date and time in UTC (2026-01-31 14:30) or how long ago (90m, 24h, 7d).")
		return time.Time{}
	}
	return t
}

func parseMoment(s string, now time.Time, end bool) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Nanosecond) // bounds are included
		}
		return t, plausible(t)
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), plausible(t)
		}
	}
	d, err := parseAgo(s)
	if err != nil {
		return time.Time{}, err
	}
	return now.Add(-d).UTC(), nil
}

// parseAgo reads a whole number and one unit: m, h, d or w.
func parseAgo(s string) (time.Duration, error) {
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if len(s) < 2 || len(s) > 6 {
		return 0, fmt.Errorf("reading time: %q is no moment", clip(s, 40))
	}
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	unit, known := units[s[len(s)-1]]
	if err != nil || !known || n == 0 {
		return 0, fmt.Errorf("reading time: %q is no moment", clip(s, 40))
	}
	return time.Duration(n) * unit, nil
}

func plausible(t time.Time) error {
	if t.Year() < 2000 || t.Year() > 2199 {
		return fmt.Errorf("reading time: the year %d is out of range", t.Year())
	}
	return nil
}

// mostTyped is the longest that a field of a search can be: a path.
const mostTyped = 2048

// searchDetail is what an entry about a search says of it: the fields that
// were filled in, and nothing else.
func searchDetail(values url.Values) map[string]string {
	detail := make(map[string]string)
	for _, name := range searchFields {
		if v := strings.TrimSpace(values.Get(name)); v != "" {
			detail[name] = clip(v, mostTyped) // no field is longer, so that nothing is cut off
		}
	}
	return detail
}
