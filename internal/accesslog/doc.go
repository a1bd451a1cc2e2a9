// Package accesslog keeps Ringfence's access log: an append-only, durable
// record of every request, sign-in and change, in which nothing can be altered,
// dropped, added or moved without a trace. It never decides what is recorded
// and never drops what it was given. [Open] returns the one writer, [Log];
// [Query], [Tail], [Get], [Verify] and [Prove] read the files alone, also while
// the writer runs or on a copy.
//
// What follows specifies format version 1, so that a second verifier can be
// written without this code. Integers are little-endian, check sums are
// CRC-32C (Castagnoli), hashes are SHA-256, base64 is the standard one with
// padding.
//
// # Files
//
//	00000000000000000000.segment   frames; the newest one is being written
//	00000000000000000000.sealed    the same entries compressed
//	hashes-0 … hashes-7            hashes of the tree; can be made again
//	checkpoint                     the newest signed checkpoint
//	checkpoints                    earlier ones, one a minute and one at each end
//	log.pub                        the public keys, see below
//	removed                        where entries went by age: which, see below
//	spare-1 …                      segments to come: zeros; one is kept back for a full disk
//	lock                           locked (flock) by the writer
//
// A segment's name is the index of its first entry, in 20 digits. Segments
// follow one another without a gap. Where both kinds are there, the sealed one
// counts. The newest is never sealed. Names that end in .tmp are unfinished
// and mean nothing.
//
// # Entries
//
// An entry's payload is one JSON object of at most 65,535 bytes with exactly
// one encoding: no white space; keys in the order index, node, time, clock,
// then those of [policy.Record] in the order of its fields without its time,
// then document; values that are empty left out; the keys of maps sorted by
// bytes; numbers in decimal without leading zeros; times as in RFC 3339, in
// UTC, with as many digits of a second as are needed. In strings the quotation
// mark, the backslash and the newline, carriage return and tab have their
// short escapes; all other characters below U+0020, and U+007F to U+009F,
// U+00AD, U+061C, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF
// and U+FFF9 to U+FFFB are written as \u and four lower-case digits; the rest
// stands for itself in UTF-8.
//
// Mode, in entries of a cluster's requests, is strict or relaxed. A strict
// request was forwarded only once its entry was durable; a relaxed one when the
// entry had its place in the order, so that a crash can have taken entries, the
// last ones and at most as many as the queue is long, of requests that were
// forwarded. Entries without a mode are from before there were modes: strict.
//
// Index counts from 0 without gaps and is the order of the log. Time is when
// the record was made, but never later than the writer's clock and never
// earlier than the entry before; where that moved it by 100 ms or more, or at
// all in an entry with an input, clock is the record's own time. A clock that
// jumps by more than a second leaves an entry of type log and action clock.
// Action disk tells that a fifth or a tenth of the disk is free, or enough again.
//
// An entry of a request that the policies decided has an input: an object with
// the keys version, roles, token_cluster, token_binding, token_scope (of access,
// methods and paths, each always there), query, headers, tls (of version and
// cipher), allowed (true or left out) and withheld, in this order. Of the
// headers, user-agent is left out where it is not empty and the same as
// user_agent. [Entry.Input] says what it means. Entries from before there were
// inputs have none.
//
// # Personal fields
//
// Where the writer seals them, an entry has a key personal behind account: an
// object of one to three account ids, sorted, each with the base64 of
//
//	1 byte    version, 1
//	4 bytes   id of the account's key
//	32 bytes  hash: SHA-256(ORIGIN, 0, account, 0, secret, text)
//	n bytes   text under AES-256-GCM; the nonce is the hash's first 12 bytes,
//	          the additional data is ORIGIN, 0, account
//
// or with "erased", when that account had been erased before. Text is a JSON
// object spelled as payloads are, of those of email, source_ip, user_agent,
// object, detail and document that the entry has, in this order; they are then
// not in the payload itself. Email goes under the account that the entry is
// about; source_ip, user_agent and the detail actor_email under whoever acted;
// an object that names an account or an assignment, and the details name, email
// and typed_name, under the account that detail's account_id gives, or else the
// one that the entry is about; the detail asked_from, and of logins name, was
// and networks, under the one that the entry is about; document, a facts
// document, under the account that it describes, in whose entry only its hash
// stands in the open.
//
// An account's key is 32 random bytes in the file ACCOUNT.key of the folder
// personal beside the log's. By HKDF-SHA-256 without salt it gives, under
// "ringfence personal " and "seal", "reveal" and "id", the AES key, the key of an
// HMAC-SHA-256 over text that is the secret, and the key's id. The same text
// under the same key is thus always the same bytes, which compress. Text and
// secret together prove to somebody without the key what an entry seals
// ([Entry.Open]); a [Proof] carries them.
//
// Whoever destroys a key ([ErasePersonal]) erases what is under it from every
// entry, and no hash changes. In the details that are not sealed, such as what
// was searched for, approver, authors and given_by, the gateway puts an account's
// id in place of its address ([Config.Conceal]; queries in their canonical
// spelling, account:ID), so that those name nobody once the account is erased.
// What cannot be resolved stays as it was typed: addresses of nobody who has an
// account, or had it no more under that address; parts of an address, such as
// email:kim*; names and other words. Not sealed either, and so not erased: entries
// about nobody who has an account, such as a sign-in with an unknown name; paths,
// names of query fields and headers that the configuration keeps; the time, the
// vendor and the ids of account and session; what somebody typed as a reason,
// but for addresses of accounts; names of owners of vendors and clusters; and all
// that entries from before this say in clear. The hash of a facts document lets somebody who knows all of the
// document but the address try addresses.
//
// A facts document is an entry of type log and action facts, with the
// document's bytes under document and "sha256:" and their hash under facts. It
// stands once in each segment, before the first entry there that names the hash.
//
// An entry of type request and effect allow is followed by one of type outcome
// with the same request_id, unless the gateway still runs and has not come to
// it. The log adds outcomes itself, with ended timed_out or abandoned (nothing
// was forwarded, because the entry was not durable in time) or interrupted (a
// start found none).
//
// # Frames
//
// A segment begins with 4096 bytes of header: the lines
//
//	ringfence access log segment v1
//	origin ORIGIN
//	size LENGTH-OF-THE-FILE
//	epoch NUMBER
//	first INDEX
//	time TIME-OF-THE-ENTRY-BEFORE
//	root BASE64
//	crc32c EIGHT-HEX-DIGITS
//
// and zeros. Epoch counts segments from 1. Root is that of the tree of all
// entries before. The sum is taken over sixteen zero bytes and the lines above it.
//
// Frames follow one another until the first whose length is zero, or until
// fewer than ten bytes are left. All bytes behind the last are zero.
//
//	4 bytes   length of the payload
//	4 bytes   check sum of epoch (8), sequence (8), type and payload
//	1 byte    type
//	n bytes   payload
//
// Sequence counts the frames of the segment from 0. Epoch and sequence in the
// sum keep a frame from another place or an earlier use of the file from ever
// passing. Types: 0 an entry; 1 a mark, the first frame of each batch, with its
// own offset in the file, its sequence and the next entry's index (8 bytes
// each); 2 a list of indexes (8 bytes each) of allowed requests that had no
// outcome when the segment began. A batch is written only once the one before
// it was synced, so a mark vouches for every byte before it.
//
// # Sealed segments
//
// The raw segment's header, then blocks, index and footer without a gap. A
// block is a Zstandard frame; unpacked it holds entries, each as length (4) and
// payload, and is no longer than 67,111,936 bytes. The index has 48 bytes for
// each block: first entry (8), number of entries (4), unpacked length (4),
// offset in the file (8), length (4), check sum of the compressed bytes (4),
// time of the first and of the last entry in nanoseconds since 1970 (8 each).
// The footer has 64: the text "rflogv1" and a newline, first entry (8), number
// of entries (8), time of the first and of the last (8 each), offset of the
// index (8), number of blocks (4), check sum of the index (4), zero (4), check
// sum of the 60 bytes before (4).
//
// # Tree and checkpoints
//
// The tree is that of RFC 6962, section 2.1, over the payloads: a leaf's hash
// is SHA-256(0x00, payload), a node's SHA-256(0x01, left, right). File hashes-0
// holds the leaves' hashes side by side, hashes-1 those of full subtrees of 256
// leaves, hashes-2 those of 65,536 and so on, so that tile N of level L of C2SP
// tlog-tiles is 8,192 bytes of file L from N*8192 on.
//
// A checkpoint is a C2SP signed note with an Ed25519 signature by the key
// named ORIGIN over three lines: ORIGIN, the number of entries, the root in
// base64.
//
//	gate.example.com/log
//	1007
//	YxlG0ramni5m1hE5xqVrMVytZYObvb3KiYJUz23t28U=
//
//	— gate.example.com/log rwz+eBzm…
//
// A log's first key may make room for others. An entry of type log and action
// key names the new one under key in its detail, and the one it takes the place
// of under replaces; a checkpoint by the older key covers it. From then on both
// sign, until an entry of action key_retired names the older one. File log.pub
// has a line for each key, oldest first: the key and, behind spaces, the number
// of entries from which on it signs (one more than the index of the entry that
// names it), and the number up to which it did. A checkpoint counts that one key
// of its size signed. A verifier who was given one key trusts those that entries
// under its checkpoints name, and demands that the newest checkpoint bears one
// of these.
//
// One is signed every second while entries come, every ten minutes otherwise,
// and at start and end. The file checkpoints holds notes one behind the other.
//
// # Removed entries
//
// Whole sealed segments can be removed from the beginning ([Log.Prune]); their
// hashes stay. An entry of type log and action prune says so before: its detail
// has first, the index of the first entry that stays, and root, that of the
// tree of all before. File removed then has the line "ringfence access log
// removed v1", "first" and that index, "entry" and the index of the entry that
// says so, and the payload of each removed entry of action key or key_retired,
// and of the first entry where it names a previous log, one a line. Segments before first are not the log's, whether or not their
// files are there still. A verifier takes the hashes of removed entries from
// hashes-0, holds the kept payloads against them, and demands that an entry
// below the newest checkpoint names first.
//
// # Published
//
// [Publish] shows the log as C2SP tlog-tiles: checkpoint, tile/L/N, and
// tile/entries/N with each payload behind its length (2 bytes, big-endian).
// The gate shows it below /log/ to whoever may read all of the log.
// Where entries were removed, the minimum index is that of the first bundle
// that is left whole; tiles of hashes stay.
//
// # Evidence
//
// Package evidence specifies bundles: some entries with all that proves them.
//
// # Verifying
//
// Read the segments in order; check each header, frame or block; check that
// entry n says that it is n; compute the root at each segment's first entry and
// at each checkpoint's size and compare; check the signatures; find at least as
// many entries as the newest checkpoint says. Then compare with a checkpoint
// from elsewhere: its root must be that of the same number of entries.
//
// # Recovery
//
// A start reads the newest segment to the first frame that does not pass. If
// no checkpoint covers that entry and no mark stands behind that place, the
// rest is a batch that a crash cut short: nobody was told that it is durable.
// It is overwritten with zeros and an entry of action recovered says how many
// bytes went. Otherwise the damage is to what was synced, and the start is
// refused, as it is when the log has fewer entries than its last checkpoint, or
// than one that is kept elsewhere ([Config.Vouched]). Of sealed segments the
// newest are read again, of older ones header, index and footer.
// After a failed write or sync nothing is written again before such a start.
//
// # What the log proves, and what it does not
//
// Against somebody who can write to the disk but has no key: below the newest
// checkpoint every change is found. Above it, in the last second before a
// crash or a seizure of the disk, entries can be cut off or changed with
// their check sums.
//
// Against somebody who holds the key, or who puts back an older state of the
// whole folder, checkpoints included: nothing here helps. A copy of a
// checkpoint kept on another machine does, through [ConsistencyProof], and a
// witness there (package witness) keeps one by itself.
//
// Against a gateway that was replaced by one that does not record: nothing
// here helps. Each forwarded request carries the entry's index, so the
// upstream's own log shows requests that have no entry (package reconcile).
//
// The log is not secret but for personal fields: payloads are plain text for
// whoever can read the folder. Disks that lie about syncs can lose what was acknowledged, which the
// next start finds when a checkpoint covers it.
package accesslog
