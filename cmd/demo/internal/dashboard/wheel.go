package dashboard

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/shoal-dev/shoal/cluster"
	"github.com/shoal-dev/shoal/ring"
)

// A cell of a wheel is the number of the replica that holds a partition, 0 if none does,
// with one of these added.
const (
	cellMoving = 32 // on its way from that one
	cellDoubt  = 64 // that one has stopped deciding
	cellDouble = 96 // another holds it as well
	cellNumber = 31 // what is the number
)

// wheel has a cell for each partition, in the order of the ring.
type wheel [ring.Partitions]byte

// order is the ring's: where a partition stands on the circle is the hash of its number
// (package ring), and neighbours mostly have the same owner.
func order() []int {
	points := make([]uint64, ring.Partitions)
	partitions := make([]int, ring.Partitions)
	for p := range points {
		points[p] = xxhash.Sum64(binary.LittleEndian.AppendUint64(nil, uint64(p)))
		partitions[p] = p
	}
	slices.SortFunc(partitions, func(a, b int) int { return cmp.Compare(points[a], points[b]) })
	return partitions
}

// turn makes the wheel of some replicas: numbers and what each has of the partitions.
func turn(order []int, numbers []int, tokens [][ring.Partitions]cluster.Token) (w wheel) {
	for place, p := range order {
		holders, cell := 0, byte(0)
		for i, number := range numbers {
			switch tokens[i][p] {
			case cluster.TokenHeld:
				if holders++; holders == 1 {
					cell = byte(number)
				}
			case cluster.TokenSending:
				if holders == 0 {
					cell = byte(number) | cellMoving
				}
			case cluster.TokenDoubtful:
				if holders == 0 && cell == 0 {
					cell = byte(number) | cellDoubt
				}
			}
		}
		if holders > 1 {
			cell |= cellDouble
		}
		w[place] = cell
	}
	return w
}

// held is how many partitions have exactly one holder.
func (w *wheel) held() (n int) {
	for _, cell := range w {
		if cell > 0 && cell <= cellNumber {
			n++
		}
	}
	return n
}

// differs is how many partitions have another holder than in v, both being held.
func (w *wheel) differs(v *wheel) (n int) {
	for i, cell := range w {
		if cell != v[i] {
			n++
		}
	}
	return n
}

// wheelsJSON is a frame: a wheel for each side, in base64.
func wheelsJSON(wheels []wheel) [][]byte {
	cells := make([][]byte, len(wheels))
	for i := range wheels {
		cells[i] = wheels[i][:]
	}
	return cells
}
