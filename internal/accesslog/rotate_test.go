package accesslog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (x *testLog) file(name string) string { return filepath.Join(x.cfg.Dir, name) }

func (x *testLog) keys() string {
	x.t.Helper()
	b, err := os.ReadFile(x.file(keyName))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// rotated returns a closed log whose key was replaced and retired, the new key
// and its public half.
func rotated(t *testing.T) (x *testLog, skey, vkey string) {
	x = newTestLog(t, nil).run()
	for i := range 5 {
		x.record(denied(i))
	}
	old := x.Checkpoint()
	skey, vkey, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Rotate(t.Context(), skey, "operator"); err != nil {
		t.Fatal(err)
	}
	if err := x.Rotate(t.Context(), skey, "operator"); err != nil {
		t.Fatalf("again: %v", err)
	}
	// Both sign: whoever knows either is content.
	for _, key := range []string{x.vkey, vkey, x.keys()} {
		if _, err := ReadCheckpoint(x.Checkpoint(), key); err != nil {
			t.Errorf("under %q: %v", key, err)
		}
	}
	first := x.cfg.Key
	x.close()
	x.verify()
	x.cfg.Key = skey + "\n" + first
	x.run()
	for i := range 5 {
		x.record(denied(5 + i))
	}
	if err := x.Retire(t.Context(), "operator"); err != nil {
		t.Fatal(err)
	}
	x.record(denied(10))
	if _, err := ReadCheckpoint(x.Checkpoint(), x.vkey); err == nil {
		t.Error("the retired key still signs")
	}
	x.close()
	x.cfg.Key = skey
	x.run()
	x.record(denied(11))
	x.close()
	if _, err := ProveConsistency(t.Context(), x.cfg.Dir, old); err != nil {
		t.Errorf("a checkpoint of before the new key: %v", err)
	}
	return x, skey, vkey
}

// TestRotate_Verifies: each of the keys that a reviewer may hold vouches for
// the whole log, and one of another log does not.
func TestRotate_Verifies(t *testing.T) {
	x, _, vkey := rotated(t)
	for what, key := range map[string]string{"the first key": x.vkey, "the newest": vkey, "the list": x.keys()} {
		rep, err := Verify(t.Context(), x.cfg.Dir, key, nil)
		if err != nil || rep.Signed != rep.Entries {
			t.Errorf("under %s: %+v, %v", what, rep, err)
		}
	}
	lines := strings.Split(strings.TrimSpace(x.keys()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], x.vkey+" 0 ") || !strings.HasPrefix(lines[1], vkey+" ") {
		t.Errorf("the list of keys is %q", lines)
	}
	if n, err := SecondVerify(x.cfg.Dir, x.vkey); err != nil || n == 0 {
		t.Errorf("the second verifier, given the first key: %d, %v", n, err)
	}
	if n, err := SecondVerify(x.cfg.Dir, vkey); err != nil || n == 0 {
		t.Errorf("the second verifier, given the newest key: %d, %v", n, err)
	}
	_, stranger, _ := GenerateKey(testOrigin)
	if _, err := Verify(t.Context(), x.cfg.Dir, stranger, nil); !isTampered(err) {
		t.Errorf("under a stranger's key: %v", err)
	}
	p, err := Prove(t.Context(), x.cfg.Dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(vkey); err != nil {
		t.Errorf("a proof under the newest key: %v", err)
	}
	if p.Check(x.vkey) == nil {
		t.Error("a proof of today holds under the retired key alone")
	}
}

// TestRotate_Forged: somebody who can write to the folder, or holds the retired
// key, makes no key trusted.
func TestRotate_Forged(t *testing.T) {
	x, _, vkey := rotated(t)
	im := takeImage(t, x.cfg.Dir)
	_, stranger, _ := GenerateKey(testOrigin)
	lines := strings.Split(strings.TrimSpace(x.keys()), "\n")
	past, err := readPast(x.cfg.Dir, testVerifier(t, x.keys()))
	if err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]string{
		"a stranger's key added":     x.keys() + stranger + " 3\n",
		"the first key's end moved":  x.vkey + " 0 100000\n" + lines[1] + "\n",
		"the newest key's beginning": lines[0] + "\n" + vkey + " 2\n",
		"the first key left out":     lines[1] + "\n",
		"no end of the first key":    x.vkey + "\n" + lines[1] + "\n",
		"a space too many":           lines[0] + " \n" + lines[1] + "\n",
	} {
		bad := im.clone()
		bad[keyName] = []byte(list)
		bad.put(t, x.cfg.Dir)
		_, err := Verify(t.Context(), x.cfg.Dir, string(im[keyName]), nil)
		if what == "a stranger's key added" || err == nil {
			// The reviewer's own list knows better; one with the first key alone must not be fooled either.
			_, err = Verify(t.Context(), x.cfg.Dir, x.vkey, nil)
		}
		if !isTampered(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The newest checkpoint under a key that was slipped into the list.
	im.put(t, x.cfg.Dir)
	other, _, _ := GenerateKey(testOrigin)
	pen, err := readPen(other)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := pen.sign(checkpointText(testOrigin, past.newest()))
	if err != nil {
		t.Fatal(err)
	}
	bad := im.clone()
	bad[checkpointName] = msg
	bad[keyName] = append(append([]byte{}, im[keyName]...), (pen.own[0] + " 3\n")...)
	bad.put(t, x.cfg.Dir)
	if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
		t.Errorf("a checkpoint under a key that was slipped in: %v", err)
	}
	if l, err := Open(t.Context(), x.cfg); !isTampered(err) {
		t.Errorf("opened over a checkpoint under a key that was slipped in: %v", err)
		if l != nil {
			l.Close()
		}
	}
}

// TestRotate_Crash stops at each step of a rotation and begins again.
func TestRotate_Crash(t *testing.T) {
	x := newTestLog(t, nil).run()
	x.record(denied(0))
	skey, vkey, _ := GenerateKey(testOrigin)
	first := x.cfg.Key
	// The entry is there and nothing else is.
	if _, err := x.keyEntry(t.Context(), ActionKey, "operator", map[string]string{"key": vkey, "replaces": x.vkey}); err != nil {
		t.Fatal(err)
	}
	x.close()
	x.verify()
	x.run()
	// The list is there too, and the secret is not kept.
	if err := x.Rotate(t.Context(), skey, "operator"); err != nil {
		t.Fatal(err)
	}
	x.close()
	x.cfg.Key = first
	x.run()
	x.record(denied(1))
	x.verify()
	if _, err := ReadCheckpoint(x.Checkpoint(), x.vkey); err != nil {
		t.Error(err)
	}
	if err := x.Rotate(t.Context(), skey, "operator"); err != nil {
		t.Fatal(err)
	}
	x.close()
	if n := strings.Count(x.keys(), "\n"); n != 2 {
		t.Errorf("the list has %d keys", n)
	}
	if _, err := Verify(t.Context(), x.cfg.Dir, vkey, nil); err != nil {
		t.Error(err)
	}
	// Neither key is in use any more: it is not this log's writer.
	strange, _, _ := GenerateKey(testOrigin)
	x.cfg.Key = strange
	if l, err := Open(t.Context(), x.cfg); err == nil {
		l.Close()
		t.Error("opened under a key that the log does not know")
	}
}
