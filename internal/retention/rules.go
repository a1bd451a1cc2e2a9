package retention

import (
	"errors"
	"maps"

	"github.com/ringfence/ringfence/internal/directory"
)

// ErrBelowFile: the configuration file says that the entries are kept for longer.
var ErrBelowFile = errors.New("the configuration file keeps these entries for longer")

// shorter reports whether so many days are fewer; 0 is for ever.
func shorter(a, b int) bool { return a != 0 && (b == 0 || a < b) }

// said returns what the rules say of a thing itself.
func (r *Rules) said(kind, subject string) (days int, ok bool) {
	switch kind {
	case directory.RetainCluster:
		days, ok = r.Clusters[subject]
	case directory.RetainClassification:
		days, ok = r.Classifications[subject]
	case directory.RetainRest:
		return r.Days, true
	}
	return days, ok
}

// Allows returns [ErrBelowFile] for a rule that is shorter than what the
// configuration file, whose rules r are, says of the same thing.
func (r *Rules) Allows(set directory.RetentionRule) error {
	if least, ok := r.said(set.Kind, set.Subject); ok && set.Days != directory.RetainAsFile && shorter(set.Days, least) {
		return ErrBelowFile
	}
	return nil
}

// With returns the rules of the configuration file with those over them that
// administrators set and that stand. An entry whose cluster or classification the
// file has a rule for never goes sooner than that says.
func (r *Rules) With(set []directory.RetentionRule) Rules {
	out := Rules{least: r, Days: r.Days, Classifications: maps.Clone(r.Classifications), Clusters: maps.Clone(r.Clusters)}
	if out.Classifications == nil {
		out.Classifications = map[string]int{}
	}
	if out.Clusters == nil {
		out.Clusters = map[string]int{}
	}
	for _, s := range set {
		if s.State != directory.RetainStanding || s.Days == directory.RetainAsFile || r.Allows(s) != nil {
			continue
		}
		switch s.Kind {
		case directory.RetainCluster:
			out.Clusters[s.Subject] = s.Days
		case directory.RetainClassification:
			out.Classifications[s.Subject] = s.Days
		case directory.RetainRest:
			out.Days = s.Days
		}
	}
	return out
}

// Shortens reports whether any entry there can be is kept for less time by next.
func (r *Rules) Shortens(next *Rules) bool {
	clusters, classes := map[string]bool{"": true}, map[string]bool{"": true}
	for _, x := range []*Rules{r, next, r.least, next.least} {
		if x == nil {
			continue
		}
		for name := range x.Clusters {
			clusters[name] = true
		}
		for name := range x.Classifications {
			classes[name] = true
		}
	}
	for cluster := range clusters {
		for class := range classes {
			was, _ := r.of(kind{cluster, class})
			will, _ := next.of(kind{cluster, class})
			if shorter(will, was) {
				return true
			}
		}
	}
	return false
}

// set returns the rules once one more stands.
func (r *Rules) set(all []directory.RetentionRule, next directory.RetentionRule) Rules {
	next.State = directory.RetainStanding
	out := []directory.RetentionRule{next}
	for _, s := range all {
		if s.Kind != next.Kind || s.Subject != next.Subject {
			out = append(out, s)
		}
	}
	return r.With(out)
}

// NeedsSecond reports whether a rule, beside all that were set, lets any entry
// go sooner than now, so that a second administrator must approve it. r are the
// rules of the configuration file; what they do not allow is [ErrBelowFile].
func (r *Rules) NeedsSecond(all []directory.RetentionRule, next directory.RetentionRule) (bool, error) {
	if err := r.Allows(next); err != nil {
		return false, err
	}
	now, will := r.With(all), r.set(all, next)
	return now.Shortens(&will), nil
}
