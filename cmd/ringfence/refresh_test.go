package main

import (
	"context"
	"errors"
	"testing"

	"github.com/ringfence/ringfence/internal/directory"
	"github.com/ringfence/ringfence/internal/store"
)

// TestRefresh_WhatFailsStaysDue: a change that cannot be recorded is not in
// force, and is not forgotten either.
func TestRefresh_WhatFailsStaysDue(t *testing.T) {
	p := newWarmPath(t)
	g := p.gateway
	suspend := func(d *directory.Directory) error {
		d.Vendors[0].Suspended = true
		return nil
	}
	if _, err := g.db.Change(t.Context(), operator, suspend); err != nil {
		t.Fatal(err)
	}
	name := g.snapshot.Load().Directory().Vendors[0].Name
	suspended := func() bool {
		v, ok := g.snapshot.Load().Vendor(name)
		return ok && v.Suspended
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel() // recording fails
	if err := g.refresh(gone, map[string]bool{store.KindDirectory: true}); !errors.Is(err, context.Canceled) {
		t.Fatalf("refreshing without a log: %v", err)
	}
	if suspended() {
		t.Error("a change is in force before it was recorded")
	}
	if err := g.refresh(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !suspended() {
		t.Error("the change was forgotten")
	}
}
