package test

// Ways to get leases wrong: to leave out one of the details that the proof needs, or
// to forget what is lent when something else happens.
var leaseMistakes = []mutant{
	{"refill what is lent", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lease.go", []string{
		"raised.later(s) {", "raised.later(s) && out < 0 {",
	}},
	{"lower the floor of a window that opens while tokens are lent", "bucket TestLimitsChangeWhileTokensAreLent", "bucket/lease.go", []string{
		"		s.val = max(s.val, uint64(out))\n", "",
	}},
	{"let a lease end before the state was raised to the floor", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lent.go", []string{
		"		if !s.raise(sh, l, moment{h.expires, satAdd(s.epoch, h.expires)}, m.now) {\n			break\n		}\n", "",
	}},
	{"raise the state to where the floor is now, not where it was", "bucket TestLeasesEndInTheirOrder", "bucket/lent.go", []string{
		"moment{h.expires, satAdd(s.epoch, h.expires)}, m.now)", "m, m.now)",
	}},
	{"end leases in the order in which they began", "bucket TestLeasesEndInTheirOrder", "bucket/lent.go", []string{
		"	l.sort()\n", "",
	}},
	{"raise the state to the floor when what was spent is known", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lend.go", []string{
		"	l.lower(&answer.Verdict, h, accounts, m) // before out falls\n", "",
		"	kept, back := l.hear(i, a)\n", "	kept, back := l.hear(i, a)\n	l.lower(&answer.Verdict, h, accounts, m)\n",
	}},
	{"credit more than was lent", "bucket TestWhatIsGivenBack", "bucket/lease.go", []string{
		"back = min(a.Back, h.left-kept)", "back = a.Back",
	}},
	{"credit what was spent", "bucket TestWhatIsGivenBack", "bucket/lease.go", []string{
		"back = min(a.Back, h.left-kept)", "back = min(a.Back, h.left)",
	}},
	{"keep what has run out", "bucket TestWhatIsGivenBack", "bucket/lease.go", []string{
		"kept = min(a.Have, h.left)", "kept = a.Have",
	}},
	{"hear an older statement", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lend.go", []string{
		"i >= 0 && a.Seq > l.holders[i].seq {", "i >= 0 {",
	}},
	{"keep tokens no longer than the peer does", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lend.go", []string{
		"satAdd(m.now, lasts+lasts/4)", "satAdd(m.now, lasts)",
		"min(lasts, ends-m.now) / 32 * 31)", "min(lasts, ends-m.now))",
	}},
	{"let a lease outlive its window", "bucket TestLeasesOfAWindow", "bucket/lend.go", []string{
		"			ends = min(ends, next.at)\n", "",
	}},
	{"end what is kept, where nothing more is wanted", "bucket TestRenewalsThatWantNothing", "bucket/lend.go", []string{
		"if holder.left > 0 || want > 0 {", "if want > 0 {",
	}},
	{"charge a grant to one of the limits", "bucket TestLeasesNeverAdmitTooMuch", "bucket/lend.go", []string{
		"			for j := range h.terms {\n				accounts[j].next, _", "			for j := range h.terms[:1] {\n				accounts[j].next, _",
	}},
	{"lend more than a quarter", "bucket TestLentTokensLowerTheCapacity", "bucket/lend.go", []string{
		"min(fair, burst/burstShare-l.out)", "min(fair, burst-l.out)",
	}},
	{"forget the marks of others when a lease ends", "bucket TestLeasedKeysAreMarked", "bucket/lent.go", []string{
		"for _, other := range l.leases {", "for _, other := range map[uint64]*lease(nil) {",
	}},
	{"decide the commonest hit as if nothing were lent", "bucket TestLeasesNeverAdmitTooMuch", "bucket/takeone.go", []string{
		"s.lent[shardOf(d)].marked(d) || ", "",
	}},

	{"hand the state over as it is", "bucket TestWhatIsLentIsNeverForgotten", "bucket/lent.go", []string{
		"l.out == 0 || t.windowed() {", "l.out == 0 || t.windowed() || now > 0 {",
	}},
	{"leave what is full out of a copy, although it is leased", "bucket TestCopiesOfWhatIsLent", "bucket/lent.go", []string{
		"		if s.expire(sh, l, m) {\n			s.raise(sh, l, m, now)\n		}\n", "		s.expire(sh, l, m)\n",
	}},
	{"write down nothing where nothing is granted", "bucket TestWhatIsGivenBack", "bucket/lend.go", []string{
		"changed := l.out > 0\n", "changed := false\n",
	}},
	{"let a reset forget what is lent", "bucket TestWhatIsLentIsNeverForgotten", "bucket/reset.go", []string{
		"	s.lease(sh, d, moment{now, satAdd(s.epoch, now)})\n", "	if l := s.lease(sh, d, moment{now, satAdd(s.epoch, now)}); l != nil {\n		s.lent[shardOf(d)].end(l)\n	}\n",
	}},
	{"take back what was lent before the token went away", "bucket TestTheTokenComesBackWhileTokensAreLent", "bucket/lease.go", []string{
		"h.peer == peer && h.since == since", "h.peer == peer",
	}},
	{"refund a charge that was paid back when a lease was", "bucket TestRefundsOfLeasedKeys", "bucket/lend.go", []string{
		"		sh.table.aside.refunds.returned(h.digest, m.now)\n", "",
	}},
	{"take down for one what another has said", "bucket TestStatementsWithHitsThatHaveToWait", "bucket/lease.go", []string{
		"	at, out := m, l.out\n", "	l.sort()\n	at, out := m, l.out\n",
	}},
	{"promise what has to wait for a lease too early", "bucket TestWaitingForLeases", "bucket/settle.go", []string{
		"	case a.lease != nil:\n		a.wait = a.lease.until(t, a.state, n, m)\n", "",
	}},

	{"give whoever asks all that there is", "bucket TestSharesOfAHotKey", "bucket/lend.go", []string{
		"fair := min(want, free, scale(pool, one.wants, all))", "fair := min(want, free, max(free, scale(pool, one.wants, all)))",
	}},
	{"let nothing accrue", "bucket TestSharesOfAHotKey", "bucket/lend.go", []string{
		"pool := max(free, back)", "pool := free",
	}},
}
