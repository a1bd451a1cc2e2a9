// Package query is the language in which entries of the access log are asked
// for, and the one typed tree that every place of search works from: memory,
// the Parquet index, other engines. It never reads a log itself. Start with
// [Parse] and [Compile].
//
//	account:kim cluster:claims effect:deny path:/export* since:7d
//
// # Terms
//
// A term is a field's name, a colon and a value. Terms side by side must all
// hold; "or" between them lets one suffice and binds less than standing side
// by side; "not" or a minus sign before a term, or before parentheses, turns it
// around. Values with commas between them are alternatives: effect:deny,challenge.
// The three words count in small letters only, and in capitals they are refused;
// a quoted "or" is text.
//
//	text      a whole value, upper and lower case apart; * stands for any run
//	          of characters, also none: path:/export* path:*permissions*.
//	          cluster:* is any value and cluster:"" is none.
//	list      as text, of any one element; reasons:"" is an empty list.
//	number    status:403 status:4xx bytes_out:>1MB duration:500ms..2s
//	address   as text, or a network: ip:10.0.0.0/8
//	time      since:7d until:2026-11-30 since:2026-11-22T10:00:00Z; spans are of
//	          w, d, h, m and s and end at the time of asking; a day that until
//	          names is included; otherwise since is included and until is not
//
// A word without a field is found anywhere in an entry's texts, in any case of
// letters. Quotation marks around a part of a value take * , ( ) and spaces for
// themselves; inside them \" and \\ stand for one character each.
//
// Account is the id, the email address, what stands before its @, or the id of
// whoever acted.
//
// # Printing
//
// Each query has one canonical spelling, which [Print] writes and which [Parse]
// reads to the same tree. Saved queries, links and the log's own entries about
// searches hold that spelling.
package query
