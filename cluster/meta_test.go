package cluster

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestMetaComesThrough(t *testing.T) {
	largest := meta{
		name:    strings.Repeat("x", maxNameBytes),
		epoch:   math.MaxUint64,
		address: "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
	}
	for _, m := range []meta{{name: "a"}, {name: "a", epoch: 1, address: "10.0.0.1:7947"}, largest} {
		b := m.encode()
		if got, err := decodeMeta(b); got != m || err != nil {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
		later := append(bytes.Clone(b), "what later versions say"...)
		if got, err := decodeMeta(later); got != m || err != nil {
			t.Errorf("%+v and more came back as %+v, %v", m, got, err)
		}
		for cut := range b {
			if got, err := decodeMeta(b[:cut]); err == nil {
				t.Errorf("%d bytes of %d were read as %+v", cut, len(b), got)
			}
		}
	}
	if size := len(largest.encode()); size > 200 { // of memberlist's 512: later versions need room
		t.Errorf("%d bytes", size)
	}
}

func TestMalformedMeta(t *testing.T) {
	good := meta{name: "a", address: "b:1"}.encode()
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"another version": append([]byte{metaVersion + 1}, good[1:]...),
		"no name":         meta{address: "b:1"}.encode(),
		"a long name":     append(bytes.Clone(good[:9]), 255, 'a'),
		"no address":      good[:11],
	} {
		if m, err := decodeMeta(b); err == nil || m != (meta{}) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add([]byte{})
	f.Add(meta{name: "a", epoch: 7, address: "10.0.0.1:7947"}.encode())
	f.Add(append(meta{name: "b", address: ""}.encode(), 1, 2, 3))
	f.Add([]byte{metaVersion, 0, 0, 0, 0, 0, 0, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err == nil && !bytes.HasPrefix(b, m.encode()) {
			t.Errorf("%x was read as %+v", b, m)
		}
	})
}
