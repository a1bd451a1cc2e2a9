package main

import (
	"testing"

	"github.com/ringfence/ringfence/auth"
)

// TestDemo_PasswordsAreAlwaysAccepted: a demo must not fail to start once in
// fifty times because chance made a password that the rules refuse.
func TestDemo_PasswordsAreAlwaysAccepted(t *testing.T) {
	words := []string{"kim@northwind.example", "kim", "Kim Larsen", "cleo", "Cleo Novak", "northwind", "harbour", "Harbour Mutual", "gate.localhost", "ringfence"}
	for range 50_000 {
		if p := randomPassword(); auth.CheckPassword(p, words) != nil {
			t.Fatalf("%s: %v", p, auth.CheckPassword(p, words))
		}
	}
}
