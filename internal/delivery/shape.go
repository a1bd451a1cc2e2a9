package delivery

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/ringfence/ringfence/internal/accesslog"
)

// A Format is what an entry is written as.
type Format string

// The formats.
const (
	// Ringfence is the entry's payload with the log's origin as a first key:
	// without that key it is byte for byte what the log's tree is over.
	Ringfence Format = "ringfence"
	OCSF      Format = "ocsf" // Open Cybersecurity Schema Framework, see [AppendOCSF]
	ECS       Format = "ecs"  // Elastic Common Schema, see [AppendECS]
	CEF       Format = "cef"  // ArcSight Common Event Format, see [AppendCEF]
)

// A Shape writes entries.
type Shape struct {
	Format  Format
	Origin  string // the log's
	Version string // of this program
}

// key names an entry among those of all gateways, for receivers to tell copies by.
func (s *Shape) key(e *accesslog.Entry) string {
	return s.Origin + "#" + strconv.FormatUint(e.Index, 10)
}

// extras are keys that some receivers want in an object.
type extras int

const (
	stamped extras = 1 << iota // "@timestamp"
	told                       // "_msg", a line for people, and the stream's fields
)

// json writes e as an object on one line.
func (s *Shape) json(e *accesslog.Entry, x extras) ([]byte, error) {
	b := []byte{'{'}
	add := func(key, v string) error {
		q, err := json.Marshal(v)
		if err != nil {
			return wrap("encoding an entry", err)
		}
		b = append(append(append(b, `"`+key+`":`...), q...), ',')
		return nil
	}
	var err error
	if x&stamped != 0 && s.Format != ECS {
		err = add("@timestamp", e.Time.UTC().Format(time.RFC3339Nano))
	}
	if x&told != 0 && err == nil {
		err = add("_msg", accesslog.Line(e))
	}
	if x&told != 0 && s.Format != Ringfence && err == nil {
		if err = add("node", e.Node); err == nil {
			err = add("type", string(e.Type))
		}
	}
	if err == nil && (s.Format == Ringfence || x&told != 0) {
		err = add("origin", s.Origin)
	}
	if err != nil {
		return nil, err
	}
	var doc []byte
	switch s.Format {
	case Ringfence:
		doc = e.Clear()
	case OCSF:
		doc, err = AppendOCSF(nil, e, s.Origin, s.Version)
	case ECS:
		doc, err = AppendECS(nil, e, s.Origin, s.Version)
	default:
		return nil, fmt.Errorf("format %q is no object", s.Format)
	}
	if err != nil {
		return nil, err
	}
	if len(doc) < 2 || doc[0] != '{' {
		return nil, fmt.Errorf("encoding entry %d: it has no payload", e.Index)
	}
	return append(b, doc[1:]...), nil
}

// line writes e on one line without its end.
func (s *Shape) line(e *accesslog.Entry) ([]byte, error) {
	if s.Format == CEF {
		return AppendCEF(nil, e, s.Origin, s.Version), nil
	}
	return s.json(e, 0)
}

// value returns e as a value that encoding/json writes.
func (s *Shape) value(e *accesslog.Entry) (any, error) {
	b, err := s.line(e)
	if err != nil || s.Format == CEF {
		return string(b), err
	}
	return json.RawMessage(b), nil
}
