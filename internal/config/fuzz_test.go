package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// What is accepted keeps every promise of the reference, and what is refused
// comes with faults that can be printed.
func FuzzParse(f *testing.F) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range cases {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	if b, err := os.ReadFile("../../deploy/config.example.yaml"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse("f", b)
		if err != nil {
			if c != nil {
				t.Fatal("a configuration came with an error")
			}
			printableOnly(t, err)
			return
		}
		switch {
		case !hostname(c.GateHost()):
			t.Errorf("gate %q", c.Gate)
		case c.Listen == "" || c.Operations == "" || c.Operations[0] == ':':
			t.Errorf("listens at %q, operations at %q", c.Listen, c.Operations)
		case c.Sessions.Idle <= 0 || c.Sessions.Absolute < c.Sessions.Idle:
			t.Errorf("sessions %v", c.Sessions)
		case !filepath.IsAbs(c.Data):
			t.Errorf("data %q", c.Data)
		case c.TLS.Mode == ModeFiles && len(c.TLS.Files) == 0:
			t.Error("files mode without files")
		case c.Limits.Connections < 1 || c.Limits.ConnectionsPerAddress > c.Limits.Connections:
			t.Errorf("limits %v", c.Limits)
		}
		for _, p := range append(c.TrustedProxies, c.Upstreams.AllowNetworks...) {
			if !p.IsValid() || p.Bits() == 0 || p.Masked() != p {
				t.Errorf("network %v", p)
			}
		}
	})
}
