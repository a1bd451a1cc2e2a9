package directory

import "errors"

// Refusals of a change that is no fault of the directory itself. Whoever keeps
// the directory returns them, wrapped or not, and has changed nothing.
var (
	// ErrNotAllowed reports an actor that may not make the change: not the
	// operator, and no account in force with a role that may.
	ErrNotAllowed = errors.New("only an administrator in force may change this")
	// ErrOwnRights reports an account that would change what it may do itself.
	ErrOwnRights = errors.New("nobody changes their own address, vendor, roles, end or assignments, nor disables or deletes themselves: ask another administrator")
)
