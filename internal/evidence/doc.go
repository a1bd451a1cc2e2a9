// Package evidence makes and checks bundles of evidence: one file with some
// entries of an access log and everything that shows what they are worth to
// somebody who has nothing else. It never decides who may have one, and writes
// nothing but the bundle. Start with [Write] and [Verify].
//
// # The file
//
// A bundle is a zip archive of files that are stored, not compressed, each with
// the date 1 January 1980, without extra fields, comments or anything between
// them: for given contents there is one archive. The files are, in this order:
//
//	README.txt                  how to check the rest without any program of ours
//	keys/log.pub                the log's public keys, as package accesslog has them
//	keys/witnesses.pub          public keys of witnesses, one a line; may be missing
//	keys/N.chain                for each key that took the place of another: see below
//	checkpoints/newest          the signed checkpoint that all proofs lead to
//	checkpoints/cosigned        an older one or the same, with cosignatures of witnesses
//	checkpoints/cosigned.proof  that newest continues it
//	checkpoints/older-N         checkpoints that were kept elsewhere
//	checkpoints/older-N.proof   likewise
//	begin.jsonl                 the log's first entry, where it names a log that was
//	                            given up before this one began
//	begin.proofs.jsonl          its proof, as below
//	entries.jsonl               the entries, each exactly as hashed and a newline
//	entries.proofs.jsonl        for each, in the same order: {"index":I,"hashes":[…]}
//	facts.jsonl                 entries with the facts documents that entries name
//	facts.proofs.jsonl          likewise
//	policies/R/NAME             the files of policy revision R, as entries name it
//	policies/R.signed           who published them: a statement signed by the log's key
//	agreements/ACCOUNT.txt      statement of what the account had accepted, likewise
//	SHA256SUMS                  of every file above, as the program sha256sum has it
//	manifest                    what this is, with the hash of SHA256SUMS, signed
//
// Files with nothing to say are left out, but for entries.jsonl and its proofs;
// that a bundle without begin.jsonl is of a log without one before it is the word
// of the log's key.
// Hashes are the audit path of RFC 6962 from the leaf up, and the consistency
// proof, each in base64. The manifest is a C2SP signed note by the log's newest
// key over the line "Evidence from an access log, bundled by Ringfence" and one
// line of JSON, a [Manifest]. A chain is one line of JSON, an accesslog.KeyProof.
package evidence

import "time"

// Format is what this package writes in [Manifest.Format].
const Format = 1

// MaxEntries is how many entries one bundle may hold.
const MaxEntries = 200_000

// A Manifest says what a bundle is. That no other entry below Size matches
// Query is the word of whoever holds the log's key; everything else in it is
// checked against the rest.
type Manifest struct {
	Format       int       `json:"ringfence_evidence"` // [Format]
	Origin       string    `json:"origin"`             // the log's name
	Gate         string    `json:"gate,omitempty"`
	Organisation string    `json:"organisation,omitempty"`
	Made         time.Time `json:"made"`     // in whole seconds, UTC
	MadeFor      string    `json:"made_for"` // who asked for it: an e-mail address, or "operator"
	Query        string    `json:"query"`    // in its canonical spelling; empty: everything
	Size         uint64    `json:"size"`     // entries of the log that were searched, which is what the newest checkpoint covers
	// Begins is the first entry that the log still had; those before it, which had
	// gone by age, were not searched. 0: it had all.
	Begins  uint64 `json:"begins,omitempty"`
	Entries int    `json:"entries"`
	Facts   int    `json:"facts"`
	// Without names what entries refer to and the bundle does not have, as
	// "policies R" and "facts H", sorted.
	Without []string `json:"without,omitempty"`
	Sums    string   `json:"sums"` // SHA-256 of the file SHA256SUMS, in hexadecimal
}

const headline = "Evidence from an access log, bundled by Ringfence"

// Names of files in a bundle.
const (
	readmeName    = "README.txt"
	keysName      = "keys/log.pub"
	witnessesName = "keys/witnesses.pub"
	newestName    = "checkpoints/newest"
	cosignedName  = "checkpoints/cosigned"
	olderPrefix   = "checkpoints/older-"
	proofEnding   = ".proof"
	beginName     = "begin.jsonl"
	beginProofs   = "begin.proofs.jsonl"
	entriesName   = "entries.jsonl"
	entriesProofs = "entries.proofs.jsonl"
	factsName     = "facts.jsonl"
	factsProofs   = "facts.proofs.jsonl"
	policiesDir   = "policies/"
	signedEnding  = ".signed"
	agreementsDir = "agreements/"
	sumsName      = "SHA256SUMS"
	manifestName  = "manifest"
)

// A proofLine is one line of a file of proofs.
type proofLine struct {
	Index  uint64   `json:"index"`
	Hashes []string `json:"hashes"`
}
