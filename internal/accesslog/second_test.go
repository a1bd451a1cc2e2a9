package accesslog_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A second verifier, written from the package's documentation alone: it shares
// no code with the first, and must agree with it.
func secondVerify(dir, vkey string) (entries int, err error) {
	payloads, leaves, err := secondRead(dir)
	if err != nil {
		return 0, err
	}
	for i, p := range payloads {
		if p == nil {
			continue // it was removed
		}
		var head struct {
			Index *uint64 `json:"index"`
		}
		if err := json.Unmarshal(p, &head); err != nil || head.Index == nil || *head.Index != uint64(i) {
			return 0, fmt.Errorf("entry %d is numbered otherwise", i)
		}
	}
	cp, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return 0, err
	}
	key, err := secondKey(dir, vkey, payloads, leaves)
	if err != nil {
		return 0, err
	}
	size, root, err := secondCheckpoint(string(cp), key)
	if err != nil {
		return 0, err
	}
	if size > len(payloads) {
		return 0, fmt.Errorf("%d entries, %d signed", len(payloads), size)
	}
	if got := merkle(leaves[:size]); got != root {
		return 0, fmt.Errorf("the root of %d entries is %x, signed is %x", size, got, root)
	}
	if err := secondRemoved(payloads[:size]); err != nil {
		return 0, err
	}
	return len(payloads), nil
}

// secondCheckpoint checks an Ed25519 signed note: text, an empty line, and
// "— name base64(key hash, signature)".
func secondCheckpoint(msg, vkey string) (int, [32]byte, error) {
	var root [32]byte
	parts := strings.SplitN(vkey, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 1 {
		return 0, root, fmt.Errorf("key %q", vkey)
	}
	i := strings.LastIndex(msg, "\n\n")
	text, holds := msg[:i+1], false
	for _, sig := range strings.Split(strings.TrimSuffix(msg[i+2:], "\n"), "\n") {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sig, "\u2014 "+parts[0]+" "))
		if err != nil || len(raw) != 68 {
			return 0, root, fmt.Errorf("signature line %q", sig)
		}
		holds = holds || fmt.Sprintf("%x", raw[:4]) == parts[1] && ed25519.Verify(key[1:], []byte(text), raw[4:])
	}
	if !holds {
		return 0, root, fmt.Errorf("the signature does not hold")
	}
	lines := strings.Split(text, "\n")
	size, err := strconv.Atoi(lines[1])
	if err != nil || lines[0] != parts[0] {
		return 0, root, fmt.Errorf("text %q", text)
	}
	h, err := base64.StdEncoding.DecodeString(lines[2])
	copy(root[:], h)
	return size, root, err
}

// secondKey finds the key of the newest checkpoint: the one given, or one that
// an entry names which a checkpoint under a key of before covers.
func secondKey(dir, given string, payloads [][]byte, leaves [][32]byte) (string, error) {
	list, err := os.ReadFile(filepath.Join(dir, "log.pub"))
	if err != nil {
		return given, nil
	}
	history, err := os.ReadFile(filepath.Join(dir, "checkpoints"))
	if err != nil {
		return "", err
	}
	newest, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return "", err
	}
	blank := regexp.MustCompile(`\n\n(?:\x{2014} [^\n]*\n)+`)
	trusted := given
	for range strings.Split(string(list), "\n") {
		if _, _, err := secondCheckpoint(string(newest), trusted); err == nil {
			return trusted, nil
		}
		covered := 0
		for rest := string(history); ; {
			at := blank.FindStringIndex(rest)
			if at == nil {
				break
			}
			if size, root, err := secondCheckpoint(rest[:at[1]], trusted); err == nil && size <= len(payloads) && merkle(leaves[:size]) == root {
				covered = max(covered, size)
			}
			rest = rest[at[1]:]
		}
		next := ""
		for _, p := range payloads[:covered] {
			var e struct {
				Type, Action string
				Detail       map[string]string
			}
			if err := json.Unmarshal(p, &e); err == nil && e.Type == "log" && e.Action == "key" && e.Detail["replaces"] == trusted {
				next = e.Detail["key"]
			}
		}
		if next == "" {
			break
		}
		trusted = next
	}
	return "", fmt.Errorf("no key leads from the one given to that of the newest checkpoint")
}

// merkle is the definition in RFC 6962, section 2.1.
func merkle(d [][32]byte) [32]byte {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return d[0] // hashed when it was read
	}
	k := 1
	for k*2 < len(d) {
		k *= 2
	}
	l, r := merkle(d[:k]), merkle(d[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

// secondRemoved finds the entry that says what is missing at the beginning.
func secondRemoved(payloads [][]byte) error {
	gone := 0
	for i, p := range payloads {
		if p == nil {
			gone = i + 1
		}
	}
	for _, p := range payloads {
		var e struct {
			Type, Action string
			Detail       map[string]string
		}
		if json.Unmarshal(p, &e) == nil && e.Type == "log" && e.Action == "prune" && e.Detail["first"] == strconv.Itoa(gone) {
			return nil
		}
	}
	if gone > 0 {
		return fmt.Errorf("%d entries are missing, and no entry says so", gone)
	}
	return nil
}

// secondStart reads what stands for removed entries: their hashes, and those
// payloads that were kept.
func secondStart(dir string) (out [][]byte, leaves [][32]byte, err error) {
	note, err := os.ReadFile(filepath.Join(dir, "removed"))
	if os.IsNotExist(err) {
		return nil, nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(note), "\n"), "\n")
	if err != nil || len(lines) < 3 || lines[0] != "ringfence access log removed v1" {
		return nil, nil, fmt.Errorf("the note of what was removed: %v", err)
	}
	first, err := strconv.Atoi(strings.TrimPrefix(lines[1], "first "))
	if err != nil {
		return nil, nil, err
	}
	hashes, err := os.ReadFile(filepath.Join(dir, "hashes-0"))
	if err != nil || len(hashes) < 32*first {
		return nil, nil, fmt.Errorf("hashes of removed entries are missing: %v", err)
	}
	for i := range first {
		out, leaves = append(out, nil), append(leaves, [32]byte(hashes[32*i:]))
	}
	for _, line := range lines[3:] {
		var e struct{ Index int }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Index >= first || sha256.Sum256([]byte("\x00"+line)) != leaves[e.Index] {
			return nil, nil, fmt.Errorf("a kept entry is not one that was removed: %v", err)
		}
		out[e.Index] = []byte(line)
	}
	return out, leaves, nil
}

func secondRead(dir string) ([][]byte, [][32]byte, error) {
	out, leaves, err := secondStart(dir)
	if err != nil {
		return nil, nil, err
	}
	start := len(out)
	names, err := filepath.Glob(filepath.Join(dir, "*.se*ed"))
	if err != nil {
		return nil, nil, err
	}
	raws, err := filepath.Glob(filepath.Join(dir, "*.segment"))
	if err != nil {
		return nil, nil, err
	}
	names = append(names, raws...)
	sort.Strings(names)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		if n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".segment"), ".sealed")); err == nil && n < start {
			continue // its removal was not finished
		}
		if want := fmt.Sprintf("%020d", len(out)); strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".segment"), ".sealed") != want {
			return nil, nil, fmt.Errorf("%s where %s was due", name, want)
		}
		fields := map[string]string{}
		text, _, _ := bytes.Cut(b[:4096], []byte{0})
		for _, line := range strings.Split(string(text), "\n") {
			k, v, _ := strings.Cut(line, " ")
			fields[k] = v
		}
		if root := merkle(leaves); fields["root"] != base64.StdEncoding.EncodeToString(root[:]) {
			return nil, nil, fmt.Errorf("%s: the header's root is another", name)
		}
		var got [][]byte
		if strings.HasSuffix(name, ".sealed") {
			got, err = secondSealed(b)
		} else {
			got, err = secondRaw(b, fields["epoch"])
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, p := range got {
			out, leaves = append(out, p), append(leaves, sha256.Sum256(append([]byte{0}, p...)))
		}
	}
	return out, leaves, nil
}

func secondRaw(b []byte, epochText string) (out [][]byte, err error) {
	epoch, err := strconv.ParseUint(epochText, 10, 64)
	if err != nil {
		return nil, err
	}
	pos := 4096
	for seq := uint64(0); pos+9 < len(b); seq++ {
		n := int(binary.LittleEndian.Uint32(b[pos:]))
		if n == 0 {
			break
		}
		sum := binary.LittleEndian.Uint32(b[pos+4:])
		covered := binary.LittleEndian.AppendUint64(nil, epoch)
		covered = binary.LittleEndian.AppendUint64(covered, seq)
		covered = append(covered, b[pos+8:pos+9+n]...)
		if crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli)) != sum {
			return nil, fmt.Errorf("check sum at byte %d", pos)
		}
		if b[pos+8] == 0 {
			out = append(out, b[pos+9:pos+9+n])
		}
		pos += 9 + n
	}
	for ; pos < len(b); pos++ {
		if b[pos] != 0 {
			return nil, fmt.Errorf("byte %d is not zero", pos)
		}
	}
	return out, nil
}

func secondSealed(b []byte) (out [][]byte, err error) {
	foot := b[len(b)-64:]
	if string(foot[:8]) != "rflogv1\n" {
		return nil, fmt.Errorf("no footer")
	}
	index := int(binary.LittleEndian.Uint64(foot[40:]))
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	for line := b[index : len(b)-64]; len(line) > 0; line = line[48:] {
		off, n := int(binary.LittleEndian.Uint64(line[16:])), int(binary.LittleEndian.Uint32(line[24:]))
		raw, err := dec.DecodeAll(b[off:off+n], nil)
		if err != nil {
			return nil, err
		}
		for len(raw) > 0 {
			n := int(binary.LittleEndian.Uint32(raw))
			out = append(out, raw[4:4+n])
			raw = raw[4+n:]
		}
	}
	return out, nil
}

func init() { accesslog.SecondVerify = secondVerify }
