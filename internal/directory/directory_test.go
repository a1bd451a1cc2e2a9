package directory

import (
	"os"
	"testing"
	"time"
)

// example returns the example directory that ships with Ringfence.
func example(t testing.TB) *Directory {
	t.Helper()
	d, err := ParseYAML("directory.example.yaml", exampleFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func exampleFile(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../deploy/directory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// day is a moment at which the example's contracts stand.
var day = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// withIDs gives every account an id, as the store does.
func withIDs(d *Directory) *Directory {
	for i := range d.Accounts {
		d.Accounts[i].ID = "id-" + string(rune('a'+i))
		d.Accounts[i].Status = "active"
	}
	return d
}

func TestExample_Valid(t *testing.T) {
	d := example(t)
	if err := d.Check(Rules{GateHost: "gate.example.com", Have: &Directory{}, Now: day}); err != nil {
		t.Error(err)
	}
	if len(d.Vendors) != 2 || len(d.Agreements) != 2 || len(d.Clusters) != 3 || len(d.Engagements) != 3 || len(d.Accounts) != 6 || len(d.Assignments) != 4 {
		t.Errorf("objects are missing: %+v", d)
	}
}
