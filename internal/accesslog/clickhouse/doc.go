// Package clickhouse keeps entries of many gateways' logs in one table of a
// ClickHouse server and searches them there. It speaks ClickHouse's HTTP
// interface. It is never on the way of a request, and nothing in the table is a
// proof: those are in each gateway's own log. Start with [Open].
//
// The table is a ReplacingMergeTree by origin and index, and every search reads
// it with FINAL, so that an entry which was delivered twice counts once. It is
// divided by origin and month, and parts are synced to disk before an insert is
// answered, since a cursor moves on that answer.
package clickhouse
