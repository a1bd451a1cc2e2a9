// Package witness keeps an access log honest towards whoever holds its key. A
// [Witness] stands on another machine and remembers, for each log that it
// knows, the newest checkpoint that it has cosigned; it cosigns another only
// with proof that it continues that one. A [Collector] stands beside the log,
// takes its checkpoints there, and finds out when the log is not the one that
// the witnesses remember. Neither ever sees an entry.
//
// The protocol is C2SP tlog-witness (add-checkpoint and the retrieval of the
// newest checkpoint), signatures are C2SP tlog-cosignature: Ed25519 in our own
// witness, Ed25519 or ML-DSA-44 from others. What a witness refuses with a
// valid signature of the log is kept as evidence.
//
// # A witness's folder
//
//	witness.key                    the key that cosigns; secret
//	witness.pub                    the key that is handed out
//	logs/HASH/keys                 public keys of one log, one a line: the key, and
//	                               from and up to how many entries it signs
//	logs/HASH/checkpoint           the newest checkpoint, with both signatures
//	logs/HASH/evidence/…           what was refused, as JSON
//	logs/HASH/forgotten-…          a checkpoint that the operator gave up
//	lock                           held by the process that serves
//
// HASH is the SHA-256 of the log's origin in hexadecimal.
//
// # What it proves, and what it does not
//
// A log that is rolled back, forked or begun anew under the same name is found
// by the next checkpoint that it sends, or by its silence. What was appended
// after the newest cosigned checkpoint can be cut off unseen by somebody who
// holds the machine and the key. A witness that is restored from a backup
// remembers an older checkpoint, and one that shares the gateway's machine or
// administrators proves nothing.
package witness
