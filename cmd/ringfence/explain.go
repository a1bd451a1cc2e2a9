package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ringfence/ringfence/policy"
)

// printExplanation writes how a decision came about: what decided in full, and
// below it a line for each rule that was considered and changed nothing.
func printExplanation(w io.Writer, x *policy.Explanation) error {
	var b strings.Builder
	for _, r := range x.Decision.Reasons {
		fmt.Fprintf(&b, "%s: %s: %s\n", x.Decision.Effect, r.Code, r.Message)
	}
	if len(x.Decision.Reasons) == 0 {
		fmt.Fprintln(&b, x.Decision.Effect)
	}
	if x.Fault != "" {
		fmt.Fprintf(&b, "fault: %s\n", x.Fault)
	}
	others := false
	for _, r := range x.Rules {
		if !r.Decided && !others {
			others = true
			fmt.Fprintln(&b, "\nalso considered:")
		}
		fmt.Fprintln(&b, ruleSentence(&r))
		if !r.Decided {
			continue
		}
		for _, c := range r.Conditions {
			word := "holds: "
			if !c.Held {
				word = "fails: "
			}
			fmt.Fprintln(&b, "  "+word+c.Text)
			for _, v := range c.Values {
				fmt.Fprintln(&b, "         "+valueSentence(v))
			}
		}
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, plain(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

// ruleSentence says how a rule went and at what it failed.
func ruleSentence(r *policy.ExplainedRule) string {
	name := r.Name
	if r.Code != "" {
		name += " " + r.Code
	}
	if r.File != "" {
		name = fmt.Sprintf("%s:%d: %s", r.File, r.Line, name)
	}
	c := r.Failed()
	switch {
	case r.Held:
		return name + " holds"
	case c == nil:
		return name + " does not hold"
	}
	if u := c.Unknown(); len(u) > 0 && u[0].Name == c.Text {
		return fmt.Sprintf("%s failed because %s is not known", name, c.Text)
	}
	said := make([]string, len(c.Values))
	for i, v := range c.Values {
		said[i] = valueSentence(v)
	}
	if len(said) == 0 {
		return fmt.Sprintf("%s failed because %s does not hold", name, c.Text)
	}
	return fmt.Sprintf("%s failed because %s does not hold: %s", name, c.Text, strings.Join(said, ", "))
}

// valueSentence says what a name stood for, instants in words as well.
func valueSentence(v policy.ExplainedValue) string {
	if !v.Known {
		return v.Name + " is not known"
	}
	s := v.Name + " is " + v.Value
	if at, ok := v.Instant(); ok {
		s += " (" + at.Format(time.RFC3339) + ")"
	}
	return s
}
