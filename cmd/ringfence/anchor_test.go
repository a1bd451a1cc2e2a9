package main

import (
	"fmt"
	"testing"
)

// TestNewerOf: a log that begins names the larger of the checkpoints that are
// known of the one before, whoever kept it.
func TestNewerOf(t *testing.T) {
	point := func(size int, by string) string {
		return fmt.Sprintf("gate.test/gw1\n%d\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 %s AAAA\n", size, by)
	}
	for _, tt := range []struct{ cosigned, kept, want string }{
		{point(900, "w"), point(1000, "log"), point(1000, "log")},
		{point(1000, "w"), point(900, "log"), point(1000, "w")},
		{point(1000, "w"), point(1000, "log"), point(1000, "w")},
		{"", point(9, "log"), point(9, "log")},
		{"nothing that can be read", point(9, "log"), point(9, "log")},
		{point(9, "w"), "", point(9, "w")},
	} {
		if got := string(newerOf(tt.cosigned, tt.kept)); got != tt.want {
			t.Errorf("newerOf(%q, %q) = %q", tt.cosigned, tt.kept, got)
		}
	}
}
