package test

// Ways to get wrong what a replica does by itself with keys that others hold: what it
// was lent of them, and what it was refused.
var borrowMistakes = []mutant{
	{"take a leased key's place for another", "cluster TestALeasedKeyKeepsItsPlace", "cluster/hot.go", []string{
		"return i ^ 1, other.lease.Load() == nil", "return i ^ 1, true",
	}},
	{"ask ahead for a few tokens", "cluster TestASlowLeaseCostsNoMessagesOfItsOwn", "cluster/lease.go", []string{
		"if tokens < leastAhead {", "if false {",
	}},
	{"count a lease from its answer", "cluster TestALeaseEnds", "cluster/lease.go", []string{
		"max(l.expires.Load(), l.asked+min(", "max(l.expires.Load(), now+min(",
	}},
	{"take the answer to an older statement", "cluster TestOldAnswersAreNotHeard", "cluster/lease.go", []string{
		"if seq != l.seq.Load() || seq == l.heard", "if seq == l.heard",
	}},
	{"take an answer twice", "cluster TestALeaseEnds", "cluster/lease.go", []string{
		"if seq != l.seq.Load() || seq == l.heard", "if seq != l.seq.Load()",
	}},
	{"let live on what has run out", "cluster TestWhatHasRunOutDoesNotComeBack", "cluster/lease.go", []string{
		"satAdd(min(tokens, g.Keep), g.Grant)", "satAdd(tokens, g.Grant)",
	}},
	{"keep what has run out, to give it back later", "cluster TestNothingIsGivenBackLate", "cluster/lease.go", []string{
		"case all || now >= l.expires.Load():", "case all:",
	}},
	{"spend by adding", "cluster TestALeaseConservesTokens", "cluster/lease.go", []string{
		"		if l.tokens.CompareAndSwap(tokens, tokens-n) {\n", "		if l.tokens.Store(tokens - n); true {\n",
	}},
	{"take back what the holder has for spent", "cluster TestUnspend", "cluster/lease.go", []string{
		"for l.seq.Load() == seq && now <", "for now <",
	}},
	{"ask again at once for what is scarce", "TestAHotKeyIsLeased", "cluster/lease.go", []string{
		"	if !l.scarce.Load() {\n", "	if l.scarce.Load() || true {\n",
	}},
	{"have the holder spend whatever comes", "TestAHotKeyIsLeased", "cluster/take.go", []string{
		"if c.Answer.Verdict.Leased && !c.Hit.Whole {", "if c.Answer.Verdict.Leased && c.Hit.Peek {",
	}},
	{"leave with what was lent", "TestIdleLeasesAreGivenBack", "cluster/leave.go", []string{
		"	n.giveBack()\n", "",
	}},
	{"forget what was lent where the limit changes", "TestIdleLeasesAreGivenBack", "cluster/hot.go", []string{
		"t.vacate(i^1, k) {\n		t.retire(k, rule)\n", "t.vacate(i^1, k) {\n		_ = rule\n",
	}},
	{"keep what nobody wants", "TestIdleLeasesAreGivenBack", "cluster/lease.go", []string{
		"return tokens > 0 && (cool ||", "return tokens < 0 && (cool ||",
	}},

	{"refuse from the answer on", "cluster TestWhatADenialRefuses", "cluster/denial.go", []string{
		"until := asked + int64(", "until := now + int64(",
	}},
	{"refuse what costs less", "TestARefusalOfMuchLetsLittlePass", "cluster/denial.go", []string{
		"|| more < 0 {", "{",
	}},
	{"tell what more waits for by what less does", "TestWaitingIsEnoughAfterLessWasRefused", "cluster/refuse.go", []string{
		"if more > 0 && n <= k.most && !(k.alike && plain) {", "if more < 0 && !(k.alike && plain) {",
	}},
	{"tell what more waits for by what a penalty refuses", "cluster TestWhatIsRefusedToMore", "cluster/refuse.go", []string{
		"!(k.alike && plain)", "!k.alike",
	}},
	{"take what may be given back at once from a lease", "TestKeysThatAreTakenTogetherAreNotLeased", "cluster/hot.go", []string{
		"	if q.how == together {\n		l = nil\n	}\n", "",
	}},
	{"refuse for as long as it takes", "TestRefusalsEndWithResetsAndRefunds", "cluster/denial.go", []string{
		"denialCap = 500 * time.Millisecond", "denialCap = 500 * time.Minute",
	}},
	{"refuse what was reset", "TestRefusalsEndWithResetsAndRefunds", "cluster/reset.go", []string{
		"	n.hot.forget(d, now)\n", "",
	}},
	{"refuse under other numbers", "TestRefusalsUnderOtherNumbers", "cluster/hot.go", []string{
		"return k != nil && (k.rule == rule || k.rule.Equivalent(rule))", "return k != nil || rule == nil",
	}},
	{"repeat what a standby has refused", "cluster TestWhatIsHeard", "cluster/refuse.go", []string{
		"	if v.Degraded {\n		return\n	}\n", "",
	}},
	{"tell no penalty of what was refused elsewhere", "TestPenaltiesCountWhatIsRefusedElsewhere", "cluster/refuse.go", []string{
		"		k.refusals.Add(1)\n", "",
	}},
	{"tell penalties too late", "TestPenaltiesCountWhatIsRefusedElsewhere", "cluster/hot.go", []string{
		"		h.Refused = k.refusals.Swap(0)\n", "",
	}},
}
