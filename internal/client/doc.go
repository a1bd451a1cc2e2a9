// Package client signs a contractor's computer in at a gate and gets tokens
// for clusters there, for the commands login, curl, token, connect and the git
// credential helper.
//
// The computer has a key of its own: whatever the gate gives it is worth
// nothing without a proof made with that key (RFC 9449). Key and secrets are
// kept in the operating system's keyring, or else in files that their owner
// alone may read; they never stand in arguments, errors or output that was not
// asked for. Start with [Open] and [Login].
package client
