package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// unrecordedFlag lets a reading of the log go on although it cannot be
// recorded, as while the disk is full or the data folder cannot be written.
func unrecordedFlag(cmd *cobra.Command, set *bool) {
	cmd.Flags().BoolVar(set, "unrecorded", false, "read all the same where this reading cannot be recorded, such as on a full disk")
}

// unrecordedHint follows the refusal of a reading that cannot be recorded.
const unrecordedHint = "Reading the access log is recorded, and that did not succeed. In an emergency --unrecorded reads all the same; note down who did, and why."

// openUnrecorded opens the log's files alone, where the deployment cannot be
// opened for the reason why. Without a configuration it returns that.
func openUnrecorded(ctx context.Context, t *target, why error, words io.Writer) (*reading, error) {
	cfg, err := t.load()
	if err != nil {
		return nil, why
	}
	p := paths{cfg.Data}
	r := &reading{searched: searched{log: p.log(), index: p.index()}}
	if r.size, err = logEnd(ctx, r.log); err != nil {
		return nil, why
	}
	sayUnrecorded(words, why)
	return r, nil
}

func sayUnrecorded(words io.Writer, why error) {
	fmt.Fprintf(words, "This reading is not recorded: %s\n", plain(why.Error()))
}

// recordOrSay records the reading. Where that fails it is refused, unless the
// person asked for it all the same.
func (r *reading) recordOrSay(ctx context.Context, action string, what []string, unrecorded bool, words io.Writer) error {
	err := r.record(ctx, action, what)
	switch {
	case err == nil:
		return nil
	case !unrecorded:
		if _, hinted := errors.AsType[*hintError](err); hinted {
			return err
		}
		return &hintError{err, unrecordedHint}
	}
	sayUnrecorded(words, err)
	return nil
}
