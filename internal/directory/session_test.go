package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSessionLimits_Narrowest(t *testing.T) {
	d := withIDs(example(t))
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	snapshot := func() *Snapshot {
		t.Helper()
		s, err := NewSnapshot(d.Clone(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	// An account with two engagements in force.
	a := &d.Assignments[0]
	account, _ := snapshot().AccountByEmail(a.Account)
	first := engagementOf(d, a.Engagement)
	other := Engagement{Name: "other", Vendor: first.Vendor, Title: "Other", Starts: first.Starts, Ends: first.Ends, Clusters: first.Clusters}
	second := *a
	second.Cluster, second.Engagement = "elsewhere", other.Name
	d.Engagements = append(d.Engagements, other)
	d.Assignments = append(d.Assignments, second)
	first, last := engagementOf(d, a.Engagement), &d.Engagements[len(d.Engagements)-1]
	a = &d.Assignments[0]
	if now.Before(a.Starts) || !now.Before(a.Ends) || !first.InForce(now) {
		t.Fatal("the example's first assignment is not in force")
	}

	want := func(what string, at time.Time, l SessionLimits) {
		t.Helper()
		if got := snapshot().SessionLimits(account.ID, at); got != l {
			t.Errorf("%s: %v, want %v", what, got, l)
		}
	}
	want("none", now, SessionLimits{})
	first.Session = SessionLimits{Idle: 20 * time.Minute, Absolute: 4 * time.Hour}
	want("one", now, first.Session)
	last.Session = SessionLimits{Idle: 10 * time.Minute}
	want("each for itself", now, SessionLimits{10 * time.Minute, 4 * time.Hour})
	last.Session.Absolute = 8 * time.Hour
	want("the wider absolute end", now, SessionLimits{10 * time.Minute, 4 * time.Hour})
	last.Closed = true
	want("closed", now, first.Session)
	last.Closed = false
	d.Assignments[len(d.Assignments)-1].Ends = now
	want("an assignment that is over", now, first.Session)
	want("all over", first.Ends, SessionLimits{})
	if got := snapshot().SessionLimits("nobody", now); !got.IsZero() {
		t.Errorf("nobody has %v", got)
	}
	s := snapshot()
	if n := testing.AllocsPerRun(100, func() { s.SessionLimits(account.ID, now) }); n > 0 {
		t.Errorf("%v allocations at each request", n)
	}
}

func engagementOf(d *Directory, name string) *Engagement {
	for i := range d.Engagements {
		if d.Engagements[i].Name == name {
			return &d.Engagements[i]
		}
	}
	return nil
}

func TestSessionLimits_YAML(t *testing.T) {
	d := example(t)
	for i := range d.Engagements {
		d.Engagements[i].Session = SessionLimits{}
	}
	e := &d.Engagements[0]
	for text, l := range map[string]SessionLimits{
		"session: {idle: 15m, absolute: 8h}": {15 * time.Minute, 8 * time.Hour},
		"session: {idle: 1m30s}":             {Idle: 90 * time.Second},
		"session: {absolute: 168h}":          {Absolute: 168 * time.Hour},
		"":                                   {},
	} {
		e.Session = l
		b, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "session:") != (text != "") || !strings.Contains(string(b), text) {
			t.Errorf("%v is written as\n%s", l, b)
		}
		back, err := ParseYAML("f.yaml", b)
		if err != nil {
			t.Fatal(err)
		}
		name := e.Name
		if got := engagementOf(back, name).Session; got != l {
			t.Errorf("%v is read back as %v", l, got)
		}
	}
}

func TestSessionLimits_Faults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{idle: 59s}", "session.idle: must be between 1m and 24h"},
		{"{idle: 25h}", "session.idle: must be between 1m and 24h"},
		{"{idle: -5m}", "session.idle: must be between 1m and 24h"},
		{"{absolute: 30s}", "session.absolute: must be between 1m and 168h"},
		{"{absolute: 169h}", "session.absolute: must be between 1m and 168h"},
		{"{idle: 2h, absolute: 1h}", "session.idle: is longer than session.absolute"},
		{"{idle: soon}", "is no duration"},
		{"{pause: 5m}", `unknown field "pause"`},
		{"15m", "must be a mapping"},
	} {
		d := example(t)
		b, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		name := "- name: " + d.Engagements[0].Name + "\n"
		text := strings.Replace(string(b), name, name+"    session: "+c.text+"\n", 1)
		line := fmt.Sprintf("f.yaml:%d: ", strings.Count(text[:strings.Index(text, "    session: ")], "\n")+1)
		got, err := ParseYAML("f.yaml", []byte(text))
		if err == nil {
			err = got.Check(Rules{Now: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v, want %s%s", c.text, err, line, c.want)
		}
	}
}
