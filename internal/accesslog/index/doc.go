// Package index makes the access log quick to search. It keeps a copy of the
// sealed segments in Parquet files, a day each, and searches those and the
// entries that are not in them. It is never trusted for proofs and never stands
// in a request's way: everything in it can be thrown away and made again with
// [Rebuild]. Start with [Open].
//
// A file's name says what it holds and which version of the columns it has:
//
//	v3-2026-11-22-00000000000000000000-00000000000000087000.parquet
//
// is of that day (UTC), from the first index up to but not including the
// second. Each file is written beside its place, synced and renamed; one that
// has its name is whole. It names the log's origin and the leaf hash of its last
// entry, and answers for no other log. The files of a day are replaced by one
// when the day is over; of files that overlap, the one that begins earlier or is
// larger counts. Files of another version are removed by [Update].
//
// Files may be missing anywhere: what no file has is read from the log, from
// memory where it is new and piece by piece where it is older. So a search is
// right at any time, and slow until [Update] has made what is missing. Which rows
// of files the latest conditions select is remembered, within bounds, until files
// are replaced: a page counts one question in many ways. Whoever
// changes the folder holds a lock on the file "lock" in it.
//
// # Columns
//
// Columns are named as the fields of an exported entry (see row.go); lists
// stand in one text, an element a line. The column sieve has, in the last row of
// a row group, a filter of the runs of five bytes in its texts, so that most row
// groups are ruled out for a text that is nowhere in them. Request ids, which
// rise with time, are found by the bounds of their pages.
package index
