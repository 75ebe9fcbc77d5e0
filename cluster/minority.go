package cluster

import "time"

// absentTime is how long a replica that has vanished counts as one that should be
// there.
const absentTime = 10 * time.Minute

// minority tells whether this replica sees only the smaller part of a cluster that
// has come apart.
type minority struct {
	last   *view
	absent map[string]int64 // by name: who vanished without a farewell, and when
}

// scale returns by how much to divide the limits: 1 unless less than half of those
// who should be there are seen.
func (m *minority) scale(v *view, now int64) int {
	m.note(v, now)
	seen, absent := len(v.members), 0
	for name, since := range m.absent {
		if now-since > int64(absentTime) {
			delete(m.absent, name)
			continue
		}
		absent++
	}
	if seen >= absent || seen == 0 {
		return 1
	}
	return (seen + absent + seen - 1) / seen
}

// note keeps who has vanished since the last view.
func (m *minority) note(v *view, now int64) {
	if v == m.last {
		return
	}
	if m.absent == nil {
		m.absent = map[string]int64{}
	}
	if m.last != nil {
		for _, former := range m.last.members {
			if !former.leaving {
				m.absent[former.name] = now
			}
		}
	}
	for _, present := range v.members {
		delete(m.absent, present.name)
	}
	m.last = v
}
