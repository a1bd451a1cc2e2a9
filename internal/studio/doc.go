// Package studio does what people try on policies before they are in force:
// checking, trying out, replaying, comparing. Whatever evaluates a draft runs in
// a child process of the lowest priority, with limits on memory and time, so
// that no draft can slow or end the gateway. It never changes what is in force
// and never decides about a real request.
//
// Start with [Runner]; [Serve] is the child's side. A job is a file of its own:
// its request, its result, the method of Runner that asks for it and the
// function that does it.
package studio
