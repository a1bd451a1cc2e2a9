package accesslog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// forge returns the folder of a log that holds payloads, in which every check
// sum, hash, root and checkpoint is right: what somebody does who has root and
// this program. It is signed by skey, and its list of keys is that key's.
func forge(t *testing.T, payloads [][]byte, skey string) image {
	t.Helper()
	pen, err := readPen(skey)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(headerLen)
	for _, p := range payloads {
		size += int64(len(p)) + frameHead
	}
	h := &header{origin: testOrigin, size: (size/headerLen + 17) * headerLen, epoch: 1, root: (&tree{}).root(), last: time.Time{}}
	out := image{keyName: []byte(pen.ring.String()), lockName: nil}
	raw := appendMark(h.encode(), headerLen, h.epoch, 0, 0)
	var tr tree
	for i, p := range payloads {
		at := len(raw)
		raw = append(openFrame(raw, frameEntry), p...)
		closeFrame(raw, at, h.epoch, uint64(i+1))
		tr.add(recordHash(p), func(level int, h tlog.Hash) { out[tileName(level)] = append(out[tileName(level)], h[:]...) })
	}
	out[segmentName(0, rawEnding)] = append(raw, make([]byte, int(h.size)-len(raw))...)
	if out[checkpointName], err = pen.sign(checkpointText(testOrigin, point{tr.n, tr.root()})); err != nil {
		t.Fatal(err)
	}
	out[historyName] = out[checkpointName]
	return out
}

func numbered(payloads [][]byte) [][]byte {
	out := make([][]byte, len(payloads))
	for i, p := range payloads {
		_, rest, _ := bytes.Cut(p, []byte{','})
		out[i] = append(fmt.Appendf(nil, `{"index":%d,`, i), rest...)
	}
	return out
}

// TestAttacker_WithRoot is somebody with root on the disk and this program, who
// edits, drops, reorders, adds, truncates, rolls back and replaces, and rebuilds
// every check sum, hash and root. Without the signing key each is found by the
// log's public key alone. With the key the forged log is whole in itself, and a
// checkpoint that was anchored elsewhere finds it.
func TestAttacker_WithRoot(t *testing.T) {
	x, _ := logOf(t, 60)
	anchored := takeImage(t, x.cfg.Dir)[checkpointName]
	var written [][]byte
	for _, e := range x.all(Filter{Ascending: true}) {
		written = append(written, bytes.Clone(e.Payload))
	}
	const victim = 30
	clone := func() [][]byte { return slices.Clone(written) }
	edited := clone()
	edited[victim] = bytes.Replace(edited[victim], []byte("claims"), []byte("cla1ms"), 1)
	swapped := clone()
	swapped[victim], swapped[victim+1] = swapped[victim+1], swapped[victim]
	for i := range 2 { // their times must not fall
		head, rest, _ := bytes.Cut(swapped[victim+i], []byte(`,"time":"`))
		_, rest, _ = bytes.Cut(rest, []byte{'"'})
		at, _ := payloadTime(written[victim])
		swapped[victim+i] = slices.Concat(head, []byte(`,"time":"`), []byte(time.Unix(0, at).UTC().Format(time.RFC3339Nano)), []byte{'"'}, rest)
	}
	other, _ := logOf(t, 40)
	var foreign [][]byte
	for _, e := range other.all(Filter{Ascending: true}) {
		foreign = append(foreign, bytes.Clone(e.Payload))
	}
	strange, _, err := GenerateKey(testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	for what, payloads := range map[string][][]byte{
		"edited":                edited,
		"one dropped":           numbered(slices.Delete(clone(), victim, victim+1)),
		"reordered":             numbered(swapped),
		"one added":             numbered(slices.Insert(clone(), victim, written[victim])),
		"truncated":             written[:len(written)/2],
		"truncated by one":      written[:len(written)-1],
		"truncated, lengthened": append(slices.Clone(written[:victim]), numbered(slices.Concat(written[:victim], slices.Repeat([][]byte{written[len(written)-1]}, 200)))[victim:]...),
		"replaced wholesale":    foreign,
	} {
		t.Run(what, func(t *testing.T) {
			reject := func(how string, im image) {
				t.Helper()
				im.put(t, x.cfg.Dir)
				if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); !isTampered(err) {
					t.Errorf("%s: verified: %v", how, err)
				}
				if _, err := SecondVerify(x.cfg.Dir, x.vkey); err == nil {
					t.Errorf("%s: the second verifier finds nothing", how)
				}
				if l, err := Open(t.Context(), x.cfg); !isTampered(err) {
					t.Errorf("%s: opened: %v", how, err)
					if l != nil {
						l.Close()
					}
				}
			}
			// The true checkpoint over forged entries, and one under a key of the attacker's.
			im := forge(t, payloads, strange)
			reject("under another key", im)
			slipped := im.clone()
			slipped[keyName] = append([]byte(x.vkey+"\n"), im[keyName]...)
			slipped[keyName] = append(bytes.TrimSuffix(slipped[keyName], []byte("\n")), " 1\n"...)
			reject("under another key, put into the list", slipped)
			kept := forge(t, payloads, strange)
			kept[checkpointName], kept[historyName], kept[keyName] = anchored, anchored, []byte(x.vkey+"\n")
			reject("under the true checkpoint", kept)

			// With the key.
			im = forge(t, payloads, x.cfg.Key)
			im.put(t, x.cfg.Dir)
			if _, err := Verify(t.Context(), x.cfg.Dir, x.vkey, nil); err != nil {
				t.Fatalf("the forgery is not as good as it could be: %v", err)
			}
			if _, err := ProveConsistency(t.Context(), x.cfg.Dir, anchored); !isTampered(err) {
				t.Errorf("an anchored checkpoint does not find it: %v", err)
			}
		})
	}
	// What was not changed passes in the same way: the forger's work is right.
	forge(t, written, x.cfg.Key).put(t, x.cfg.Dir)
	x.verify()
	if _, err := ProveConsistency(t.Context(), x.cfg.Dir, anchored); err != nil {
		t.Errorf("the true entries: %v", err)
	}
}
