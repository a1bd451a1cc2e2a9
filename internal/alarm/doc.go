// Package alarm holds the words and rules of alarms over the access log: what a
// [Rule] is and which come with the product, what an [Alarm] says, and who a
// [Receiver] is. It reads no log and sends nothing: package watch does. Start
// with [Defaults].
//
// A rule's settings are kept as revisions, and one is in force from the entry
// of the access log on that records it. So the rules in force at an entry follow
// from the log alone, and reading it a second time raises the same alarms.
package alarm
