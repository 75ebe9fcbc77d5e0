package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	// runsDir has a file per run, which the run keeps locked while it lives. It is
	// beside the names of the namespaces, so whoever sees the one sees the other.
	runsDir   = "/run/shoal-hosts"
	runPrefix = "shoal-hosts-"
)

// why says why the suite can't run here, or "".
func why() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, name := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("%v (apt-get install iproute2 nftables)", err)
		}
	}
	probe := fmt.Sprint(runPrefix, "probe-", os.Getpid())
	if err := run("", "ip", "netns", "add", probe); err != nil {
		return err.Error()
	}
	err := run("add table inet f", "ip", "netns", "exec", probe, "nft", "-f", "-")
	if err := errors.Join(err, run("", "ip", "netns", "del", probe)); err != nil {
		return err.Error()
	}
	return ""
}

// run runs a command with that input.
func run(input, name string, args ...string) error {
	_, err := output(input, name, args...)
	return err
}

func output(input, name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	var out, problem bytes.Buffer
	c.Stdout, c.Stderr = &out, &problem
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", c, err, bytes.TrimSpace(problem.Bytes()))
	}
	return out.String(), nil
}

// newRun removes what dead runs have left, and returns a prefix for the names of
// namespaces that nobody else uses.
func newRun(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll(runsDir, 0o700); err != nil {
		t.Fatal(err)
	}
	turn, err := lock(filepath.Join(runsDir, "turn"), syscall.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Close()
	files, err := filepath.Glob(filepath.Join(runsDir, runPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := lock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // alive
		}
		if err := remove(filepath.Base(file) + "-"); err != nil {
			t.Fatalf("what %s has left: %v", filepath.Base(file), err)
		}
		_ = os.Remove(file)
		_ = f.Close()
	}
	name := runPrefix + strconv.Itoa(os.Getpid())
	own, err := lock(filepath.Join(runsDir, name), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Remove(own.Name())
		_ = own.Close()
	})
	return name + "-"
}

func lock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), f.Close())
	}
	return f, nil
}

// remove ends every process in the namespaces whose names begin with the prefix,
// and removes them.
func remove(prefix string) error {
	list, err := output("", "ip", "netns", "list")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(list) {
		name := strings.Fields(line)[0] // "name (id: 3)"
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		pids, err := output("", "ip", "netns", "pids", name)
		errs = append(errs, err)
		for text := range strings.FieldsSeq(pids) {
			if pid, err := strconv.Atoi(text); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL) // or it has just ended
			}
		}
		errs = append(errs, run("", "ip", "netns", "del", name))
	}
	return errors.Join(errs...)
}
