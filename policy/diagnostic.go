package policy

import "fmt"

// A Diagnostic is one fault in a policy, with its place.
type Diagnostic struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1; 0 when the fault has no place
	Column  int    `json:"column"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// String returns file:line:column: message.
func (d Diagnostic) String() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s: %s", d.File, d.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message)
}
