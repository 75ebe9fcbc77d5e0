package hosts

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// clock reads CLOCK_MONOTONIC, in nanoseconds.
func clock() int64 {
	const monotonic = 1
	var now syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return now.Nano()
}

// record is a call or a stall in a journal.
type record struct {
	from, to int64
	key      uint32
	flags    atomic.Uint32 // 0 while the call is open; written last
}

const (
	stallKey     = 1<<32 - 1
	degradedFlag = 1 << 8
	headerSize   = 8
	recordSize   = int64(unsafe.Sizeof(record{}))
	maxRecords   = 1 << 20
	journalSize  = headerSize + maxRecords*recordSize
)

// journal is a file of records that survives its process without a system call
// for each. Safe for concurrent use.
type journal struct {
	count   *atomic.Uint64 // of records begun
	records []record
}

// openJournal makes the file; it takes room on disk only as it fills. The mapping
// lasts as long as the process.
func openJournal(name string) (*journal, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(journalSize); err != nil {
		return nil, err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, int(journalSize), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", name, err)
	}
	first := (*record)(unsafe.Pointer(&memory[headerSize]))
	return &journal{count: (*atomic.Uint64)(unsafe.Pointer(&memory[0])), records: unsafe.Slice(first, maxRecords)}, nil
}

// begin notes that a call is about to be made. It panics if the journal is full.
func (j *journal) begin(key int) *record {
	r := &j.records[j.count.Add(1)-1]
	r.key = uint32(key)
	r.from = clock()
	return r
}

// end notes how the call went.
func (r *record) end(o outcome, degraded bool) {
	r.to = clock()
	flags := uint32(o)
	if degraded {
		flags |= degradedFlag
	}
	r.flags.Store(flags)
}

// stall notes that the process stood still from then until now.
func (j *journal) stall(from int64) {
	r := j.begin(stallKey)
	r.from = from
	r.end(void, false)
}

// readJournal returns what a process has written that is no longer running, or has
// nothing to write. What was open then is taken to end at the given time.
func readJournal(name string, end int64) (history, error) {
	var h history
	data, err := os.ReadFile(name)
	if err != nil {
		return h, err
	}
	count := int64(binary.NativeEndian.Uint64(data))
	for data := data[headerSize:]; count > 0; count-- {
		from, to := int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:]))
		key, flags := binary.NativeEndian.Uint32(data[16:]), binary.NativeEndian.Uint32(data[20:])
		data = data[recordSize:]
		switch {
		case from == 0: // killed before it had looked at the clock, so before the call
		case key == stallKey:
			h.stalls = append(h.stalls, span{from, to})
		case outcome(flags) == void:
		case flags == 0:
			h.calls = append(h.calls, call{at: from, end: end, key: int(key), outcome: open})
		default:
			h.calls = append(h.calls, call{at: from, end: to, key: int(key), outcome: outcome(flags), degraded: flags&degradedFlag != 0})
		}
	}
	return h, nil
}
