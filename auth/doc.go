// Package auth says who is asking. It invites people, takes them through
// enrolment (password, second factor, recovery codes), signs them in, keeps
// their sessions and command-line tokens, carries a session from the gate to
// a cluster's host, and signs what upstreams are told about them.
//
// It never decides what somebody may reach, never talks HTTP beyond reading a
// request's cookie and Authorization header, and keeps nothing itself: rows
// live behind the small interfaces of store.go, which must pass
// authtest.TestStore. Start with [Service] and [Config].
//
// # Signing in
//
//	Login      password          -> flow     (value of [LoginCookie])
//	LoginCode  flow, code        -> session  (value of [SessionCookie] at the gate)
//	Confirm    session, code     -> the same session with a fresh code and a new cookie
//
//	BeginKeyLogin, FinishKeyLogin      in place of the code, with a passkey or security key
//	BeginKeyConfirm, FinishKeyConfirm  the same in a session
//
// Every answer to a wrong address, password or code is [ErrBadCredentials];
// one password hash is computed whether or not the account exists. Failed
// codes are counted per account over everything and kept in the store; failed
// passwords slow down one network's tries at one address and never lock
// anybody out.
//
// # Enrolment
//
//	Invite -> link; OpenInvite shows it and consumes nothing
//	AcceptInvite  token, password -> enrolment (value of [EnrolCookie])
//	ConfirmTOTP   enrolment, code -> recovery codes
//	FinishEnrolment               -> session
//
// # What a cookie holds
//
// A JSON Web Token signed with Ed25519 that names issuer, audience (the host),
// session id, epoch and times, and nothing about the person. It is worth
// nothing without its session row: ending the row ends every cookie, and a
// new epoch ends the older ones. The request path reads memory only.
//
// # Records
//
// Every event is given to the [Recorder] before it takes effect, and when it
// cannot be recorded it does not happen. Secrets never appear in a record, an
// error or the operational log.
package auth
