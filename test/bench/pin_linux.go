package main

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// pin keeps this process, and those that it starts, on one CPU: the last of
// those it may use, as interrupts prefer the first. A CPU mask belongs to a
// thread and the runtime has several by now, so the program is started anew with
// the mask of this one: pin returns only where there is one CPU already, or on
// failure.
func pin() error {
	if pinned() >= 0 {
		return nil
	}
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	last := -1
	for cpu := range len(all) * 64 {
		if all.IsSet(cpu) {
			last = cpu
		}
	}
	if last < 0 {
		return errors.New("the system names no CPU that may be used")
	}
	one.Set(last)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return unix.Exec(program, os.Args, os.Environ())
}

// pinned returns the CPU to which this process is confined, or -1 if there are
// several.
func pinned() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || set.Count() != 1 {
		return -1
	}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			return cpu
		}
	}
	return -1
}
