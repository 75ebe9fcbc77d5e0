package bucket

// Charge is one part of a request that is charged under several rules and keys at
// once, all or nothing: Tokens, at least 0, from Key under Rule. It is for TakeAll
// of package cluster's Node, and for whatever wraps it.
type Charge struct {
	Rule   *Rule
	Key    string
	Tokens int64
}
