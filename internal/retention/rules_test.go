package retention

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
)

func rule(kind, subject string, days int) directory.RetentionRule {
	return directory.RetentionRule{Kind: kind, Subject: subject, Days: days, State: directory.RetainStanding}
}

// TestRules_NeedsSecond: what lets any entry go sooner does, and what the file
// keeps for longer is refused.
func TestRules_NeedsSecond(t *testing.T) {
	const cluster, class, rest = directory.RetainCluster, directory.RetainClassification, directory.RetainRest
	file := Rules{Days: 396, Clusters: map[string]int{"claims": 90, "ever": 0}, Classifications: map[string]int{"restricted": 800}}
	set := []directory.RetentionRule{rule(rest, "", 500), rule(class, "internal", 600), rule(cluster, "maps", 1000), {Kind: cluster, Subject: "claims", Days: 7000, State: directory.RetainWaiting}}
	for _, c := range []struct {
		what   string
		next   directory.RetentionRule
		second bool
		below  bool
	}{
		{"all others for longer", rule(rest, "", 501), false, false},
		{"all others for ever", rule(rest, "", 0), false, false},
		{"all others for less", rule(rest, "", 499), true, false},
		{"all others for less than the file", rule(rest, "", 395), false, true},
		{"all others as the file", rule(rest, "", directory.RetainAsFile), true, false},
		{"the same once more", rule(class, "internal", 600), false, false},
		{"a class for less", rule(class, "internal", 599), true, false},
		{"a class that had the default, for longer", rule(class, "public", 501), false, false},
		{"a class that had the default, for less", rule(class, "public", 499), true, false},
		{"a class for less than the file", rule(class, "restricted", 799), false, true},
		{"a cluster for more than the file", rule(cluster, "claims", 91), false, false},
		{"a cluster for less than the file", rule(cluster, "claims", 30), false, true},
		{"what is for ever", rule(cluster, "ever", 36500), false, true},
		{"a new cluster's rule below a class that it may have", rule(cluster, "new", 599), true, false},
		{"a new cluster's rule above every class but the file's, which stands", rule(cluster, "new", 600), false, false},
		{"a cluster back to its class", rule(cluster, "maps", directory.RetainAsFile), true, false},
		{"one that was never set", rule(cluster, "new", directory.RetainAsFile), false, false},
	} {
		second, err := file.NeedsSecond(set, c.next)
		if second != c.second || errors.Is(err, ErrBelowFile) != c.below {
			t.Errorf("%s: %v, %v", c.what, second, err)
		}
	}
	now := file.With(set)
	if now.Days != 500 || now.Clusters["claims"] != 90 || now.Clusters["maps"] != 1000 || now.Classifications["internal"] != 600 || len(file.Clusters) != 2 {
		t.Errorf("%+v of %+v", now, file)
	}
	// A cluster's rule does not go below what the file says of its class.
	now = file.With([]directory.RetentionRule{rule(cluster, "new", 90)})
	for class, want := range map[string]int{"restricted": 800, "internal": 90, "": 90} {
		if days, by := now.of(kind{"new", class}); days != want {
			t.Errorf("class %q in a cluster of 90 days: %d by %s", class, days, by)
		}
	}
	// The file came to say longer since.
	file.Days = 700
	if now := file.With(set); now.Days != 700 {
		t.Errorf("%+v", now)
	}
}

// TestPlan_Set: what administrators set counts at the next look, and nothing
// goes while it cannot be read.
func TestPlan_Set(t *testing.T) {
	b := newBench(t)
	b.now = b.now.Add(30 * day)
	var set []directory.RetentionRule
	var fault error
	s, err := New(Config{Log: b.log, LogDir: b.dir, Rules: Rules{Days: 35}, Now: func() time.Time { return b.now },
		Held: func(context.Context) (Held, error) { return b.held, nil },
		Set:  func(context.Context) ([]directory.RetentionRule, error) { return set, fault }})
	if err != nil {
		t.Fatal(err)
	}
	plan := func() Plan {
		t.Helper()
		p, err := s.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	free := plan().Before
	if free <= b.mixed {
		t.Fatalf("up to %d is over", free)
	}
	set = []directory.RetentionRule{rule(directory.RetainClassification, "restricted", 0)}
	if p := plan(); p.Before != b.mixed || p.Longest != "classification restricted for ever" {
		t.Errorf("with a longer rule: up to %d, %q", p.Before, p.Longest)
	}
	set[0].State = directory.RetainReplaced
	if p := plan(); p.Before != free {
		t.Errorf("with one that was replaced: up to %d", p.Before)
	}
	fault = errors.New("changes wait to be recorded")
	if _, err := s.Apply(t.Context(), "ada"); !errors.Is(err, fault) || b.sealed()[0].First != 0 {
		t.Errorf("while rules cannot be read: %v", err)
	}
}

// TestDecides: a change of the file is waited out also where a rule that was set
// hides it: it is the least for clusters that have a rule of their own.
func TestDecides(t *testing.T) {
	set := []directory.RetentionRule{rule(directory.RetainClassification, "restricted", 1000), rule(directory.RetainCluster, "new", 90)}
	decides := func(days int) string {
		t.Helper()
		s := &Service{cfg: Config{Rules: Rules{Days: 396, Classifications: map[string]int{"restricted": days}},
			Set: func(context.Context) ([]directory.RetentionRule, error) { return set, nil }}}
		text, err := s.decides(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if long, short := decides(800), decides(30); long == short {
		t.Errorf("entries of the cluster new that go after 90 days instead of 800 are not noticed: %s", long)
	}
}
