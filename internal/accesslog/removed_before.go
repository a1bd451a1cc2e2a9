package accesslog

import (
	"context"
	"fmt"
)

// RemovedBefore returns the index of the first entry that was not removed by
// age from the log in dir; 0: none was. It believes an entry under the newest
// checkpoint alone: unlike [FirstHeld], it does not take what is missing for
// removed, so that whoever deletes files deletes no copies elsewhere.
func RemovedBefore(ctx context.Context, dir string) (uint64, error) {
	r, err := readRemoval(dir)
	if r == nil || err != nil {
		return 0, err
	}
	p, err := Prove(ctx, dir, r.entry)
	if err != nil {
		return 0, fmt.Errorf("reading what was removed from the log: %w", err)
	}
	if c, ok := pruneOf([]byte(p.Payload)); !ok || c.first != r.first {
		return 0, &TamperedError{Index: r.first, Segment: removedName, Offset: 0,
			What: fmt.Sprintf("entry %d does not say that those before entry %d were removed", r.entry, r.first)}
	}
	return r.first, nil
}
