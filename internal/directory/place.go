package directory

import "errors"

// Locate gives the faults of err that are about objects of the file their
// line in it: faults that only show when a file is put together with what is
// known already, such as a vendor that does not exist. b is the file's text,
// which [ParseYAML] has accepted. Anything else is returned as it is.
func Locate(name string, b []byte, err error) error {
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		return err
	}
	r := &reader{file: name, lines: lines{map[string][]objectLines{}}}
	body := r.parse(b)
	if body == nil {
		return err
	}
	c := newChecker(r.document(body), name, &r.lines)
	at := map[string]object{}
	for _, kind := range []struct {
		n  int
		of func(int) object
	}{{len(c.d.Vendors), c.vendor}, {len(c.d.Agreements), c.agreement}, {len(c.d.Engagements), c.engagement},
		{len(c.d.Clusters), c.cluster}, {len(c.d.Accounts), c.account}, {len(c.d.Assignments), c.assignment}} {
		for i := range kind.n {
			o := kind.of(i)
			at[o.label()] = o
		}
	}
	out := make(Faults, len(faults))
	for i, f := range faults {
		if o, ok := at[f.Object]; ok && f.File == "" {
			f.File = name
			f.Line, _ = r.lines.of(o.kind, o.index, f.Field)
		}
		out[i] = f
	}
	return out
}
