package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// An Error is an answer other than the page that was asked for. The person
// sees Title and Detail, the operational log sees Err.
type Error struct {
	Status int    // HTTP status, 0 is 500
	Code   string // stable, for JSON; empty is derived from the status
	Title  Text   // a few words; empty is derived from the status
	Detail Text   // one or two sentences: what happened and what to do now
	// RetryAfter, when positive, is sent as a header in whole seconds.
	RetryAfter time.Duration
	Err        error // the cause; may be nil
}

// Error returns the chain for the operational log.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	if e.Detail != "" {
		return fmt.Sprintf("%d %s: %s", e.Status, e.Title, e.Detail)
	}
	return fmt.Sprintf("%d %s", e.Status, e.Title)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// words are the code and title of a status, and the sentence for one that has no other.
var words = map[int]struct {
	code          string
	title, detail Text
}{
	http.StatusBadRequest:            {"bad_request", "This cannot be right", "The request could not be understood. Go back, check what you entered and try again."},
	http.StatusUnauthorized:          {"sign_in_required", "Sign in first", "This needs a signed-in account."},
	http.StatusForbidden:             {"forbidden", "Not yours to see", "Your account does not hold the role that this page needs."},
	http.StatusNotFound:              {"not_found", "Nothing is here", "The address is wrong, or what it named is gone."},
	http.StatusMethodNotAllowed:      {"method_not_allowed", "Not in this way", "This address does not take that kind of request."},
	http.StatusConflict:              {"conflict", "Somebody was faster", "It changed in the meantime. Load the page again and repeat your change."},
	http.StatusRequestEntityTooLarge: {"request_too_large", "Too much at once", "The request is larger than this address accepts."},
	http.StatusUnsupportedMediaType:  {"unsupported_media_type", "Not in this form", "The contents are of a type that this address does not take."},
	http.StatusTooManyRequests:       {"rate_limited", "Please wait a moment", "There were too many attempts."},
	http.StatusInternalServerError:   {"internal", "Something went wrong", "That is our fault, not yours. Please try again; if it happens again, pass on the request id."},
	http.StatusServiceUnavailable:    {"unavailable", "Not at the moment", "Ringfence cannot do this safely right now. Please try again in a moment."},
}

// AsError maps any error to what a person may be told: an [Error] is kept and
// completed, an ended or overdue request is 503, and anything else is 500
// without a word of its cause. It is never nil.
func AsError(err error) *Error {
	e := &Error{Status: http.StatusInternalServerError, Err: err}
	if known, ok := errors.AsType[*Error](err); ok {
		c := *known
		e = &c
	} else if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		e = &Error{Status: http.StatusRequestEntityTooLarge, Err: tooBig}
	} else if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e = &Error{Status: http.StatusServiceUnavailable, Err: err}
	}
	if e.Status < 400 || e.Status > 599 {
		e.Status = http.StatusInternalServerError
	}
	w, ok := words[e.Status]
	if !ok {
		w = words[http.StatusInternalServerError]
		if e.Status < 500 {
			w = words[http.StatusBadRequest]
		}
	}
	if e.Code == "" {
		e.Code = w.code
	}
	if e.Title == "" {
		e.Title = w.title
	}
	if e.Detail == "" {
		e.Detail = w.detail
	}
	return e
}

// NotFound is the answer to an address that names nothing.
func NotFound() *Error { return &Error{Status: http.StatusNotFound} }

// BadRequest is the answer to a form or address that cannot be understood;
// detail is a sentence for the person.
func BadRequest(detail Text) *Error { return &Error{Status: http.StatusBadRequest, Detail: detail} }

// An ErrorPage is the data of the page "error".
type ErrorPage struct {
	Frame
	Status int
	Detail Text
	Back   Link // where to go now; empty is the start page
}

// A Link is a labelled address.
type Link struct {
	Label Text
	URL   string
}

// Handler turns a function that returns an error into a handler: the error is
// mapped by [AsError], faults of ours are logged with their cause, and the
// person gets the error page.
func (u *Renderer) Handler(f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			u.ShowError(w, r, Frame{Narrow: true}, err)
		}
	})
}

// ShowError writes the error page for err inside frame and logs what is a
// fault of ours.
func (u *Renderer) ShowError(w http.ResponseWriter, r *http.Request, frame Frame, err error) {
	e := AsError(err)
	u.LogError(r, frame.RequestID, e)
	SetRetryAfter(w.Header(), e.RetryAfter)
	frame.Title = e.Title
	u.Page(w, r, e.Status, "error", ErrorPage{Frame: frame, Status: e.Status, Detail: e.Detail})
}

// LogError writes e to the operational log: faults of ours as errors, refused
// requests for those who debug.
func (u *Renderer) LogError(r *http.Request, requestID string, e *Error) {
	if e.Status >= 500 && r.Context().Err() == nil { // a client that left is no fault
		u.log.ErrorContext(r.Context(), "answering a request", "request_id", requestID, "method", r.Method, "path", r.URL.Path, "status", e.Status, "err", e.Error())
		return
	}
	u.log.DebugContext(r.Context(), "refusing a request", "request_id", requestID, "method", r.Method, "path", r.URL.Path, "status", e.Status, "err", e.Error())
}

// SetRetryAfter sets the Retry-After header in whole seconds, rounded up;
// nothing when d is not positive.
func SetRetryAfter(h http.Header, d time.Duration) {
	if d > 0 {
		h.Set("Retry-After", fmt.Sprint(int64((d+time.Second-1)/time.Second)))
	}
}
