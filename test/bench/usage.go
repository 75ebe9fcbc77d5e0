package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a process has used of the machine until a point in time.
type usage struct {
	At     time.Duration `json:"at"` // by the machine's monotonic clock
	CPU    time.Duration `json:"cpu"`
	Allocs uint64        `json:"allocs"` // objects on the heap
}

// readUsage is that of this process.
func readUsage() (usage, error) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("getrusage: %w", err)
	}
	at, err := monotonic()
	if err != nil {
		return usage{}, err
	}
	m := []metrics.Sample{
		{Name: "/gc/heap/allocs:objects"},
		{Name: "/gc/heap/tiny/allocs:objects"}, // not among the former
	}
	metrics.Read(m)
	return usage{
		At:     at,
		CPU:    time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		Allocs: m[0].Value.Uint64() + m[1].Value.Uint64(),
	}, nil
}

func monotonic() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("clock_gettime: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// rates is a use of the machine per second. The two processes are read one
// after the other while the callers go on: rates hold for any interval.
type rates struct{ cpu, allocs float64 }

func (u usage) since(before usage) rates {
	seconds := (u.At - before.At).Seconds()
	return rates{
		cpu:    (u.CPU - before.CPU).Seconds() / seconds,
		allocs: float64(u.Allocs-before.Allocs) / seconds,
	}
}

// machine is how long the CPUs have been busy, with anything, until a point in
// time.
type machine struct {
	at   time.Duration
	busy []time.Duration // by CPU number
}

const statFile = "/proc/stat"

// readMachine has no CPUs in it where the system doesn't tell.
func readMachine() (machine, error) {
	at, err := monotonic()
	if err != nil {
		return machine{}, err
	}
	f, err := os.Open(statFile)
	if errors.Is(err, os.ErrNotExist) {
		return machine{at: at}, nil
	} else if err != nil {
		return machine{}, err
	}
	defer f.Close()
	busy, err := parseStat(f)
	return machine{at, busy}, err
}

// tick is the unit of /proc/stat, the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads the lines cpu0, cpu1, ... of /proc/stat. A CPU is busy with
// user, nice, system, irq and softirq time, and with what the hypervisor stole.
func parseStat(r io.Reader) ([]time.Duration, error) {
	var busy []time.Duration
	for lines := bufio.NewScanner(r); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 || fields[0] == "cpu" || !strings.HasPrefix(fields[0], "cpu") {
			continue
		}
		cpu, err := strconv.Atoi(strings.TrimPrefix(fields[0], "cpu"))
		if err != nil || cpu < 0 || cpu > 1<<16 {
			return nil, fmt.Errorf("%s: a line of %q", statFile, fields[0])
		}
		for len(busy) <= cpu { // a CPU that is off has no line
			busy = append(busy, 0)
		}
		for _, column := range []int{1, 2, 3, 6, 7, 8} {
			ticks, err := strconv.ParseInt(fields[column], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", statFile, err)
			}
			busy[cpu] += time.Duration(ticks) * tick
		}
	}
	if len(busy) == 0 {
		return nil, fmt.Errorf("%s: no line for any CPU", statFile)
	}
	return busy, nil
}

// since returns how many CPUs were busy on average, and how busy the one with
// the number here was; -1 where that isn't known.
func (m machine) since(before machine, here int) (all, there float64) {
	if len(m.busy) == 0 || len(m.busy) != len(before.busy) {
		return -1, -1
	}
	seconds := (m.at - before.at).Seconds()
	there = -1
	for i, b := range m.busy {
		share := (b - before.busy[i]).Seconds() / seconds
		all += share
		if i == here {
			there = share
		}
	}
	return all, there
}
