// Package watch raises alarms: it reads the access log's entries as they become
// durable, asks the rules of package alarm about each, keeps what they found
// and tells receivers. It is never on the path of a request: it follows the log
// from its own cursor, and where it falls behind it reads the files. Start with
// [New]; [Try] asks a rule about the past.
//
// # Nothing missed, nothing twice
//
// What is remembered of entries (figures of each account's past, counts of the
// last minutes, which revision of each rule is in force) is kept in the store
// together with the index of the next entry, every so often. A start reads on
// from there. Some entries are then read a second time, and raise the alarms
// that they raised before: what the rules find depends on the entries alone,
// and an alarm's id is made of its rule and its entry, so the second one is
// known. A rule's change counts from the entry on that records it.
//
// A log that is watched for the first time is read from five weeks ago on to
// learn what is usual, and nothing is raised of what was there before.
//
// # What is sent
//
// Each alarm is sent to each receiver at least once, with growing pauses for
// two days. A webhook's message is signed as Standard Webhooks say (HMAC-SHA256
// over id, time and body) and has the same id on every try. Its address is
// looked up and checked right before connecting: networks that are not public
// are refused unless the operator has named them. Redirects are not followed.
// Alarms are stored and their record is put into the outbox of the access log
// in one transaction; sending does not wait for the record, because the log may
// be what is in trouble.
package watch
