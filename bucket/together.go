package bucket

// Charge is one part of a request that is charged under several rules, or to several
// keys, at once.
type Charge struct {
	Rule   *Rule
	Key    string
	Tokens int64 // at least 0
}
