// Package index makes the access log quick to search. It keeps a copy of the
// sealed segments in Parquet files, a day each, and searches those and the
// entries that are not in them yet. It is never trusted for proofs and never
// stands in a request's way: everything in it can be thrown away and made
// again with [Rebuild]. Start with [Open].
//
// A file's name says what it holds and which version of the columns it has:
//
//	v2-2026-11-22-00000000000000000000-00000000000000087000.parquet
//
// is of that day (UTC), from the first index up to but not including the
// second, without gaps. Each file is written beside its place, synced and
// renamed. The files of a day are replaced by one when the day is over; where
// one file holds all that another holds, the smaller counts for nothing. Files
// of another version are removed when the index is brought up to date.
package index
