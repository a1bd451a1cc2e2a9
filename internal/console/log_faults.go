package console

import (
	"strings"

	"github.com/ringfence/ringfence/internal/accesslog/query"
	"github.com/ringfence/ringfence/internal/ui"
)

// faultSentences says what package query finds wrong with a query in words that
// are translated.
var faultSentences = map[string]ui.Text{
	"this is not UTF-8":                                                                       "This is not UTF-8.",
	"this is a control character":                                                             "This is a control character.",
	"there is no opening parenthesis for this one":                                            "There is no opening parenthesis for this one.",
	"conditions are nested too deeply":                                                        "Conditions are nested too deeply.",
	"a condition is missing at the end":                                                       "A condition is missing at the end.",
	"a condition is missing before this parenthesis":                                          "A condition is missing before this parenthesis.",
	"this parenthesis is not closed":                                                          "This parenthesis is not closed.",
	"there are too many conditions":                                                           "There are too many conditions.",
	"the empty text is found everywhere":                                                      "The empty text is found everywhere.",
	"a space is missing before this parenthesis":                                              "A space is missing before this parenthesis.",
	"this quotation mark is not closed":                                                       "This quotation mark is not closed.",
	"the span is longer than 100 years":                                                       "The span is longer than 100 years.",
	"the year is not between 1900 and 2200":                                                   "The year is not between 1900 and 2200.",
	"the range is empty":                                                                      "The range is empty.",
	"the number is too large":                                                                 "The number is too large.",
	"a value cannot begin with a parenthesis; in quotation marks it is text":                  "A value cannot begin with a parenthesis. In quotation marks it is text.",
	"a comma separates the values of a field; in quotation marks it is text":                  "A comma separates the values of a field. In quotation marks it is text.",
	"a condition is missing before this word; in quotation marks it is text":                  "A condition is missing before this word. In quotation marks it is text.",
	"this word counts in small letters only; in quotation marks it is text":                   "This word counts in small letters only. In quotation marks it is text.",
	"there are allow, challenge and deny":                                                     "There are allow, challenge and deny.",
	`a backslash in quotation marks stands before " or \ only`:                                `A backslash in quotation marks stands before " or \ only.`,
	"this is neither a span such as 7d nor a time such as 2026-11-30 or 2026-11-30T10:00:00Z": "This is neither a span such as 7d nor a time such as 2026-11-30 or 2026-11-30T10:00:00Z.",
	"this is not a number such as 403, nor a range such as 400..499, >=500 or <10":            "This is not a number such as 403, nor a range such as 400..499, >=500 or <10.",
	"the unit is not known: bytes have kB, MB, GB or KiB, MiB, GiB; durations ms, s, m, h":    "The unit is not known. Bytes have kB, MB, GB or KiB, MiB, GiB; durations ms, s, m, h.",
}

// queryFaultWords says what is wrong with a query.
func queryFaultWords(e *query.Error) ui.Text {
	if s, ok := faultSentences[e.What]; ok {
		return s
	}
	quoted := func() string {
		_, rest, _ := strings.Cut(e.What, `"`)
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	switch {
	case strings.HasPrefix(e.What, "there is no field ") && strings.Contains(e.What, "text with a colon"):
		return ui.Say("There is no field “{1}”. Text with a colon stands in quotation marks.", quoted())
	case strings.HasPrefix(e.What, "there is no field "):
		return ui.Say("There is no field “{1}”.", quoted())
	case strings.HasPrefix(e.What, "a value of "):
		f, _, _ := strings.Cut(strings.TrimPrefix(e.What, "a value of "), " ")
		return ui.Say("A value of {1} is missing. With \"\" it finds entries without one.", f)
	case strings.HasSuffix(e.What, "has no places for any text"):
		f, _, _ := strings.Cut(e.What, " ")
		return ui.Say("A * is of no use in {1}.", f)
	case strings.HasSuffix(e.What, "is not a network such as 10.0.0.0/8"):
		return ui.Say("“{1}” is not a network such as 10.0.0.0/8.", quoted())
	case strings.HasPrefix(e.What, "the query is longer than"):
		return ui.Say("The query is longer than {1} bytes.", query.MaxLength)
	}
	return ui.Known(e.What)
}
