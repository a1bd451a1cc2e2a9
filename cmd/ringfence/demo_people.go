package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/sample"
	"github.com/ringfence/ringfence/policy"
)

var demoOwner = policy.Person{Name: "Ines Moreau", Email: "ines.moreau@harbour.example"}

const demoNDA = `## What you keep to yourself

You will see data that belongs to the customers of Harbour Mutual. You use it for the work
that you were asked to do and for nothing else, you do not copy it to machines that are not
yours or ours, and you tell us at once when something has gone wrong.

## What is recorded

Every request that you make is recorded before it is served: who you are, what you asked for,
when, from where, with which program, for which ticket or purpose if it names one, and what was
decided. The bodies of what you send and receive are not recorded.
`

// demoDirectory applies the demo's vendors, engagements, people, clusters and
// assignments. A kept demo only has its upstream addresses renewed.
func demoDirectory(ctx context.Context, dep *deployment, upstreams map[string]string, now time.Time, first bool) error {
	_, err := dep.db.Change(ctx, operator, func(have *directory.Directory) error {
		if first {
			*have = *directory.Merge(have, demoContents(upstreams, now), false)
			return nil
		}
		for i, c := range have.Clusters {
			if u, ok := upstreams[c.Name]; ok {
				for j := range c.Routes {
					have.Clusters[i].Routes[j].Upstreams = []string{u}
				}
			}
		}
		return nil
	})
	return err
}

func demoContents(upstreams map[string]string, now time.Time) *directory.Directory {
	day := now.Truncate(24 * time.Hour)
	in := func(days int) time.Time { return day.AddDate(0, 0, days) }
	person := func(email, name, vendor string, role policy.Role) directory.Account {
		a := directory.Account{Email: email, Name: name, Vendor: vendor, Roles: []policy.Role{role}}
		if role == policy.Contractor {
			a.Ends = in(120)
		}
		return a
	}
	assign := func(email, cluster, engagement, access, reason string, from, to int) directory.Assignment {
		return directory.Assignment{Account: email, Cluster: cluster, Engagement: engagement, Starts: in(from), Ends: in(to), Access: access, Reason: reason, GivenBy: demoOwner.Email}
	}
	d := &directory.Directory{
		Vendors: []directory.Vendor{
			{Name: "northwind", Title: "Northwind Software", Owner: demoOwner},
			{Name: "meridian", Title: "Meridian Data Works", Owner: policy.Person{Name: "Tomas Reyes", Email: "tomas.reyes@harbour.example"}},
		},
		Agreements: []directory.Agreement{{Name: "confidentiality", Title: "Confidentiality and data access", Version: 1, Text: demoNDA}},
		Engagements: []directory.Engagement{
			{Name: "northwind-2026", Vendor: "northwind", Title: "Claims platform upkeep", Starts: in(-60), Ends: in(120), Clusters: []string{"claims", "telemetry"}, Agreements: []string{"confidentiality"}},
			{Name: "meridian-billing", Vendor: "meridian", Title: "Billing migration", Starts: in(-90), Ends: in(90), Clusters: []string{"billing"}, Agreements: []string{"confidentiality"}},
			{Name: "meridian-sensors", Vendor: "meridian", Title: "Sensor clean-up, about to end", Starts: in(-30), Ends: in(4), Clusters: []string{"telemetry"}, Agreements: []string{"confidentiality"}},
			{Name: "meridian-audit", Vendor: "meridian", Title: "Year-end audit support, ended", Starts: in(-120), Ends: in(-10), Clusters: []string{"claims"}, Agreements: []string{"confidentiality"}},
		},
		Accounts: []directory.Account{
			person("kim@northwind.example", "Kim Larsen", "northwind", policy.Contractor),
			person("lee@northwind.example", "Lee Adeyemi", "northwind", policy.Contractor),
			person("noor@meridian.example", "Noor Haddad", "meridian", policy.Contractor),
			person("sam@meridian.example", "Sam Costa", "meridian", policy.Contractor),
			person("rio@meridian.example", "Rio Tanaka", "meridian", policy.Contractor),
			person("ada@harbour.example", "Ada Berg", "", policy.Administrator),
			person("ben@harbour.example", "Ben Okoye", "", policy.Approver),
			person("cleo@harbour.example", "Cleo Novak", "", policy.Reviewer),
		},
		Assignments: []directory.Assignment{
			assign("kim@northwind.example", "claims", "northwind-2026", policy.AccessWrite, "Keeps the claims desk running", -30, 90),
			assign("lee@northwind.example", "claims", "northwind-2026", policy.AccessWrite, "On call for the claims desk", -30, 60),
			assign("lee@northwind.example", "telemetry", "northwind-2026", policy.AccessRead, "Reads turbine data for the new report", -10, 30),
			assign("noor@meridian.example", "billing", "meridian-billing", policy.AccessWrite, "Moves the ledger to the new system", -60, 80),
			assign("sam@meridian.example", "telemetry", "meridian-sensors", policy.AccessWrite, "Removes stale sensors", -20, 4),
			assign("rio@meridian.example", "claims", "meridian-audit", policy.AccessRead, "Collected claims for the audit", -110, -10),
		},
	}
	class := map[string]string{"claims": "restricted", "billing": "confidential", "telemetry": "internal"}
	for _, s := range sample.Systems {
		d.Clusters = append(d.Clusters, directory.Cluster{
			Name: s.Name, Title: s.Title, Classification: class[s.Name], Owner: demoOwner, Hosts: []string{s.Name + ".localhost"},
			Routes: []directory.Route{{Name: "app", Path: "/", Upstreams: []string{upstreams[s.Name]}, HealthPath: "/healthz"}},
		})
	}
	return d
}

// provisionPeople enrols every account as a person would through an
// invitation, and accepts the agreements in their name.
func provisionPeople(ctx context.Context, dep *deployment, now time.Time) ([]demoAccount, error) {
	s, err := readSnapshot(ctx, dep.db, dep.cfg)
	if err != nil {
		return nil, err
	}
	var out []demoAccount
	for _, a := range s.Directory().Accounts {
		password := randomPassword()
		uri, _, err := dep.auth.Provision(ctx, authOperator, a.ID, password, now)
		if err != nil {
			return nil, fmt.Errorf("enrolling %s: %w", a.Email, err)
		}
		for _, g := range s.Demanded(a.ID) {
			actor := directory.Actor{Account: a.ID, Email: a.Email, IP: "127.0.0.1"}
			if err := dep.db.Accept(ctx, actor, directory.Evidence{Acceptance: directory.Acceptance{Account: a.ID, Agreement: g.Agreement.Name, Version: g.Agreement.Version, At: now, IP: "127.0.0.1", TypedName: a.Name}}); err != nil {
				return nil, fmt.Errorf("accepting %s for %s: %w", g.Agreement.Name, a.Email, err)
			}
		}
		d := demoAccount{Email: a.Email, Password: password, OTPAuth: uri, Vendor: a.Vendor}
		for _, r := range a.Roles {
			d.Roles = append(d.Roles, string(r))
		}
		out = append(out, d)
	}
	return out, nil
}

// consonants have no double among them that is easily misread.
const consonants = "bcdfghjkmnpqrtvz"

// randomPassword returns three made-up words, 72 bits: letters alone, so that
// no rule against a person's own words or against runs can mistake it.
func randomPassword() string {
	var b [18]byte
	rand.Read(b[:])
	for i, c := range b {
		b[i] = consonants[c%byte(len(consonants))]
	}
	return string(b[:6]) + "-" + string(b[6:12]) + "-" + string(b[12:])
}
