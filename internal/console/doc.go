// Package console serves everything that people see at the gate: sign-in,
// enrolment, agreements, the contractor's portal and the console for
// administrators, approvers and reviewers. It also words the refusals on the
// hosts of clusters, where it owns the prefix /.ringfence/.
//
// It decides nothing about requests to clusters: who may reach what is the
// engine's answer, and it changes the directory only through [Directory],
// which records every change. What a role may not do is not drawn, and is
// refused by the table of routes, which names the need of each.
//
// Start with [New] and the table in console.go.
package console
