// Package delivery hands the access log's entries to other systems: each entry
// to each destination at least once, in the order of the log, over restarts and
// whatever the destination does. It never slows down who records, never skips
// an entry without saying so, and never changes the log. Start with [New].
//
// A [Service] has one worker for each destination. A worker reads the log from
// its cursor on, sends a batch, and moves the cursor only after the destination
// has said that it has the batch. The cursor is a file, replaced atomically and
// synced, so a crash between the two sends a batch again: receivers tell
// copies apart by origin and index, which every shape carries. The log's files
// are the queue; a destination that is away for a month costs no memory.
//
// # Faults
//
// Every fault is the destination's, and tried again with growing pauses, but
// one: a single entry that the destination refuses for what it says while it
// takes another of the same batch. That entry is written to the list of
// refused entries beside the cursor, durably and before the cursor moves, and
// counted; [State] shows it until somebody settles it with an [Order]. Where all of a
// batch is refused, the fault is taken to be in the configuration, and nothing
// moves.
//
// A cursor that does not fit the log (another origin, beyond its end, or the
// entry before it is another than the one that was delivered) stops its
// worker: either was restored or replaced, which a person has to judge.
//
// # Erasure and removal
//
// A destination that is a [Keeper] follows the log: see [Forget]. So do [Days]: a
// file that changes is kept anew, and one of whose day the log has nothing any
// more is removed. All others keep what they were sent.
//
// # What an answer is worth
//
// Elastic, OTLP, Loki and VictoriaLogs: the answer that they took the request.
// Splunk: the acknowledgement of indexing, where the token asks for it, and
// otherwise the answer. S3: the answer, with a SHA-256 that the store checked.
// Syslog has no answers: a batch counts once the receiver's machine has
// acknowledged its bytes and the connection has stayed open for a moment after
// that. What a receiver loses out of its own memory shows as a gap in the
// indexes there, since every entry is delivered.
package delivery
