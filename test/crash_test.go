package test

import "time"

// detectTime is how long the others may take to agree that a replica has crashed.
const detectTime = 3 * time.Second
