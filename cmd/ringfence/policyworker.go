package main

import (
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/ringfence/ringfence/internal/studio"
)

// newPolicyWorker is the hidden command in which drafts of policies are tried:
// a hostile one can take its own process down, and no other.
func newPolicyWorker() *cobra.Command {
	return &cobra.Command{
		Use: "policy-worker", Hidden: true, Args: cobra.NoArgs,
		Short: "Try policies for a gateway on standard input and output",
		RunE: func(cmd *cobra.Command, _ []string) error {
			studio.LowerPriority()
			return studio.Serve(cmd.Context(), os.Stdin, os.Stdout)
		},
	}
}

// policyWorker makes the child process for one job.
func policyWorker() *exec.Cmd {
	cmd := exec.Command(ownProgram(), "policy-worker")
	cmd.Args[0] = "ringfence"
	return cmd
}

// ownProgram is the program of this process, even where an upgrade has
// replaced the file.
func ownProgram() string {
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		return "/proc/self/exe"
	}
	exe, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return exe
}
