package test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var mutants = flag.Bool("mutants", false, "break the code on purpose, one way after the other, and make sure that the stories notice; takes minutes")

// mutant is a mistake somebody could make, and the story that has to fail then.
type mutant struct {
	name  string
	story string // in this package; or "cluster TestName", or a rule of TestRules
	file  string
	edits []string // old text, new text, and so on; each old text stands there once
}

var mistakes = []mutant{
	{"drop the de-duplication", "TestStreamsBreakUnderLoad", "transport/memory.go", []string{
		"				return e, decided\n", "				return nil, unheard\n",
	}},
	{"look whether the token is here outside the shard's lock", "TestAReleaseAmongWriters", "bucket/store.go", []string{
		"\t\"sync/atomic\"\n", "\t\"sync/atomic\"\n\t\"time\"\n",
		"	sh.mu.Lock()\n	defer sh.mu.Unlock()\n	if held != nil && held.Load() == 0 {\n		return false\n	}\n",
		"	if held != nil && held.Load() == 0 {\n		return false\n	}\n	time.Sleep(time.Millisecond)\n	sh.mu.Lock()\n	defer sh.mu.Unlock()\n",
	}},
	{"evict a live bucket", "TestAFloodOfNewKeys", "bucket/sweep.go", []string{
		"case e.state().full(now):", "case e.state().full(now) || sh.table.used > 20:",
	}},
	{"evict a live bucket to make room", "bucket TestStrangersChangeNothingForLiveKeys", "bucket/room.go", []string{
		"e.limit != 0 && e.hi != hi && e.state().full(now)", "e.limit != 0 && e.hi != hi && (e.state().full(now) || now > 0)",
	}},
	{"begin with a full bucket where the overflow's isn't", "bucket TestNobodyWhoSharesIsAdmittedTooMuch", "bucket/entries.go", []string{
		"		return s.lookAt(a, t, a.share, term, m)\n", "		return nil, false\n",
	}},
	{"drop the copy of a live key for want of room", "bucket TestCopiesOfFoldedKeysAreBehind", "bucket/mergecopy.go", []string{
		"		s.fold(t, id.Hi, term, state, l, now)\n", "",
	}},
	{"use the clock on the wall", "TestRules/wall", "cluster/node.go", []string{
		"func (n *Node) now() int64 { return int64(time.Since(n.started)) }",
		"func (n *Node) now() int64 { return time.Now().UnixNano() - n.started.UnixNano() }",
	}},
	{"take the standby from GetClosestN", "cluster TestTheHeirDecidesWhileViewsDiffer", "ring/standby.go", []string{
		"	others := slices.Delete(slices.Clone(t.members), int(gone), int(gone)+1)\n	heirs, err := assign(others, maxLoad)\n	if err != nil {\n		return\n	}\n	for p, owner := range t.owners {\n		if owner == gone {\n			t.standbys[p] = heirs[p]\n",
		"	c := consistent.New(libraryMembers(t.members), consistent.Config{Hasher: hasher{}, PartitionCount: Partitions, ReplicationFactor: pointsPerMember, Load: maxLoad})\n	for p, owner := range t.owners {\n		closest, err := c.GetClosestNForPartition(p, 2)\n		if owner == gone && err == nil {\n			t.standbys[p] = closest[1].(member).index\n",
		"import \"slices\"\n", "import \"github.com/buraksezer/consistent\"\n",
	}},

	{"copy nothing to the standby", "TestAnOwnerDiesUnderLoad", "cluster/replicate.go", []string{
		"			r.round(ctx)\n", "			r.review(n.view.Load())\n",
	}},
	{"copy no idle bucket to a new standby", "TestNothingIsForgotten", "cluster/replicate.go", []string{
		"		copied, _ := r.node.store.AppendCopy(nil, p, now)\n", "		var copied []byte\n		_ = now\n",
	}},
	{"give a token away without its buckets", "TestARollingDeploy", "cluster/exchange.go", []string{
		"	m.copied, _ = n.store.AppendCopy(nil, m.partition, now)\n", "	if m.Kind != handoff.Transfer {\n		m.copied, _ = n.store.AppendCopy(nil, m.partition, now)\n	}\n",
	}},
	{"go on deciding while the token is sent", "TestAReleaseAmongWriters", "cluster/partitions.go", []string{
		"part.State() == handoff.Hold\n	if was == is {", "part.State() == handoff.Hold || part.State() == handoff.Sending\n	if was == is {",
	}},
	{"forget what was decided for a silent holder", "TestAHolderIsSilentButAlive", "cluster/orphan.go", []string{
		"		n.parts.owe(p)\n", "",
	}},
	{"begin anew once a lone replica is ready", "TestWhatALoneReplicaDecidesBeforeItIsReadyCounts", "cluster/forward.go", []string{
		"if *v, ok = n.decideAlone(&h, ended); !ok {", "if !ok {",
	}},
	{"keep from the others what was decided before they met", "TestWhatAReplicaDecidesBeforeItMeetsOthersIsOwed", "cluster/alone.go", []string{
		"		n.parts.owe(partition(h))\n", "",
	}},
	{"let the standby decide although it reaches the holder", "TestOneLinkIsCut", "cluster/orphan.go", []string{
		"if holder == 0 || view.reach(holder).alive() || n.stoodStill(now) {", "if holder == 0 || n.stoodStill(now) {",
	}},
	{"don't merge what a second holder has counted", "TestASplitHeals", "cluster/exchange.go", []string{
		"if len(m.copied) > 0 {", "if len(m.copied) > 0 && !n.parts.holds(m.partition) {",
	}},
	{"claim without asking everybody", "TestReplicasJoinUnderLoad", "handoff/part.go", []string{
		"		if b != v.Self && !slices.Contains(p.claim.free, b) {\n			return\n		}\n", "		_ = slices.Contains(p.claim.free, b)\n",
	}},
	{"promise a token to one who sees other members", "cluster TestOneNodeSuspectsAHolder", "handoff/receive.go", []string{
		"	case m.View != v.Hash:\n		return OtherView\n", "",
	}},
	{"take a member for dead that gossip alone has given up", "cluster TestOneNodeSuspectsAHolder", "cluster/view.go", []string{
		"	if m := v.former[b]; m.alive() {\n		return m\n	}\n", "",
	}},
	{"wait for a newcomer that the asker hasn't heard of", "TestARollingDeploy", "cluster/forward.go", []string{
		"if b == 0 || n.view.Load().reach(b) != nil {", "if b != 1 {",
	}},
	{"close the ways to the peers under the last calls", "TestAReleaseAmongWriters", "cluster/node.go", []string{
		"		sleep(ctx, min(n.config.HitTimeout, maxLinger))", "		sleep(ctx, 0)",
	}},
}

// apply returns the text of the file with the mistake in it.
func (m mutant) apply(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(m.edits); i += 2 {
		if n := strings.Count(text, m.edits[i]); n != 1 {
			t.Fatalf("%s: %s has this text %d times, not once; edit the mutant:\n%s", m.name, m.file, n, m.edits[i])
		}
		text = strings.Replace(text, m.edits[i], m.edits[i+1], 1)
	}
	return text
}

// The texts that the mutants change are there, so that none becomes a mutant of
// nothing.
func TestMutantsCanBeMade(t *testing.T) {
	for _, m := range slices.Concat(mistakes, leaseMistakes, borrowMistakes) {
		if _, err := parse(m.file, m.apply(t)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// Whoever breaks the code is told so by a story: the test of the tests.
func TestMutantsAreCaught(t *testing.T) {
	if !*mutants {
		t.Log("not without -mutants; TestMutantsCanBeMade looks after them")
		return
	}
	for _, m := range slices.Concat(mistakes, leaseMistakes, borrowMistakes) {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			t.Parallel() // each is a program of its own
			began := time.Now()
			if rule, ok := strings.CutPrefix(m.story, "TestRules/"); ok {
				m.wantRule(t, rule)
			} else {
				m.wantStory(t)
			}
			t.Logf("%s is caught by %s, in %v", m.name, m.story, time.Since(began).Round(time.Second/10))
		})
	}
}

// wantRule wants a rule of the house to complain of the mutant.
func (m mutant) wantRule(t *testing.T, rule string) {
	s, err := parse(m.file, m.apply(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.name == rule && len(c.check([]source{s})) == 0 {
			t.Errorf("%s complains of nothing", m.story)
		}
	}
}

// wantStory wants a story to fail in a program that has the mutant in it.
func (m mutant) wantStory(t *testing.T) {
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{changed: m.apply(t), overlay: string(b)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	folder, story := ".", m.story
	if dir, name, ok := strings.Cut(story, " "); ok {
		folder, story = "../"+dir, name
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-count=8", "-failfast", "-vet=off", "-overlay="+overlay, "-run=^"+story+"$", folder).CombinedOutput()
	if err == nil {
		t.Errorf("%s passes", m.story)
	} else if !strings.Contains(string(out), "--- FAIL: "+story) {
		t.Errorf("%s doesn't fail, but %v:\n%s", m.story, err, out)
	}
}
