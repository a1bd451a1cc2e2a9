package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/policy"
)

func TestAccept(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, kim)
	text, _, err := db.AgreementText(t.Context(), "nda", 2)
	if err != nil {
		t.Fatal(err)
	}
	a := directory.Evidence{UserAgent: "Firefox\xff", Session: "ses_1", Factor: policy.FactorTOTP, CodeAt: day.Add(-time.Minute),
		Acceptance: directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: " kim  SØRENSEN ", Hash: directory.TextHash(text)}}
	version := state(t, db)
	for range 2 { // the second changes nothing
		if err := db.Accept(t.Context(), actor, a); err != nil {
			t.Fatal(err)
		}
	}
	want := a.Acceptance
	want.At, want.IP, want.TypedName = day, "10.1.1.1", "kim  SØRENSEN"
	other := open(t, Config{Path: path(t, db), Now: at(day)})
	for _, x := range []*DB{db, other} {
		_, got, err := x.Directory(t.Context())
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if state(t, db) != version+1 {
		t.Errorf("version %d after %d", state(t, db), version)
	}
	kept, err := db.Acceptances(t.Context(), "nda", actor.Account)
	evidence := directory.Evidence{Acceptance: want, Email: kim, Name: "Kim Sørensen", Vendor: "northwind", UserAgent: "Firefox\uFFFD", Session: "ses_1", Factor: "totp", CodeAt: a.CodeAt}
	if err != nil || len(kept) != 1 || kept[0] != evidence {
		t.Errorf("kept %+v, %v", kept, err)
	}
	r := drained(t, db)
	if len(r) != 1 || r[0].Action != "agreement.accept" || r[0].Account != actor.Account || r[0].Email != kim || r[0].Vendor != "northwind" ||
		r[0].Object != "agreement:nda" || r[0].Detail["version"] != "2" || r[0].Detail["hash"] != a.Hash || r[0].SourceIP != "10.1.1.1" ||
		r[0].Session != "ses_1" || r[0].UserAgent != "Firefox\uFFFD" || r[0].Detail["factor"] != "totp" || r[0].CodeAge == nil || *r[0].CodeAge != 60 {
		t.Errorf("got %+v", r)
	}
}

func TestAccept_Refused(t *testing.T) {
	db := filled(t)
	actor, other := actorOf(t, db, kim), actorOf(t, db, ines)
	disabled := actorOf(t, db, "jonas@tallgrass.example")
	good := directory.Evidence{Acceptance: directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: "Kim Sørensen"}}
	for name, c := range map[string]struct {
		actor directory.Actor
		edit  func(*directory.Evidence)
		want  error
	}{
		"for another":     {other, func(*directory.Evidence) {}, directory.ErrNotAllowed},
		"by the operator": {operator, func(*directory.Evidence) {}, directory.ErrNotAllowed},
		"by nobody":       {directory.Actor{}, func(a *directory.Evidence) { a.Account = "" }, directory.ErrNotAllowed},
		"disabled":        {disabled, func(a *directory.Evidence) { a.Account = disabled.Account }, directory.ErrNotAllowed},
		"old version":     {actor, func(a *directory.Evidence) { a.Version = 1 }, directory.ErrNotInForce},
		"future version":  {actor, func(a *directory.Evidence) { a.Version = 3 }, directory.ErrNotInForce},
		"other text":      {actor, func(a *directory.Evidence) { a.Hash = directory.TextHash("x") }, directory.ErrNotInForce},
		"unknown":         {actor, func(a *directory.Evidence) { a.Agreement = "x" }, directory.ErrNotInForce},
		"no name":         {actor, func(a *directory.Evidence) { a.TypedName = " \t" }, directory.ErrTypedName},
		"control in name": {actor, func(a *directory.Evidence) { a.TypedName = "a\x1b[2Jb" }, directory.ErrTypedName},
		"another name":    {actor, func(a *directory.Evidence) { a.TypedName = "Kim Larsen" }, directory.ErrTypedName},
		"long name":       {actor, func(a *directory.Evidence) { a.TypedName = strings.Repeat("a", 201) }, directory.ErrTypedName},
	} {
		a := good
		c.edit(&a)
		if err := db.Accept(t.Context(), c.actor, a); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n, _ := db.Pending(t.Context()); n != 0 {
		t.Errorf("%d records", n)
	}
}

// An acceptance is evidence: it outlives the account and cannot be altered.
func TestAccept_IsKept(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, kim)
	if err := db.Accept(t.Context(), actor, directory.Evidence{Acceptance: directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: "Kim Sørensen"}}); err != nil {
		t.Fatal(err)
	}
	apply(t, db, &directory.Directory{}, true)
	_, got, err := open(t, Config{Path: path(t, db)}).Directory(t.Context())
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, statement := range []string{
		`UPDATE acceptance SET version = 9`, `DELETE FROM acceptance`, `UPDATE agreement_version SET text = ''`, `DELETE FROM agreement_version`,
	} {
		if _, err := db.writer.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}
