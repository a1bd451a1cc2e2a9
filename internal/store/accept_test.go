package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
)

func TestAccept(t *testing.T) {
	db := filled(t)
	actor := actorOf(t, db, kim)
	text, _, err := db.AgreementText(t.Context(), "nda", 2)
	if err != nil {
		t.Fatal(err)
	}
	a := directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: " Kim Sørensen ", Hash: directory.TextHash(text)}
	version := state(t, db)
	for range 2 { // the second changes nothing
		if err := db.Accept(t.Context(), actor, a); err != nil {
			t.Fatal(err)
		}
	}
	want := a
	want.At, want.IP, want.TypedName = day, "10.1.1.1", "Kim Sørensen"
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
	r := drained(t, db)
	if len(r) != 1 || r[0].Action != "agreement.accept" || r[0].Account != actor.Account || r[0].Email != kim || r[0].Vendor != "northwind" ||
		r[0].Object != "agreement:nda" || r[0].Detail["version"] != "2" || r[0].Detail["hash"] != a.Hash || r[0].SourceIP != "10.1.1.1" {
		t.Errorf("got %+v", r)
	}
}

func TestAccept_Refused(t *testing.T) {
	db := filled(t)
	actor, other := actorOf(t, db, kim), actorOf(t, db, ines)
	disabled := actorOf(t, db, "jonas@tallgrass.example")
	good := directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: "Kim"}
	for name, c := range map[string]struct {
		actor directory.Actor
		edit  func(*directory.Acceptance)
		want  error
	}{
		"for another":     {other, func(*directory.Acceptance) {}, directory.ErrNotAllowed},
		"by the operator": {operator, func(*directory.Acceptance) {}, directory.ErrNotAllowed},
		"by nobody":       {directory.Actor{}, func(a *directory.Acceptance) { a.Account = "" }, directory.ErrNotAllowed},
		"disabled":        {disabled, func(a *directory.Acceptance) { a.Account = disabled.Account }, directory.ErrNotAllowed},
		"old version":     {actor, func(a *directory.Acceptance) { a.Version = 1 }, ErrNotInForce},
		"future version":  {actor, func(a *directory.Acceptance) { a.Version = 3 }, ErrNotInForce},
		"other text":      {actor, func(a *directory.Acceptance) { a.Hash = directory.TextHash("x") }, ErrNotInForce},
		"unknown":         {actor, func(a *directory.Acceptance) { a.Agreement = "x" }, ErrNotInForce},
		"no name":         {actor, func(a *directory.Acceptance) { a.TypedName = " \t" }, ErrTypedName},
		"control in name": {actor, func(a *directory.Acceptance) { a.TypedName = "a\x1b[2Jb" }, ErrTypedName},
		"long name":       {actor, func(a *directory.Acceptance) { a.TypedName = strings.Repeat("a", 201) }, ErrTypedName},
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
	if err := db.Accept(t.Context(), actor, directory.Acceptance{Account: actor.Account, Agreement: "nda", Version: 2, TypedName: "Kim"}); err != nil {
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
