package transport

import "testing"

func TestMeterSortsFramesBySize(t *testing.T) {
	var m Meter
	for _, n := range []int{1, 2, 3, 4, 5, 8, 9, 512, 513, 10 * maxFrameHits} {
		m.frame(n)
	}
	got := m.Traffic()
	want := [frameSizes]int64{1, 1, 2, 2, 1, 0, 0, 0, 0, 1, 2}
	if got.Frames != want || got.Hits != 1+2+3+4+5+8+9+512+513+10*maxFrameHits {
		t.Errorf("%+v, want frames %v", got, want)
	}
}
