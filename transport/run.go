package transport

import (
	"encoding/binary"
	"math"

	"github.com/shoal-dev/shoal/bucket"
)

// Equal hits that wait for the same frame travel as one entry with a count, and come
// back as one verdict with a run: what is said to each of them. So a key costs an
// entry a frame, whatever its rate.
//
// The run is in a field of the verdict, whose record is that of the first: the count
// u32 of the first part, among how many replicas the limits were divided u16, how
// many rows u8, those rows (bucket.Run's AppendRows), and for each further part its
// count u32 and its record. Where all are told the same there is no field.
const (
	countBytes = 4
	runHeader  = countBytes + 2 + 1
	partBytes  = countBytes + verdictBytes
	maxParts   = 3
)

// runRoom is what the fields of a verdict on equal hits may take.
func runRoom(rule *bucket.Rule) int {
	return fieldsHeader + fieldHeader + runHeader + len(rule.Limits())*bucket.RowBytes + (maxParts-1)*partBytes
}

// appendRun appends the field of a run to the fields of its verdict.
func appendRun(b []byte, r *bucket.Run) []byte {
	b = appendField(b, fieldRun, 0)
	start := len(b)
	first, _ := r.Part(0)
	b = binary.BigEndian.AppendUint32(b, uint32(first))
	b = binary.BigEndian.AppendUint16(b, uint16(min(r.Scale(), math.MaxUint16)))
	b = append(b, 0)
	rows := len(b)
	b = r.AppendRows(b)
	b[rows-1] = uint8((len(b) - rows) / bucket.RowBytes)
	for i := 1; i < r.Parts(); i++ {
		count, v := r.Part(i)
		b = binary.BigEndian.AppendUint32(b, uint32(count))
		b = AppendVerdict(b, v)
	}
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}

// checkRun reports what is wrong with the field of a run of count hits.
func checkRun(f []byte, count int) error {
	if len(f) < runHeader {
		return malformed("a run of %d bytes", len(f))
	}
	sum, rows := uint64(binary.BigEndian.Uint32(f)), int(f[runHeader-1])
	parts := len(f) - runHeader - rows*bucket.RowBytes
	if rows > bucket.MaxLimits || parts < 0 || parts%partBytes != 0 || parts > (maxParts-1)*partBytes {
		return malformed("a run of %d bytes with %d rows", len(f), rows)
	}
	for f = f[len(f)-parts:]; len(f) > 0; f = f[partBytes:] {
		sum += uint64(binary.BigEndian.Uint32(f))
	}
	if sum != uint64(count) {
		return malformed("a run that says something to %d hits of %d", sum, count)
	}
	return nil
}

// readRun reads a record with the field of its run, which was checked.
func readRun(run *bucket.Run, record, f []byte, h *Hit) {
	run.Reset(h.Tokens, int(binary.BigEndian.Uint16(f[countBytes:])))
	readVerdict(run.Add(int(binary.BigEndian.Uint32(f))), record, h)
	parts := runHeader + int(f[runHeader-1])*bucket.RowBytes
	_ = run.ReadRows(f[runHeader:parts])
	for f = f[parts:]; len(f) > 0; f = f[partBytes:] {
		readVerdict(run.Add(int(binary.BigEndian.Uint32(f))), f[countBytes:], h)
	}
}
