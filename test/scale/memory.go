package main

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Memory is what a process takes, in bytes.
type Memory struct {
	Live     uint64 // what the last collection found alive
	Resident uint64 // what the process has of the machine; 0 where that isn't told
}

// watch keeps the peaks of this process's memory.
type watch struct {
	mu   sync.Mutex
	peak Memory
}

// newWatch looks often, until the process ends.
func newWatch() *watch {
	w := new(watch)
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			w.look(false)
		}
	}()
	return w
}

func (w *watch) look(anew bool) Memory {
	now := readMemory()
	w.mu.Lock()
	defer w.mu.Unlock()
	if anew {
		w.peak = Memory{}
	}
	w.peak.Live = max(w.peak.Live, now.Live)
	w.peak.Resident = max(w.peak.Resident, now.Resident)
	return w.peak
}

func (w *watch) restart()      { w.look(true) }
func (w *watch) peaks() Memory { return w.look(false) }

func readMemory() Memory {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m := Memory{Live: live[0].Value.Uint64()}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			pages, _ := strconv.ParseUint(fields[1], 10, 64)
			m.Resident = pages * uint64(os.Getpagesize())
		}
	}
	return m
}
