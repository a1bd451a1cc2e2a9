package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog"
	"github.com/ringfence/ringfence/internal/change"
	"github.com/ringfence/ringfence/internal/statement"
	"github.com/ringfence/ringfence/internal/witness"
	"github.com/ringfence/ringfence/policy"
)

// keys finds which of the bundle's keys are trusted: all, or those that were
// given and those that they lead to.
func (v *verifier) keys() {
	text := string(v.read(keysName))
	mine, err := accesslog.ReadPublicKeys(text)
	if err != nil {
		v.fatal("The log's keys: %v.", err)
		return
	}
	for _, k := range mine {
		v.report.Keys = append(v.report.Keys, k.Key)
	}
	if v.ring = text; v.trust.Keys == "" {
		v.chains(mine, text)
		return
	}
	given, err := accesslog.ReadPublicKeys(v.trust.Keys)
	if err != nil {
		v.fatal("The public key that was given: %v.", err)
		return
	}
	v.report.Trusted = true
	trusted := map[int]bool{}
	for _, g := range given {
		i := slices.IndexFunc(mine, func(k accesslog.PublicRange) bool { return k.Key == g.Key })
		switch {
		case i < 0:
			v.fatal("The public key that was given is not one of the log that the bundle is of.")
			return
		case g.From > 0 && g.From != mine[i].From || g.Until > 0 && g.Until != mine[i].Until:
			v.fatal("The bundle says otherwise than the keys that were given from when to when a key signed.")
			return
		}
		trusted[i] = true
	}
	v.follow(mine, trusted)
}

// chains checks every chain in the bundle with all of its keys.
func (v *verifier) chains(mine []accesslog.PublicRange, ring string) {
	now, err := accesslog.ReadCheckpoint(v.read(newestName), ring)
	if err != nil {
		v.fatal("The newest checkpoint: %v.", err)
		return
	}
	v.signers = now.By
	for i, k := range mine {
		if p := v.chain(i); p != nil {
			if err := p.Check(ring, k.Key, now); err != nil || p.Index+1 != k.From {
				v.fault("The chain of key %d does not hold: %v.", i+1, err)
			}
		} else if k.From > 0 {
			v.fault("The chain of key %d is missing.", i+1)
		}
	}
}

func (v *verifier) chain(i int) *accesslog.KeyProof {
	b := v.read("keys/" + strconv.Itoa(i+1) + ".chain")
	if b == nil {
		return nil
	}
	p := new(accesslog.KeyProof)
	if err := decodeLine(b, p); err != nil {
		v.fault("The chain of key %d: %v.", i+1, err)
	}
	return p
}

// follow trusts what trusted keys lead to, and leaves the others out.
func (v *verifier) follow(mine []accesslog.PublicRange, trusted map[int]bool) {
	lines := strings.SplitAfter(strings.TrimSpace(v.ring)+"\n", "\n")
	text := func() string {
		var out strings.Builder
		for _, i := range slices.Sorted(maps.Keys(trusted)) {
			out.WriteString(lines[i])
		}
		return out.String()
	}
	// The root of the newest checkpoint is not trusted for this: only that it
	// continues what a trusted key signed.
	now, err := accesslog.ReadCheckpoint(v.read(newestName), v.ring)
	if err != nil {
		v.fatal("The newest checkpoint: %v.", err)
		return
	}
	all := v.ring
	for i, k := range mine {
		p := v.chain(i)
		if p == nil || trusted[i] {
			continue
		}
		if err := p.Check(text(), k.Key, now); err == nil && p.Index+1 == k.From {
			trusted[i] = true
		}
	}
	v.ring = text()
	v.signers = slices.DeleteFunc(slices.Clone(now.By), func(by string) bool { return !strings.Contains(v.ring, by) })
	if len(v.signers) == 0 {
		v.fatal("The newest checkpoint is signed by a key that the one given does not lead to.")
		return
	}
	// What a trusted key's log says it took the place of vouches for the time before.
	for i, k := range slices.Backward(mine) {
		p := v.chain(i)
		if p == nil || !trusted[i] || p.Check(all, k.Key, now) != nil {
			continue
		}
		if j := slices.IndexFunc(mine, func(o accesslog.PublicRange) bool { return o.Key == p.Replaces() }); j >= 0 {
			trusted[j] = true
		}
	}
	v.ring = text()
}

// checkpoints checks the newest checkpoint, the older ones, and who cosigned.
func (v *verifier) checkpoints() {
	var err error
	if v.newest, err = accesslog.ReadCheckpoint(v.read(newestName), v.ring); err != nil {
		v.fatal("The newest checkpoint: %v.", err)
		return
	}
	v.report.Root, v.report.SignedBy = v.newest.Root, v.newest.By
	if m := v.report.Manifest; m.Size != v.newest.Size || m.Origin != v.newest.Origin {
		v.fault("The manifest speaks of %d entries of %s, and the newest checkpoint is of %d of %s.", m.Size, clip(m.Origin), v.newest.Size, clip(v.newest.Origin))
	}
	continued := []*accesslog.Checkpoint{v.newest}
	for _, name := range v.names {
		if name != cosignedName && !strings.HasPrefix(name, olderPrefix) || strings.HasSuffix(name, proofEnding) {
			continue
		}
		if c := v.older(name); c != nil {
			continued = append(continued, c)
			if name == cosignedName {
				v.report.Cosigned = c.Size
			} else {
				v.report.Older = append(v.report.Older, c.Size)
			}
		}
	}
	v.cosigners()
	for _, msg := range v.trust.Older {
		v.remembered(msg, continued)
	}
}

func (v *verifier) older(name string) *accesslog.Checkpoint {
	c, err := accesslog.ReadCheckpoint(v.read(name), v.ring)
	if err != nil {
		v.fault("The file %s: %v.", name, err)
		return nil
	}
	var hashes []string
	if err := decodeLine(v.read(name+proofEnding), &hashes); err != nil {
		v.fault("The file %s: %v.", name+proofEnding, err)
		return nil
	}
	if err := v.newest.Continues(c, hashes); err != nil {
		v.fault("The newest checkpoint does not continue %s: %v.", name, err)
		return nil
	}
	return c
}

func (v *verifier) cosigners() {
	msg := v.read(cosignedName)
	keys := v.trust.Witnesses
	if v.report.Witnessed = len(keys) > 0; !v.report.Witnessed {
		keys = strings.Fields(string(v.read(witnessesName)))
	} else if msg == nil {
		v.fault("The bundle has no checkpoint with cosignatures.")
		return
	}
	if msg == nil {
		return
	}
	found, err := witness.Cosigners(msg, keys)
	if err != nil {
		v.fault("The cosigned checkpoint: %v.", err)
		return
	}
	if v.report.Witnessed && len(found) == 0 {
		v.fault("None of the witnesses whose keys were given has cosigned the checkpoint.")
	}
	if bundled := strings.Fields(string(v.read(witnessesName))); v.report.Witnessed {
		// What is in the bundle must hold too, or somebody changed it.
		if _, err := witness.Cosigners(msg, bundled); err != nil {
			v.fault("The cosigned checkpoint: %v.", err)
		}
	}
	v.report.Cosigners = found
}

// remembered compares with a checkpoint that the reviewer kept.
func (v *verifier) remembered(msg []byte, continued []*accesslog.Checkpoint) {
	was, err := accesslog.ReadCheckpoint(msg, v.ring)
	if err != nil {
		v.fault("The checkpoint to compare with: %v.", err)
		return
	}
	i := slices.IndexFunc(continued, func(c *accesslog.Checkpoint) bool { return c.Size == was.Size })
	switch {
	case was.Size > v.newest.Size:
		v.fault("The bundle is of a log of %d entries, and the checkpoint to compare with is of %d: the log was rolled back, or the bundle is older.", v.newest.Size, was.Size)
	case i < 0:
		v.fault("The bundle has no proof that the log continues the checkpoint of %d entries. Ask for one that was made with it.", was.Size)
	case continued[i].Root != was.Root:
		v.fault("The log had other entries among its first %d than the checkpoint to compare with says.", was.Size)
	default:
		if !slices.Contains(v.report.Older, was.Size) {
			v.report.Older = append(v.report.Older, was.Size)
		}
	}
}

// policies checks that the files of each revision are those that entries name.
func (v *verifier) policies() {
	for _, revision := range slices.Sorted(maps.Keys(v.revisions)) {
		files := map[string]string{}
		for _, name := range v.names {
			if file, ok := strings.CutPrefix(name, policiesDir+revision+"/"); ok {
				files[file] = string(v.read(name))
			}
		}
		if len(files) == 0 {
			if !slices.Contains(v.report.Manifest.Without, "policies "+revision) {
				v.fault("The policies of revision %s, which entries name, are missing.", clip(revision))
			}
			continue
		}
		if policy.Revision(files) != revision {
			v.fault("The files of policy revision %s are not those that entries name.", clip(revision))
		}
		v.report.Policies = append(v.report.Policies, revision)
		v.published(revision, files)
	}
}

// published checks the statement of who published a revision.
func (v *verifier) published(revision string, files map[string]string) {
	name := policiesDir + revision + signedEnding
	msg := v.read(name)
	if msg == nil {
		return
	}
	text, err := accesslog.OpenText(v.ring, msg)
	if err == nil {
		_, err = change.Stated(text)
	}
	if err != nil {
		v.fault("The file %s: %v.", name, err)
		return
	}
	var stated struct {
		Modules map[string]string `json:"modules"`
	}
	_, data, _ := strings.Cut(text, "\n")
	if err := json.Unmarshal([]byte(data), &stated); err != nil {
		v.fault("The file %s is not in a form that this version reads.", name)
		return
	}
	for file, want := range stated.Modules {
		have, ok := files[file]
		if sum := sha256.Sum256([]byte(have)); ok && hex.EncodeToString(sum[:]) != want || !ok && !strings.HasSuffix(file, "_test.rego") {
			v.fault("The file %s is of other policies.", name)
			return
		}
	}
	v.report.Published++
}

// agreements checks the statements of what people accepted.
func (v *verifier) agreements() {
	for _, name := range v.names {
		account, ok := strings.CutPrefix(name, agreementsDir)
		if !ok {
			continue
		}
		account = strings.TrimSuffix(account, ".txt")
		s, err := statement.Verify(v.read(name), v.ring)
		if err != nil {
			v.fault("The file %s: %v", name, err)
			continue
		}
		if !v.accounts[account] {
			v.fault("The file %s is about an account that no entry is about.", name)
		}
		for i := range s.Acceptances {
			if s.Acceptances[i].Account != account {
				v.fault("The file %s is about another account.", name)
				break
			}
		}
		v.report.Accounts = append(v.report.Accounts, account)
	}
}

// rest finds files that belong to nothing.
func (v *verifier) rest() {
	v.use(readmeName)
	for _, name := range v.names {
		if !v.seen[name] {
			v.fault("The file %s belongs to nothing in the bundle.", name)
		}
	}
}
