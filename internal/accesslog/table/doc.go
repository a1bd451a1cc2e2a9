// Package table says how entries of many gateways' logs stand in a table of
// another engine, and compiles a query's tree to SQL over that table. It never
// talks to an engine. Start with [AppendRow] and [Compile].
//
// # Columns
//
// Each field of [query.Fields] that has values has a column; see [Columns]. An
// entry that does not have the field has the empty text, an empty list, or -1
// as count. Beside those stand the columns
//
//	origin      the log that the entry is of; with index the entry's key
//	ns          its time, in nanoseconds since 1970
//	email_name  what stands before the last @ of email
//	email_fold  email without regard to case, see [Fold]
//	name_fold   email_name likewise
//	address     source_ip as digits that sort like addresses, see [Address]
//	words       every text of the entry in small letters, each once, separated
//	            by the character 0x1F; only A to Z are made small
//	payload     the bytes that the log's tree is over
//
// # SQL
//
// What [Compile] returns selects exactly what [query.Filter.Match] selects.
// Values reach the engine as parameters alone, and no text of a query is ever
// part of a statement. NUL, which Postgres has no place for in a text, is
// replaced by U+FFFD in every column but payload, where JSON writes it as \u0000.
package table
