package accesslog

import "testing"

func TestCheckKeys(t *testing.T) {
	skey, vkey, err := GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckKeys(skey, vkey); err != nil {
		t.Error(err)
	}
	other, _, err := GenerateKey("gate.example.com/node-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2]string{{other, vkey}, {"junk", vkey}, {skey, "junk"}, {"", ""}, {vkey, skey}} {
		if err := CheckKeys(bad[0], bad[1]); err == nil {
			t.Errorf("CheckKeys(%q, %q) found nothing", bad[0], bad[1])
		}
	}
}
