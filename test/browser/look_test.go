package browser

import (
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	url := startDemo(t)
	p := show(t, url, 1280, 900, "light")
	p.press("#send")
	time.Sleep(25 * time.Second)
	p.picture("light")
	p.press("#add")
	p.happens("replica-4 has joined")
	p.picture("adding")
	dark := show(t, url, 1280, 900, "dark")
	phone := show(t, url, 390, 844, "light")
	time.Sleep(2 * time.Second)
	dark.picture("dark")
	phone.picture("phone")
	p.press(".replica:nth-child(2) .kill")
	time.Sleep(700 * time.Millisecond)
	p.picture("killed")
	time.Sleep(5 * time.Second)
	p.press("#split")
	time.Sleep(6 * time.Second)
	p.picture("split")
}
